//! Requests and answers of chat completions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Dialect, Prompt, Said};
use crate::{
    outbound::protocol,
    providers::{ErrorClass, ProviderError, recorded::Tokens},
};

/// Translations are to be the same each time.
const TEMPERATURE: f64 = 0.1;
/// How models begin that take a temperature; newer ones of OpenAI's refuse it.
const TEMPERED: [&str; 3] = ["gpt-3", "gpt-4", "deepseek"];

pub(super) fn request(dialect: Dialect, model: &str, prompt: &Prompt, stream: bool) -> Value {
    let mut body = json!({
        "model": model,
        "messages": [
            { "role": "system", "content": prompt.system },
            { "role": "user", "content": prompt.text },
        ],
    });
    if TEMPERED.iter().any(|known| model.starts_with(known)) {
        body["temperature"] = TEMPERATURE.into();
    }
    match dialect {
        Dialect::OpenAi => body["max_completion_tokens"] = prompt.most_tokens.into(),
        Dialect::DeepSeek => {
            body["max_tokens"] = prompt.most_tokens.into();
            body["thinking"] = json!({ "type": "disabled" });
        }
    }
    if stream {
        body["stream"] = true.into();
        body["stream_options"] = json!({ "include_usage": true });
    }
    body
}

#[derive(Deserialize)]
pub(super) struct Completion {
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

/// A piece of a stream.
#[derive(Deserialize)]
pub(super) struct Chunk {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Piece>,
    usage: Option<Usage>,
    error: Option<Trouble>,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    delta: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Trouble {
    #[serde(default)]
    message: String,
}

#[derive(Clone, Copy, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_cache_hit_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: u64,
}

impl Usage {
    fn tokens(self) -> Tokens {
        let told = self.prompt_tokens_details.map(|details| details.cached_tokens);
        let cached = self.prompt_cache_hit_tokens.or(told).unwrap_or(0);
        Tokens {
            input: self.prompt_tokens,
            cached: cached.min(self.prompt_tokens),
            output: self.completion_tokens,
        }
    }
}

impl Completion {
    pub(super) fn into_said(self, asked: &str) -> Result<Said, ProviderError> {
        let choice = self.choices.into_iter().next().ok_or_else(|| protocol("no choice"))?;
        refused(choice.message.refusal.as_deref())?;
        let finish = choice.finish_reason.ok_or_else(|| protocol("no finish_reason"))?;
        Ok(Said {
            cut: is_cut(&finish)?,
            text: choice.message.content.ok_or_else(|| protocol("no content"))?,
            model: self.model.unwrap_or_else(|| asked.to_owned()),
            tokens: self.usage.map(Usage::tokens),
        })
    }
}

impl Chunk {
    /// Its words; what else it tells is noted.
    pub(super) fn take(
        self,
        said: &mut Said,
        finish: &mut Option<String>,
    ) -> Result<String, ProviderError> {
        if let Some(trouble) = self.error {
            return Err(ProviderError::new(ErrorClass::Unavailable, "broken_off", trouble.message));
        }
        if let Some(model) = self.model {
            said.model = model;
        }
        if let Some(usage) = self.usage {
            said.tokens = Some(usage.tokens());
        }
        let Some(piece) = self.choices.into_iter().next() else { return Ok(String::new()) };
        refused(piece.delta.refusal.as_deref())?;
        if piece.finish_reason.is_some() {
            *finish = piece.finish_reason;
        }
        Ok(piece.delta.content.unwrap_or_default())
    }
}

fn refused(why: Option<&str>) -> Result<(), ProviderError> {
    match why {
        Some(why) if !why.is_empty() => {
            Err(ProviderError::new(ErrorClass::BadRequest, "refusal", why))
        }
        _ => Ok(()),
    }
}

/// Whether an answer with that end is not whole; some ends mean that there is none.
pub(super) fn is_cut(finish: &str) -> Result<bool, ProviderError> {
    match finish {
        "stop" => Ok(false),
        "length" => Ok(true),
        "content_filter" => {
            let detail = "the provider's filter refused the text";
            Err(ProviderError::new(ErrorClass::BadRequest, "content_filter", detail))
        }
        "insufficient_system_resource" => {
            let detail = "the provider had no resources left for it";
            Err(ProviderError::new(ErrorClass::Unavailable, finish, detail))
        }
        other => Err(protocol(format!("finish_reason {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Result<Said, ProviderError> {
        serde_json::from_str::<Completion>(body).unwrap().into_said("asked")
    }

    #[test]
    fn deepseek_does_not_think_and_new_models_have_no_temperature() {
        let prompt = Prompt { system: "s".into(), text: "t".into(), most_tokens: 7 };
        let body = request(Dialect::DeepSeek, "deepseek-flash", &prompt, false);
        assert_eq!(body["thinking"]["type"], "disabled");
        assert_eq!(
            (body["max_tokens"].as_u64(), body["temperature"].as_f64()),
            (Some(7), Some(0.1))
        );
        let body = request(Dialect::OpenAi, "gpt-6-luna", &prompt, true);
        assert!(body.get("temperature").is_none() && body.get("thinking").is_none());
        assert_eq!(body["max_completion_tokens"], 7);
        assert_eq!(body["stream_options"]["include_usage"], true);
    }

    #[test]
    fn an_answer_tells_its_text_and_what_it_took() {
        let body = "\n\n{\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\
            \"content\":\"Hola\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\
            \"completion_tokens\":3,\"prompt_cache_hit_tokens\":4}}";
        let tokens = Some(Tokens { input: 9, cached: 4, output: 3 });
        let expected = Said { text: "Hola".into(), model: "m".into(), tokens, cut: false };
        assert_eq!(said(body).unwrap(), expected);
    }

    #[test]
    fn an_end_that_is_none_is_an_error() {
        let of = |finish: &str| {
            let body = format!(
                r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"{finish}"}}]}}"#
            );
            said(&body).map(|said| said.cut).map_err(|error| error.class)
        };
        assert_eq!(of("length"), Ok(true));
        assert_eq!(of("content_filter"), Err(ErrorClass::BadRequest));
        assert_eq!(of("insufficient_system_resource"), Err(ErrorClass::Unavailable));
        assert_eq!(of("tool_calls"), Err(ErrorClass::Protocol));
        let refusal =
            r#"{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}"#;
        assert_eq!(said(refusal).unwrap_err().class, ErrorClass::BadRequest);
    }
}
