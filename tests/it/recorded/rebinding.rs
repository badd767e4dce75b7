//! Names that change their address between one lookup and the next, in a network of their own.

use std::time::Duration;

use tokio::process::Command;

use super::CLIP;
use crate::harness::binary;

/// Without its databases a service takes its time to say what it has billed.
const LOOKED_UP: Duration = Duration::from_secs(180);

/// What is looked at is what is asked, and a name has one lookup: the second might lead inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_turns_to_the_inside_leads_nowhere() {
    let mut command = Command::new(binary::need("unshare", "scripts/setup test"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.args(["--map-root-user", "--net", "--mount", "python3"]);
    let script = "tests/clients/rebinding/rebinding.py";
    command.arg(format!("{}/{script}", env!("CARGO_MANIFEST_DIR")));
    command.arg(env!("CARGO_BIN_EXE_audio-transcription-api"));
    command.arg(testkit::speech::fixture_path(CLIP));
    let finished = binary::run(command, LOOKED_UP).await;
    let passed = finished.stdout.lines().filter(|line| line.starts_with("PASS ")).count();
    assert!(finished.code == Some(0) && passed == 10, "{finished:?}");
}
