//! How often one socket may ask for what costs much: so many times at once, then now and again.

use std::time::{Duration, Instant};

use crate::model::{Error, ErrorKind};

/// How often over a long time, and how many times at once.
const PACE: Duration = Duration::from_millis(500);
const BURST: u32 = 16;

/// What one socket has left.
#[derive(Debug, Default)]
pub struct Allowance {
    /// When what was taken so far is paid for.
    paid_at: Option<Instant>,
}

impl Allowance {
    /// Takes one, or refuses with that text.
    pub fn take(&mut self, text: &str) -> Result<(), Error> {
        let now = Instant::now();
        let paid_at = self.paid_at.map_or(now, |paid_at| paid_at.max(now)) + PACE;
        if paid_at > now + PACE * BURST {
            return Err(Error::new(ErrorKind::RateLimited, text).after(PACE));
        }
        self.paid_at = Some(paid_at);
        Ok(())
    }
}
