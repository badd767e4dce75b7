//! What replicas say of themselves: a short name for ids that clients hold, and a card.

use std::{collections::HashMap, fmt, sync::Arc};

use uuid::Uuid;

use super::EXPIRY;

/// A replica's short name, the first 48 bits of its id: as text, twelve hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(u64);

impl Tag {
    /// How long it is as text.
    pub const CHARS: usize = 12;

    pub(super) const fn of(id: Uuid) -> Self {
        Self((id.as_u128() >> 80) as u64)
    }

    /// The tag that a text is, exactly as it displays.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let whole = text.len() == Self::CHARS && text.bytes().all(digit);
        u64::from_str_radix(text, 16).ok().filter(|_| whole).map(Self)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// Who a replica is when it joins, and what it says of itself to the others.
#[derive(Clone, Debug)]
pub struct Member {
    id: Uuid,
    card: Option<String>,
}

impl Default for Member {
    fn default() -> Self {
        Self { id: Uuid::new_v4(), card: None }
    }
}

impl Member {
    /// Says that too, with every heartbeat: one line, which others are told as it is.
    pub fn saying(self, card: String) -> Self {
        Self { card: Some(card), ..self }
    }

    /// Its short name.
    pub const fn tag(&self) -> Tag {
        Tag::of(self.id)
    }

    pub(super) const fn id(&self) -> Uuid {
        self.id
    }

    /// It as an entry in Redis.
    pub(super) fn entry(&self) -> String {
        let Self { id, card } = self;
        card.as_ref().map_or_else(|| id.to_string(), |card| format!("{id} {card}"))
    }
}

/// Another replica, as its last heartbeat told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it says of itself. Whoever writes to Redis can have written it.
    pub card: Option<Arc<str>>,
    /// When it said so last, in milliseconds of Redis's clock.
    pub seen_ms: i64,
}

/// Every replica that is known.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<Tag, Peer>);

impl Peers {
    pub(super) fn get(&self, tag: Tag) -> Option<&Peer> {
        self.0.get(&tag)
    }

    /// Takes over entries and when each was seen. What is missing is not gone yet: a Redis that
    /// lost its memory knows only who has spoken since.
    pub(super) fn learn(&mut self, entries: &[(String, i64)]) {
        for (entry, seen_ms) in entries {
            let (id, card) =
                entry.split_once(' ').map_or((&**entry, None), |(id, card)| (id, Some(card)));
            let Ok(id) = id.parse() else { continue };
            let peer = Peer { card: card.map(Into::into), seen_ms: *seen_ms };
            self.0.insert(Tag::of(id), peer);
        }
    }

    /// Forgets who has been silent too long.
    pub(super) fn expire(&mut self, now_ms: i64) {
        self.0.retain(|_, peer| now_ms - peer.seen_ms <= EXPIRY.as_millis() as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_is_shown() {
        let member = Member::default();
        let shown = member.tag().to_string();
        assert!(member.id().simple().to_string().starts_with(&shown));
        assert_eq!(Tag::parse(&shown), Some(member.tag()));
        for wrong in [
            "",
            "é",
            "00000000000",
            "0000000000000",
            "00000000000G",
            "00000000000A",
            "+00000000001",
        ] {
            assert_eq!(Tag::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_peer_is_kept_until_it_has_been_silent_too_long() {
        let (one, two) = (Member::default().saying("a card".into()), Member::default());
        let mut peers = Peers::default();
        peers.learn(&[(one.entry(), 1000), (two.entry(), 2000), ("garbage".into(), 2000)]);
        let card =
            |peers: &Peers, member: &Member| peers.get(member.tag()).map(|peer| peer.card.clone());
        assert_eq!(card(&peers, &one), Some(Some("a card".into())));
        assert_eq!(card(&peers, &two), Some(None));
        // A Redis that was emptied.
        peers.learn(&[(two.entry(), 5000)]);
        peers.expire(11_000);
        assert!(card(&peers, &one).is_some());
        peers.expire(11_001);
        assert_eq!((card(&peers, &one), card(&peers, &two)), (None, Some(None)));
    }
}
