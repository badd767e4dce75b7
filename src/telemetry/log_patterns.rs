//! Log lines that operators of the original search for, word for word.
//!
//! Everything else is logged in our own style. What a client sent is cleaned before it is logged.

use std::fmt::{self, Write};

use tracing::{debug, error, info, warn};

/// Foreign text in a log line: control characters escaped, cut at 128 characters.
struct Clean<'a>(&'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(128) {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// The schema is there.
pub fn database_initialized() {
    info!("Database initialized successfully");
}

/// The schema could not be brought up to date, for now or for good.
pub fn database_initialization_failed(cause: &dyn fmt::Display) {
    error!("Database initialization failed: {cause}");
}

/// An Auth0 token verified.
pub fn token_verified(subject: &str) {
    info!("Token verified successfully for user: {}", Clean(subject));
}

/// A token did not verify.
pub fn authentication_failed(reason: &str) {
    warn!("Authentication failed: {}", Clean(reason));
}

/// An API key of a user was accepted.
pub fn api_key_accepted(user_id: i32) {
    info!("API key auth successful for user {user_id}");
}

/// The static API key was accepted.
pub fn legacy_key_accepted() {
    info!("Legacy API key authentication");
}

/// A credential that is no known key.
pub fn invalid_api_key() {
    warn!("Invalid API key attempted");
}

/// A live session's usage is in the table.
pub fn usage_logged(user_id: i32, seconds: f64) {
    debug!("Usage logged for user {user_id}: {seconds:.3} seconds of live audio");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_forge_a_line() {
        let text = format!("a\nINFO | root\u{1b}[31m{}", "x".repeat(500));
        let clean = Clean(&text).to_string();
        assert!(clean.starts_with("a\\nINFO | root\\u{1b}[31mx"), "{clean}");
        assert!(clean.len() < 150);
    }
}
