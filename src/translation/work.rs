//! A text on its way through a translator: in pieces, put together again in order.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    Asked, News,
    sentences::{cut, tokens},
};
use crate::{
    outbound::protocol,
    providers::{
        ErrorClass, ProviderError,
        recorded::Tokens,
        translator::{Coming, Translated, Translator, Wish},
    },
};

/// Tokens of one piece: about a page, and fewer characters than Google takes at once.
const PIECE: usize = 1_600;
/// Tokens of a translated piece; scripts differ by several times.
const ANSWER: u32 = 16_000;
/// Pieces of one text that are translated at once.
const AT_ONCE: usize = 4;
/// How long one piece may take, as the contract has it.
const ONE: Duration = Duration::from_secs(120);
/// How often a piece is cut again whose translation does not end.
const AGAIN: u32 = 3;
/// How long words wait for a client that does not read, until they are for nobody.
const HEARD: Duration = Duration::from_secs(20);

/// How long a text may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    until: Instant,
}

impl Limits {
    /// From now on so long.
    pub fn new(total: Duration) -> Self {
        Self { until: Instant::now() + total }
    }

    fn one(self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).min(ONE)
    }
}

/// A text in its new language.
#[derive(Debug, Default)]
pub struct Done {
    /// The text.
    pub text: String,
    /// The language that it had, where the provider found out.
    pub source: Option<String>,
    /// The model that did it.
    pub model: String,
    /// What was counted, by the provider or else by us.
    pub tokens: Tokens,
    /// Pieces that it was cut into.
    pub pieces: usize,
}

impl Done {
    /// With the next piece, and what stands after it.
    fn add(&mut self, translated: Translated, gap: &str) {
        let Translated { text, source, model, tokens, .. } = translated;
        self.text.push_str(text.trim());
        self.text.push_str(gap);
        self.source = self.source.take().or(source);
        self.model = model;
        if let Some(tokens) = tokens {
            self.tokens.input += tokens.input;
            self.tokens.cached += tokens.cached;
            self.tokens.output += tokens.output;
        }
        self.pieces += 1;
    }
}

/// Translates all of it; where one piece fails, all of it has.
pub async fn whole(
    translator: &Translator,
    asked: &Asked,
    limits: Limits,
) -> Result<Done, ProviderError> {
    let pieces = cut(&asked.text, PIECE).into_iter();
    let one = |(text, gap): (String, String)| {
        let (translator, wish) = (translator.clone(), asked.wish.clone());
        async move { Ok::<_, ProviderError>((piece(translator, text, wish, limits, AGAIN).await?, gap)) }
    };
    let owned: Vec<_> = pieces.map(|piece| (piece.text.to_owned(), piece.gap.to_owned())).collect();
    let all = stream::iter(owned).map(one).buffered(AT_ONCE).try_collect();
    let all: Vec<_> = timeout_at(limits.until, all).await.map_err(|_| late())??;
    let mut done = Done::default();
    for (translated, gap) in all {
        done.add(translated, &gap);
    }
    Ok(done)
}

/// One piece; what does not end at the bound is cut again.
fn piece(
    translator: Translator,
    text: String,
    wish: Wish,
    limits: Limits,
    again: u32,
) -> BoxFuture<'static, Result<Translated, ProviderError>> {
    async move {
        let made = translator.translate(&text, &wish, (ANSWER, limits.one())).await?;
        let mut made = counted(made, &text);
        if !made.cut {
            return said(made);
        }
        let halves = cut(&text, tokens(&text).div_ceil(2));
        if again == 0 || halves.len() < 2 {
            return Err(endless());
        }
        let mut together =
            Done { tokens: made.tokens.take().unwrap_or_default(), ..Done::default() };
        for half in halves {
            let (translator, wish) = (translator.clone(), wish.clone());
            let made = piece(translator, half.text.to_owned(), wish, limits, again - 1).await?;
            together.add(made, half.gap);
        }
        let Done { text, source, model, tokens, .. } = together;
        Ok(Translated { text, source, model, tokens: Some(tokens), cut: false })
    }
    .boxed()
}

/// Translates it and tells it as it comes, piece after piece.
pub async fn told(
    translator: &Translator,
    asked: &Asked,
    limits: Limits,
    say: mpsc::Sender<News>,
) -> Result<Done, ProviderError> {
    let mut teller = Teller { say: Some(say) };
    let mut done = Done::default();
    for piece in cut(&asked.text, PIECE) {
        let made =
            timeout_at(limits.until, one_told(translator, piece.text, asked, limits, &mut teller));
        let made = made.await.map_err(|_| late())??;
        if !piece.gap.is_empty() {
            teller.tell(piece.gap.to_owned()).await;
        }
        done.add(said(counted(made, piece.text))?, piece.gap);
    }
    Ok(done)
}

async fn one_told(
    translator: &Translator,
    text: &str,
    asked: &Asked,
    limits: Limits,
    teller: &mut Teller,
) -> Result<Translated, ProviderError> {
    let made = match translator.open(text, &asked.wish, (ANSWER, limits.one())).await? {
        Coming::Whole(made) => {
            teller.tell(made.text.clone()).await;
            made
        }
        Coming::Pieces(mut saying) => {
            while let Some(words) = saying.next().await? {
                teller.tell(words).await;
            }
            saying.into_said().into()
        }
    };
    if made.cut { Err(endless()) } else { Ok(made) }
}

/// Tells words to a client, as long as it listens.
struct Teller {
    say: Option<mpsc::Sender<News>>,
}

impl Teller {
    async fn tell(&mut self, words: String) {
        let Some(say) = &self.say else { return };
        if say.send_timeout(News::Words(words), HEARD).await.is_err() {
            self.say = None;
        }
    }
}

/// With our own count where the provider told none.
fn counted(mut made: Translated, text: &str) -> Translated {
    let ours = || Tokens {
        input: tokens(text) as u64,
        output: tokens(&made.text) as u64,
        ..Tokens::default()
    };
    made.tokens = Some(made.tokens.unwrap_or_else(ours));
    made
}

/// A text that became none is no translation.
fn said(made: Translated) -> Result<Translated, ProviderError> {
    if made.text.trim().is_empty() { Err(protocol("the translation is empty")) } else { Ok(made) }
}

fn endless() -> ProviderError {
    protocol("the translation does not end")
}

fn late() -> ProviderError {
    ProviderError::new(ErrorClass::Timeout, "timeout", "not done in time")
}
