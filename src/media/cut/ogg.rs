//! Ogg pages (RFC 3533 §6) of Opus (RFC 7845) or Vorbis: each page says where its audio ends.

use bytes::{BufMut, Bytes, BytesMut};

use super::{MAX_PIECE_BYTES, Piece, Unreadable};

const HEADER_BYTES: usize = 27;
/// Where a page keeps its granule position, its sequence number and its checksum.
const GRANULE: std::ops::Range<usize> = 6..14;
const SEQUENCE: std::ops::Range<usize> = 18..22;
const CHECKSUM: std::ops::Range<usize> = 22..26;
/// A granule position that says that no packet ends on the page.
const NOWHERE: u64 = u64::MAX;

/// Follows one stream of pages.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: BytesMut,
    head: BytesMut,
    head_pages: u32,
    granules_per_second: u64,
    end_granule: u64,
    written_pages: u32,
}

impl Cutter {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Unreadable> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while let Some(page) = self.page()? {
            pieces.extend(self.place(page)?);
        }
        Ok(pieces)
    }

    fn page(&mut self) -> Result<Option<Bytes>, Unreadable> {
        let Some(header) = self.buffer.get(..HEADER_BYTES) else { return Ok(None) };
        if !header.starts_with(b"OggS") {
            return Err(Unreadable);
        }
        let segments = usize::from(header[26]);
        let Some(lacing) = self.buffer.get(HEADER_BYTES..HEADER_BYTES + segments) else {
            return Ok(None);
        };
        let body: usize = lacing.iter().map(|length| usize::from(*length)).sum();
        let length = HEADER_BYTES + segments + body;
        let whole = self.buffer.len() >= length;
        Ok(whole.then(|| self.buffer.split_to(length).freeze()))
    }

    /// Pages before the first audio are the head; every other page is a piece.
    fn place(&mut self, page: Bytes) -> Result<Option<Piece>, Unreadable> {
        let granule = granule(&page);
        if self.granules_per_second == 0 {
            self.granules_per_second = rate(&page).ok_or(Unreadable)?;
        }
        if self.end_granule == 0 && granule == 0 {
            if self.head.len() + page.len() > MAX_PIECE_BYTES {
                return Err(Unreadable);
            }
            self.head.extend_from_slice(&page);
            self.head_pages += 1;
            return Ok(None);
        }
        let start_us = self.end_granule * 1_000_000 / self.granules_per_second;
        if granule != NOWHERE {
            self.end_granule = granule.max(self.end_granule);
        }
        Ok(Some(Piece { start_us, bytes: page }))
    }

    pub(super) fn head(&mut self) -> Bytes {
        self.written_pages = self.head_pages;
        Bytes::copy_from_slice(&self.head)
    }

    pub(super) fn write(&mut self, piece: &Piece, origin_us: u64) -> Bytes {
        let mut page = BytesMut::from(&piece.bytes[..]);
        let granule = granule(&page);
        if granule != NOWHERE {
            let origin = origin_us * self.granules_per_second / 1_000_000;
            (&mut page[GRANULE]).put_u64_le(granule.saturating_sub(origin));
        }
        (&mut page[SEQUENCE]).put_u32_le(self.written_pages);
        self.written_pages = self.written_pages.wrapping_add(1);
        (&mut page[CHECKSUM]).put_u32_le(0);
        let checksum = checksum(&page);
        (&mut page[CHECKSUM]).put_u32_le(checksum);
        page.freeze()
    }
}

fn granule(page: &[u8]) -> u64 {
    page[GRANULE].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Granules a second, from the identification header on the first page.
fn rate(page: &[u8]) -> Option<u64> {
    let body = page.get(HEADER_BYTES + usize::from(page[26])..)?;
    if body.starts_with(b"OpusHead") {
        return Some(48_000);
    }
    let vorbis = body.strip_prefix(b"\x01vorbis")?;
    let hertz = u32::from_le_bytes(vorbis.get(5..9)?.try_into().ok()?);
    (hertz > 0).then_some(u64::from(hertz))
}

/// CRC-32 with polynomial 0x04c11db7, neither reflected nor inverted (RFC 3533 §6).
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| {
            let carry = if sum & 0x8000_0000 == 0 { 0 } else { 0x04C1_1DB7 };
            (sum << 1) ^ carry
        })
    })
}
