//! What a file is, by its first bytes; its name says nothing.
//!
//! Lists, scripts, texts, archives and pictures are no kind: ffmpeg would follow what they name.

/// A container or format that may hold sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RIFF WAVE.
    Wav,
    /// MPEG audio.
    Mp3,
    /// AAC in ADTS frames.
    Aac,
    /// ISO media with sound, or with pictures.
    Mp4,
    /// QuickTime.
    Mov,
    /// Ogg.
    Ogg,
    /// Matroska and WebM.
    WebM,
    /// FLAC.
    Flac,
    /// AIFF.
    Aiff,
    /// AMR.
    Amr,
    /// Core Audio.
    Caf,
    /// Sun audio.
    Au,
    /// AVI.
    Avi,
    /// An MPEG transport stream.
    MpegTs,
}

impl Kind {
    /// Every kind, for tests.
    #[cfg(test)]
    pub const ALL: [Self; 14] = [
        Self::Wav,
        Self::Mp3,
        Self::Aac,
        Self::Mp4,
        Self::Mov,
        Self::Ogg,
        Self::WebM,
        Self::Flac,
        Self::Aiff,
        Self::Amr,
        Self::Caf,
        Self::Au,
        Self::Avi,
        Self::MpegTs,
    ];

    /// Decides by the first bytes of a file; a few thousand are plenty.
    ///
    /// Magic numbers: those of [`crate::model::Container`]; ADTS (ISO 13818-7 §6.2), AIFF and AIFF-C,
    /// AMR (RFC 4867 §5), Core Audio Format, `.snd`, AVI, and the sync byte of transport packets,
    /// 188 apart (ISO 13818-1 §2.4.3).
    pub fn sniff(head: &[u8]) -> Option<Self> {
        match head {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..]
            | [b'R', b'F', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(Self::Wav),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some(Self::Avi),
            [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => {
                Some(Self::Aiff)
            }
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac),
            [0x1A, 0x45, 0xDF, 0xA3, ..] => Some(Self::WebM),
            [b'#', b'!', b'A', b'M', b'R', ..] => Some(Self::Amr),
            [b'c', b'a', b'f', b'f', ..] => Some(Self::Caf),
            [b'.', b's', b'n', b'd', ..] => Some(Self::Au),
            [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', ..]
            | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => Some(Self::Mov),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Self::Mp4),
            [b'I', b'D', b'3', ..] => Some(behind_tag(head)),
            [0xFF, second, ..] if second & 0xF6 == 0xF0 => Some(Self::Aac),
            [0xFF, second, third, ..] if is_mpeg(*second, *third) => Some(Self::Mp3),
            _ if is_transport(head) => Some(Self::MpegTs),
            _ => None,
        }
    }

    /// Its media type, as providers know it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
            Self::Mp4 => "audio/mp4",
            Self::Mov => "video/quicktime",
            Self::Ogg => "audio/ogg",
            Self::WebM => "audio/webm",
            Self::Flac => "audio/flac",
            Self::Aiff => "audio/aiff",
            Self::Amr => "audio/amr",
            Self::Caf => "audio/x-caf",
            Self::Au => "audio/basic",
            Self::Avi => "video/x-msvideo",
            Self::MpegTs => "video/mp2t",
        }
    }

    /// How its files end.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
            Self::Mp4 => "m4a",
            Self::Mov => "mov",
            Self::Ogg => "ogg",
            Self::WebM => "webm",
            Self::Flac => "flac",
            Self::Aiff => "aiff",
            Self::Amr => "amr",
            Self::Caf => "caf",
            Self::Au => "au",
            Self::Avi => "avi",
            Self::MpegTs => "ts",
        }
    }

    /// What ffmpeg calls it.
    pub(super) const fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 | Self::Mov => "mov",
            Self::WebM => "matroska",
            Self::MpegTs => "mpegts",
            other => other.ending(),
        }
    }
}

/// Behind an ID3 tag is MPEG audio, or AAC, or FLAC; if the tag is longer than what is seen, the first.
fn behind_tag(head: &[u8]) -> Kind {
    let size = head.get(6..10).map_or(0, |size| {
        size.iter().fold(0_usize, |sum, byte| (sum << 7) | usize::from(byte & 0x7F))
    });
    match head.get(10 + size..) {
        Some([b'f', b'L', b'a', b'C', ..]) => Kind::Flac,
        Some([0xFF, second, ..]) if second & 0xF6 == 0xF0 => Kind::Aac,
        _ => Kind::Mp3,
    }
}

/// A frame's head: sync, a layer, a bit rate and a sample rate that exist (ISO 11172-3 §2.4.1.3).
const fn is_mpeg(second: u8, third: u8) -> bool {
    second & 0xE0 == 0xE0
        && second & 0x18 != 0x08
        && second & 0x06 != 0
        && third & 0xF0 != 0xF0
        && third & 0xF0 != 0
        && third & 0x0C != 0x0C
}

fn is_transport(head: &[u8]) -> bool {
    head.len() > 376 && head.iter().step_by(188).take(5).all(|byte| *byte == 0x47)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_would_follow_is_no_kind() {
        let traps: [&[u8]; 14] = [
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n",
            b"ffconcat version 1.0\nfile '/etc/passwd'\n",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
            b"1\n00:00:00,000 --> 00:00:01,000\nhi\n",
            b"WEBVTT\n\n",
            b"<?xml version=\"1.0\"?><MPD/>",
            b"<html>",
            b"{\"url\":\"http://127.0.0.1\"}",
            b"PK\x03\x04",
            b"\x1F\x8B\x08",
            b"\x89PNG\r\n\x1A\n",
            b"%PDF-1.7",
            b"\x7FELF",
            b"",
        ];
        for trap in traps {
            assert_eq!(Kind::sniff(trap), None, "{trap:?}");
        }
    }

    #[test]
    fn names_are_all_different() {
        let names: std::collections::HashSet<_> =
            Kind::ALL.iter().map(|kind| kind.ending()).collect();
        let types: std::collections::HashSet<_> =
            Kind::ALL.iter().map(|kind| kind.media_type()).collect();
        assert_eq!((names.len(), types.len()), (Kind::ALL.len(), Kind::ALL.len()));
    }

    #[test]
    fn tags_are_looked_behind() {
        let tagged = |sound: &[u8]| [b"ID3\x04\0\0\0\0\0\x02xx", sound].concat();
        assert_eq!(Kind::sniff(&tagged(b"fLaC")), Some(Kind::Flac));
        assert_eq!(Kind::sniff(&tagged(&[0xFF, 0xF1, 0x50])), Some(Kind::Aac));
        assert_eq!(Kind::sniff(&tagged(&[0xFF, 0xFB, 0x90])), Some(Kind::Mp3));
        assert_eq!(Kind::sniff(&[0xFF, 0xF1, 0x50, 0x80]), Some(Kind::Aac));
        assert_eq!(Kind::sniff(&[0xFF, 0xFB, 0x90, 0x00]), Some(Kind::Mp3));
        assert_eq!(Kind::sniff(&[0xFF, 0xFF, 0xFF, 0xFF]), None);
    }
}
