//! Matroska and WebM (RFC 9559): blocks of audio with a time, in clusters of unknown length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{MAX_PIECE_BYTES, Piece, Unreadable};

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TIMESTAMP_SCALE: u32 = 0x002A_D7B1;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;

/// A length that is not known: all ones (RFC 8794 §6.2).
const UNKNOWN: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// Follows one stream of elements.
#[derive(Debug)]
pub struct Cutter {
    buffer: BytesMut,
    head: BytesMut,
    scale_ns: u64,
    cluster_ticks: u64,
    in_clusters: bool,
    skip: u64,
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            head: BytesMut::new(),
            scale_ns: 1_000_000,
            cluster_ticks: 0,
            in_clusters: false,
            skip: 0,
        }
    }
}

struct Element {
    id: u32,
    header_bytes: usize,
    /// `None` where it is not known.
    body_bytes: Option<u64>,
}

impl Cutter {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Unreadable> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        loop {
            self.skip();
            let Some(element) = element(&self.buffer)? else { return Ok(pieces) };
            if !self.enter(&element)? {
                return Ok(pieces);
            }
            pieces.extend(self.take(&element)?);
        }
    }

    /// Lets go of a body that nobody needs.
    fn skip(&mut self) {
        let count = self.skip.min(self.buffer.len() as u64);
        self.buffer.advance(count as usize);
        self.skip -= count;
    }

    /// Whether all of the element is there that is needed to take it.
    fn enter(&self, element: &Element) -> Result<bool, Unreadable> {
        if self.skip > 0 {
            return Ok(false);
        }
        if !is_wanted(element.id) {
            return Ok(true);
        }
        match element.body_bytes {
            Some(bytes) if bytes > MAX_PIECE_BYTES as u64 => Err(Unreadable),
            Some(bytes) => Ok(self.buffer.len() >= element.header_bytes + bytes as usize),
            None => Err(Unreadable),
        }
    }

    fn take(&mut self, element: &Element) -> Result<Option<Piece>, Unreadable> {
        let body_bytes = element.body_bytes.unwrap_or(0);
        if !is_wanted(element.id) {
            self.buffer.advance(element.header_bytes);
            match element.id {
                SEGMENT => self.open_segment(),
                CLUSTER => self.in_clusters = true,
                BLOCK_GROUP => {}
                _ if element.body_bytes.is_none() => return Err(Unreadable),
                _ => self.skip = body_bytes,
            }
            return Ok(None);
        }
        let whole = self.buffer.split_to(element.header_bytes + body_bytes as usize).freeze();
        let body = whole.slice(element.header_bytes..);
        match element.id {
            TIMESTAMP => self.cluster_ticks = unsigned(&body),
            SIMPLE_BLOCK | BLOCK => return self.block(body).map(Some),
            _ => self.keep(element.id, &whole, &body)?,
        }
        Ok(None)
    }

    /// Lengths of the first stream mean nothing in another.
    fn open_segment(&mut self) {
        self.head.put_u32(SEGMENT);
        self.head.extend_from_slice(&UNKNOWN);
    }

    fn keep(&mut self, id: u32, whole: &[u8], body: &[u8]) -> Result<(), Unreadable> {
        if id == INFO {
            self.scale_ns = scale(body).unwrap_or(self.scale_ns).max(1);
        }
        if !self.in_clusters {
            if self.head.len() + whole.len() > MAX_PIECE_BYTES {
                return Err(Unreadable);
            }
            self.head.extend_from_slice(whole);
        }
        Ok(())
    }

    /// Track number, 16-bit time within the cluster, flags, audio (RFC 9559 §10).
    fn block(&self, body: Bytes) -> Result<Piece, Unreadable> {
        let track = vint_bytes(*body.first().ok_or(Unreadable)?, 8).ok_or(Unreadable)?;
        let time = body.get(track..track + 2).ok_or(Unreadable)?;
        let relative = i16::from_be_bytes([time[0], time[1]]);
        body.get(track + 2).ok_or(Unreadable)?;
        let ticks = self.cluster_ticks.saturating_add_signed(i64::from(relative));
        let start_us = ticks.saturating_mul(self.scale_ns) / 1000;
        Ok(Piece { start_us, bytes: body })
    }

    pub(super) fn head(&self) -> Bytes {
        Bytes::copy_from_slice(&self.head)
    }

    /// The block in a cluster of its own, whose time carries all of its offset.
    pub(super) fn write(&self, piece: &Piece, origin_us: u64) -> Bytes {
        const CLUSTER_TIME_BYTES: usize = 10;
        const BLOCK_HEADER_BYTES: usize = 9;
        let ticks = piece.start_us.saturating_sub(origin_us) * 1000 / self.scale_ns;
        let track = piece.bytes.first().and_then(|byte| vint_bytes(*byte, 8)).unwrap_or(1);
        let mut block = BytesMut::from(&piece.bytes[..]);
        block[track..track + 2].fill(0);
        block[track + 2] |= 0x80;
        let mut out = BytesMut::with_capacity(block.len() + 32);
        out.put_u32(CLUSTER);
        put_length(&mut out, CLUSTER_TIME_BYTES + BLOCK_HEADER_BYTES + block.len());
        out.put_u8(TIMESTAMP as u8);
        out.put_u8(0x88);
        out.put_u64(ticks);
        out.put_u8(SIMPLE_BLOCK as u8);
        put_length(&mut out, block.len());
        out.extend_from_slice(&block);
        out.freeze()
    }
}

/// Elements whose body is read; the others are entered or skipped.
const fn is_wanted(id: u32) -> bool {
    matches!(id, EBML | INFO | TRACKS | TIMESTAMP | BLOCK | SIMPLE_BLOCK)
}

fn element(bytes: &[u8]) -> Result<Option<Element>, Unreadable> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let id_bytes = vint_bytes(first, 4).ok_or(Unreadable)?;
    let Some(&size) = bytes.get(id_bytes) else { return Ok(None) };
    let size_bytes = vint_bytes(size, 8).ok_or(Unreadable)?;
    let header_bytes = id_bytes + size_bytes;
    let Some(header) = bytes.get(..header_bytes) else { return Ok(None) };
    let id = unsigned(&header[..id_bytes]) as u32;
    let mask = (1_u64 << (7 * size_bytes)) - 1;
    let length = unsigned(&header[id_bytes..]) & mask;
    Ok(Some(Element { id, header_bytes, body_bytes: (length != mask).then_some(length) }))
}

/// How many bytes a variable-length integer takes, by its first (RFC 8794 §4).
fn vint_bytes(first: u8, most: usize) -> Option<usize> {
    let bytes = first.leading_zeros() as usize + 1;
    (bytes <= most).then_some(bytes)
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u64(0x0100_0000_0000_0000 | length as u64);
}

fn scale(info: &[u8]) -> Option<u64> {
    let mut rest = info;
    while let Ok(Some(element)) = element(rest) {
        let end = element.header_bytes.checked_add(element.body_bytes? as usize)?;
        let body = rest.get(element.header_bytes..end)?;
        if element.id == TIMESTAMP_SCALE {
            return Some(unsigned(body));
        }
        rest = &rest[end..];
    }
    None
}
