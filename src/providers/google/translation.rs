//! Translations by Google, in either edition of its API.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Account, PROVIDER, judge, markup};
use crate::{
    outbound::{Answer, Call, ErrorClass, Outbound, Peer, ProviderError, protocol},
    providers::translator::{Translated, Wish},
};

/// The code of a token that was refused.
const REFUSED_TOKEN: &str = "refused_token";

/// An edition of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Basic, v2.
    V2,
    /// Advanced, v3.
    V3,
}

/// Translations for one account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Translation {
    edition: Edition,
    account: Account,
    peer: Peer,
}

/// A translation in v3's names; v2's are taken for them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    translated_text: String,
    #[serde(alias = "detectedSourceLanguage")]
    detected_language_code: Option<String>,
}

/// A token that is refused says nothing of the account yet: it may have ended early.
fn judge_call(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    match status {
        StatusCode::UNAUTHORIZED => {
            ProviderError::new(ErrorClass::BadRequest, REFUSED_TOKEN, "the token was refused")
        }
        status => judge(status, headers, body),
    }
}

impl Translation {
    /// A client for that account; `base` is the address before `/language` or `/v3`.
    pub fn new(edition: Edition, account: Account, base: &str, outbound: &Outbound) -> Self {
        Self { edition, account, peer: outbound.peer(PROVIDER, base) }
    }

    /// The model, in rows of usage.
    pub const fn model() -> &'static str {
        "nmt"
    }

    /// Translates one piece.
    pub async fn translate(
        &self,
        text: &str,
        wish: &Wish,
        total: Duration,
    ) -> Result<Translated, ProviderError> {
        let marked = !wish.glossary.is_empty();
        let sent = if marked { markup::write(text, &wish.glossary) } else { text.to_owned() };
        let answer = self.send(&sent, marked, wish, total).await?;
        let told = self.told(&answer)?;
        let text = told.translated_text;
        Ok(Translated {
            text: if marked { markup::read(&text) } else { text },
            source: told.detected_language_code,
            model: Self::model().to_owned(),
            ..Translated::default()
        })
    }

    /// A token that is refused may have been revoked: another one is tried once.
    async fn send(
        &self,
        text: &str,
        marked: bool,
        wish: &Wish,
        total: Duration,
    ) -> Result<Answer, ProviderError> {
        let (path, body) = self.request(text, marked, wish);
        let call = |bearer| {
            Call::post("translate", path.as_str()).bearer(&bearer).json(&body).total(total)
        };
        let bearer = self.account.bearer().await?;
        match self.peer.send(&call(bearer.clone()), judge_call).await {
            Err(error) if error.code == REFUSED_TOKEN => {
                self.account.forget(&bearer).await;
                self.peer.send(&call(self.account.bearer().await?), judge).await
            }
            answer => answer,
        }
    }

    fn request(&self, text: &str, marked: bool, wish: &Wish) -> (String, Value) {
        match self.edition {
            Edition::V2 => {
                let format = if marked { "html" } else { "text" };
                let mut body = json!({ "q": [text], "target": wish.target, "format": format });
                if let Some(source) = &wish.source {
                    body["source"] = source.as_str().into();
                }
                ("/language/translate/v2".to_owned(), body)
            }
            Edition::V3 => {
                let kind = if marked { "text/html" } else { "text/plain" };
                let mut body = json!({
                    "contents": [text], "targetLanguageCode": wish.target, "mimeType": kind });
                if let Some(source) = &wish.source {
                    body["sourceLanguageCode"] = source.as_str().into();
                }
                (format!("/v3/projects/{}:translateText", self.account.project()), body)
            }
        }
    }

    fn told(&self, answer: &Answer) -> Result<Told, ProviderError> {
        let mut body: Value = answer.json()?;
        let mut told = match self.edition {
            Edition::V2 => body["data"]["translations"].take(),
            Edition::V3 => body["translations"].take(),
        };
        let told = serde_json::from_value(told[0].take());
        told.map_err(|error| protocol(format!("not a translation: {error}")))
    }
}
