//! A request to `/v1/listen`, read from its query or refused as the real service refuses it.

use std::collections::BTreeMap;

use super::catalog::Model;
use super::query::Query;
use super::refusal::Refusal;

/// Silence that ends speech unless told, in milliseconds.
const ENDPOINTING_MS: u64 = 10;
const KEYTERM_TOKENS: usize = 500;
const ENCODINGS: [&str; 11] = [
    "linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus",
    "speex", "g729",
];

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) model: Model,
    pub(crate) language: String,
    pub(crate) encoding: Option<String>,
    /// Hertz; 0 where there is no encoding.
    pub(crate) sample_rate: u64,
    pub(crate) channels: u64,
    pub(crate) multichannel: bool,
    pub(crate) interim_results: bool,
    pub(crate) endpointing_ms: Option<u64>,
    pub(crate) utterance_end_ms: Option<u64>,
    pub(crate) vad_events: bool,
    pub(crate) punctuate: bool,
    pub(crate) diarize: bool,
    pub(crate) extra: BTreeMap<String, String>,
}

impl Options {
    /// Options of a live stream.
    pub(crate) fn live(query: &Query) -> Result<Self, Refusal> {
        if query.set("detect_language").is_some() {
            return Err(Refusal::bad_request("detect_language is not supported for streaming."));
        }
        if query.set("diarize_model") == Some("v2") {
            return Err(Refusal::bad_request("diarize_model v2 is not supported for streaming."));
        }
        let options = Self::read(query)?;
        if options.model.is_batch_only() {
            let message = "The requested model is not available for streaming.";
            return Err(Refusal::new(405, "Method Not Allowed", message));
        }
        Ok(options)
    }

    /// Options of recorded audio.
    pub(crate) fn recorded(query: &Query) -> Result<Self, Refusal> {
        Self::read(query)
    }

    fn read(query: &Query) -> Result<Self, Refusal> {
        let (model, language) = read_model(query)?;
        let encoding = read_encoding(query)?;
        let sample_rate = query.number("sample_rate")?;
        if encoding.is_some() && sample_rate.is_none_or(|rate| rate == 0) {
            return Err(Refusal::bad_request("sample_rate is required when encoding is set."));
        }
        check_biasing(query, &model)?;
        let channels = query.number("channels")?.filter(|_| encoding.is_some()).unwrap_or(1);
        if !(1..=20).contains(&channels) {
            return Err(Refusal::bad_query("channels: must be between 1 and 20"));
        }
        Ok(Self {
            model,
            language,
            sample_rate: sample_rate.unwrap_or(0),
            encoding,
            channels,
            multichannel: query.flag("multichannel"),
            interim_results: query.flag("interim_results"),
            endpointing_ms: read_endpointing(query)?,
            utterance_end_ms: query.number("utterance_end_ms")?,
            vad_events: query.flag("vad_events"),
            punctuate: query.flag("punctuate") || query.flag("smart_format"),
            diarize: query.flag("diarize") || query.set("diarize_model").is_some(),
            extra: read_extra(query),
        })
    }

    /// Bytes of one second of raw audio of a fixed rate; `None` for anything else.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        let sample_bytes = match self.encoding.as_deref()? {
            "linear16" => 2,
            "linear32" => 4,
            "mulaw" | "alaw" => 1,
            _ => return None,
        };
        Some(sample_bytes * self.sample_rate * self.channels)
    }
}

fn read_model(query: &Query) -> Result<(Model, String), Refusal> {
    let none = || {
        Refusal::new(
            400,
            "Bad Request",
            "Bad Request: No such model/language/tier combination found.",
        )
    };
    let asked = query.set("model").or(query.set("tier")).unwrap_or("base-general");
    let model = Model::find(asked).ok_or_else(none)?;
    let language = query.set("language").unwrap_or("en").to_owned();
    if model.speaks(&language) { Ok((model, language)) } else { Err(none()) }
}

fn read_encoding(query: &Query) -> Result<Option<String>, Refusal> {
    let Some(encoding) = query.set("encoding") else { return Ok(None) };
    if ENCODINGS.contains(&encoding) {
        return Ok(Some(encoding.to_owned()));
    }
    let known = ENCODINGS.join("`, `");
    Err(Refusal::bad_query(&format!("unknown variant `{encoding}`, expected one of `{known}`")))
}

fn read_endpointing(query: &Query) -> Result<Option<u64>, Refusal> {
    match query.set("endpointing") {
        None => Ok(Some(ENDPOINTING_MS)),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(ENDPOINTING_MS)),
        Some(_) => query.number("endpointing"),
    }
}

fn read_extra(query: &Query) -> BTreeMap<String, String> {
    let pair = |text: &str| text.split_once(':').map(|(key, value)| (key.into(), value.into()));
    query.all("extra").filter_map(pair).collect()
}

fn check_biasing(query: &Query, model: &Model) -> Result<(), Refusal> {
    let has = |name| query.all(name).any(|value| !value.is_empty());
    if has("keyterm") && !model.takes_keyterms() {
        return Err(Refusal::bad_request("Keyterms are only supported with Nova-3 models."));
    }
    if has("keywords") && model.takes_keyterms() {
        return Err(Refusal::bad_request(
            "Keywords are not supported with Nova-3 models. Please use keyterm instead.",
        ));
    }
    let tokens: usize = query.all("keyterm").map(|term| term.split_whitespace().count()).sum();
    if tokens > KEYTERM_TOKENS {
        return Err(Refusal::bad_request(
            "Keyterm limit exceeded. The maximum number of tokens across all keyterms is 500.",
        ));
    }
    if query.all("keywords").count() > 100 {
        return Err(Refusal::bad_request("The maximum number of keywords is 100."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(query: &str) -> u16 {
        Options::live(&Query::parse(query)).map_or_else(|refusal| refusal.status, |_| 101)
    }

    #[test]
    fn what_the_real_service_refuses_is_refused() {
        let cases = [
            ("model=nova-2&language=en&encoding=linear16&sample_rate=16000", 101),
            ("model=None&unknown=1&encoding=linear16&sample_rate=16000", 101),
            ("", 101),
            ("model=nova-2&language=ar", 400),
            ("model=nova-2&language=he", 400),
            ("model=nova-3&language=he", 101),
            ("model=nova-3&language=xx", 400),
            ("model=nova-9", 400),
            ("model=nova-3&detect_language=true", 400),
            ("model=nova-3&diarize_model=v2", 400),
            ("model=nova-3&encoding=linear16", 400),
            ("model=nova-3&encoding=pcm&sample_rate=8000", 400),
            ("model=nova-3&encoding=linear16&sample_rate=16000&channels=0", 400),
            ("model=nova-2&keyterm=a", 400),
            ("model=nova-3&keywords=a:2", 400),
            ("model=nova-3&keyterm=a&keyterm=b+c", 101),
            ("model=whisper-large", 405),
            ("model=nova-3&endpointing=soon", 400),
        ];
        for (query, expected) in cases {
            assert_eq!(status(query), expected, "{query}");
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let options =
            Options::live(&Query::parse("encoding=mulaw&sample_rate=8000&channels=2")).unwrap();
        assert_eq!(options.model.arch, "base");
        assert_eq!(options.endpointing_ms, Some(10));
        assert_eq!(options.bytes_per_second(), Some(16_000));
        assert!(!options.interim_results && !options.vad_events && !options.multichannel);
        let off = Options::live(&Query::parse("endpointing=False")).unwrap();
        assert_eq!(off.endpointing_ms, None);
    }
}
