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
    strikes: Vec<(&'static str, u32)>,
    /// Who failed last.
    left: Option<&'static str>,
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

    /// Who failed last.
    pub const fn left(&self) -> Option<&'static str> {
        self.left
    }

    /// Whether the next attempt repeats one that failed.
    pub const fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Notes a failure; `for_good` if the same provider is not to have this audio again.
    pub fn failed(&mut self, failure: Failure<'_>, for_good: bool) {
        let Failure { provider, error, .. } = failure;
        self.left = Some(provider);
        if for_good {
            self.avoided.push((provider, error.clone()));
        }
        match self.strikes.iter_mut().find(|(other, _)| *other == provider) {
            Some((_, count)) => *count = count.saturating_add(failure.strikes()),
            None => self.strikes.push((provider, failure.strikes())),
        }
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
        self.left = newer.left.or(self.left);
        self.repeated |= newer.repeated;
        for (provider, count) in newer.strikes {
            match self.strikes.iter_mut().find(|(other, _)| *other == provider) {
                Some((_, most)) => *most = count.max(*most),
                None => self.strikes.push((provider, count)),
            }
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
