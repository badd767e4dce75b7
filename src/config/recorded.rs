//! Recorded audio: how large, how long, where it waits, and who is asked.

use std::{path::PathBuf, time::Duration};

use super::{
    reader::Reader,
    variables::{
        AUDIO_URL_ALLOW, AUDIO_URL_PORTS, DUPLICATE_BILLED, DUPLICATE_SECONDS, MAX_UPLOAD_MB,
        TRANSCRIPTION_ORDER, TRANSCRIPTION_PARALLEL, TRANSCRIPTION_SECONDS, UPLOAD_DIR,
        UPLOAD_SECONDS, UPLOAD_SPACE_MB,
    },
};

const MIB: u64 = 1024 * 1024;
/// Who may be named in `TRANSCRIPTION_ORDER`, as routes name them.
const NAMED: [&str; 4] = ["deepgram", "whisper", "assemblyai", "local"];

/// Recorded audio over REST.
#[derive(Clone, Debug)]
pub struct RecordedConfig {
    /// Most bytes of an upload.
    pub max_upload_bytes: u64,
    /// How long one may take.
    pub upload_time: Duration,
    /// Where uploads are kept while they are worked on.
    pub folder: PathBuf,
    /// Most bytes of all of them.
    pub space_bytes: u64,
    /// How long a transcription may take.
    pub total: Duration,
    /// Recordings that are transcribed at once.
    pub parallel: usize,
    /// Who is asked where the caller leaves it to us.
    pub order: Vec<&'static str>,
    /// Ports at which audio may be that callers name by its address.
    pub url_ports: Vec<u16>,
    /// Hosts of such audio, with ports, that need not be everybody's.
    pub url_allowed: Vec<(String, u16)>,
    /// What becomes of recordings that were heard before.
    pub duplicates: DuplicatesConfig,
}

/// Recordings that were heard before.
#[derive(Clone, Copy, Debug)]
pub struct DuplicatesConfig {
    /// How long what was heard is kept; not at all where it is zero.
    pub life: Duration,
    /// Whether hearing it again costs what the first time did.
    pub billed: bool,
}

impl RecordedConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let usual = || std::env::temp_dir().join("audio-transcription-api").join("uploads");
        Self {
            max_upload_bytes: reader.number(&MAX_UPLOAD_MB, 1..=16_384) * MIB,
            upload_time: Duration::from_secs(reader.number(&UPLOAD_SECONDS, 1..=86_400)),
            folder: reader.set(&UPLOAD_DIR).map_or_else(usual, PathBuf::from),
            space_bytes: reader.number(&UPLOAD_SPACE_MB, 1..=16_777_216) * MIB,
            total: Duration::from_secs(reader.number(&TRANSCRIPTION_SECONDS, 1..=86_400)),
            parallel: reader.number(&TRANSCRIPTION_PARALLEL, 1..=10_000),
            order: order(reader),
            url_ports: ports(reader),
            url_allowed: allowed(reader),
            duplicates: DuplicatesConfig {
                life: Duration::from_secs(reader.number(&DUPLICATE_SECONDS, 0..=2_592_000)),
                billed: reader.flag(&DUPLICATE_BILLED),
            },
        }
    }
}

fn ports(reader: &mut Reader<'_>) -> Vec<u16> {
    let told = reader.text(&AUDIO_URL_PORTS).split(',').map(str::trim);
    let read: Option<Vec<u16>> =
        told.map(|port| port.parse().ok().filter(|port| *port > 0)).collect();
    read.unwrap_or_else(|| {
        reader.wrong(&AUDIO_URL_PORTS, "a comma-separated list of ports");
        Vec::new()
    })
}

fn allowed(reader: &mut Reader<'_>) -> Vec<(String, u16)> {
    let told = reader.text(&AUDIO_URL_ALLOW).split(',').map(str::trim);
    let place = |place: &str| {
        let (host, port) = place.rsplit_once(':')?;
        Some((host.to_ascii_lowercase(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    };
    let read: Option<Vec<_>> = told.filter(|place| !place.is_empty()).map(place).collect();
    read.unwrap_or_else(|| {
        reader.wrong(&AUDIO_URL_ALLOW, "a comma-separated list of host:port");
        Vec::new()
    })
}

fn order(reader: &mut Reader<'_>) -> Vec<&'static str> {
    let mut order = Vec::new();
    let names = reader.text(&TRANSCRIPTION_ORDER).split(',').map(str::trim);
    for name in names.filter(|name| !name.is_empty()) {
        match NAMED.into_iter().find(|known| name.eq_ignore_ascii_case(known)) {
            Some(known) if !order.contains(&known) => order.push(known),
            _ => reader.wrong(
                &TRANSCRIPTION_ORDER,
                "a comma-separated list of deepgram, whisper, assemblyai and local, each once",
            ),
        }
    }
    order
}
