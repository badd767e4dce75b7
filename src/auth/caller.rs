//! Who asks for something that is billed, from where and with what.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::Principal;
use crate::{
    model::{Error, ErrorKind},
    web::{client_address::ClientAddress, error::Failure},
};

/// Bytes of what a caller says that it is.
const MOST_AGENT_BYTES: usize = 255;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let none = || Error::new(ErrorKind::Unauthenticated, "Authentication required");
        let ip = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let user_agent = agent(&parts.headers);
        Ok(Self { principal: principal.ok_or_else(none)?, ip, user_agent })
    }
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let told = headers.get(header::USER_AGENT)?.to_str().ok()?;
    // Text that is visible ASCII: any place is a boundary of characters.
    Some(told[..told.len().min(MOST_AGENT_BYTES)].to_owned())
}
