//! Who is on a socket, and from where.

use std::net::IpAddr;

use tokio_util::sync::CancellationToken;

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
