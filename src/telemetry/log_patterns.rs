//! Log lines that operators of the original search for, word for word.
//!
//! Everything else is logged in our own style. What a client sent is cleaned before it is logged.

use std::fmt::{self, Write};

use tracing::{debug, error, info, warn};

use crate::model::{Error, Language, SessionId};

/// Foreign text in a log line: control characters escaped, cut at 128 characters, addresses of
/// people without the part that names them.
struct Clean<'a>(&'a str);

/// The text without what stands before an `@`, as in an e-mail address.
fn unaddressed(text: &str) -> String {
    let mut parts = text.split('@').peekable();
    let mut shown = String::new();
    while let Some(part) = parts.next() {
        let local = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
        let before = if parts.peek().is_some() { part.trim_end_matches(local) } else { part };
        shown.push_str(before);
        if before.len() < part.len() {
            shown.push_str("***");
        }
        if parts.peek().is_some() {
            shown.push('@');
        }
    }
    shown
}

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in unaddressed(self.0).chars().take(128) {
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

/// A token of `/auth/login` was accepted.
pub fn local_token_accepted(user_id: &str) {
    info!("JWT auth successful for user {user_id}");
}

/// A token of `/auth/login` was refused.
pub fn local_token_refused(why: &str) {
    warn!("JWT verification failed: {}", Clean(why));
}

/// Somebody logged in.
pub fn login_successful(user_id: i32) {
    info!("Login successful for user {user_id}");
}

/// A login failed; whose, if there is such an account.
pub fn login_failed(user_id: Option<i32>) {
    warn!(user_id, "Login failed: wrong address or password, or a disabled account");
}

/// An account was made.
pub fn user_registered(user_id: i32) {
    info!("User registered: {user_id}");
}

/// Somebody logged out, with a token of that kind.
pub fn logged_out(user_id: i32, kind: &str) {
    info!("Logout of user {user_id}: {kind} token revoked");
}

/// A refresh token came a second time: it may have been stolen.
pub fn refresh_token_reused(user_id: i32) {
    warn!("Refresh token reused: the login of user {user_id} is revoked");
}

/// A user made an API key.
pub fn api_key_created(user_id: i32, key_id: i32) {
    info!("API key {key_id} created for user {user_id}");
}

/// A user took an API key back.
pub fn api_key_revoked(user_id: i32, key_id: i32) {
    info!("API key {key_id} of user {user_id} revoked");
}

/// Somebody did something too often.
pub fn limit_exceeded(action: &str, subject: &str) {
    warn!("Rate limit exceeded: {action} by {subject}");
}

/// The service closes a socket.
pub fn socket_closed(user: &str, code: u16, reason: &str) {
    info!(code, reason, "WebSocket closed by the service: user_id={}", Clean(user));
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

/// A login session without a password began.
pub fn session_created(user: &str) {
    info!("Session created for user: {}", Clean(user));
}

/// A token of a login session came where they are not allowed.
pub fn session_fallback_disabled() {
    warn!("Session token fallback disabled (secure mode). Use an Auth0 token or an API key");
}

/// A live session's usage is in the table.
pub fn usage_logged(user_id: i32, seconds: f64) {
    debug!("Usage logged for user {user_id}: {seconds:.3} seconds of live audio");
}

/// A socket was admitted.
pub fn websocket_connected(user: &str, auth_type: &str) {
    info!("WebSocket connected: user_id={}, auth_type={auth_type}", Clean(user));
}

/// A socket is gone.
pub fn websocket_disconnected(user: &str) {
    info!("WebSocket disconnected: user_id={}", Clean(user));
}

/// A socket was refused.
pub fn connection_rejected(why: &str) {
    warn!("Connection rejected: {}", Clean(why));
}

/// A page of that origin may not open a socket.
pub fn origin_refused(origin: &str) {
    warn!("{} is not an accepted origin.", Clean(origin));
}

/// The language of a socket.
pub fn language_set(user: &str, language: Language) {
    info!("Language set to '{}' for user {user}", language.as_str());
}

/// A language that is not one of the contract.
pub fn language_fell_back(user: &str, wanted: &str) {
    warn!(
        "Invalid language '{}' requested by user {}. Defaulting to 'en'",
        Clean(wanted),
        Clean(user)
    );
}

/// A provider's connection is open.
pub fn stream_started(
    session: SessionId,
    user: &str,
    language: Language,
    provider: &str,
    request_id: Option<&str>,
) {
    info!(
        session_id = %session,
        request_id,
        "{} connection started for user: {user} with language: {}",
        name(provider),
        language.as_str()
    );
}

/// A provider's name as the original's lines begin.
fn name(provider: &str) -> &'static str {
    match provider {
        "deepgram" => "Deepgram",
        "assemblyai" => "AssemblyAI",
        _ => "Local",
    }
}

/// A session could not go on; the cause is for operators, who see it nowhere else.
pub fn stream_failed(session: SessionId, user: &str, provider: &str, error: &Error) {
    let cause = format!("{error:?}");
    error!(session_id = %session, user, "{} error: {}", name(provider), Clean(&cause));
}

/// A provider's connection broke or was refused, and another is tried.
pub fn stream_broke(session: SessionId, provider: &str, error: &ProviderFault<'_>, delay_ms: u64) {
    let ProviderFault { code, request_id, detail } = error;
    warn!(
        session_id = %session,
        code,
        request_id,
        delay_ms,
        "{} error: {}; connecting again",
        name(provider),
        Clean(detail)
    );
}

/// What a provider said of a fault; the provider's own type stands on a higher floor.
pub struct ProviderFault<'a> {
    /// Its code.
    pub code: &'a str,
    /// Its id of the connection.
    pub request_id: Option<&'a str>,
    /// Its words.
    pub detail: &'a str,
}

/// A session goes on with another provider than the one that failed.
pub fn provider_replaced(session: SessionId, from: &str, to: &str) {
    warn!(session_id = %session, "{} takes over from {}", name(to), name(from));
}

/// A provider refuses our account: an operator has to do something, and nobody else can.
pub fn provider_refuses(provider: &str, class: &str, detail: &str) {
    error!(
        class,
        "{} error: our account is refused: {}; it is left alone for a minute",
        name(provider),
        Clean(detail)
    );
}

/// A provider did not understand us, or we it; the stream lives on.
pub fn stream_complaint(provider: &str, what: &str) {
    warn!("{} error: {}", name(provider), Clean(what));
}

/// A session ended in order.
pub fn streaming_stopped(session: SessionId, user: &str) {
    info!(session_id = %session, "Streaming stopped for user: {user}");
}

/// A stop came where nothing ran.
pub fn stop_without_session(user: &str) {
    info!("Stop streaming called for unknown connection: {user}");
}

/// A chunk had nothing in it.
pub fn empty_chunk() {
    warn!("Empty audio chunk received");
}

/// A chunk could not be read.
pub fn undecodable_chunk(why: &str) {
    warn!("Failed to decode audio data: {}", Clean(why));
}

/// A chunk came after a stop.
pub fn stream_not_open() {
    warn!("Deepgram connection not open, cannot send audio");
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

    #[test]
    fn addresses_of_people_are_not_logged() {
        let shown = |text: &str| Clean(text).to_string();
        assert_eq!(shown("ada.l+1@example.com"), "***@example.com");
        assert_eq!(shown("samlp|okta|ada@example.com"), "samlp|okta|***@example.com");
        assert_eq!(shown("of a@b and c@d"), "of ***@b and ***@d");
        assert_eq!(shown("auth0|ada"), "auth0|ada");
        assert_eq!(shown("@"), "@");
    }
}
