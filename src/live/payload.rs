//! What clients send as audio: base64 or binary, bare or in an object, through either door.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::wire::text;
use crate::model::{Error, ErrorKind};

/// An audio payload before it is decoded.
#[derive(Debug, PartialEq)]
pub enum Payload {
    /// Audio bytes.
    Binary(Bytes),
    /// Audio as base64.
    Base64(String),
    /// Nothing in it: ignored, as the original did.
    Empty,
    /// Another shape.
    Unreadable,
}

impl Payload {
    /// The audio; `None` where there is nothing in it.
    pub fn decode(self) -> Result<Option<Bytes>, Error> {
        let invalid = |text: &str| Error::new(ErrorKind::InvalidRequest, text);
        let bytes = match self {
            Self::Binary(bytes) => bytes,
            Self::Base64(text) => {
                decode_base64(&text).ok_or_else(|| invalid(text::INVALID_AUDIO))?
            }
            Self::Empty => return Ok(None),
            Self::Unreadable => return Err(invalid(text::UNREADABLE_AUDIO)),
        };
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Decodes as Python's lenient decoder does: what is not in the alphabet is skipped; bad padding
/// and anything that is not ASCII is an error.
fn decode_base64(text: &str) -> Option<Bytes> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes.into());
    }
    if !text.is_ascii() {
        return None;
    }
    let mut kept: Vec<u8> = text
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        .collect();
    end_at_padding(&mut kept);
    STANDARD.decode(kept).ok().map(Bytes::from)
}

/// Python stops at the padding that completes a group and ignores what follows.
fn end_at_padding(text: &mut Vec<u8>) {
    let data = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let whole = data.div_ceil(4) * 4;
    if data < text.len() && whole <= text.len() {
        text.truncate(whole.max(data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        decode_base64(text).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn decodes_as_leniently_as_python() {
        assert_eq!(decoded("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(decoded("aGVs\nbG8="), Some(b"hello".to_vec()));
        assert_eq!(decoded("a-G_V sbG8="), Some(b"hello".to_vec()));
        assert_eq!(decoded("aGVsbG8=trailing"), Some(b"hello".to_vec()));
        assert_eq!(decoded(""), Some(vec![]));
        assert_eq!(decoded("aGVsbG8"), None);
        assert_eq!(decoded("aGVsbG8é="), None);
        assert_eq!(decoded("a"), None);
    }

    #[test]
    fn empty_audio_is_nothing() {
        assert_eq!(Payload::Base64(String::new()).decode().expect("decodes"), None);
        assert_eq!(Payload::Binary(Bytes::new()).decode().expect("decodes"), None);
        assert!(Payload::Unreadable.decode().is_err());
    }
}
