//! The HTTP kit, which knows no domain.

pub mod body;
pub mod client_address;
pub mod credential;
mod dialect;
pub mod error;
mod form;
pub mod kill;
pub mod request_id;

pub use body::JsonObject;
pub use dialect::Dialect;
pub use form::Form;
pub use kill::Kill;
