//! Who translates, behind one face.

use std::{sync::Arc, time::Duration};

use super::{
    ErrorClass, ProviderError,
    chat::{Chat, Prompt, Said, Saying},
    google, prompt,
    recorded::Tokens,
};

/// A translator. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Translator {
    /// OpenAI.
    OpenAi(Chat),
    /// DeepSeek.
    DeepSeek(Chat),
    /// Google.
    Google(Box<google::Translation>),
    /// It is not configured; the sentence says what is missing.
    Absent(&'static str, Arc<str>),
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Translators {
    /// OpenAI.
    pub openai: Translator,
    /// DeepSeek.
    pub deepseek: Translator,
    /// Google.
    pub google: Translator,
}

/// What is wanted of a text.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its language; `None` is found out.
    pub source: Option<String>,
    /// The language that it is to have.
    pub target: String,
    /// Terms, and what each is to become.
    pub glossary: Vec<(String, String)>,
}

/// A text in its new language.
#[derive(Clone, Debug, Default)]
pub struct Translated {
    /// The text.
    pub text: String,
    /// The language that it had, where the provider found out.
    pub source: Option<String>,
    /// The model that did it.
    pub model: String,
    /// What was counted, where the provider counts tokens and tells.
    pub tokens: Option<Tokens>,
    /// Whether it ends too early, at a bound.
    pub cut: bool,
}

/// A translation as it comes.
#[derive(Debug)]
pub enum Coming {
    /// In pieces.
    Pieces(Box<Saying>),
    /// In one.
    Whole(Translated),
}

impl Translator {
    /// The last part of its route.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OpenAi(_) => "openai",
            Self::DeepSeek(_) => "deepseek",
            Self::Google(_) => google::PROVIDER,
            Self::Absent(name, _) => name,
        }
    }

    /// Why it is not there, where it is not.
    pub fn absent(&self) -> Option<&str> {
        match self {
            Self::Absent(_, why) => Some(why),
            _ => None,
        }
    }

    /// Whether it charges by characters, not by tokens.
    pub const fn counts_characters(&self) -> bool {
        matches!(self, Self::Google(_))
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        match self {
            Self::OpenAi(chat) | Self::DeepSeek(chat) => chat.model(),
            Self::Google(_) => google::Translation::model(),
            Self::Absent(..) => "",
        }
    }

    /// Translates one piece, of at most so many tokens when it is done.
    pub async fn translate(
        &self,
        text: &str,
        wish: &Wish,
        (most_tokens, total): (u32, Duration),
    ) -> Result<Translated, ProviderError> {
        match self {
            Self::OpenAi(chat) | Self::DeepSeek(chat) => {
                Ok(chat.ask(&asked(text, wish, most_tokens), total).await?.into())
            }
            Self::Google(google) => google.translate(text, wish, total).await,
            Self::Absent(_, why) => Err(absent(why)),
        }
    }

    /// The same as it comes.
    pub async fn open(
        &self,
        text: &str,
        wish: &Wish,
        (most_tokens, total): (u32, Duration),
    ) -> Result<Coming, ProviderError> {
        match self {
            Self::OpenAi(chat) | Self::DeepSeek(chat) => {
                let saying = chat.open(&asked(text, wish, most_tokens), total).await?;
                Ok(Coming::Pieces(Box::new(saying)))
            }
            _ => Ok(Coming::Whole(self.translate(text, wish, (most_tokens, total)).await?)),
        }
    }
}

fn asked(text: &str, wish: &Wish, most_tokens: u32) -> Prompt {
    Prompt { system: prompt::system(wish, text), text: text.to_owned(), most_tokens }
}

fn absent(why: &Arc<str>) -> ProviderError {
    ProviderError::new(ErrorClass::Unavailable, "absent", why.as_ref())
}

impl From<Said> for Translated {
    fn from(said: Said) -> Self {
        let Said { text, model, tokens, cut } = said;
        Self { text, source: None, model, tokens, cut }
    }
}
