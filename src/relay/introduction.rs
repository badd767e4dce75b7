//! The card with which a replica tells the others where it is: sealed, since whoever writes to Redis
//! could otherwise have clients' requests sent to himself.

use crate::{
    auth::{Purpose, Secrets},
    fleet::{Member, Tag},
};

/// This replica, which says where it is reached if there is such a place and others can believe it.
pub fn introduce(secrets: Option<&Secrets>, address: Option<&str>) -> Member {
    let member = Member::default();
    let (Some(secrets), Some(address)) = (secrets, address) else { return member };
    match secrets.seal(Purpose::Replica, &member.tag().to_string(), &address) {
        Ok(card) => member.saying(card),
        Err(error) => {
            tracing::error!("the address for other replicas could not be sealed: {error}");
            member
        }
    }
}

/// The address on a card, if the replica of that tag wrote it.
pub(super) fn address(secrets: &Secrets, tag: Tag, card: &str) -> Option<String> {
    secrets.open(Purpose::Replica, &tag.to_string(), card)
}
