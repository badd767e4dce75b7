//! What a caller asks for, out of the fields of a form; what cannot be meant is refused.

use super::{answer, upload};
use crate::{model::Error, providers::recorded::RecordedOptions};

/// Words to listen for at most, and characters of one.
const MOST_KEYTERMS: usize = 100;
const MOST_KEYTERM_CHARS: usize = 100;
/// Characters of a prompt.
const MOST_PROMPT_CHARS: usize = 4_000;
/// Names under which a caller leaves the language to the provider.
const FIND_OUT: [&str; 3] = ["auto", "detect", ""];
/// The model of `/transcriptions/deepgram` where the caller names none.
const USUAL_DEEPGRAM: &str = "nova-2";

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How it is to be heard.
    pub options: RecordedOptions,
    /// What the caller said of the language.
    pub language: String,
    /// In which form it is to be told.
    pub form: answer::Form,
    /// Whether others are asked where the first choice cannot.
    pub auto: bool,
}

impl Asked {
    /// Reads the fields for the provider of a route, or for whoever can where that is `auto`.
    pub fn read(form: &upload::Form, provider: &str) -> Result<Self, Error> {
        let language = form.text("language").unwrap_or("en").trim().to_owned();
        let auto = match form.text("provider") {
            None => provider == "auto",
            Some("auto") => true,
            Some(named) if named == provider => false,
            Some(_) => return Err(Error::invalid("provider must be auto, or that of the route")),
        };
        let told = form.text("response_format").map(answer::Form::parse).transpose()?;
        let usual = (provider == "deepgram").then(|| USUAL_DEEPGRAM.to_owned());
        let options = RecordedOptions {
            language: spoken(&language)?,
            model: model(form.text("model"))?.or(usual),
            diarize: flag(form, "diarize", false),
            punctuate: flag(form, "punctuate", true),
            paragraphs: flag(form, "paragraphs", false),
            prompt: prompt(form.text("prompt"))?,
            temperature: temperature(form.text("temperature"))?,
            keyterms: keyterms(form)?,
            extra: Vec::new(),
        };
        Ok(Self { options, language, form: told.unwrap_or_default(), auto })
    }

    /// The same for another provider, which has models of its own.
    pub fn of_another(&self) -> RecordedOptions {
        RecordedOptions { model: None, extra: Vec::new(), ..self.options.clone() }
    }
}

/// As the contract reads them: `true` in any case, and anything else is not.
fn flag(form: &upload::Form, name: &str, usual: bool) -> bool {
    form.text(name).map_or(usual, |text| text.eq_ignore_ascii_case("true"))
}

fn spoken(language: &str) -> Result<Option<String>, Error> {
    if FIND_OUT.contains(&language) {
        return Ok(None);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if language.len() > 20 || !language.bytes().all(plain) {
        return Err(Error::invalid("language must be a code such as en or en-US, or auto"));
    }
    Ok(Some(language.to_owned()))
}

fn model(named: Option<&str>) -> Result<Option<String>, Error> {
    let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) else {
        return Ok(None);
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if named.len() > 100 || !named.bytes().all(plain) {
        return Err(Error::invalid("model must be the name of a model"));
    }
    Ok(Some(named.to_owned()))
}

fn prompt(text: Option<&str>) -> Result<Option<String>, Error> {
    if text.is_some_and(|text| text.chars().count() > MOST_PROMPT_CHARS) {
        return Err(Error::invalid(format!(
            "prompt must have at most {MOST_PROMPT_CHARS} characters"
        )));
    }
    Ok(text.filter(|text| !text.is_empty()).map(ToOwned::to_owned))
}

fn temperature(text: Option<&str>) -> Result<Option<f32>, Error> {
    let refused = || Error::invalid("temperature must be a number from 0 to 1");
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let number: f32 = text.parse().map_err(|_| refused())?;
    if (0.0..=1.0).contains(&number) { Ok(Some(number)) } else { Err(refused()) }
}

fn keyterms(form: &upload::Form) -> Result<Vec<String>, Error> {
    let terms: Vec<String> = form
        .all("keyterm")
        .map(str::trim)
        .filter(|term| !term.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    let is_long = |term: &String| term.chars().count() > MOST_KEYTERM_CHARS;
    if terms.len() > MOST_KEYTERMS || terms.iter().any(is_long) {
        return Err(Error::invalid(format!(
            "keyterm may be given {MOST_KEYTERMS} times, with at most {MOST_KEYTERM_CHARS} characters"
        )));
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)], provider: &str) -> Result<Asked, Error> {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Asked::read(&upload::Form { fields: fields.collect(), ..Default::default() }, provider)
    }

    #[test]
    fn what_is_not_said_is_as_the_contract_has_it() {
        let asked = read(&[], "deepgram").unwrap();
        let options = RecordedOptions {
            language: Some("en".into()),
            model: Some("nova-2".into()),
            punctuate: true,
            ..RecordedOptions::default()
        };
        assert_eq!((asked.options, asked.auto), (options, false));
        assert_eq!(read(&[], "whisper").unwrap().options.model, None);
        assert!(read(&[("provider", "auto")], "whisper").unwrap().auto);
        let asked =
            read(&[("diarize", "TRUE"), ("punctuate", "yes"), ("language", "auto")], "whisper");
        let asked = asked.unwrap().options;
        assert_eq!((asked.diarize, asked.punctuate, asked.language), (true, false, None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, text) in [
            ("language", "en\r\nX: y"),
            ("language", "a language that is none"),
            ("model", "two words"),
            ("temperature", "1.5"),
            ("temperature", "NaN"),
            ("response_format", "docx"),
            ("provider", "whisper"),
        ] {
            let error = read(&[(name, text)], "deepgram").unwrap_err();
            assert_eq!(error.kind, crate::model::ErrorKind::InvalidRequest, "{name}");
            assert!(error.detail.contains(name), "{}", error.detail);
        }
        let many = vec![("keyterm", "word"); MOST_KEYTERMS + 1];
        assert!(read(&many[1..], "deepgram").is_ok() && read(&many, "deepgram").is_err());
    }
}
