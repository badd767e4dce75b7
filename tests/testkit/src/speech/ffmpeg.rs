//! ffmpeg over bytes: encodes what tests send, decodes what the simulator heard.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, ensure};

/// Runs ffmpeg with `input` on its standard input; what it writes to its standard output.
pub fn ffmpeg(input: &[u8], arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-i", "pipe:0"])
        .args(arguments)
        .arg("pipe:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("ffmpeg is missing: run scripts/setup")?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    let input = input.to_vec();
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    // ffmpeg may stop reading before the end of a cut stream: its output decides.
    drop(writer.join());
    ensure!(!output.stdout.is_empty(), "ffmpeg wrote nothing");
    Ok(output.stdout)
}
