//! The outside world by wire only: simulators of Deepgram, AssemblyAI and providers of recordings, a
//! fake Auth0, an OTLP receiver, clients, private databases and a network that fails. Nothing here
//! imports the service, so that a wrong field cannot pass on both sides.

pub mod assemblyai;
pub mod auth0;
pub mod caller;
pub mod deepgram;
pub mod history;
pub mod numbered;
pub mod oracle;
pub mod otlp;
pub mod process;
pub mod proxy;
pub mod raw_ws;
pub mod recorded;
pub mod script;
pub mod seed;
pub mod socketio;
pub mod speech;
pub mod translators;
pub mod viewer;

mod line;
mod recognizer;
#[cfg(test)]
mod recognizer_tests;
mod tasks;
mod wait;

pub use wait::wait_until;
