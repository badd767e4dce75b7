//! What an act is named, and what is asked for under that name.

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::model::Error;

/// The header (draft-ietf-httpapi-idempotency-key-header).
const HEADER: &str = "idempotency-key";
/// Characters of a name.
const MOST: usize = 255;

/// The name that a caller gives an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// What is asked for, in a digest: the same twice only for the same.
#[derive(Clone, Debug)]
pub struct Fingerprint(Sha256);

impl Key {
    /// The name that a request has, if it has one.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut told = headers.get_all(HEADER).iter();
        let Some(first) = told.next() else { return Ok(None) };
        let text = first.to_str().ok().map(str::trim).filter(|_| told.next().is_none());
        // The draft puts it in quotes; hardly anybody does.
        let plain = text.map(|text| text.strip_prefix('"').unwrap_or(text));
        let plain = plain.map(|text| text.strip_suffix('"').unwrap_or(text));
        match plain.filter(|text| (1..=MOST).contains(&text.len())) {
            Some(key) => Ok(Some(Self(key.to_owned()))),
            None => {
                let text = "Idempotency-Key must be one name of 1 to 255 visible characters";
                Err(Error::invalid(text))
            }
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Fingerprint {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    /// With a part more.
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        // The length keeps `ab`, `c` and `a`, `bc` apart.
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(told: &[&str]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for told in told {
            headers.append(HEADER, told.parse().unwrap());
        }
        Key::read(&headers).map(|key| key.map(|key| key.0)).map_err(|_| ())
    }

    #[test]
    fn a_name_is_one_and_may_stand_in_quotes() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["8e03978e"]), Ok(Some("8e03978e".into())));
        assert_eq!(read(&["\"8e 03\""]), Ok(Some("8e 03".into())));
        let long = "x".repeat(MOST + 1);
        for told in [&[""][..], &["\"\""], &["a", "a"], &[&long]] {
            assert_eq!(read(told), Err(()), "{told:?}");
        }
        assert!(read(&[&long[1..]]).is_ok());
    }

    #[test]
    fn parts_are_told_apart() {
        let of = |parts: &[&str]| parts.iter().fold(Fingerprint::new(), Fingerprint::with).finish();
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }
}
