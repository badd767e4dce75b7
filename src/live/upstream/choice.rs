//! Which provider is to have a lane's next connection, by what became of the last ones. Pure.

use crate::providers::{ErrorClass, ProviderError};

/// Strikes after which others are asked first.
const LIMIT: u32 = 3;

/// A connection that was refused, or that broke.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// Whose.
    pub provider: &'static str,
    /// Why.
    pub error: &'a ProviderError,
    /// Whether it was never open.
    pub refused: bool,
}

impl Failure<'_> {
    /// How much it counts: a break is worth a few attempts, speech without an answer one more, and
    /// one that is crowded, or that lets us wait for an answer to the handshake, none.
    const fn strikes(self) -> u32 {
        match self.error.class {
            ErrorClass::RateLimited | ErrorClass::Capacity => LIMIT,
            ErrorClass::Timeout if self.refused => LIMIT,
            ErrorClass::Timeout => 2,
            _ => 1,
        }
    }
}

/// What a lane knows of the providers since one of them worked for it.
#[derive(Debug, Default)]
pub struct Choice {
    /// Who cannot have this audio, and why.
    avoided: Vec<(&'static str, ProviderError)>,
    /// Who failed, and how often; who failed last comes last.
    strikes: Vec<(&'static str, u32)>,
    /// Whether an attempt has failed, and not just a connection that had worked.
    repeated: bool,
}

impl Choice {
    /// Who is to be asked, the best first: in the order of all, but first who has not failed too often.
    pub fn order(&self, all: &[&'static str]) -> Vec<&'static str> {
        let may = |provider: &&'static str| self.avoided.iter().all(|(other, _)| other != provider);
        let mut order: Vec<_> = all.iter().copied().filter(may).collect();
        order.sort_by_key(|provider| Some(self.struck(provider)).filter(|count| *count >= LIMIT));
        order
    }

    fn struck(&self, provider: &str) -> u32 {
        let of = self.strikes.iter().find(|(other, _)| *other == provider);
        of.map_or(0, |(_, count)| *count)
    }

    /// Why the last one cannot have this audio.
    pub fn error(&self) -> Option<&ProviderError> {
        self.avoided.last().map(|(_, error)| error)
    }

    /// Who failed before `provider` is asked, be it again: the last one that is somebody else.
    pub fn instead_of(&self, provider: &str) -> Option<&'static str> {
        self.strikes.iter().rev().map(|(other, _)| *other).find(|other| *other != provider)
    }

    /// Whether the next attempt repeats one that failed.
    pub const fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Notes a failure; `for_good` if the same provider is not to have this audio again.
    pub fn failed(&mut self, failure: Failure<'_>, for_good: bool) {
        let Failure { provider, error, .. } = failure;
        if for_good {
            self.avoided.push((provider, error.clone()));
        }
        self.strike(provider, self.struck(provider).saturating_add(failure.strikes()));
    }

    fn strike(&mut self, provider: &'static str, count: u32) {
        self.strikes.retain(|(other, _)| *other != provider);
        self.strikes.push((provider, count));
    }

    /// The next attempt repeats one that failed.
    pub const fn repeat(&mut self) {
        self.repeated = true;
    }

    /// Who is asked next, if that is one who has not failed.
    pub fn fresh(&self, all: &[&'static str]) -> Option<&'static str> {
        self.order(all).first().copied().filter(|next| self.struck(next) == 0)
    }

    /// Takes in what another lane knows whose audio is this one's now.
    pub fn join(&mut self, newer: Self) {
        self.avoided.extend(newer.avoided);
        self.repeated |= newer.repeated;
        for (provider, count) in newer.strikes {
            self.strike(provider, count.max(self.struck(provider)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 2] = ["one", "two"];

    fn fail(choice: &mut Choice, provider: &'static str, class: ErrorClass, refused: bool) {
        let error = ProviderError::new(class, "test", "as planned");
        choice.failed(Failure { provider, error: &error, refused }, !class.retryable());
    }

    #[test]
    fn a_break_and_two_attempts_are_enough() {
        let mut choice = Choice::default();
        assert_eq!(choice.order(&ALL), ALL);
        fail(&mut choice, "one", ErrorClass::Unavailable, false);
        fail(&mut choice, "one", ErrorClass::Unavailable, true);
        assert_eq!((choice.order(&ALL)[0], choice.fresh(&ALL)), ("one", None));
        fail(&mut choice, "one", ErrorClass::Unavailable, true);
        assert_eq!((choice.order(&ALL)[0], choice.fresh(&ALL)), ("two", Some("two")));
        for _ in 0..3 {
            fail(&mut choice, "two", ErrorClass::Unavailable, true);
        }
        assert_eq!(choice.order(&ALL)[0], "one", "both failed as often");
        fail(&mut choice, "one", ErrorClass::Unavailable, true);
        assert_eq!((choice.order(&ALL)[0], choice.fresh(&ALL)), ("two", None));
    }

    #[test]
    fn another_stands_in_however_often_it_is_asked() {
        let mut choice = Choice::default();
        assert_eq!(choice.instead_of("one"), None);
        fail(&mut choice, "one", ErrorClass::RateLimited, true);
        assert_eq!((choice.instead_of("one"), choice.instead_of("two")), (None, Some("one")));
        fail(&mut choice, "two", ErrorClass::Unavailable, true);
        assert_eq!(
            (choice.instead_of("one"), choice.instead_of("two")),
            (Some("two"), Some("one"))
        );
        // What another lane knows takes nothing of that away.
        let mut newer = Choice::default();
        fail(&mut newer, "two", ErrorClass::Unavailable, true);
        choice.join(newer);
        assert_eq!(
            (choice.instead_of("one"), choice.instead_of("two")),
            (Some("two"), Some("one"))
        );
    }

    #[test]
    fn speech_without_an_answer_twice_and_a_crowd_once() {
        let mut choice = Choice::default();
        fail(&mut choice, "one", ErrorClass::Timeout, false);
        assert_eq!(choice.fresh(&ALL), None);
        fail(&mut choice, "one", ErrorClass::Timeout, false);
        assert_eq!(choice.fresh(&ALL), Some("two"));
        for (class, refused) in [(ErrorClass::RateLimited, true), (ErrorClass::Timeout, true)] {
            let mut choice = Choice::default();
            fail(&mut choice, "one", class, refused);
            assert_eq!(choice.fresh(&ALL), Some("two"));
            assert_eq!(choice.fresh(&ALL[..1]), None);
        }
    }

    #[test]
    fn who_cannot_have_it_is_never_asked_again() {
        let mut choice = Choice::default();
        fail(&mut choice, "one", ErrorClass::Poison, false);
        assert_eq!((choice.order(&ALL), choice.fresh(&ALL)), (vec!["two"], Some("two")));
        let mut older = Choice::default();
        fail(&mut older, "two", ErrorClass::Format, true);
        older.join(choice);
        assert!(older.order(&ALL).is_empty());
        assert_eq!(older.error().map(|error| error.class), Some(ErrorClass::Poison));
    }
}
