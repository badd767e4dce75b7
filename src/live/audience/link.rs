//! Where what a session said is stored, for who watched it and missed something.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::OnceCell, time::timeout};

use crate::{
    auth::Principal,
    live::LiveService,
    model::{Error, SessionId},
};

/// How long an answer stands: the viewers of one room miss the same thing at the same time.
const STANDS: Duration = Duration::from_secs(10);
/// How long Postgres may take; without an answer there is no link.
const DEADLINE: Duration = Duration::from_secs(1);
/// Answers that are remembered.
const REMEMBERED: usize = 1024;

type Known = Arc<OnceCell<bool>>;
/// By account and session, with when it was asked.
type Answers = HashMap<(String, SessionId), (Instant, Known)>;

/// Which sessions are stored, asked for once by all who want to know it at the same time. Cheap to
/// clone.
#[derive(Clone, Debug, Default)]
pub struct Links(Arc<Mutex<Answers>>);

impl Links {
    fn of(&self, account: String, session: SessionId) -> Known {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let fresh = || (Instant::now(), Known::default());
        let entry = known.entry((account, session)).or_insert_with(fresh);
        if entry.0.elapsed() > STANDS {
            *entry = fresh();
        }
        entry.1.clone()
    }
}

impl LiveService {
    /// Where that caller can read what a session said, if that is stored.
    pub(super) async fn link(&self, principal: &Principal, session: SessionId) -> Option<String> {
        let known = self.links.of(principal.account(), session);
        let look = known.get_or_try_init(|| Box::pin(self.is_stored(principal, session)));
        let stored = match timeout(DEADLINE, look).await {
            Ok(Ok(stored)) => *stored,
            Ok(Err(error)) => {
                tracing::debug!(%session, ?error, "a stored transcript cannot be looked for");
                false
            }
            Err(_) => false,
        };
        stored.then(|| format!("/sessions/{session}/transcript.json"))
    }

    async fn is_stored(&self, principal: &Principal, session: SessionId) -> Result<bool, Error> {
        let user = self.auth.user_id(principal).await?;
        let found = self.transcripts.session(user, session.0).await?;
        let kept = found.and_then(|session| session.transcript);
        Ok(kept.is_some_and(|kept| kept.deleted_at.is_none()))
    }
}
