//! The real binary, run to its end, and client programs likewise.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the service's binary with exactly these variables.
pub async fn run_service(arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    tell_service(arguments, variables, "").await
}

/// The same with something on its standard input.
pub async fn tell_service(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audio-transcription-api"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    command.current_dir(std::env::temp_dir());
    tell(command, input, super::LONG).await
}

/// Runs a program, which is killed when it takes longer than `deadline`.
pub async fn run(command: Command, deadline: Duration) -> Finished {
    tell(command, "", deadline).await
}

/// The same with something on its standard input, which ends there.
pub async fn tell(mut command: Command, input: &str, deadline: Duration) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let told = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that has ended meanwhile reads no more.
            drop(stdin.write_all(input.as_bytes()).await);
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(deadline, told).await;
    let output = output.unwrap_or_else(|_| panic!("still runs after {deadline:?}: {command:?}"));
    let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program that must be there; `cure` says what installs it.
pub fn need(program: &str, cure: &str) -> String {
    let found = if program.contains('/') {
        Path::new(program).exists().then(|| program.to_owned())
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut there = std::env::split_paths(&path).map(|folder| folder.join(program));
        there.find(|file| file.exists()).map(|file| file.to_string_lossy().into_owned())
    };
    found.unwrap_or_else(|| panic!("{program} is missing: run {cure}"))
}
