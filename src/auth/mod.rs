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
mod login_session;
pub mod mint;
pub mod password;
mod principal;
pub mod revocations;
mod secrets;
mod store;
mod tenant;
#[cfg(test)]
mod tests;
mod ticket;
mod userinfo;
mod users;

pub use authenticator::{Authenticator, Backing};
pub use directory::Directory;
pub use jwt::VerifiedToken;
pub use login_session::LoginSessions;
pub use mint::MintedKey;
pub use principal::{AuthType, Credential, Owner, Principal};
pub use revocations::{Revocations, Revoked};
pub use secrets::{Purpose, Secrets};
pub use ticket::Ticket;
pub use users::Users;
