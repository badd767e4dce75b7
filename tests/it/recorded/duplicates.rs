//! Recordings that were heard before.

use testkit::recorded::Recorders;

use super::{CLIP, clip, said, send, setup};
use crate::harness::TestApp;

async fn start(variables: &[(&str, &str)]) -> (TestApp, Recorders) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let setup =
        variables.iter().fold(setup(&recorders), |setup, (name, value)| setup.with(name, *value));
    (setup.start().await, recorders)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_where_nobody_says_so() {
    let (app, recorders) = start(&[]).await;
    for _ in 0..2 {
        assert_eq!(send(&app, "deepgram", &[]).await.status, 200);
    }
    assert_eq!(recorders.asked("deepgram"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_recording_is_heard_once_and_told_in_any_form() {
    let (app, recorders) = start(&[("DUPLICATE_SECONDS", "60")]).await;
    let first = send(&app, "deepgram", &[("diarize", "true")]).await.json();
    assert_eq!(first["transcript"], said());
    assert_eq!(send(&app, "deepgram", &[("diarize", "true")]).await.json(), first);
    let subtitles =
        send(&app, "deepgram", &[("diarize", "true"), ("response_format", "srt")]).await;
    assert!(subtitles.text.starts_with("1\n00:00:"), "{}", subtitles.text);
    assert_eq!(recorders.asked("deepgram"), 1);
    let costs: String = app
        .sql(
            "SELECT string_agg(concat_ws(' ', cached, cost_micros > 0, provider_cost_micros > 0, \
             audio_duration_seconds), ', ' ORDER BY id) FROM usage_logs",
        )
        .await;
    assert_eq!(costs, "f t t 11, t f f 11, t f f 11");
    // Other wishes, other providers, other answers.
    assert_eq!(send(&app, "deepgram", &[]).await.json()["transcript"], said());
    assert_eq!(send(&app, "whisper", &[("diarize", "true")]).await.status, 200);
    assert_eq!((recorders.asked("deepgram"), recorders.asked("openai")), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_costs_what_it_did_where_the_operator_says_so() {
    let (app, recorders) =
        start(&[("DUPLICATE_SECONDS", "600"), ("DUPLICATE_BILLED", "true")]).await;
    send(&app, "deepgram", &[]).await;
    send(&app, "deepgram", &[]).await;
    assert_eq!(recorders.asked("deepgram"), 1);
    let costs: String = app
        .sql(
            "SELECT string_agg(concat_ws(' ', cached, cost_micros, provider_cost_micros), ', ' \
             ORDER BY id) FROM usage_logs",
        )
        .await;
    assert_eq!(costs, "f 788 788, t 788 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_recording_ends() {
    let (app, recorders) = start(&[("DUPLICATE_SECONDS", "1")]).await;
    let asked = async || {
        send(&app, "deepgram", &[]).await;
        recorders.asked("deepgram") == 2
    };
    testkit::wait_until("the copy to end", crate::harness::SOON, asked).await.expect("asked again");
}
