//! The HTTP kit, which knows no domain.

pub mod error;
pub mod kill;
pub mod request_id;

pub use kill::Kill;
