//! The answer of `/transcriptions/deepgram`.

use serde_json::{Value, json};

use super::{Told, rounded, seconds, word};
use crate::{
    model::Word,
    providers::recorded::{Stretch, Transcription},
};

pub(super) fn write(told: &Told<'_>) -> Value {
    let heard = told.heard;
    let info = json!({
        "service": "deepgram",
        "model_used": told.asked_model,
        "language_requested": told.asked_language,
        "diarization_enabled": told.options.diarize,
        "paragraphs_enabled": told.options.paragraphs,
    });
    let mut body = json!({
        "transcript": heard.transcript,
        "confidence": heard.confidence.unwrap_or(0.0),
        "language": heard.language.as_deref().unwrap_or(told.asked_language),
        "model": heard.model,
        "service": "deepgram",
        "words": words(heard),
        "processing_info": info,
    });
    if let Some(last) = heard.words.last() {
        body["duration"] = json!(seconds(last.end_ms));
    }
    if told.options.language.is_none()
        && let Some(language) = &heard.language
    {
        body["detected_language"] = json!(language);
    }
    if told.options.paragraphs || !heard.paragraphs.is_empty() {
        body["paragraphs"] = heard.paragraphs.iter().enumerate().map(paragraph).collect();
    }
    if told.options.diarize {
        body["diarization"] = diarization(&heard.words);
    }
    body
}

/// As Deepgram told them, which may be more than is understood.
fn words(heard: &Transcription) -> Value {
    let answer = heard.answer.as_deref();
    let told = answer.and_then(|answer| answer.pointer("/results/channels/0/alternatives/0/words"));
    told.filter(|told| told.is_array())
        .cloned()
        .unwrap_or_else(|| heard.words.iter().map(word).collect())
}

fn paragraph((at, stretch): (usize, &Stretch)) -> Value {
    json!({
        "paragraph_id": at + 1,
        "text": stretch.text,
        "start_time": seconds(stretch.start_ms),
        "end_time": seconds(stretch.end_ms),
        "duration": seconds(stretch.end_ms.saturating_sub(stretch.start_ms)),
        "word_count": stretch.text.split_whitespace().count(),
    })
}

/// What each speaker said: in all, and stretch by stretch.
fn diarization(words: &[Word]) -> Value {
    let Some(last) = words.last() else {
        return json!({ "error": "No word-level data available for speaker detection" });
    };
    let total = seconds(last.end_ms);
    let mut known: Vec<u32> = words.iter().map(|word| word.speaker.unwrap_or(0)).collect();
    known.sort_unstable();
    known.dedup();
    let speakers: Vec<Value> = known.iter().map(|id| speaker(*id, words, total)).collect();
    let same = |one: &Word, other: &Word| one.speaker.unwrap_or(0) == other.speaker.unwrap_or(0);
    let segments: Vec<Value> = words.chunk_by(same).map(segment).collect();
    json!({
        "speakers_detected": known.len(),
        "total_duration": rounded(total, 2),
        "speakers": speakers,
        "segments": segments,
    })
}

fn speaker(id: u32, words: &[Word], total: f64) -> Value {
    let own: Vec<&Word> = words.iter().filter(|word| word.speaker.unwrap_or(0) == id).collect();
    let spoken: u64 = own.iter().map(|word| word.end_ms.saturating_sub(word.start_ms)).sum();
    let sure: f64 = own.iter().map(|word| f64::from(word.confidence)).sum();
    let share = if total > 0.0 { seconds(spoken) / total * 100.0 } else { 0.0 };
    json!({
        "speaker_id": format!("Speaker_{id}"),
        "total_words": own.len(),
        "total_duration": rounded(seconds(spoken), 2),
        "average_confidence": rounded(sure / own.len().max(1) as f64, 3),
        "speaking_percentage": rounded(share, 1),
    })
}

fn segment(words: &[Word]) -> Value {
    let (start_ms, end_ms) = (words[0].start_ms, words[words.len() - 1].end_ms);
    let id = words[0].speaker.unwrap_or(0);
    let text: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
    json!({
        "speaker": format!("Speaker_{id}"),
        "speaker_id": id,
        "text": text.join(" "),
        "start_time": rounded(seconds(start_ms), 2),
        "end_time": rounded(seconds(end_ms), 2),
        "duration": rounded(seconds(end_ms.saturating_sub(start_ms)), 2),
        "word_count": words.len(),
    })
}
