//! Time of a WAV stream, from its header.

/// A header longer than this is taken for broken.
const HEADER_LIMIT_BYTES: usize = 64 * 1024;

/// Reads a WAV header as it arrives, then counts bytes.
#[derive(Debug, Default)]
pub(crate) struct Wav {
    header: Vec<u8>,
    format: Option<Format>,
    data_bytes: u64,
    broken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Format {
    channels: u16,
    bytes_per_second: u32,
}

impl Wav {
    pub(crate) fn channels(&self) -> Option<u64> {
        self.format.map(|format| u64::from(format.channels))
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u64 {
        if self.format.is_some() {
            self.data_bytes += bytes.len() as u64;
        } else if !self.broken {
            self.header.extend_from_slice(bytes);
            self.read_header();
        }
        let rate = self.format.map_or(1, |format| u64::from(format.bytes_per_second).max(1));
        self.data_bytes * 1_000_000 / rate
    }

    fn read_header(&mut self) {
        let mut at = 12;
        let mut format = None;
        while let Some(chunk) = self.header.get(at..at + 8) {
            let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
            let (name, body) = ([chunk[0], chunk[1], chunk[2], chunk[3]], at + 8);
            if &name == b"data" {
                self.broken = format.is_none();
                self.format = format;
                self.data_bytes = (self.header.len() - body) as u64;
                self.header = Vec::new();
                return;
            }
            if &name == b"fmt " {
                let Some(fields) = self.header.get(body..body + 16) else { return };
                format = Some(Format {
                    channels: u16::from_le_bytes([fields[2], fields[3]]),
                    bytes_per_second: u32::from_le_bytes([
                        fields[8], fields[9], fields[10], fields[11],
                    ]),
                });
            }
            at = body + length + length % 2;
        }
        self.broken = at > HEADER_LIMIT_BYTES || self.header.len() > HEADER_LIMIT_BYTES;
    }
}
