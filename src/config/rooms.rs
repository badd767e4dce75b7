//! Rooms: how long they remember.

use std::time::Duration;

use super::{reader::Reader, variables::ROOM_HISTORY_SECONDS};

/// What rooms keep.
#[derive(Clone, Copy, Debug)]
pub struct RoomsConfig {
    /// How long finals are kept after the last one.
    pub history: Duration,
}

impl RoomsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let seconds = reader.number(&ROOM_HISTORY_SECONDS, 60..=2_592_000);
        Self { history: Duration::from_secs(seconds) }
    }
}
