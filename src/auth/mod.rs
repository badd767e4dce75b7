//! Verification: any accepted credential becomes one [`Principal`].

mod api_key;
mod authenticator;
mod claims;
pub mod digest;
mod expiring;
mod jwks;
mod jwt;
mod key_use;
mod principal;
mod revocations;
mod secrets;
mod store;
mod tenant;
#[cfg(test)]
mod tests;
mod userinfo;
mod users;

pub use authenticator::{Authenticator, Backing};
pub use jwt::VerifiedToken;
pub use principal::{AuthType, Credential, Owner, Principal};
pub use revocations::{Revocations, Revoked};
pub use secrets::{Purpose, Secrets};
pub use users::Users;
