//! In which order those are served who wait for slots.
//!
//! It is as if slots came free one by one, and each went to the account that holds the fewest; of
//! accounts that hold as many, to the one that was served, or began to wait, longest ago. Within an
//! account whoever has waited longest is first. So accounts take turns, and none gets more than its
//! share of the cap while another, which has less, waits.

use crate::model::SessionId;

/// One who waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter<'a> {
    pub(super) session: SessionId,
    pub(super) account: &'a str,
    /// Since when, on any clock that all share.
    pub(super) since: u64,
}

/// What an account has had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Had {
    /// Slots that it holds.
    pub(super) held: u64,
    /// When it was given one last, on the clock of the waiters; 0 if nobody remembers.
    pub(super) served: u64,
}

/// The same as `acquire.lua` makes of them, first come those who are next.
pub(super) fn in_order<'a>(
    mut waiters: Vec<Waiter<'a>>,
    had: impl Fn(&'a str) -> Had,
) -> Vec<SessionId> {
    waiters.sort_by_key(|waiter| (waiter.account, waiter.since, waiter.session.0));
    let mut ranked = Vec::with_capacity(waiters.len());
    for line in waiters.chunk_by(|one, other| one.account == other.account) {
        let Had { held, served } = line.first().map(|first| had(first.account)).unwrap_or_default();
        let turn = line.first().map_or(0, |first| served.max(first.since));
        for (place, waiter) in (1..).zip(line) {
            ranked.push((held + place, place, turn, waiter.since, waiter.session.0));
        }
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(.., session)| SessionId(session)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn order(waiting: &[(u128, &'static str, u64)], had: fn(&str) -> Had) -> Vec<u128> {
        let waiter = |&(id, account, since): &(u128, &'static str, u64)| Waiter {
            session: SessionId(Uuid::from_u128(id)),
            account,
            since,
        };
        let order = in_order(waiting.iter().map(waiter).collect(), had);
        order.into_iter().map(|session| session.0.as_u128()).collect()
    }

    #[test]
    fn accounts_take_turns_and_who_has_fewest_comes_first() {
        let nothing = |_: &str| Had::default();
        let crowd = [(1, "ann", 1), (2, "ann", 2), (3, "ann", 3), (4, "bob", 9), (5, "bob", 10)];
        assert_eq!(order(&crowd, nothing), [1, 4, 2, 5, 3]);
        let ann_holds_two =
            |account: &str| Had { held: 2 * u64::from(account == "ann"), served: 0 };
        assert_eq!(order(&crowd, ann_holds_two), [4, 5, 1, 2, 3]);
        let ann_was_served =
            |account: &str| Had { held: 0, served: 20 * u64::from(account == "ann") };
        assert_eq!(order(&crowd, ann_was_served), [4, 1, 5, 2, 3]);
    }
}
