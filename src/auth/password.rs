//! Passwords of local users: what is allowed, and bcrypt as the original stores it.

use bcrypt::BcryptError;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;

/// The work factor of the original's hashes: a quarter of a second of one core.
const COST: u32 = 12;
/// bcrypt reads no further.
pub const LONGEST_BYTES: usize = 72;
/// Characters of a generated password: 142 bits.
const GENERATED: usize = 24;

/// The hash in the form `$2b$12$…` of the first 72 bytes. Takes a quarter of a second, so not on a
/// thread that serves.
pub fn hash(password: &str) -> Result<String, BcryptError> {
    bcrypt::hash(password, COST)
}

/// What is wrong with a new password, in the words that clients know.
pub fn fault(password: &str) -> Option<&'static str> {
    if password.chars().count() < 8 {
        Some("Password must be at least 8 characters long")
    } else if password.trim() != password {
        Some("Password cannot start or end with whitespace")
    } else if !password.chars().any(char::is_alphabetic) {
        Some("Password must contain at least one letter")
    } else if !password.chars().any(char::is_numeric) {
        Some("Password must contain at least one number")
    } else {
        None
    }
}

/// A password that nobody can guess, of letters and digits.
pub fn generate() -> SecretString {
    loop {
        let text = Alphanumeric.sample_string(&mut rand::rng(), GENERATED);
        if fault(&text).is_none() {
            return text.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn each_rule_is_told_in_the_words_of_the_contract() {
        let cases = [
            ("a1bcdef", Some("Password must be at least 8 characters long")),
            (" a1bcdefg", Some("Password cannot start or end with whitespace")),
            ("a1bcdefg\t", Some("Password cannot start or end with whitespace")),
            ("12345678", Some("Password must contain at least one letter")),
            ("abcdefgh", Some("Password must contain at least one number")),
            ("a1bcdefg", None),
            ("größer als 8", None),
        ];
        for (password, expected) in cases {
            assert_eq!(fault(password), expected, "{password}");
        }
    }

    #[test]
    fn a_generated_password_keeps_the_rules_and_is_hashed_as_the_original_does() {
        let (one, other) = (generate(), generate());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), 24);
        assert_eq!(fault(one.expose_secret()), None);
        let hash = hash(one.expose_secret()).unwrap();
        assert!(hash.starts_with("$2b$12$") && hash.len() == 60, "{hash}");
        assert!(bcrypt::verify(one.expose_secret(), &hash).unwrap());
        assert!(!bcrypt::verify(other.expose_secret(), &hash).unwrap());
    }
}
