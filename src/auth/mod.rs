//! Verification: any accepted credential becomes one [`Principal`].

mod api_key;
mod authenticator;
mod claims;
pub mod digest;
pub mod directory;
pub mod email;
mod expiring;
mod jwks;
mod jwt;
mod key_use;
mod keys;
mod local_token;
mod login_session;
mod logins;
pub mod mint;
pub mod password;
mod passwords;
mod people;
mod principal;
mod refusal;
pub mod revocations;
mod secrets;
mod signet;
mod store;
mod sweep;
mod tenant;
#[cfg(test)]
mod tests;
mod ticket;
mod timestamp;
mod userinfo;
mod users;

pub use authenticator::{Authenticator, Backing};
pub use directory::Directory;
pub use jwt::VerifiedToken;
pub use keys::NewKey;
pub use local_token::TokenKind;
pub use mint::MintedKey;
pub use principal::{AuthType, Credential, Owner, Principal, is_same_account};
pub use refusal::Refusal;
pub use revocations::{Revocations, Revoked};
pub use secrets::{Purpose, Secrets};
pub use signet::Signet;
pub use tenant::is_unconfigured;
pub use ticket::Ticket;
pub use users::Users;
