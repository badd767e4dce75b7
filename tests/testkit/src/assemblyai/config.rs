//! How a simulator of AssemblyAI behaves when no fault is asked for.

use std::time::Duration;

use crate::script::Script;

/// How a simulator behaves. `Config::default()` is the real service without its delays.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is said. Default: `w0001 w0002 …`, one word every 250 ms.
    pub script: Script,
    /// Keys that are let in; `None` lets any in. Default `None`.
    pub keys: Option<Vec<String>>,
    /// Audio between messages of a turn that goes on. Default 250 ms.
    pub partial_every: Duration,
    /// Silence that ends a turn, unless the client chooses one. Default 400 ms.
    pub turn_silence: Duration,
    /// Audio after which a turn ends in mid-speech; the real service knows no such end. Default 60 s.
    pub longest_turn: Duration,
    /// Whether turns come as they were heard first and as they are written then, where the client
    /// wants them written. Default true.
    pub both_forms: bool,
    /// Sessions at once; past it they are closed with 1008. Default unlimited.
    pub max_sessions: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            script: Script::counting(),
            keys: None,
            partial_every: Duration::from_millis(250),
            turn_silence: Duration::from_millis(400),
            longest_turn: Duration::from_secs(60),
            both_forms: true,
            max_sessions: None,
        }
    }
}

impl Config {
    /// The default with another script.
    pub fn speaking(script: Script) -> Self {
        Self { script, ..Self::default() }
    }
}
