//! `POST /v1/listen`: the same script, all at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::clock::AudioClock;
use super::options::Options;
use super::query::Query;
use super::refusal::Refusal;
use super::shared::Shared;
use super::wire::{Stamp, seconds};
use crate::script::{Script, Word};
use crate::speech::sha256_hex;

/// Length of audio that cannot be measured, when the script has no end either.
const UNMEASURED_US: u64 = 10_000_000;
/// A gap that ends an utterance, in microseconds, unless told.
const UTTERANCE_GAP_US: u64 = 800_000;

/// Transcribes a body: audio, or `{"url"}`, whose audio is never fetched but taken to be the
/// script.
pub(crate) fn transcribe(
    request_id: Uuid,
    query: &Query,
    is_json: bool,
    body: &[u8],
    shared: &Shared,
) -> Result<Value, Refusal> {
    let options = Options::recorded(query)?;
    let known = shared.config.recordings.iter();
    let sha256 = sha256_hex(body);
    let script =
        known.filter(|(known, _)| *known == sha256).map(|(_, script)| script.clone()).next();
    let script = script.unwrap_or_else(|| shared.script());
    let (heard_us, channels) =
        if is_json { measure_url(body, &script)? } else { measure(body, &options, &script)? };
    let stamp = Stamp { request_id, options };
    let voices = if stamp.options.multichannel { channels } else { 1 };
    let spoken: Vec<Vec<Word>> = (0..voices)
        .map(|channel| spoken_on(&script, stamp.options.multichannel.then_some(channel), heard_us))
        .collect();
    let channels_json: Vec<_> = spoken.iter().map(|words| channel(&stamp, query, words)).collect();
    let mut metadata = stamp.recorded_metadata(&sha256, heard_us, channels);
    if query.all("tag").next().is_some() {
        metadata["tags"] = json!(query.all("tag").collect::<Vec<_>>());
    }
    let mut results = json!({ "channels": channels_json });
    if query.flag("utterances") {
        results["utterances"] = utterances(&stamp, &spoken);
    }
    Ok(json!({ "metadata": metadata, "results": results }))
}

fn measure_url(body: &[u8], script: &Script) -> Result<(u64, u64), Refusal> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    match json["url"].as_str() {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Ok((script.end_us().unwrap_or(UNMEASURED_US), 1))
        }
        _ => Err(Refusal::bad_request("The remote URL is missing or invalid.")),
    }
}

fn measure(body: &[u8], options: &Options, script: &Script) -> Result<(u64, u64), Refusal> {
    let mut clock = match (options.bytes_per_second(), options.encoding.as_deref()) {
        (Some(rate), _) => AudioClock::raw(rate, options.channels),
        (None, Some("ogg-opus") | None) => AudioClock::container(),
        (None, Some(_)) => AudioClock::wall(),
    };
    let heard_us = clock.feed(body);
    if heard_us == 0 && (clock.is_undecodable() || body.len() < 12) {
        return Err(Refusal::bad_request("failed to process audio: corrupt or unsupported data"));
    }
    if clock.is_wall() {
        // Its length cannot be read without a decoder: it is taken to be the script's.
        return Ok((script.end_us().unwrap_or(UNMEASURED_US), 1));
    }
    Ok((heard_us, clock.channels().max(1)))
}

fn spoken_on(script: &Script, channel: Option<u64>, heard_us: u64) -> Vec<Word> {
    let mut voice = script.voice(channel.map(|channel| channel as u32));
    let next = || {
        let word = voice.peek().filter(|word| word.end_us <= heard_us)?;
        voice.advance();
        Some(word)
    };
    std::iter::from_fn(next).collect()
}

fn channel(stamp: &Stamp, query: &Query, words: &[Word]) -> Value {
    let mut alternative = stamp.alternative(words);
    if query.flag("paragraphs") {
        alternative["paragraphs"] = paragraphs(stamp, words);
    }
    let mut channel = json!({ "alternatives": [alternative] });
    if query.flag("detect_language") {
        channel["detected_language"] = json!("en");
        channel["language_confidence"] = json!(0.99);
    }
    channel
}

fn paragraphs(stamp: &Stamp, words: &[Word]) -> Value {
    let ends = |word: &Word| {
        let written = word.punctuated.as_deref().unwrap_or(&word.text);
        written.ends_with(['.', '!', '?'])
    };
    let sentence = |words: &[Word]| {
        let (start, end) = bounds(words);
        json!({ "text": stamp.transcript(words), "start": start, "end": end })
    };
    let sentences: Vec<_> =
        words.split_inclusive(ends).filter(|words| !words.is_empty()).map(sentence).collect();
    let (start, end) = bounds(words);
    let mut paragraph = json!({
        "sentences": sentences, "start": start, "end": end, "num_words": words.len(),
    });
    if stamp.options.diarize {
        paragraph["speaker"] = json!(words.first().and_then(|word| word.speaker).unwrap_or(0));
    }
    let transcript = format!("\n{}", stamp.transcript(words));
    json!({ "transcript": transcript, "paragraphs": [paragraph] })
}

fn utterances(stamp: &Stamp, spoken: &[Vec<Word>]) -> Value {
    let mut found = BTreeMap::new();
    for (channel, words) in spoken.iter().enumerate() {
        let goes_on = |one: &Word, next: &Word| {
            next.start_us < one.end_us + UTTERANCE_GAP_US && one.speaker == next.speaker
        };
        for words in words.chunk_by(goes_on) {
            let key = (words.first().map(|word| word.start_us), channel);
            found.insert(key, utterance(stamp, channel, words));
        }
    }
    found.into_values().collect()
}

fn utterance(stamp: &Stamp, channel: usize, words: &[Word]) -> Value {
    let (start, end) = bounds(words);
    let mut utterance = json!({
        "start": start,
        "end": end,
        "confidence": 0.99,
        "channel": channel,
        "transcript": stamp.transcript(words),
        "words": words.iter().map(|word| stamp.word(word)).collect::<Vec<_>>(),
        "id": Uuid::new_v4(),
    });
    if stamp.options.diarize {
        utterance["speaker"] = json!(words.first().and_then(|word| word.speaker).unwrap_or(0));
    }
    utterance
}

fn bounds(words: &[Word]) -> (f64, f64) {
    let start_us = words.first().map_or(0, |word| word.start_us);
    (seconds(start_us), seconds(words.last().map_or(0, |word| word.end_us)))
}
