//! `POST /v1/audio/transcriptions`, as OpenAI's clients ask it.
//!
//! Wire facts: <https://platform.openai.com/docs/api-reference/audio/createTranscription>.

use axum::{
    extract::{Request, State},
    response::Response,
};

use crate::model::Error;
use crate::transcription::{
    Recordings, answer::Form as Told, asked::Asked, handlers, order::Order, upload::Form,
};

const ENDPOINT: &str = "/v1/audio/transcriptions";
/// How models begin that are not OpenAI's, and who has them.
const OTHERS: [(&str, &str); 6] = [
    ("nova", "deepgram"),
    ("enhanced", "deepgram"),
    ("base", "deepgram"),
    ("universal", "assemblyai"),
    ("moonshine", "local"),
    ("local", "local"),
];
/// The model of whom nobody is to know which.
const AUTO: &str = "auto";

/// `POST /v1/audio/transcriptions`.
pub async fn transcriptions(State(recordings): State<Recordings>, request: Request) -> Response {
    handlers::answer(&recordings, ENDPOINT, request, async |request, digest, mut folder| {
        let (form, saved) = recordings.receive((request, "file"), digest, &mut folder).await?;
        let (provider, asked) = read(&form)?;
        Ok(Order { asked, provider, plan: None, fields: form.fields, saved, folder })
    })
    .await
}

/// Who is asked for what.
fn read(form: &Form) -> Result<(&'static str, Asked), Error> {
    let model = form.text("model").map(str::trim).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Error::invalid("you must provide a model parameter"))?;
    let provider = match OTHERS.iter().find(|(start, _)| model.starts_with(start)) {
        Some((_, provider)) => provider,
        None if model == AUTO => AUTO,
        None => "whisper",
    };
    let mut asked = Asked::read(form, provider)?;
    if [AUTO, "local"].contains(&model) {
        asked.options.model = None;
    }
    // Nothing that is said of the language is `en` elsewhere; here it is found out.
    if form.text("language").is_none() {
        asked.options.language = None;
    }
    asked.options.keyterms.extend(form.all("keywords[]").map(ToOwned::to_owned));
    asked.form = told(form, asked.form);
    Ok((provider, asked))
}

/// Its plain object is not the contract's; models that tell as they hear do so on demand.
fn told(form: &Form, asked: Told) -> Told {
    let streams = form.text("stream").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    match asked {
        Told::Json if streams && form.text("model") != Some("whisper-1") => Told::Events,
        Told::Json => Told::Plain,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<(&'static str, Asked), Error> {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        read(&Form { fields: fields.collect(), ..Form::default() })
    }

    #[test]
    fn a_model_says_who_is_asked() {
        let of = |model| asked(&[("model", model)]).unwrap();
        assert_eq!(of("whisper-1").0, "whisper");
        assert_eq!(of("nova-3").0, "deepgram");
        let (provider, auto) = of("auto");
        assert_eq!((provider, auto.auto, auto.options.model), ("auto", true, None));
        assert_eq!(asked(&[]).unwrap_err().detail, "you must provide a model parameter");
    }

    #[test]
    fn what_is_not_said_is_found_out() {
        let (_, plain) = asked(&[("model", "gpt-transcribe")]).unwrap();
        assert_eq!((plain.options.language, plain.form), (None, Told::Plain));
        let stream = [("model", "gpt-transcribe"), ("stream", "true"), ("language", "it")];
        let (_, told) = asked(&stream).unwrap();
        assert_eq!((told.options.language.as_deref(), told.form), (Some("it"), Told::Events));
        let (_, told) = asked(&[("model", "whisper-1"), ("stream", "true")]).unwrap();
        assert_eq!(told.form, Told::Plain, "whisper-1 does not tell as it hears");
    }
}
