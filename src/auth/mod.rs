//! Verification: any accepted credential becomes one [`Principal`].

mod api_key;
mod authenticator;
mod claims;
mod expiring;
mod jwks;
mod jwt;
mod key_use;
mod principal;
mod store;
#[cfg(test)]
mod tests;
mod users;

pub use authenticator::Authenticator;
pub use principal::{Owner, Principal};
pub use users::Users;
