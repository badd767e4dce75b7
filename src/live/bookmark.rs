//! Where a session stands, as its next owner finds it, and what its client shows to go on.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{lapse::RESUME_WITHIN, options, wire::Report};
use crate::{
    auth::{Principal, Purpose, Secrets, is_same_account},
    model::{RawFormat, SessionId},
    usage::{Course, SessionStart},
};

/// What all resume tokens are sealed under.
const NAME: &str = "live";
/// What a token says beside the options, in bytes.
const FACTS: usize = 4 * 1024;
/// Longer texts are no tokens: base64 makes four bytes of three.
const LONGEST: usize = (options::MAX_BYTES + FACTS) / 3 * 4;

/// What became of a session, as far as its owner got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It runs, or its owner died.
    #[default]
    Running,
    /// Its owner has let go of it: its client went away, or another owner asked.
    Parked,
    /// Its client stopped it, or it failed: it does not go on.
    Over,
}

/// Where a session stands. What is stored of it reaches exactly so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bookmark {
    /// The replica that owns it.
    pub replica: Uuid,
    /// The fence of that owner.
    pub fence: u64,
    /// What became of it.
    pub standing: Standing,
    /// F: the end of the last stored final, or of silence after it, in milliseconds of session audio.
    pub covered_ms: u64,
    /// The number of the last final.
    pub n: u64,
    /// The end of the last final of each channel, where channels are transcribed each by itself.
    pub said_ms: Vec<u64>,
    /// The first chunk that is not wholly covered.
    pub next_seq: u64,
    /// Where that chunk begins, in milliseconds of session audio.
    pub next_seq_ms: u64,
    /// The same in bytes of raw audio.
    pub next_seq_bytes: u64,
    /// What is not billed yet, and how it is to be.
    pub course: Course,
    /// Raw audio, once that is known; a container cannot be gone on with.
    pub format: Option<RawFormat>,
    /// Numbers that speakers were given.
    pub speakers: u32,
    /// Audio that was declared lost, in milliseconds, by reason.
    pub lost: Vec<(String, u64)>,
    /// When its owner let go of it, in milliseconds since 1970: so long its client had to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go_ms: Option<u64>,
    /// Audio that came in, in milliseconds, once the client stopped the session and all of it is
    /// transcribed: then `next_seq` is the chunk that would have come next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    /// What it takes to end the session without its client.
    pub books: Option<Books>,
}

/// Where account is kept of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Books {
    /// The room that it publishes to.
    pub room: String,
    /// Whose that is.
    pub account: String,
    /// Whether its transcript is kept.
    pub store: bool,
    /// What its usage says about it.
    pub start: SessionStart,
}

impl Bookmark {
    /// Which of two of one session is the later.
    pub const fn order(&self) -> (u64, u64, u64) {
        (self.fence, self.n, self.covered_ms)
    }

    /// As text that only the service can have written.
    pub fn seal(&self, secrets: &Secrets, session: SessionId) -> serde_json::Result<String> {
        secrets.seal(Purpose::Bookmark, &session.to_string(), self)
    }

    /// What such a text says.
    pub fn open(secrets: &Secrets, session: SessionId, sealed: &str) -> Option<Self> {
        secrets.open(Purpose::Bookmark, &session.to_string(), sealed)
    }

    /// The same once the client has stopped, and all of its chunks before that one are transcribed.
    pub fn finished(self, received_ms: u64, next_seq: u64) -> Self {
        Self { standing: Standing::Over, finished_ms: Some(received_ms), next_seq, ..self }
    }

    /// The same once its owner has let go of it.
    pub fn parked(self, let_go_ms: u64) -> Self {
        Self { standing: Standing::Parked, let_go_ms: Some(let_go_ms), ..self }
    }

    /// What became of the audio of a session that was stopped and is transcribed to its end.
    pub fn report(&self) -> Option<Report> {
        let received_ms = self.finished_ms.filter(|_| self.standing == Standing::Over)?;
        let lost: BTreeMap<String, u64> = self.lost.iter().cloned().collect();
        Some(Report::of(received_ms, self.covered_ms, lost))
    }

    /// Whether its client had all the time there is to come back, and did not.
    pub fn is_lapsed(&self, now_ms: u64) -> bool {
        let had_ms = self.let_go_ms.map_or(0, |at_ms| now_ms.saturating_sub(at_ms));
        self.standing != Standing::Running && Duration::from_millis(had_ms) >= RESUME_WITHIN
    }

    /// Whether the session's audio can be gone on with: a container only from its first byte.
    pub const fn is_resumable(&self) -> bool {
        self.format.is_some() || self.covered_ms == 0
    }
}

/// What a resume token says: the facts of a session that never change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumable {
    /// The session.
    pub session: SessionId,
    /// The account that it belongs to, by all its names.
    pub account: String,
    /// The room that it publishes to.
    pub room: String,
    /// Language of the socket that it began on.
    pub language: String,
    /// Its options, as the client gave them.
    pub given: Map<String, Value>,
}

impl Resumable {
    /// Whether it is that user's.
    pub fn is_of(&self, principal: &Principal) -> bool {
        is_same_account(&self.account, &principal.names())
    }

    /// The token; only the service can have made it.
    pub fn seal(&self, secrets: &Secrets) -> serde_json::Result<String> {
        secrets.seal(Purpose::Resume, NAME, self).map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a token says.
    pub fn open(secrets: &Secrets, token: &str) -> Option<Self> {
        let text = Some(token).filter(|text| text.len() <= LONGEST)?;
        let sealed = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        secrets.open(Purpose::Resume, NAME, &sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{AuthType, Credential, Owner},
        model::Plan,
    };

    #[test]
    fn only_what_was_sealed_here_and_for_this_is_believed() {
        let secrets = Secrets::new(Some("one secret".into()), None);
        let others = Secrets::new(Some("another".into()), None);
        let (session, stranger) = (SessionId::mint(), SessionId::mint());
        let bookmark = Bookmark { n: 7, format: Some(RawFormat::DEFAULT), ..Bookmark::default() };
        let sealed = bookmark.seal(&secrets, session).expect("sealed");
        assert_eq!(Bookmark::open(&secrets, session, &sealed), Some(bookmark));
        assert_eq!(Bookmark::open(&secrets, stranger, &sealed), None);
        assert_eq!(Bookmark::open(&others, session, &sealed), None);

        let token = Resumable {
            session,
            account: "user-7".to_owned(),
            room: "meeting".to_owned(),
            language: "en".to_owned(),
            given: Map::new(),
        };
        let text = token.seal(&secrets).expect("sealed");
        assert_eq!(Resumable::open(&secrets, &text), Some(token));
        assert_eq!(Resumable::open(&others, &text), None);
        for garbage in ["", "x", &"A".repeat(LONGEST + 1), &text[1..]] {
            assert_eq!(Resumable::open(&secrets, garbage), None);
        }
    }

    #[test]
    fn a_session_that_was_let_go_of_can_be_gone_on_with_for_a_while() {
        let within_ms = RESUME_WITHIN.as_millis() as u64;
        let cases = [
            (Standing::Parked, Some(1_000), within_ms, false),
            (Standing::Parked, Some(1_000), 1_000 + within_ms, true),
            (Standing::Parked, Some(9_000), 1_000, false),
            // As replicas before this one leave it.
            (Standing::Parked, None, 9 * within_ms, false),
            (Standing::Running, Some(0), 9 * within_ms, false),
            (Standing::Over, Some(0), within_ms, true),
            (Standing::Over, None, 9 * within_ms, false),
        ];
        for (standing, let_go_ms, now_ms, expected) in cases {
            let bookmark = Bookmark { standing, let_go_ms, ..Bookmark::default() };
            assert_eq!(bookmark.is_lapsed(now_ms), expected, "{bookmark:?} at {now_ms}");
        }
    }

    fn ann(owner: Owner, auth_type: AuthType) -> Principal {
        Principal {
            subject: "auth0|ann".to_owned(),
            owner,
            auth_type,
            plan: Plan::Free,
            expires_at: None,
            credential: Credential::Auth0,
        }
    }

    #[test]
    fn a_session_is_its_users_also_while_their_account_is_unknown() {
        let unseen = |sub: &str| Owner::Auth0 { sub: sub.to_owned(), email: None };
        let began = |owner| ann(owner, AuthType::Auth0).names();
        let bob = Principal {
            subject: "auth0|bob".to_owned(),
            ..ann(unseen("auth0|bob"), AuthType::Auth0)
        };
        let cases = [
            (Owner::User(7), ann(Owner::User(7), AuthType::Auth0), true),
            (Owner::User(7), ann(unseen("auth0|ann"), AuthType::Auth0), true),
            (unseen("auth0|ann"), ann(Owner::User(7), AuthType::Auth0), true),
            (Owner::User(7), ann(Owner::User(7), AuthType::ApiKey), true),
            (Owner::User(7), bob, false),
            (Owner::User(7), ann(Owner::User(8), AuthType::ApiKey), false),
            (Owner::User(7), ann(Owner::User(77), AuthType::ApiKey), false),
        ];
        for (owner, principal, expected) in cases {
            let facts = Resumable {
                session: SessionId::mint(),
                account: began(owner),
                room: "meeting".to_owned(),
                language: "en".to_owned(),
                given: Map::new(),
            };
            assert_eq!(facts.is_of(&principal), expected, "{principal:?}");
        }
    }
}
