//! Who may watch a room, and for how long: its account, or whoever holds a share token for it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until},
};

use super::{Wanted, watching::Ended};
use crate::{
    auth::{Credential, Principal, Revoked},
    live::{LiveService, client::Client, guard},
    model::{Error, ErrorKind},
    rooms::{Share, Shares},
};

/// How soon again if nobody could tell whether a token holds.
const RETRY: Duration = Duration::from_secs(1);

/// The right to watch a room.
#[derive(Debug)]
pub struct Pass {
    /// Whose words may be seen.
    pub account: String,
    /// Whether that is the socket's own account, which may read what is stored too.
    pub is_own: bool,
    /// The token that it comes from, with what was revoked since before it was verified; nothing where
    /// it comes from what the whole socket stands on.
    share: Option<(Share, broadcast::Receiver<Revoked>)>,
}

impl Client {
    /// The right to watch what is wanted, if there is one as far as the socket is concerned: whose the
    /// room is shows when it is entered.
    pub(super) async fn pass(&self, wanted: &Wanted) -> Result<Pass, Error> {
        if let Some(share) = &self.caller().share {
            if share.room != wanted.room.as_str() {
                let text = "the share token opens another room";
                return Err(Error::new(ErrorKind::Forbidden, text));
            }
            return Ok(Pass { account: share.account.clone(), is_own: false, share: None });
        }
        let Some(token) = &wanted.share else {
            let account = self.standing().current().names();
            return Ok(Pass { account, is_own: true, share: None });
        };
        let shares = self.service().rooms.shares();
        let revoked = shares.revocations().subscribe();
        let share = shares.verify_for(token, &wanted.room).await?;
        Ok(Pass { account: share.account.clone(), is_own: false, share: Some((share, revoked)) })
    }
}

impl Pass {
    /// Ends with the right, where that is not the socket's own.
    pub async fn ended(&mut self, shares: &Shares) -> Ended {
        let Some((share, revoked)) = &mut self.share else { return std::future::pending().await };
        tokio::select! {
            () = guard::reach(share.expires_at) => Ended::Expired,
            () = revocation(share, revoked, shares) => Ended::Revoked,
        }
    }
}

/// Ends when a token was taken back: looked at when that is announced, and from time to time in any
/// case.
async fn revocation(share: &Share, revoked: &mut broadcast::Receiver<Revoked>, shares: &Shares) {
    let mut due = Instant::now() + guard::random(guard::PERIOD_MS);
    loop {
        tokio::select! {
            () = sleep_until(due) => match shares.holds(share.id).await {
                Ok(true) => due = Instant::now() + guard::random(guard::PERIOD_MS),
                Ok(false) => return,
                Err(_) => due = Instant::now() + RETRY,
            },
            heard = guard::hear(revoked) => match heard {
                Revoked::Share(id) if id == share.id.to_string() => due = Instant::now(),
                Revoked::Unknown => {
                    due = due.min(Instant::now() + guard::random(guard::SPREAD_MS));
                }
                _ => {}
            }
        }
    }
}

impl LiveService {
    /// Until when what a socket was opened with holds. Fails with `unauthenticated` if it does not, and
    /// with another kind if nobody can tell now.
    pub async fn recheck(&self, principal: &Principal) -> Result<Option<DateTime<Utc>>, Error> {
        let Credential::Share(id) = principal.credential else {
            return self.auth.recheck(principal).await;
        };
        if self.rooms.shares().holds(id).await? {
            return Ok(principal.expires_at);
        }
        Err(Error::new(ErrorKind::Unauthenticated, "Invalid or expired share token"))
    }
}
