//! Who heard the session's audio, from where on: each provider is billed at its own price.

use std::collections::BTreeMap;

use super::Session;

/// Providers of one session.
#[derive(Debug)]
pub struct Heard {
    by: &'static str,
    until_ms: u64,
    /// What each says that it transcribes with.
    models: BTreeMap<&'static str, String>,
}

impl Heard {
    /// A session that goes on there with that provider.
    pub const fn from(by: &'static str, until_ms: u64) -> Self {
        Self { by, until_ms, models: BTreeMap::new() }
    }

    /// Who heard what was heard last.
    pub const fn by(&self) -> &'static str {
        self.by
    }
}

impl Session {
    /// A provider says what it transcribes with.
    pub(super) fn meet(&mut self, provider: &'static str, model: String) {
        self.heard.models.insert(provider, model);
    }

    /// Everything up to there, back to where this was said last, that provider has heard.
    pub(super) fn heard(&mut self, provider: &'static str, until_ms: u64) {
        let Heard { by, until_ms: from_ms, models } = &mut self.heard;
        if provider != *by {
            *by = provider;
            if let Some(meter) = &self.meter {
                let model = models.get(provider).map_or("", String::as_str);
                meter.switch(*from_ms, provider, model);
            }
        }
        *from_ms = until_ms.max(*from_ms);
    }
}
