//! Real files through the real ffmpeg.

use std::process::Command;

use super::*;
use crate::media::wav::{self, WavHeader};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio").join(name)
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("files-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The recording in another form.
    fn make(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.0.join(name);
        let input = fixture("jfk.wav");
        let made = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-y", "-i"])
            .arg(input)
            .args(options)
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn kind_of(path: &Path) -> Option<Kind> {
    let bytes = std::fs::read(path).unwrap();
    Kind::sniff(&bytes[..bytes.len().min(4_096)])
}

#[tokio::test]
async fn every_form_of_a_recording_is_told_by_its_bytes_and_has_its_length() {
    let (folder, files) = (Folder::new(), Files::new("ffmpeg", 2, Duration::from_secs(60)));
    let forms: [(&str, &[&str], Kind); 9] = [
        ("a.wav", &[], Kind::Wav),
        ("a.mp3", &[], Kind::Mp3),
        ("a.m4a", &[], Kind::Mp4),
        ("a.ogg", &["-c:a", "libopus"], Kind::Ogg),
        ("a.webm", &["-c:a", "libopus"], Kind::WebM),
        ("a.flac", &[], Kind::Flac),
        ("a.aac", &["-f", "adts"], Kind::Aac),
        ("a.aiff", &[], Kind::Aiff),
        ("a.ts", &["-f", "mpegts", "-c:a", "aac"], Kind::MpegTs),
    ];
    for (name, options, kind) in forms {
        let path = folder.make(name, options);
        assert_eq!(kind_of(&path), Some(kind), "{name}");
        let ms = files.duration_ms(&path, kind).await.unwrap();
        assert!(ms.abs_diff(11_000) < 120, "{name} sounds {ms} ms");
    }
}

#[tokio::test]
async fn pieces_are_whole_files_that_tile_the_recording() {
    let (folder, files) = (Folder::new(), Files::new("ffmpeg", 2, Duration::from_secs(60)));
    let source = std::fs::read(fixture("jfk.wav")).unwrap();
    let pieces =
        files.cut(&fixture("jfk.wav"), Kind::Wav, Duration::from_secs(4), &folder.0).await.unwrap();
    assert!(pieces.len() >= 3, "{pieces:?}");
    let (mut samples, mut reached) = (Vec::new(), 0);
    for piece in &pieces {
        assert_eq!(piece.start_ms, reached);
        assert!(piece.end_ms - piece.start_ms <= 4_000);
        reached = piece.end_ms;
        let bytes = std::fs::read(&piece.path).unwrap();
        assert_eq!(bytes.len() as u64, piece.bytes);
        let WavHeader::Complete { data_offset, .. } = wav::parse_header(&bytes) else {
            panic!("no header")
        };
        samples.extend_from_slice(&bytes[data_offset..]);
    }
    assert!(source.ends_with(&samples), "what was cut is what was there");
    assert_eq!(reached, 11_000);
}

#[tokio::test]
async fn what_is_no_sound_is_refused() {
    let (folder, files) = (Folder::new(), Files::new("ffmpeg", 2, Duration::from_secs(60)));
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let secret = write("secret", b"RIFF the secret");
    let list = format!("#EXTM3U\n#EXTINF:1,\nfile://{}\n", secret.display());
    for (name, bytes) in [
        ("list.wav", list.as_bytes()),
        ("noise.mp3", &[0x55; 5_000][..]),
        ("empty.wav", b""),
        ("head.wav", b"RIFF\xFF\xFF\xFF\xFFWAVEfmt "),
    ] {
        let path = write(name, bytes);
        for kind in [Kind::Wav, Kind::Mp4, Kind::Ogg, Kind::Flac] {
            let error = files.duration_ms(&path, kind).await.unwrap_err();
            assert!(matches!(error, FileError::Undecodable(_)), "{name} as {kind:?}: {error}");
            assert!(!error.to_string().contains("the secret"));
        }
    }
}

#[tokio::test]
async fn hours_that_a_few_bytes_declare_are_not_believed() {
    let (folder, files) = (Folder::new(), Files::new("ffmpeg", 2, Duration::from_secs(60)));
    // A header that declares four gigabytes, and a tenth of a second behind it.
    let mut lie = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3E\0\0\0\x7D\0\0\x02\0\x10\0data\xFF\xFF\xFF\xFF".to_vec();
    lie.extend(vec![0; 3_200]);
    let path = folder.0.join("lie.wav");
    std::fs::write(&path, lie).unwrap();
    assert_eq!(files.duration_ms(&path, Kind::Wav).await.unwrap(), 100);
    // A few kilobytes that sound for two minutes.
    let bomb = folder.0.join("bomb.flac");
    let made = Command::new("ffmpeg")
        .args([
            "-loglevel",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "anullsrc=r=8000:cl=mono",
            "-t",
            "120",
        ])
        .arg(&bomb)
        .status();
    assert!(made.unwrap().success());
    let error = files.duration_ms(&bomb, Kind::Flac).await.unwrap_err();
    assert!(matches!(error, FileError::TooLong(_)), "{error}");
    let error = files.cut(&bomb, Kind::Flac, Duration::from_secs(50), &folder.0).await.unwrap_err();
    assert!(matches!(error, FileError::TooLong(_)), "{error}");
}
