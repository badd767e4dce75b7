//! The official Rust SDK against a local Deepgram: PASS and FAIL lines, non-zero on failure.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use deepgram::Deepgram;
use deepgram::common::audio_source::AudioSource;
use deepgram::common::options::{Encoding, Endpointing, Language, Model, Options};
use deepgram::common::stream_response::StreamResponse;
use futures_util::StreamExt;

struct Place {
    url: String,
    key: String,
    file: Vec<u8>,
    expected: Vec<String>,
}

/// Counts failures and prints a line for each check.
#[derive(Default)]
struct Checks(u32);

impl Checks {
    fn check(&mut self, name: &str, passed: bool, detail: impl std::fmt::Debug) {
        if passed {
            println!("PASS rust {name}");
        } else {
            self.0 += 1;
            println!("FAIL rust {name}: {detail:?}");
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let place = read_place()?;
    let mut checks = Checks::default();
    live(&place, &mut checks).await?;
    refused(&place, &mut checks).await?;
    recorded(&place, &mut checks).await?;
    Ok(if checks.0 == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_place() -> anyhow::Result<Place> {
    let read = |name: &str| std::env::var(name).with_context(|| name.to_owned());
    Ok(Place {
        url: format!("{}/", read("DEEPGRAM_URL")?.trim_end_matches('/')),
        key: read("DEEPGRAM_KEY")?,
        file: std::fs::read(read("DEEPGRAM_AUDIO")?)?,
        expected: words(&read("DEEPGRAM_EXPECTED")?),
    })
}

fn words(text: &str) -> Vec<String> {
    let letters = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    text.to_lowercase().split_whitespace().map(letters).collect()
}

fn client(place: &Place, key: &str) -> anyhow::Result<Deepgram> {
    Ok(Deepgram::with_base_url_and_api_key(place.url.as_str(), key)?)
}

fn options() -> Options {
    let options = Options::builder().model(Model::Nova3).language(Language::en);
    options.smart_format(true).build()
}

async fn live(place: &Place, checks: &mut Checks) -> anyhow::Result<()> {
    let client = client(place, &place.key)?;
    let chunks: Vec<_> = place.file[44..].chunks(3200).map(Bytes::copy_from_slice).collect();
    let audio = futures_util::stream::iter(chunks).then(|chunk| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, std::io::Error>(chunk)
    });
    let listen = client.transcription();
    let mut results = listen
        .stream_request_with_options(options())
        .encoding(Encoding::Linear16)
        .sample_rate(16_000)
        .channels(1)
        .endpointing(Endpointing::CustomDurationMs(300))
        .interim_results(true)
        .utterance_end_ms(1000)
        .vad_events(true)
        .keep_alive()
        .stream(Box::pin(audio))
        .await?;
    checks.check("live request id", results.request_id().is_some(), "none");
    let (mut text, mut interims, mut events, mut duration) = (String::new(), 0, 0, None);
    while let Some(message) = results.next().await {
        match message? {
            StreamResponse::TranscriptResponse { is_final: true, channel, .. } => {
                text = format!("{text} {}", channel.alternatives[0].transcript);
            }
            StreamResponse::TranscriptResponse { .. } => interims += 1,
            StreamResponse::TerminalResponse { duration: told, .. } => duration = Some(told),
            StreamResponse::SpeechStartedResponse { .. }
            | StreamResponse::UtteranceEndResponse { .. } => events += 1,
            other => checks.check("live known message", false, other),
        }
    }
    checks.check("live words", words(&text) == place.expected, &text);
    checks.check("live interims", interims > 5, interims);
    checks.check("live events", events > 0, events);
    let on_time = duration.is_some_and(|told: f64| (told - 11.0).abs() < 0.1);
    checks.check("live metadata", on_time, duration);
    Ok(())
}

async fn refused(place: &Place, checks: &mut Checks) -> anyhow::Result<()> {
    let client = client(place, &format!("wrong-{}", place.key))?;
    let listen = client.transcription();
    let request = listen.stream_request_with_options(options()).encoding(Encoding::Linear16);
    let error = request.sample_rate(16_000).handle().await.err();
    let told = format!("{error:?}");
    checks.check("live bad key", told.contains("401"), &told);
    Ok(())
}

async fn recorded(place: &Place, checks: &mut Checks) -> anyhow::Result<()> {
    let source = AudioSource::from_buffer_with_mime_type(place.file.clone(), "audio/wav");
    let answer = client(place, &place.key)?.transcription().prerecorded(source, &options()).await?;
    let text = &answer.results.channels[0].alternatives[0].transcript;
    checks.check("file words", words(text) == place.expected, text);
    Ok(())
}
