//! Where a request carries its credential.

use axum::http::{HeaderMap, header};

/// The token of `Authorization: Bearer …`, whatever the case of the scheme, or of `Token …`, as
/// Deepgram's clients write it.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once([' ', '\t'])?;
    let known = ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known.then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The key of `x-api-key`.
pub fn api_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-api-key")?.to_str().ok().filter(|key| !key.is_empty())
}

/// The bearer token, or else the API key.
pub fn any(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).or_else(|| api_key(headers))
}
