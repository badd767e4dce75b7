//! The first bytes of a session: they decide whether the audio is raw or a container.

use bytes::{Bytes, BytesMut};

use super::{inbox::Inbox, options::Options};
use crate::{
    media::wav::{self, WavHeader},
    model::{AudioChunk, AudioFormat, Container, Error, ErrorKind, RawFormat},
};

const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Raw audio that may wait for its session, in seconds at its byte rate.
const INBOX_SECONDS: u64 = 30;
/// Most that may wait of any audio, in bytes.
const INBOX_BYTES: u64 = 8 * 1024 * 1024;

/// What the first bytes said.
#[derive(Debug)]
pub struct Intake {
    /// What the audio is.
    pub format: AudioFormat,
    /// The audio so far, without a WAV header.
    pub first: AudioChunk,
}

/// How many bytes of such audio may wait in an inbox.
pub fn inbox_bound(format: AudioFormat) -> usize {
    let rate = match format {
        AudioFormat::Raw(raw) => raw.bytes_per_second(),
        AudioFormat::Container(_) => None,
    };
    rate.map_or(INBOX_BYTES, |rate| (rate * INBOX_SECONDS).min(INBOX_BYTES)) as usize
}

/// Waits for the first audio; `None` if the session ends before there is any.
pub async fn first(inbox: &Inbox, options: &Options) -> Result<Option<Intake>, Error> {
    let Some(mut chunk) = inbox.next().await else { return Ok(None) };
    if !options.sniff {
        return Ok(Some(Intake { format: options.stream.format, first: chunk }));
    }
    while chunk.bytes.len() < Container::decisive_bytes(&chunk.bytes)
        && append(inbox, &mut chunk).await
    {}
    let format = match Container::sniff(&chunk.bytes) {
        Some(Container::Wav) => AudioFormat::Raw(unwrap_wav(inbox, &mut chunk).await?),
        Some(container) => AudioFormat::Container(container),
        None => options.stream.format,
    };
    Ok(Some(Intake { format, first: chunk }))
}

/// A WAV stream is raw audio behind a header: without it, audio has a place on the timeline.
async fn unwrap_wav(inbox: &Inbox, chunk: &mut AudioChunk) -> Result<RawFormat, Error> {
    let unusable = |why: &str| Error::new(ErrorKind::UnsupportedMedia, format!("wav: {why}"));
    loop {
        match wav::parse_header(&chunk.bytes) {
            WavHeader::Complete { format, data_offset } => {
                chunk.bytes = chunk.bytes.slice(data_offset.min(chunk.bytes.len())..);
                return Ok(format);
            }
            WavHeader::Unsupported(why) => return Err(unusable(&why)),
            WavHeader::Incomplete if chunk.bytes.len() > MAX_HEADER_BYTES => {
                return Err(unusable("no data within 64 KiB"));
            }
            WavHeader::Incomplete => {
                if !append(inbox, chunk).await {
                    return Err(unusable("the header is cut short"));
                }
            }
        }
    }
}

/// Joins the next chunk to this one, which takes its number; false once there is none.
async fn append(inbox: &Inbox, chunk: &mut AudioChunk) -> bool {
    let Some(next) = inbox.next().await else { return false };
    let mut joined = BytesMut::with_capacity(chunk.bytes.len() + next.bytes.len());
    joined.extend_from_slice(&chunk.bytes);
    joined.extend_from_slice(&next.bytes);
    *chunk = AudioChunk { bytes: Bytes::from(joined), seq: next.seq, ..chunk.clone() };
    true
}
