//! The name of every key and channel in Redis, all under one prefix.
//!
//! What one script touches shares a hash tag, so that a cluster keeps it in one place.

/// Names keys; cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: std::sync::Arc<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The tenant's signing keys, with a mac.
    pub fn jwks(&self) -> String {
        format!("{}:jwks", self.prefix)
    }

    /// Who refreshes the signing keys ahead of need; a claim that ends by itself.
    pub fn jwks_refresh(&self) -> String {
        format!("{}:jwks:refresh", self.prefix)
    }

    /// Who fetches the signing keys for an unknown key id; a claim that ends by itself.
    pub fn jwks_unknown(&self) -> String {
        format!("{}:jwks:unknown", self.prefix)
    }

    /// What Auth0 tells of the user behind a token, by the token's digest.
    pub fn userinfo(&self, digest: &str) -> String {
        format!("{}:userinfo:{digest}", self.prefix)
    }

    /// What was heard of a recording, by the digest of whose, which and how.
    pub fn duplicate(&self, digest: &str) -> String {
        format!("{}:duplicate:{digest}", self.prefix)
    }

    /// A login session, by its token's digest.
    pub fn session(&self, digest: &str) -> String {
        format!("{}:session:{digest}", self.prefix)
    }

    /// A stream ticket, by its digest.
    pub fn ticket(&self, digest: &str) -> String {
        format!("{}:ticket:{digest}", self.prefix)
    }

    /// How much of an action a subject has used.
    pub fn limit(&self, action: &str, subject: &str) -> String {
        format!("{}:limit:{action}:{subject}", self.prefix)
    }

    /// Live sessions of all users.
    pub fn leases(&self) -> String {
        format!("{}:{{live}}:leases", self.prefix)
    }

    /// Live sessions of one account.
    pub fn leases_of(&self, account: &str) -> String {
        format!("{}:{{live}}:leases:{account}", self.prefix)
    }

    /// Since when leases are kept without a gap; gone with them when Redis is emptied.
    pub fn leases_since(&self) -> String {
        format!("{}:{{live}}:since", self.prefix)
    }

    /// Connections to a provider that sessions have, or are about to have.
    pub fn slots(&self, provider: &str) -> String {
        format!("{}:{{slots:{provider}}}:held", self.prefix)
    }

    /// Those of one account. Scripts make the names of other accounts' from [`Self::slots`].
    pub fn slots_of(&self, provider: &str, account: &str) -> String {
        format!("{}:{account}", self.slots(provider))
    }

    /// Since when slots are kept without a gap; gone with them when Redis is emptied.
    pub fn slots_since(&self, provider: &str) -> String {
        self.slots_part(provider, "since")
    }

    /// Sessions that wait for a slot, by the time at which each is forgotten.
    pub fn slots_waiting(&self, provider: &str) -> String {
        self.slots_part(provider, "waiting")
    }

    /// Since when each of them waits, and for which account.
    pub fn slots_line(&self, provider: &str) -> String {
        self.slots_part(provider, "line")
    }

    /// When each account was given a slot last.
    pub fn slots_served(&self, provider: &str) -> String {
        self.slots_part(provider, "served")
    }

    fn slots_part(&self, provider: &str, part: &str) -> String {
        format!("{}:{{slots:{provider}}}:{part}", self.prefix)
    }

    /// Sessions, by the time at which nobody is expected to come back to them.
    pub fn sessions_due(&self) -> String {
        format!("{}:{{live}}:due", self.prefix)
    }

    /// Sessions that were due, by the time at which they are given up.
    pub fn sessions_called(&self) -> String {
        format!("{}:{{live}}:called", self.prefix)
    }

    /// The replicas that are alive, by the time of their last heartbeat.
    pub fn replicas(&self) -> String {
        format!("{}:replicas", self.prefix)
    }

    /// The channel on which a replica is asked to let go of a session.
    pub fn replica(&self, id: &str) -> String {
        format!("{}:replica:{id}", self.prefix)
    }

    /// Who sweeps a table today; a claim that ends by itself.
    pub fn sweep(&self, table: &str) -> String {
        format!("{}:sweep:{table}", self.prefix)
    }

    /// The finals of a room. A session's keys would stand beside it under the same tag.
    pub fn room_history(&self, room: &str) -> String {
        self.room(room, "history")
    }

    /// A session in a room: its fence, and the mark that its owner left.
    pub fn room_session(&self, room: &str, session: &str) -> String {
        self.room(room, &format!("session:{session}"))
    }

    /// Whose a room is, and how many bytes its history has.
    pub fn room_meta(&self, room: &str) -> String {
        self.room(room, "meta")
    }

    /// The number of the last final of each session in a room.
    pub fn room_numbers(&self, room: &str) -> String {
        self.room(room, "numbers")
    }

    /// The viewers of a room, by the time at which each is forgotten.
    pub fn room_viewers(&self, room: &str) -> String {
        self.room(room, "viewers")
    }

    /// The sessions that speak in a room, by the time at which each is forgotten.
    pub fn room_speakers(&self, room: &str) -> String {
        self.room(room, "speakers")
    }

    /// The channel of a room's wake-ups and interims.
    pub fn room_channel(&self, room: &str) -> String {
        self.room(room, "channel")
    }

    fn room(&self, room: &str, part: &str) -> String {
        format!("{}:{{room:{room}}}:{part}", self.prefix)
    }

    /// What a share token says, until it ends or is taken back.
    pub fn share(&self, id: &str) -> String {
        format!("{}:share:{id}", self.prefix)
    }

    /// The share tokens of an account, by when each ends.
    pub fn shares_of(&self, account: &str) -> String {
        format!("{}:shares:{account}", self.prefix)
    }

    /// Usage that waits for Postgres, sealed.
    pub fn usage_waiting(&self) -> String {
        format!("{}:{{usage}}:waiting", self.prefix)
    }

    /// Usage that cannot be billed: not ours, or refused by Postgres.
    pub fn usage_parked(&self) -> String {
        format!("{}:{{usage}}:parked", self.prefix)
    }

    /// Who writes waiting usage to Postgres; a claim that ends by itself.
    pub fn usage_drain(&self) -> String {
        format!("{}:{{usage}}:drain", self.prefix)
    }

    /// The channel on which revoked credentials are announced.
    pub fn revocations(&self) -> String {
        format!("{}:revocations", self.prefix)
    }
}
