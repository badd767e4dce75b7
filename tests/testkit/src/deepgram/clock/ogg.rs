//! Time of an Ogg stream, from the granule positions of its pages.

const PAGE_HEADER_BYTES: usize = 27;

/// Walks pages as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Ogg {
    buffer: Vec<u8>,
    /// Granules a second: 48 000 for Opus, the sample rate for Vorbis.
    rate: Option<u64>,
    heard_us: u64,
}

impl Ogg {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u64 {
        self.buffer.extend_from_slice(bytes);
        while let Some(length) = self.page_length() {
            self.read_page(length);
            self.buffer.drain(..length);
        }
        self.heard_us
    }

    fn page_length(&self) -> Option<usize> {
        let segments = usize::from(*self.buffer.get(26)?);
        let table = self.buffer.get(PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + segments)?;
        let body: usize = table.iter().map(|length| usize::from(*length)).sum();
        let length = PAGE_HEADER_BYTES + segments + body;
        (self.buffer.len() >= length).then_some(length)
    }

    fn read_page(&mut self, length: usize) {
        let page = &self.buffer[..length];
        let body = &page[PAGE_HEADER_BYTES + usize::from(page[26])..];
        if self.rate.is_none() {
            self.rate = Some(rate_of(body));
            return;
        }
        let mut granule = [0; 8];
        granule.copy_from_slice(&page[6..14]);
        // All ones: no packet ends on this page.
        let granule = u64::from_le_bytes(granule);
        if granule != u64::MAX {
            let rate = self.rate.unwrap_or(48_000).max(1);
            self.heard_us = self.heard_us.max(granule.saturating_mul(1_000_000) / rate);
        }
    }
}

fn rate_of(identification: &[u8]) -> u64 {
    match identification {
        [1, b'v', b'o', b'r', b'b', b'i', b's', _, _, _, _, _, a, b, c, d, ..] => {
            u64::from(u32::from_le_bytes([*a, *b, *c, *d]))
        }
        _ => 48_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(granule: u64, body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend(granule.to_le_bytes());
        page.extend([0; 12]);
        page.push(1);
        page.push(body.len() as u8);
        page.extend(body);
        page
    }

    #[test]
    fn granules_are_time() {
        let mut bytes = page(0, b"OpusHead\x01\x01");
        bytes.extend(page(0, b"OpusTags"));
        bytes.extend(page(48_000, &[0; 50]));
        bytes.extend(page(u64::MAX, &[0; 50]));
        bytes.extend(page(96_000, &[0; 50]));
        for cut in [1, 30, 1000] {
            let mut ogg = Ogg::default();
            let heard = bytes.chunks(cut).map(|chunk| ogg.feed(chunk)).last();
            assert_eq!(heard, Some(2_000_000), "cut {cut}");
        }
    }
}
