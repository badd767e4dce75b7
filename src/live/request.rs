//! What a handshake request tells: the credential, the language, and from where it came.

use std::net::IpAddr;

use axum::http::{HeaderMap, header, request::Parts};
use secrecy::SecretString;

use crate::{model::Language, web::client_address::ClientAddress};

/// The subprotocol that is followed by a stream ticket.
pub const TICKET: &str = "ticket";
/// The subprotocol that is followed by a share token.
pub const SHARE: &str = "share";

/// The language in the query, and the code that was asked for if it is not one of the contract's.
pub fn language(parts: &Parts) -> (Language, Option<String>) {
    match query(parts, "lang") {
        None => (Language::ENGLISH, None),
        Some(code) => match Language::parse(&code) {
            Some(language) => (language, None),
            None => (Language::ENGLISH, Some(code.chars().take(40).collect())),
        },
    }
}

/// The stream ticket in the query.
pub fn ticket(parts: &Parts) -> Option<SecretString> {
    query(parts, "ticket").map(SecretString::from)
}

/// The share token of the header.
pub fn share(headers: &HeaderMap) -> Option<SecretString> {
    headers.get("x-share-token")?.to_str().ok().map(SecretString::from)
}

/// The share token in the query, for clients that can pass nothing but an address.
pub fn queried_share(parts: &Parts) -> Option<SecretString> {
    query(parts, "share").map(SecretString::from)
}

/// What follows the subprotocol of that name, if it is offered: the only header that a browser's
/// WebSocket can be given.
pub fn offered(headers: &HeaderMap, wanted: &str) -> Option<SecretString> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let mut names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    names.find(|name| *name == wanted)?;
    Some(SecretString::from(names.next().unwrap_or_default()))
}

fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    let pairs = reqwest::Url::parse(&format!("http://query/?{query}")).ok()?;
    pairs.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The part of the client's address that limits count by.
pub fn network(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(ClientAddress::network)
}

/// The client's address.
pub fn ip(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|client| client.0)
}

/// What the client calls itself.
pub fn user_agent(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(value.chars().take(255).collect())
}
