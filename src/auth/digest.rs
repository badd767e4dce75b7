//! SHA-256, as credentials are compared, stored and named by.

use sha2::{Digest, Sha256};

/// The digest of a text: equal in length for all, so that comparing it tells nothing of the text's.
pub(super) fn bytes(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The digest in lower-case hexadecimal, as `api_keys.key_hash` holds it.
pub fn of(text: &str) -> String {
    hex(&bytes(text))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
