//! Reads the header of a WAV stream, so that what follows can be taken as raw audio.

use crate::model::{Encoding, RawFormat};

/// Bytes within which a header must end; real ones take 44 to some hundred.
const MAX_HEADER_BYTES: usize = 64 * 1024;

const FORMAT_PCM: u16 = 1;
const FORMAT_FLOAT: u16 = 3;
const FORMAT_ALAW: u16 = 6;
const FORMAT_MULAW: u16 = 7;
/// The real format is the first two bytes of the sub-format at offset 24.
const FORMAT_EXTENSIBLE: u16 = 0xFFFE;

/// What the first bytes of a WAV stream say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WavHeader {
    /// Audio starts at `data_offset` bytes.
    Complete {
        /// How the audio is written.
        format: RawFormat,
        /// Bytes before the first sample.
        data_offset: usize,
    },
    /// More bytes are needed.
    Incomplete,
    /// Not a WAV stream that can be taken as raw audio; the text says why.
    Unsupported(String),
}

/// Reads the header that opens `first`, the bytes of a stream so far.
///
/// Sizes of the RIFF and data chunks are not believed: streams write 0 or `0xFFFFFFFF` there.
pub fn parse_header(first: &[u8]) -> WavHeader {
    match parse(first) {
        Ok(Some((format, data_offset))) => WavHeader::Complete { format, data_offset },
        Ok(None) if first.len() < MAX_HEADER_BYTES => WavHeader::Incomplete,
        Ok(None) => WavHeader::Unsupported("the wav header is longer than 64 KiB".to_owned()),
        Err(why) => WavHeader::Unsupported(why),
    }
}

/// Bytes of audio that the data chunk before `data_offset` declares; `None` for a stream of
/// unknown length. Whatever follows them is not audio.
pub fn declared_data_bytes(first: &[u8], data_offset: usize) -> Option<usize> {
    let size = u32_at(first, data_offset.checked_sub(4)?)?;
    (size != 0 && size != u32::MAX).then_some(size as usize)
}

fn parse(first: &[u8]) -> Result<Option<(RawFormat, usize)>, String> {
    let Some(riff) = first.get(..12) else { return Ok(None) };
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err("not a wav stream".to_owned());
    }
    let mut format = None;
    let mut at = 12;
    while let Some((id, size)) = chunk_at(first, at) {
        at += 8;
        if id == b"data" {
            let format = format.ok_or("the wav header has no format before its data")?;
            return Ok(Some((format, at)));
        }
        if id == b"fmt " {
            let Some(body) = first.get(at..at + size.min(40)) else { return Ok(None) };
            format = Some(parse_format(body)?);
        }
        // Chunks are padded to an even length.
        let step = size + (size & 1);
        if at + step > MAX_HEADER_BYTES {
            return Err("the wav header is longer than 64 KiB".to_owned());
        }
        at += step;
    }
    Ok(None)
}

fn parse_format(body: &[u8]) -> Result<RawFormat, String> {
    let cut = "the wav format is cut short";
    let mut tag = u16_at(body, 0).ok_or(cut)?;
    let channels = u16_at(body, 2).ok_or(cut)?;
    let sample_rate = u32_at(body, 4).ok_or(cut)?;
    let bits = u16_at(body, 14).ok_or(cut)?;
    if tag == FORMAT_EXTENSIBLE {
        tag = u16_at(body, 24).ok_or(cut)?;
    }
    let encoding = match (tag, bits) {
        (FORMAT_PCM, 16) => Encoding::Linear16,
        (FORMAT_FLOAT, 32) => Encoding::Linear32,
        (FORMAT_ALAW, 8) => Encoding::Alaw,
        (FORMAT_MULAW, 8) => Encoding::Mulaw,
        _ => return Err(format!("wav with format tag {tag} and {bits} bits is not supported")),
    };
    if channels == 0 || sample_rate == 0 {
        return Err("the wav format has no channels or no sample rate".to_owned());
    }
    Ok(RawFormat { encoding, sample_rate, channels })
}

fn chunk_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    Some((bytes.get(at..at + 4)?, u32_at(bytes, at + 4)? as usize))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(tag: u16, bits: u16, extra: &[u8], data_size: u32) -> Vec<u8> {
        let mut bytes = b"RIFF\xFF\xFF\xFF\xFFWAVE".to_vec();
        bytes.extend_from_slice(b"LIST\x03\0\0\0abc\0fmt ");
        bytes.extend_from_slice(&u32::try_from(16 + extra.len()).unwrap().to_le_bytes());
        for word in [tag, 2] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&44_100_u32.to_le_bytes());
        bytes.extend_from_slice(&(44_100 * u32::from(bits) / 4).to_le_bytes());
        for word in [bits / 4, bits] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(extra);
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&data_size.to_le_bytes());
        bytes
    }

    fn complete(encoding: Encoding, bytes: &[u8]) -> WavHeader {
        let format = RawFormat { encoding, sample_rate: 44_100, channels: 2 };
        WavHeader::Complete { format, data_offset: bytes.len() }
    }

    #[test]
    fn knows_the_encodings_that_are_taken() {
        for (tag, bits, encoding) in [
            (1, 16, Encoding::Linear16),
            (3, 32, Encoding::Linear32),
            (6, 8, Encoding::Alaw),
            (7, 8, Encoding::Mulaw),
        ] {
            for data_size in [0, u32::MAX, 640] {
                let bytes = header(tag, bits, &[], data_size);
                assert_eq!(parse_header(&bytes), complete(encoding, &bytes));
            }
        }
    }

    #[test]
    fn extensible_names_its_format_in_the_sub_format() {
        let mut extra = [0_u8; 24];
        extra[0] = 22;
        extra[8] = 1;
        let bytes = header(FORMAT_EXTENSIBLE, 16, &extra, 0);
        assert_eq!(parse_header(&bytes), complete(Encoding::Linear16, &bytes));
    }

    #[test]
    fn every_shorter_prefix_is_incomplete() {
        let bytes = header(1, 16, &[], 640);
        for length in 0..bytes.len() {
            assert_eq!(parse_header(&bytes[..length]), WavHeader::Incomplete, "{length}");
        }
    }

    #[test]
    fn others_are_refused_with_a_reason() {
        for (bytes, reason) in [
            (header(1, 24, &[], 0), "24 bits"),
            (header(2, 4, &[], 0), "format tag 2"),
            (b"RIFF\0\0\0\0AVI LIST".to_vec(), "not a wav"),
            (b"RIFF\0\0\0\0WAVEdata\0\0\0\0".to_vec(), "no format"),
            (b"RIFF\0\0\0\0WAVEJUNK\0\0\x02\0".to_vec(), "64 KiB"),
        ] {
            let WavHeader::Unsupported(why) = parse_header(&bytes) else { panic!("{reason}") };
            assert!(why.contains(reason), "{why}");
        }
    }

    #[test]
    fn the_declared_length_ends_the_audio() {
        let bytes = header(1, 16, &[], 640);
        assert_eq!(declared_data_bytes(&bytes, bytes.len()), Some(640));
        let stream = header(1, 16, &[], u32::MAX);
        assert_eq!(declared_data_bytes(&stream, stream.len()), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse_header(&bytes);
        }

        #[test]
        fn never_panics_after_the_magic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse_header(&[b"RIFF\0\0\0\0WAVE".as_slice(), &bytes].concat());
            parse_header(&[b"RIFF\0\0\0\0WAVEfmt ".as_slice(), &bytes].concat());
        }

        #[test]
        fn never_panics_on_a_header_with_a_changed_byte(at in 0_usize..56, byte: u8) {
            let mut bytes = header(1, 16, &[], 640);
            bytes[at] = byte;
            parse_header(&bytes);
        }
    }
}
