//! Who is on a socket, and from where.

use std::net::IpAddr;

use axum::http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::{LiveService, PATH, entry::Admitted, listen, request};
use crate::{auth::Principal, model::Language, rooms::Share};

/// Facts of a socket that its sessions need.
#[derive(Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// What lets them watch one room and nothing else, if that is all they came with.
    pub share: Option<Share>,
    /// Language of sessions that do not choose their own.
    pub language: Language,
    /// The socket's own address.
    pub ip: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Which door it came through, for metrics.
    pub door: &'static str,
    /// Cancelled once the socket has to go: its replica drains, or the one that carries it here.
    pub leaving: CancellationToken,
}

impl Caller {
    /// Whoever was admitted with that request, at a door, for sessions in a language.
    pub fn of(
        service: &LiveService,
        admitted: &Admitted,
        (language, door): (Language, &'static str),
        parts: &Parts,
    ) -> Self {
        Self {
            principal: admitted.principal.clone(),
            share: admitted.share.clone(),
            language,
            ip: request::ip(parts),
            user_agent: request::user_agent(parts),
            door,
            leaving: service.shutdown.soft().child_token(),
        }
    }

    /// The endpoint that rows of usage name.
    pub fn endpoint(&self) -> &'static str {
        if self.door == listen::DOOR { listen::PATH } else { PATH }
    }
}
