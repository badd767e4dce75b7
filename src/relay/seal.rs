//! What goes with a request from one replica to another, sealed for that request alone.

use std::{collections::HashSet, mem, net::IpAddr, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::{Purpose, Secrets};

/// Carries the seal of a request, and of the answer.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-replica-seal");
/// How far the clocks of two replicas and a request's way may be apart.
const FRESH: Duration = Duration::from_secs(30);

/// What one replica tells another of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    /// The tag of the replica that it is for.
    pub to: String,
    /// When it was written, in milliseconds of Unix time.
    pub at_ms: i64,
    /// Its own, never used again.
    pub nonce: Uuid,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// Why a request on the port for replicas is not one of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    Unsealed,
    Forged,
    Stale,
    Replayed,
}

impl Doubt {
    /// The metric label.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Unsealed => "unsealed",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
        }
    }
}

/// The request that a seal holds for, with the id that its log lines have.
pub(super) fn place(method: &Method, uri: &Uri, request_id: &str) -> String {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    format!("{method} {path} {request_id}")
}

impl Letter {
    /// The letter as a header; nothing if it cannot be written as one, which cannot be.
    pub(super) fn seal(&self, secrets: &Secrets, place: &str) -> Option<HeaderValue> {
        header(secrets, place, self)
    }

    /// The letter in the headers, if another replica wrote it for this request, and lately.
    pub(super) fn open(
        secrets: &Secrets,
        place: &str,
        headers: &HeaderMap,
        now_ms: i64,
    ) -> Result<Self, Doubt> {
        let sealed = headers.get(HEADER).ok_or(Doubt::Unsealed)?;
        let sealed = sealed.to_str().map_err(|_| Doubt::Forged)?;
        let letter: Self = secrets.open(Purpose::Relay, place, sealed).ok_or(Doubt::Forged)?;
        let fresh = u128::from(now_ms.abs_diff(letter.at_ms)) <= FRESH.as_millis();
        fresh.then_some(letter).ok_or(Doubt::Stale)
    }

    /// What tells the other replica that it is this one that answers.
    pub(super) fn proof(&self, secrets: &Secrets) -> Option<HeaderValue> {
        header(secrets, &self.answer(), &())
    }

    /// Whether the answer is from the replica that the letter was for.
    pub(super) fn is_proved(&self, secrets: &Secrets, headers: &HeaderMap) -> bool {
        let sealed = headers.get(HEADER).and_then(|sealed| sealed.to_str().ok());
        sealed.is_some_and(|sealed| {
            secrets.open::<()>(Purpose::Relay, &self.answer(), sealed).is_some()
        })
    }

    fn answer(&self) -> String {
        format!("answer {} {}", self.to, self.nonce)
    }
}

fn header<T: Serialize>(secrets: &Secrets, place: &str, value: &T) -> Option<HeaderValue> {
    secrets.seal(Purpose::Relay, place, value).ok()?.try_into().ok()
}

/// Nonces of late. There are as many as other replicas sent requests: nobody else can add one.
#[derive(Debug, Default)]
pub(super) struct Seen {
    recent: HashSet<Uuid>,
    before: HashSet<Uuid>,
    since_ms: i64,
}

impl Seen {
    /// Whether this one comes for the first time within the time in which its letter is fresh.
    pub(super) fn is_new(&mut self, nonce: Uuid, now_ms: i64) -> bool {
        // Written by a clock ahead of ours it stays fresh for twice as long.
        if u128::from(now_ms.abs_diff(self.since_ms)) > 2 * FRESH.as_millis() {
            self.before = mem::take(&mut self.recent);
            self.since_ms = now_ms;
        }
        !self.before.contains(&nonce) && self.recent.insert(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn letter() -> Letter {
        let to = "0123456789ab".to_owned();
        Letter { to, at_ms: NOW, nonce: Uuid::new_v4(), client: Some([10, 0, 0, 1].into()) }
    }

    fn secrets(secret: &str) -> Secrets {
        Secrets::new(Some(secret.into()), None)
    }

    fn sealed(value: Option<HeaderValue>) -> HeaderMap {
        value.into_iter().map(|value| (HEADER, value)).collect()
    }

    #[test]
    fn a_letter_opens_for_its_request_only_and_not_for_long() {
        let (secrets, letter) = (secrets("one"), letter());
        let uri: Uri = "/socket.io/?sid=1".parse().unwrap();
        let place = place(&Method::GET, &uri, "id");
        let headers = sealed(letter.seal(&secrets, &place));
        let open = |place: &str, now_ms| Letter::open(&secrets, place, &headers, now_ms);
        assert_eq!(open(&place, NOW), Ok(letter.clone()));
        for late in [NOW + 30_000, NOW - 30_000] {
            assert!(open(&place, late).is_ok());
        }
        for late in [NOW + 30_001, NOW - 30_001, i64::MAX, i64::MIN] {
            assert_eq!(open(&place, late), Err(Doubt::Stale));
        }
        for other in
            ["POST /socket.io/?sid=1 id", "GET /socket.io/?sid=2 id", "GET /socket.io/?sid=1 other"]
        {
            assert_eq!(open(other, NOW), Err(Doubt::Forged), "{other}");
        }
        let stranger = super::tests::secrets("two");
        assert_eq!(Letter::open(&stranger, &place, &headers, NOW), Err(Doubt::Forged));
        assert_eq!(Letter::open(&secrets, &place, &HeaderMap::new(), NOW), Err(Doubt::Unsealed));
    }

    #[test]
    fn an_answer_proves_itself_for_its_letter_only() {
        let (secrets, one, two) = (secrets("one"), letter(), letter());
        let headers = sealed(one.proof(&secrets));
        assert!(one.is_proved(&secrets, &headers));
        assert!(!two.is_proved(&secrets, &headers));
        assert!(!one.is_proved(&secrets, &sealed(one.seal(&secrets, &one.answer()))));
        assert!(!one.is_proved(&secrets, &HeaderMap::new()));
        assert!(!one.is_proved(&super::tests::secrets("two"), &headers));
    }

    #[test]
    fn a_nonce_is_new_once_while_its_letter_is_fresh() {
        let (mut seen, nonce) = (Seen::default(), Uuid::new_v4());
        assert!(seen.is_new(nonce, NOW));
        for later in [0, 30_000, 60_000, 60_001, 119_000] {
            assert!(!seen.is_new(nonce, NOW + later), "{later}");
            assert!(seen.is_new(Uuid::new_v4(), NOW + later));
        }
        assert!(seen.is_new(nonce, NOW + 200_000), "long stale, and forgotten");
    }
}
