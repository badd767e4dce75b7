//! A client's audio on its way to 16 kHz mono samples: decoded here, or by ffmpeg.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    lifecycle::Shutdown,
    media::{Ffmpeg, MediaError, SPEECH_HERTZ, Transcode, pcm, pcm::PcmDecoder, resample},
    model::{AudioFormat, Container, Encoding, RawFormat},
    providers::{ErrorClass, ProviderError},
};

/// The way in of one stream.
pub(super) enum Intake {
    Raw(Box<Raw>),
    Container(Box<Contained>),
}

pub(super) struct Raw {
    format: RawFormat,
    decoder: PcmDecoder,
    resampler: resample::Resampler,
    mono: Vec<f32>,
    bytes: u64,
    ended: bool,
}

pub(super) struct Contained {
    input: Option<mpsc::Sender<Bytes>>,
    output: mpsc::Receiver<Result<Bytes, MediaError>>,
    unsent: Option<Bytes>,
    closing: bool,
    ended: bool,
    decoder: PcmDecoder,
}

impl Intake {
    /// The way in for `format`, or a refusal that names what cannot be taken.
    pub(super) fn open(
        format: AudioFormat,
        ffmpeg: &Ffmpeg,
        shutdown: &Shutdown,
    ) -> Result<Self, ProviderError> {
        let raw = match format {
            AudioFormat::Container(container) => {
                return Self::contained(container, ffmpeg, shutdown);
            }
            // These two describe themselves like a container.
            AudioFormat::Raw(RawFormat { encoding: Encoding::Flac, .. }) => {
                return Self::contained(Container::Flac, ffmpeg, shutdown);
            }
            AudioFormat::Raw(RawFormat { encoding: Encoding::OggOpus, .. }) => {
                return Self::contained(Container::Ogg, ffmpeg, shutdown);
            }
            AudioFormat::Raw(raw) => raw,
        };
        let decoder = PcmDecoder::new(raw).ok_or_else(|| refuse(raw))?;
        let resampler = resample::Resampler::new(raw.sample_rate).ok_or_else(|| refuse(raw))?;
        let (mono, bytes, ended) = (Vec::new(), 0, false);
        Ok(Self::Raw(Box::new(Raw { format: raw, decoder, resampler, mono, bytes, ended })))
    }

    fn contained(
        container: Container,
        ffmpeg: &Ffmpeg,
        shutdown: &Shutdown,
    ) -> Result<Self, ProviderError> {
        let Transcode { input, output } = ffmpeg.transcode(container, shutdown)?;
        let decoder =
            PcmDecoder::new(RawFormat::DEFAULT).ok_or_else(|| refuse(RawFormat::DEFAULT))?;
        Ok(Self::Container(Box::new(Contained {
            input: Some(input),
            output,
            unsent: None,
            closing: false,
            ended: false,
            decoder,
        })))
    }

    /// Whether the next chunk can be taken.
    pub(super) const fn ready(&self) -> bool {
        match self {
            Self::Raw(raw) => !raw.ended,
            Self::Container(contained) => contained.unsent.is_none() && !contained.closing,
        }
    }

    /// Takes a chunk; samples that it completes at once are appended.
    pub(super) fn push(&mut self, bytes: Bytes, speech: &mut Vec<f32>) {
        match self {
            Self::Raw(raw) => raw.push(&bytes, speech),
            Self::Container(contained) => contained.unsent = Some(bytes),
        }
    }

    /// Waits for samples that come by themselves; safe to cancel. Raw audio never has any.
    pub(super) async fn arrived(
        &mut self,
        room: bool,
        speech: &mut Vec<f32>,
    ) -> Result<(), ProviderError> {
        match self {
            Self::Raw(_) => std::future::pending().await,
            Self::Container(contained) => contained.arrived(room, speech).await,
        }
    }

    /// No more chunks will come.
    pub(super) fn close(&mut self, speech: &mut Vec<f32>) {
        match self {
            Self::Raw(raw) if raw.ended => {}
            Self::Raw(raw) => {
                raw.resampler.finish(speech);
                raw.ended = true;
            }
            Self::Container(contained) => contained.close(),
        }
    }

    /// Takes and gives nothing more.
    pub(super) fn give_up(&mut self) {
        match self {
            Self::Raw(raw) => raw.ended = true,
            Self::Container(contained) => {
                contained.close();
                contained.ended = true;
            }
        }
    }

    /// Whether every sample has been given.
    pub(super) const fn ended(&self) -> bool {
        match self {
            Self::Raw(raw) => raw.ended,
            Self::Container(contained) => contained.ended,
        }
    }

    /// Milliseconds of audio taken, where bytes tell: more precise than samples given so far.
    pub(super) fn taken_ms(&self) -> Option<u64> {
        match self {
            Self::Raw(raw) => raw.format.bytes_to_ms(raw.bytes),
            Self::Container(_) => None,
        }
    }
}

impl Raw {
    fn push(&mut self, bytes: &[u8], speech: &mut Vec<f32>) {
        self.bytes += bytes.len() as u64;
        if self.format.sample_rate == SPEECH_HERTZ {
            return self.decoder.push(bytes, speech);
        }
        self.mono.clear();
        self.decoder.push(bytes, &mut self.mono);
        self.resampler.push(&self.mono, speech);
    }
}

impl Contained {
    async fn arrived(&mut self, room: bool, speech: &mut Vec<f32>) -> Result<(), ProviderError> {
        let input = self.input.as_ref().filter(|_| self.unsent.is_some());
        let sent = tokio::select! {
            permit = reserve(input) => {
                // A refused permit means that ffmpeg is gone: its output tells why.
                let bytes = self.unsent.take();
                if let (Ok(permit), Some(bytes)) = (permit, bytes) {
                    permit.send(bytes);
                }
                true
            }
            made = self.output.recv(), if room && !self.ended => {
                match made {
                    Some(bytes) => self.decoder.push(&bytes?, speech),
                    None => self.ended = true,
                }
                false
            }
        };
        if sent && self.closing {
            self.input = None;
        }
        Ok(())
    }

    fn close(&mut self) {
        self.closing = true;
        if self.unsent.is_none() {
            self.input = None;
        }
    }
}

async fn reserve(
    input: Option<&mpsc::Sender<Bytes>>,
) -> Result<mpsc::Permit<'_, Bytes>, mpsc::error::SendError<()>> {
    match input {
        Some(input) => input.reserve().await,
        None => std::future::pending().await,
    }
}

fn refuse(raw: RawFormat) -> ProviderError {
    let detail = format!(
        "the local engine cannot take {} at {} Hz with {} channels; it takes linear16, linear32, \
         mulaw and alaw at {} to {} Hz with 1 to {} channels",
        raw.encoding.as_str(),
        raw.sample_rate,
        raw.channels,
        resample::HERTZ.start(),
        resample::HERTZ.end(),
        pcm::MAX_CHANNELS,
    );
    ProviderError::new(ErrorClass::BadRequest, "unsupported_encoding", detail)
}

impl From<MediaError> for ProviderError {
    fn from(error: MediaError) -> Self {
        let (class, code) = match &error {
            MediaError::NotInstalled(_) => (ErrorClass::BadRequest, "ffmpeg_not_installed"),
            MediaError::Unusable(_) => (ErrorClass::Unavailable, "ffmpeg_unusable"),
            MediaError::Undecodable { .. } => (ErrorClass::Poison, "undecodable_audio"),
        };
        Self::new(class, code, error.to_string())
    }
}
