//! Parses the command and runs it.

use std::process::ExitCode;

use audio_transcription_api::cli;

fn main() -> ExitCode {
    // One crypto provider for everything; an error only says that there is one already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    cli::run()
}
