//! Options of a session as clients write them, validated into what a provider needs.

use serde_json::{Map, Value, json};

use super::wire::Failure;
use crate::{
    model::{AudioFormat, Encoding, Error, ErrorKind, Language, RawFormat},
    providers::{Endpointing, Live, StreamOptions},
    rooms::RoomName,
};

/// Every option that a client may give.
pub const NAMES: [&str; 20] = [
    "lang",
    "language",
    "model",
    "encoding",
    "sample_rate",
    "channels",
    "interim_results",
    "punctuate",
    "smart_format",
    "diarize",
    "multichannel",
    "numerals",
    "profanity_filter",
    "vad_events",
    "keyterm",
    "endpointing",
    "utterance_end_ms",
    "store",
    "room",
    IGNORED,
];

/// What clients of the original may send, and nobody reads.
const IGNORED: &str = "timestamp";
/// The most that a session's options may be, in bytes of JSON.
pub const MAX_BYTES: usize = 24 * 1024;

/// Options that not every provider understands.
const HINTS: [&str; 4] = ["diarize", "multichannel", "numerals", "profanity_filter"];

const SAMPLE_RATES: std::ops::RangeInclusive<u64> = 8_000..=48_000;
/// Deepgram reads at most 500 tokens of key terms.
const MAX_KEYTERMS: usize = 100;
/// The most that key terms may be together, in bytes of UTF-8; written as JSON, where some characters
/// take two, they leave room for all other options.
const MAX_KEYTERM_BYTES: usize = 10_000;

/// An option that cannot be used.
#[derive(Debug)]
pub struct Refusal {
    kind: ErrorKind,
    option: &'static str,
    message: String,
    allowed: Value,
}

impl Refusal {
    fn new(option: &'static str, allowed: Value) -> Self {
        let message = format!("invalid value for option {option}");
        Self { kind: ErrorKind::InvalidRequest, option, message, allowed }
    }

    /// The event that tells the client.
    pub fn failure(self, timestamp: String) -> Failure {
        Failure {
            message: self.message,
            code: self.kind.code(),
            retryable: false,
            retry_after_ms: None,
            timestamp,
            session_id: None,
            room: None,
            option: Some(self.option),
            allowed: Some(self.allowed),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.kind, refusal.message)
    }
}

/// Validated options; the audio's format may still wait for its first bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the provider is told. `format` is raw audio until a container is sniffed.
    pub stream: StreamOptions,
    /// Whether the first bytes may turn out to be a container.
    pub sniff: bool,
    /// Whether what is said is kept.
    pub store: bool,
    /// Where the session publishes; else in a room of its own.
    pub room: Option<RoomName>,
    /// The language that was asked for and is not one of the contract's.
    pub fell_back_from: Option<String>,
}

/// Options as a session remembers them: without what is ignored.
pub fn lasting(given: &Map<String, Value>) -> Map<String, Value> {
    let counts = given.iter().filter(|(name, _)| *name != IGNORED);
    counts.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a session remembers is sent to its client, and comes back: it has a size.
fn sized(given: &Map<String, Value>) -> Result<(), Refusal> {
    let bytes = serde_json::to_string(&lasting(given)).map_or(usize::MAX, |json| json.len());
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let mut refusal = Refusal::new("options", json!({ "max_bytes": MAX_BYTES }));
    refusal.message = format!("the options are more than {MAX_BYTES} bytes of JSON");
    Err(refusal)
}

/// Reads options for a session of `live`, with the socket's language where none is given.
pub fn parse(
    given: &Map<String, Value>,
    socket: Language,
    live: &Live,
) -> Result<Options, Refusal> {
    if let Some(unknown) = given.keys().find(|name| !NAMES.contains(&name.as_str())) {
        let mut refusal = Refusal::new("options", json!(NAMES));
        refusal.message =
            format!("unknown option {}", unknown.chars().take(40).collect::<String>());
        return Err(refusal);
    }
    let (language, fell_back_from) = language(given, socket);
    let model = model(given, live)?;
    heard(language, model.as_deref(), live)?;
    let (format, sniff) = format(given, live)?;
    let stream = StreamOptions {
        language,
        model,
        format: AudioFormat::Raw(format),
        interim_results: flag(given, "interim_results", true)?,
        punctuate: flag(given, "punctuate", true)?,
        smart_format: flag(given, "smart_format", true)?,
        diarize: flag(given, "diarize", false)?,
        multichannel: flag(given, "multichannel", false)?,
        numerals: flag(given, "numerals", false)?,
        profanity_filter: flag(given, "profanity_filter", false)?,
        vad_events: flag(given, "vad_events", false)?,
        keyterms: keyterms(given, live.max_keyterm_chars())?,
        endpointing: endpointing(given)?,
        utterance_end_ms: utterance_end_ms(given)?,
        report_sent: false,
    };
    hints(&stream, live)?;
    consistent(&stream)?;
    let store = flag(given, "store", false)?;
    let room = room(given)?;
    sized(given)?;
    Ok(Options { stream, sniff, store, room, fell_back_from })
}

fn room(given: &Map<String, Value>) -> Result<Option<RoomName>, Refusal> {
    let Some(wanted) = given.get("room").filter(|value| !value.is_null()) else { return Ok(None) };
    let room = wanted.as_str().and_then(|name| name.parse().ok());
    let allowed = json!("1 to 100 letters, digits, dots, underscores or dashes");
    room.map(Some).ok_or_else(|| Refusal::new("room", allowed))
}

/// Only the language falls back: an unknown code means English, as it always did.
fn language(given: &Map<String, Value>, socket: Language) -> (Language, Option<String>) {
    let Some(wanted) = given.get("lang").or_else(|| given.get("language")) else {
        return (socket, None);
    };
    match wanted.as_str().and_then(Language::parse) {
        Some(language) => (language, None),
        None => {
            let shown = wanted.as_str().unwrap_or("not a string").chars().take(40).collect();
            (Language::ENGLISH, Some(shown))
        }
    }
}

fn model(given: &Map<String, Value>, live: &Live) -> Result<Option<String>, Refusal> {
    let Some(wanted) = given.get("model").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match wanted.as_str().filter(|name| live.models().contains(name)) {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(Refusal::new("model", json!(live.models()))),
    }
}

/// Refuses a language before audio is taken, rather than writing English for other speech.
pub fn heard(language: Language, model: Option<&str>, live: &Live) -> Result<(), Refusal> {
    if live.hears(model, language) {
        return Ok(());
    }
    let code = language.as_str();
    let mut refusal = Refusal::new("lang", json!(live.languages(model)));
    refusal.kind = ErrorKind::UnsupportedLanguage;
    refusal.message = match model {
        Some(model) => format!("model {model} does not know language {code}"),
        None => format!("provider {} does not know language {code}", live.name()),
    };
    Err(refusal)
}

/// The raw format, and whether the first bytes may still say otherwise.
fn format(given: &Map<String, Value>, live: &Live) -> Result<(RawFormat, bool), Refusal> {
    let encodings = live.encodings();
    let names: Vec<_> = encodings.iter().map(|encoding| encoding.as_str()).collect();
    let encoding = match given.get("encoding").filter(|value| !value.is_null()) {
        None => Encoding::Linear16,
        Some(value) => value
            .as_str()
            .and_then(Encoding::parse)
            .filter(|encoding| encodings.contains(encoding))
            .ok_or_else(|| Refusal::new("encoding", json!(names)))?,
    };
    let sample_rate = integer(given, "sample_rate", SAMPLE_RATES)?.unwrap_or(16_000);
    let channels = integer(given, "channels", live.channels())?.unwrap_or(1);
    let format = RawFormat { encoding, sample_rate: sample_rate as u32, channels: channels as u16 };
    Ok((format, encoding.bytes_per_sample().is_some()))
}

fn flag(given: &Map<String, Value>, name: &'static str, default: bool) -> Result<bool, Refusal> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(value)) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(value)) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Refusal::new(name, json!([true, false]))),
    }
}

fn integer(
    given: &Map<String, Value>,
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Refusal> {
    let value = match given.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    let allowed = json!({ "min": range.start(), "max": range.end() });
    value.filter(|value| range.contains(value)).map(Some).ok_or_else(|| Refusal::new(name, allowed))
}

fn keyterms(given: &Map<String, Value>, max_chars: usize) -> Result<Vec<String>, Refusal> {
    let allowed = json!({ "type": "string or list of strings", "max_terms": MAX_KEYTERMS,
        "max_chars": max_chars, "max_bytes": MAX_KEYTERM_BYTES, "control_characters": false });
    let refused = || Refusal::new("keyterm", allowed.clone());
    let terms: Vec<String> = match given.get("keyterm") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(term)) => vec![term.clone()],
        Some(Value::Array(terms)) => terms
            .iter()
            .map(|term| term.as_str().map(ToOwned::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(refused)?,
        Some(_) => return Err(refused()),
    };
    let fits = |term: &String| {
        let is_plain = !term.chars().any(char::is_control);
        is_plain && !term.trim().is_empty() && term.chars().count() <= max_chars
    };
    let bytes: usize = terms.iter().map(String::len).sum();
    let fit = terms.len() <= MAX_KEYTERMS && bytes <= MAX_KEYTERM_BYTES && terms.iter().all(fits);
    if fit { Ok(terms) } else { Err(refused()) }
}

fn endpointing(given: &Map<String, Value>) -> Result<Endpointing, Refusal> {
    match given.get("endpointing") {
        None | Some(Value::Null | Value::Bool(true)) => Ok(Endpointing::Default),
        Some(Value::Bool(false)) => Ok(Endpointing::Off),
        Some(Value::String(text)) if text == "false" => Ok(Endpointing::Off),
        Some(_) => match integer(given, "endpointing", 10..=10_000) {
            Ok(ms) => Ok(Endpointing::AfterMs(ms.unwrap_or(10) as u32)),
            Err(_) => {
                Err(Refusal::new("endpointing", json!({ "min": 10, "max": 10_000, "or": false })))
            }
        },
    }
}

fn utterance_end_ms(given: &Map<String, Value>) -> Result<Option<u32>, Refusal> {
    Ok(integer(given, "utterance_end_ms", 1_000..=5_000)?.map(|ms| ms as u32))
}

fn hints(stream: &StreamOptions, live: &Live) -> Result<(), Refusal> {
    let on = [stream.diarize, stream.multichannel, stream.numerals, stream.profanity_filter];
    let mut on = HINTS.into_iter().zip(on).filter_map(|(name, on)| on.then_some(name));
    let strange = on.find(|name| !live.understands(name)).map(|name| (name, json!([false])));
    let terms = !stream.keyterms.is_empty() && !live.understands("keyterm");
    match strange.or_else(|| terms.then(|| ("keyterm", json!([])))) {
        None => Ok(()),
        Some((name, allowed)) => {
            let mut refusal = Refusal::new(name, allowed);
            refusal.message = format!("provider {} does not know option {name}", live.name());
            Err(refusal)
        }
    }
}

fn consistent(stream: &StreamOptions) -> Result<(), Refusal> {
    if stream.utterance_end_ms.is_some() && !stream.interim_results {
        let mut refusal = Refusal::new("utterance_end_ms", json!(null));
        refusal.message = "option utterance_end_ms needs interim_results".into();
        return Err(refusal);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: Value) -> Result<Options, Refusal> {
        let Value::Object(given) = given else { panic!("an object") };
        parse(&given, Language::ENGLISH, &Live::Absent("test".into()))
    }

    #[test]
    fn nothing_given_means_what_the_original_asked_for() {
        let options = parsed(json!({})).expect("defaults");
        let stream = options.stream;
        assert_eq!(stream.format, AudioFormat::Raw(RawFormat::DEFAULT));
        assert!(stream.interim_results && stream.punctuate && stream.smart_format);
        assert!(!stream.diarize && options.sniff && !options.store);
    }

    /// In every script, and however they are written down.
    #[test]
    fn every_set_of_key_terms_within_its_bounds_is_taken() {
        for letter in ['x', 'é', '語', '😀', '"', '\\'] {
            let bytes = letter.len_utf8();
            let term = |chars| letter.to_string().repeat(chars);
            let most = [vec![term(100); 100 / bytes], vec![term(100 / bytes); 100]];
            for terms in most {
                let room = "r".repeat(100);
                let given = json!({
                    "keyterm": terms, "lang": "zh-TW", "encoding": "linear16", "room": room,
                    "sample_rate": "48000", "channels": "1", "interim_results": "false",
                    "punctuate": "false", "smart_format": "false", "vad_events": "false",
                    "endpointing": "10000", "store": "false", "timestamp": "x".repeat(99_999),
                });
                let options = parsed(given).unwrap_or_else(|it| panic!("{letter}: {}", it.message));
                assert_eq!(options.stream.keyterms.len(), terms.len());
            }
            let most = vec![term(100); 100 / bytes + 1];
            let refusal = parsed(json!({ "keyterm": most })).expect_err("too much");
            assert_eq!(refusal.option, "keyterm", "{letter}");
        }
        for wrong in [json!("a\nb"), json!(["x".repeat(101)]), json!(vec!["x"; 101])] {
            assert_eq!(parsed(json!({ "keyterm": wrong })).expect_err("wrong").option, "keyterm");
        }
        let refusal = parsed(json!({ "lang": "x".repeat(MAX_BYTES) })).expect_err("too large");
        assert_eq!(refusal.option, "options");
    }

    #[test]
    fn only_the_language_falls_back() {
        let options = parsed(json!({ "lang": "xx" })).expect("falls back");
        assert_eq!(options.stream.language, Language::ENGLISH);
        assert_eq!(options.fell_back_from.as_deref(), Some("xx"));
        for (name, value) in [
            ("encoding", json!("mp5")),
            ("sample_rate", json!(1)),
            ("sample_rate", json!("loud")),
            ("channels", json!(0)),
            ("interim_results", json!("maybe")),
            ("store", json!("maybe")),
            ("room", json!("not a name")),
            ("endpointing", json!(-1)),
            ("utterance_end_ms", json!(10)),
            ("keyterm", json!([1])),
            ("model", json!("nova-9")),
        ] {
            let refusal = parsed(json!({ name: value })).expect_err(name);
            let failure = refusal.failure(String::new());
            assert_eq!((failure.code, failure.option), ("invalid_request", Some(name)));
            assert!(failure.allowed.is_some());
        }
        assert!(parsed(json!({ "volume": 11 })).is_err());
    }
}
