//! Short marks on many small texts of one purpose, with keys that are derived once.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Half of a whole mac, as HMAC allows (RFC 2104 §5): still nothing that could be guessed.
const BYTES: usize = 16;

/// Marks texts, and tells whether a mark is one of ours. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signet(Arc<[Hmac<Sha256>]>);

impl Signet {
    /// How long a mark is, in characters that need no escaping anywhere.
    pub const CHARS: usize = 22;

    /// One with these keys, of which the first marks.
    pub(super) fn new(keys: impl Iterator<Item = Hmac<Sha256>>) -> Self {
        Self(keys.collect())
    }

    /// The mark of a text in parts, which none of other parts has.
    pub fn mark(&self, parts: &[&str]) -> String {
        self.0.first().map(|key| short(over(key, parts))).unwrap_or_default()
    }

    /// Every mark that counts as that of these parts: more than one while the secret is being rotated.
    pub fn marks(&self, parts: &[&str]) -> Vec<String> {
        self.0.iter().map(|key| short(over(key, parts))).collect()
    }

    /// Whether a mark is that of these parts.
    pub fn is_of(&self, mark: &str, parts: &[&str]) -> bool {
        let Ok(claimed) = URL_SAFE_NO_PAD.decode(mark) else { return false };
        let genuine = |key| over(key, parts).verify_truncated_left(&claimed).is_ok();
        claimed.len() == BYTES && self.0.iter().any(genuine)
    }
}

fn short(mac: Hmac<Sha256>) -> String {
    URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..BYTES])
}

/// Each part goes with its length, so that none can give a byte to its neighbour.
fn over(key: &Hmac<Sha256>, parts: &[&str]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac
}

#[cfg(test)]
mod tests {
    use crate::auth::{Purpose, Secrets};

    fn secrets(current: &str, previous: Option<&str>) -> Secrets {
        Secrets::new(Some(current.into()), previous.map(Into::into))
    }

    #[test]
    fn a_mark_is_of_its_parts_purpose_and_secret_only() {
        let signet = secrets("one", None).signet(Purpose::Said);
        let mark = signet.mark(&["room", "words"]);
        assert_eq!(mark.len(), super::Signet::CHARS);
        assert!(signet.is_of(&mark, &["room", "words"]));
        let others: [&[&str]; 6] =
            [&["words", "room"], &["roo", "mwords"], &["roomwords"], &["room"], &[], &["room", ""]];
        for other in others {
            assert!(!signet.is_of(&mark, other), "{other:?}");
        }
        for wrong in ["", "é", &mark[..20], &mark[1..], &format!("{mark}AAAA")] {
            assert!(!signet.is_of(wrong, &["room", "words"]), "{wrong}");
        }
        for other in
            [secrets("one", None).signet(Purpose::Room), secrets("two", None).signet(Purpose::Said)]
        {
            assert!(!other.is_of(&mark, &["room", "words"]));
        }
    }

    #[test]
    fn rotation_keeps_old_marks_until_the_old_secret_is_left_out() {
        let old = secrets("old", None).signet(Purpose::Said).mark(&["a"]);
        let both = secrets("new", Some("old")).signet(Purpose::Said);
        assert!(both.is_of(&old, &["a"]));
        assert_eq!(both.marks(&["a"]).last(), Some(&old));
        assert_ne!(both.mark(&["a"]), old);
        assert!(!secrets("new", None).signet(Purpose::Said).is_of(&old, &["a"]));
    }
}
