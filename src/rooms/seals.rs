//! What tells the service's own words in a room from a stranger's: whoever can write to Redis can take
//! words away, but cannot make any up, and owns nothing by it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Claim, Label, Text};
use crate::{
    auth::{Purpose, Secrets, Signet},
    telemetry::{Metrics, metrics::label},
};

/// How often it is logged that something was forged.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// What stands between the names of an account, sealed or not.
const BETWEEN_NAMES: &str = "/";

/// Seals and knows owners, finals and interims. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Seals {
    owners: Signet,
    said: Signet,
    metrics: Metrics,
    told: Arc<Mutex<Option<Instant>>>,
}

impl Seals {
    pub(super) fn new(secrets: &Secrets, metrics: Metrics) -> Self {
        let (owners, said) = (secrets.signet(Purpose::Room), secrets.signet(Purpose::Said));
        Self { owners, said, metrics, told: Arc::default() }
    }

    /// An account as the owner that a room's `meta` holds: each name with a mark by which scripts know
    /// it, and all of them together with another, so that none can be added.
    pub(super) fn owner(&self, meta: &str, account: &str) -> String {
        let names = account.split(BETWEEN_NAMES);
        let names = names.map(|name| self.owners.mark(&["name", meta, name]) + name);
        let names = names.collect::<Vec<_>>().join(BETWEEN_NAMES);
        format!("{}.{names}", self.owners.mark(&["owner", meta, &names]))
    }

    /// The names of an account as scripts look for them in an owner, whichever secret sealed it.
    pub(super) fn names(&self, meta: &str, account: &str) -> String {
        let marked = |name| {
            let marks = self.owners.marks(&["name", meta, name]);
            marks.into_iter().map(move |mark| mark + name)
        };
        account.split(BETWEEN_NAMES).flat_map(marked).collect::<Vec<_>>().join(BETWEEN_NAMES)
    }

    /// The account that an owner is, if a replica wrote it for that room.
    pub(super) fn open_owner(&self, meta: &str, owner: &str) -> Option<String> {
        let opened = owner.split_once('.').and_then(|(mark, names)| {
            let genuine = self.owners.is_of(mark, &["owner", meta, names]);
            let names = names.split(BETWEEN_NAMES).map(|name| name.get(Signet::CHARS..));
            names.collect::<Option<Vec<_>>>().filter(|_| genuine)
        });
        if opened.is_none() {
            self.doubt(meta, "owner");
        }
        opened.map(|names| names.join(BETWEEN_NAMES))
    }

    /// The mark of a final in a history.
    pub(super) fn mark_final(&self, history: &str, account: &str, text: &Text) -> String {
        let [session, n] = named(text.label);
        self.said.mark(&["final", history, account, &session, &n, &text.body])
    }

    /// Whether a replica wrote that final there, for that account.
    pub(super) fn is_final(&self, history: &str, account: &str, text: &Text, mark: &str) -> bool {
        let [session, n] = named(text.label);
        self.said.is_of(mark, &["final", history, account, &session, &n, &text.body])
    }

    /// The mark of an interim in a channel.
    pub(super) fn mark_interim(&self, channel: &str, claim: &Claim, text: &Text) -> String {
        let ([session, n], fence) = (named(text.label), claim.fence.to_string());
        let account = &claim.account;
        self.said.mark(&["interim", channel, &fence, account, &session, &n, &text.body])
    }

    /// Whether a replica said that interim there, with that fence and for that account.
    pub(super) fn is_interim(
        &self,
        channel: &str,
        (fence, account): (u64, &str),
        text: &Text,
        mark: &str,
    ) -> bool {
        let ([session, n], fence) = (named(text.label), fence.to_string());
        let parts = ["interim", channel, &fence, account, &session, &n, &text.body];
        let genuine = self.said.is_of(mark, &parts);
        if !genuine {
            self.doubt(channel, "interim");
        }
        genuine
    }

    /// Counts what no replica can have written, and says so now and then.
    pub(super) fn doubt(&self, place: &str, what: &'static str) {
        self.metrics.room_forgeries.add(1, &[label("what", what)]);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(place, what, "a room in redis has what no replica wrote");
        }
    }
}

fn named(label: Label) -> [String; 2] {
    [label.session.to_string(), label.n.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = "test:{room:one}:meta";

    fn seals() -> Seals {
        let secrets = Secrets::new(Some("one of many".into()), Some("the one before".into()));
        Seals::new(&secrets, Metrics::new().unwrap())
    }

    #[test]
    fn an_owner_is_one_for_its_room_and_as_a_whole() {
        let seals = seals();
        let owner = seals.owner(META, "user-7/auth0-d1");
        assert_eq!(seals.open_owner(META, &owner).as_deref(), Some("user-7/auth0-d1"));
        assert_eq!(seals.open_owner("test:{room:two}:meta", &owner), None);
        // A mark of one's own from another time is added to another's.
        let theirs = seals.owner(META, "user-8");
        let (_, name) = theirs.split_once('.').unwrap();
        for forged in [format!("{owner}/{name}"), format!(".{name}"), name.to_owned()] {
            assert_eq!(seals.open_owner(META, &forged), None, "{forged}");
        }
        for garbage in ["", ".", "é.é", "user-7", &owner[1..], &owner.replace("user-7", "user-8")]
        {
            assert_eq!(seals.open_owner(META, garbage), None, "{garbage}");
        }
    }

    #[test]
    fn the_names_of_an_account_are_found_in_its_owner_by_either_secret() {
        let old = Secrets::new(Some("the one before".into()), None);
        let old = Seals::new(&old, Metrics::new().unwrap());
        let names = seals().names(META, "user-7/auth0-d1");
        for owner in [seals().owner(META, "auth0-d1"), old.owner(META, "user-7")] {
            let (_, name) = owner.split_once('.').unwrap();
            assert!(names.split('/').any(|known| known == name));
            assert!(seals().open_owner(META, &owner).is_some());
        }
    }
}
