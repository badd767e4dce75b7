//! What is heard, told while it is heard: the words of one piece after the other, in the order of the
//! audio, though pieces are heard side by side.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{idempotency::Answer, model::Error};

/// Words between who hears and who reads. Neither waits for the other: what is not read yet is as
/// long as the transcript at most.
#[derive(Debug, Default)]
pub struct Telling {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The piece that is told.
    head: usize,
    pieces: BTreeMap<usize, Piece>,
    /// Whether anything was read.
    begun: bool,
    end: Option<Result<Answer, Error>>,
}

#[derive(Debug, Default)]
struct Piece {
    /// What was not read yet.
    words: String,
    /// Whether any were said, and read.
    spoke: bool,
    begun: bool,
    over: bool,
}

/// What there is to read next.
#[derive(Debug)]
pub enum News {
    /// Words.
    Words(String),
    /// The end, and whether words came before.
    End(Result<Answer, Error>, bool),
}

impl Telling {
    /// More words of a piece.
    pub fn say(&self, piece: usize, words: &str) {
        let mut state = self.lock();
        let piece = state.pieces.entry(piece).or_default();
        piece.words.push_str(words);
        piece.spoke |= !words.trim().is_empty();
        drop(state);
        self.news.notify_one();
    }

    /// A piece was heard to its end; its words are said now, where they were not before.
    pub fn close(&self, piece: usize, transcript: &str) {
        let mut state = self.lock();
        let piece = state.pieces.entry(piece).or_default();
        if !piece.spoke {
            transcript.clone_into(&mut piece.words);
            piece.spoke = !transcript.trim().is_empty();
        }
        piece.over = true;
        drop(state);
        self.news.notify_one();
    }

    /// Takes back what nobody has read; false if somebody has read words already.
    pub fn take_back(&self) -> bool {
        let mut state = self.lock();
        if state.begun {
            return false;
        }
        (state.head, state.pieces) = (0, BTreeMap::new());
        true
    }

    /// All is over.
    pub fn end(&self, end: Result<Answer, Error>) {
        self.lock().end = Some(end);
        self.news.notify_one();
    }

    /// What comes next. For one reader, to whom the end comes once.
    pub async fn next(&self) -> News {
        loop {
            if let Some(news) = self.lock().news() {
                return news;
            }
            self.news.notified().await;
        }
    }

    /// A panic elsewhere cannot leave it half changed, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Words of the head, and of those behind it once it is over; a space stands between pieces.
    fn news(&mut self) -> Option<News> {
        let mut said = String::new();
        while let Some(piece) = self.pieces.get_mut(&self.head) {
            let words = if piece.begun { piece.words.as_str() } else { piece.words.trim_start() };
            // White space at the end waits for what it stands before.
            let (words, space) = words.split_at(words.trim_end().len());
            if !words.is_empty() {
                if !piece.begun && (self.begun || !said.is_empty()) {
                    said.push(' ');
                }
                said.push_str(words);
                (piece.begun, piece.words) = (true, space.to_owned());
            }
            if !piece.over {
                break;
            }
            self.pieces.remove(&self.head);
            self.head += 1;
        }
        if said.is_empty() {
            return self.end.take().map(|end| News::End(end, self.begun));
        }
        self.begun = true;
        Some(News::Words(said))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn read(telling: &Telling) -> Option<News> {
        telling.next().now_or_never()
    }

    proptest! {
        /// However pieces are said, and in whatever order: in the end it is what they join to.
        #[test]
        fn words_come_in_the_order_of_the_audio(
            pieces in proptest::collection::vec("[ a-c]{0,8}", 1..5),
            turns in proptest::collection::vec((0_usize..5, 1_usize..4), 0..40),
        ) {
            let (telling, mut said) = (Telling::default(), String::new());
            let mut left: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let take = |said: &mut String| {
                while let Some(News::Words(words)) = read(&telling) {
                    said.push_str(&words);
                }
            };
            for (at, many) in turns {
                let at = at % left.len();
                let (words, rest) = left[at].split_at(many.min(left[at].len()));
                telling.say(at, words);
                left[at] = rest;
                take(&mut said);
            }
            for at in (0..left.len()).rev() {
                telling.say(at, left[at]);
                telling.close(at, &pieces[at]);
                take(&mut said);
            }
            let whole: Vec<&str> =
                pieces.iter().map(|piece| piece.trim()).filter(|piece| !piece.is_empty()).collect();
            prop_assert_eq!(said, whole.join(" "));
        }
    }

    #[test]
    fn what_was_read_stands_and_what_was_not_is_said_once() {
        let telling = Telling::default();
        telling.say(0, "lost");
        assert!(telling.take_back(), "nobody read it");
        telling.close(0, "whole");
        assert!(matches!(read(&telling), Some(News::Words(words)) if words == "whole"));
        assert!(!telling.take_back());
        telling.end(Ok(Answer::new("text/plain", "all".into())));
        assert!(matches!(read(&telling), Some(News::End(Ok(_), true))));
        assert!(read(&telling).is_none(), "once");
    }
}
