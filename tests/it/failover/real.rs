//! The embedded engine as the last one in line: real speech goes on in the process itself.

use std::time::Duration;

use testkit::speech::{Wav, normalize};

use super::refuse_all;
use crate::harness::{Setup, Speech, doors};

const CHUNK: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_goes_on_where_nobody_else_does() {
    let default = || format!("{}/.dev/speech-model", env!("CARGO_MANIFEST_DIR")).into();
    let model_dir = std::env::var_os("ASR_MODEL_DIR").unwrap_or_else(default);
    let setup = Setup::new().with("LIVE_FALLBACKS", "local");
    let setup = setup.with("ASR_MODEL_DIR", model_dir.into_string().expect("a path in UTF-8"));
    let app = setup.start().await;
    refuse_all(&app, 401);
    let (mut client, _) = doors::socketio(&app.url(), &app.token()).await.expect("admitted");
    let wav = Wav::fixture("jfk.wav").expect("a clip");
    let chunks: Vec<_> = wav.chunks(CHUNK).collect();
    let heard = Speech::of(&mut client, &chunks, CHUNK).await.transcript();
    let heard = normalize(&heard).join(" ");
    assert!(heard.contains("what you can do for your country"), "{heard}");
    assert_eq!(app.deepgram().requests().len(), 1);
    let by: String = app.sql("SELECT DISTINCT provider FROM usage_logs").await;
    assert_eq!(by, "local");
}
