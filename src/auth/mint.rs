//! New API keys: the text, which is shown once, and what is kept of it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::{api_key::PREFIX, digest};

/// A key that nobody has seen yet.
#[derive(Debug)]
pub struct MintedKey {
    /// What its holder presents: `usr_<user id>_<43 characters>`.
    pub text: SecretString,
    /// What is stored of it: its SHA-256 in hexadecimal.
    pub hash: String,
    /// How it begins, which may be shown: `usr_<user id>_`.
    pub prefix: String,
}

/// Makes up a key of that user from 32 random bytes.
pub fn mint(user_id: i32) -> MintedKey {
    let prefix = format!("{PREFIX}{user_id}_");
    let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    MintedKey { hash: digest::of(&text), text: text.into(), prefix }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_key_is_in_the_form_of_the_original_and_never_the_same() {
        let (one, other) = (mint(2_147_483_647), mint(2_147_483_647));
        assert_eq!(one.prefix, "usr_2147483647_");
        assert!(one.prefix.len() <= 20, "the width of its column");
        let random = one.text.expose_secret().strip_prefix(&one.prefix).unwrap();
        assert_eq!(random.len(), 43);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(random.chars().all(plain), "{random}");
        assert_eq!(one.hash, digest::of(one.text.expose_secret()));
        assert_ne!(one.hash, other.hash);
        assert!(!format!("{one:?}").contains(random));
    }
}
