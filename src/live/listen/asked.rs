//! What the address asks for, in Deepgram's words, as options of a session.

use serde_json::{Map, Value};

use crate::{
    model::{Error, ErrorKind, Language},
    providers::Live,
};

/// What means the same here under the same name.
const SAME: [&str; 12] = [
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
];
/// What is on here unless it is asked for otherwise, and off at Deepgram.
const OFF: [&str; 3] = ["interim_results", "punctuate", "smart_format"];
/// What would be silently missing from the answer, or told to somebody else.
const UNMET: [&str; 10] = [
    "callback",
    "callback_method",
    "detect_entities",
    "detect_language",
    "dictation",
    "mip_opt_out",
    "redact",
    "replace",
    "search",
    "translate",
];

/// Reads a query. What Deepgram's clients send and nobody needs is passed over, as it is there.
///
/// # Errors
///
/// `invalid_request` for what cannot be met and would be missed.
pub fn read(query: &str, live: &Live) -> Result<Map<String, Value>, Error> {
    let mut given = Map::new();
    for name in OFF {
        given.insert(name.to_owned(), false.into());
    }
    let mut terms = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "language" => drop(given.insert("lang".into(), language(&value)?.into())),
            "keyterm" | "keywords" => terms.push(Value::from(value.into_owned())),
            "endpointing" | "utterance_end_ms" => {
                given.insert(name.into_owned(), value.into_owned().into());
            }
            "diarize_model" => drop(given.insert("diarize".into(), true.into())),
            // Those of Deepgram mean nothing to anybody else.
            "model" if !deepgrams(live) => {}
            same if SAME.contains(&same) => {
                given.insert(name.into_owned(), value.into_owned().into());
            }
            unmet if UNMET.contains(&unmet) && !value.eq_ignore_ascii_case("false") => {
                return Err(Error::invalid(format!("{unmet} is not supported")));
            }
            _ => {}
        }
    }
    if !terms.is_empty() {
        given.insert("keyterm".into(), terms.into());
    }
    Ok(given)
}

fn deepgrams(live: &Live) -> bool {
    live.name() == "deepgram" || live.name() == "none"
}

/// A language of ours; a regional variant is heard as the language that it is one of, but for Chinese,
/// where it says which script to write.
fn language(code: &str) -> Result<&'static str, Error> {
    let unknown = || {
        let shown: String = code.chars().take(40).collect();
        Error::new(ErrorKind::UnsupportedLanguage, format!("language {shown} is not known"))
    };
    let (primary, region) = code.split_once(['-', '_']).unwrap_or((code, ""));
    let traditional = ["TW", "HK", "Hant"].contains(&region);
    let language = Language::parse(primary).filter(|_| !traditional);
    language.map(Language::as_str).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(query: &str) -> Result<Value, Error> {
        read(query, &Live::Absent("test".into())).map(Value::Object)
    }

    #[test]
    fn its_words_are_ours() {
        let asked = asked(
            "model=nova-3&language=en-US&encoding=linear16&sample_rate=16000&interim_results=True\
             &keyterm=a+b&keyterm=c%20d&endpointing=false&tag=x&x-unknown=1&redact=false",
        );
        let expected = json!({ "model": "nova-3", "lang": "en", "encoding": "linear16",
            "sample_rate": "16000", "interim_results": "True", "punctuate": false,
            "smart_format": false, "keyterm": ["a b", "c d"], "endpointing": "false" });
        assert_eq!(asked.unwrap(), expected);
    }

    #[test]
    fn what_would_be_missed_is_refused() {
        for query in [
            "redact=pci",
            "callback=http://a",
            "mip_opt_out=true",
            "language=multi",
            "language=zh-TW",
            "language=",
            "detect_language=true",
        ] {
            assert!(asked(query).is_err(), "{query}");
        }
        assert_eq!(asked("language=zh-CN").unwrap()["lang"], "zh");
    }
}
