//! The log lines of live audio that operators search for; their wording is the original's.

use crate::model::Language;

pub(super) fn connected(user: &str, auth_type: &str) {
    tracing::info!("WebSocket connected: user_id={user}, auth_type={auth_type}");
}

pub(super) fn disconnected(user: &str) {
    tracing::info!("WebSocket disconnected: user_id={user}");
}

pub(super) fn rejected(why: &str) {
    tracing::warn!("Connection rejected: {why}");
}

pub(super) fn language(user: &str, language: Language) {
    tracing::info!("Language set to '{}' for user {user}", language.as_str());
}

pub(super) fn language_fell_back(user: &str, wanted: &str) {
    tracing::warn!("Invalid language '{wanted}' requested by user {user}. Defaulting to 'en'");
}

pub(super) fn started(user: &str, language: Language, provider: &str, request_id: Option<&str>) {
    let name = if provider == "deepgram" { "Deepgram" } else { "Local" };
    tracing::info!(
        request_id,
        "{name} connection started for user: {user} with language: {}",
        language.as_str()
    );
}

pub(super) fn failed(user: &str, error: &(dyn std::error::Error + Send + Sync)) {
    tracing::error!(user, "Deepgram error: {error}");
}

pub(super) fn stopped(user: &str) {
    tracing::info!("Streaming stopped for user: {user}");
}

pub(super) fn stop_without_session(user: &str) {
    tracing::info!("Stop streaming called for unknown connection: {user}");
}

pub(super) fn empty_chunk() {
    tracing::warn!("Empty audio chunk received");
}

pub(super) fn undecodable(why: &str) {
    tracing::warn!("Failed to decode audio data: {why}");
}

pub(super) fn not_open() {
    tracing::warn!("Deepgram connection not open, cannot send audio");
}
