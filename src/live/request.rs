//! What a handshake request tells: the credential, the language, and from where it came.

use std::net::IpAddr;

use axum::http::{header, request::Parts};

use crate::{model::Language, web::client_address::ClientAddress};

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

fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    let pairs = reqwest::Url::parse(&format!("http://query/?{query}")).ok()?;
    pairs.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
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
