//! Our account is refused: another goes on at once, and the one that refuses is left alone.

use super::{Talk, assert_billed_to, both, failovers, providers, refuse_all};

async fn refused(status: u16) {
    let (app, _second) = both(|setup| setup).await;
    let mut talk = Talk::begin(&app).await;
    refuse_all(&app, status);
    talk.until_heard_by("assemblyai").await;
    let chunks = talk.said;
    let heard = talk.finish().await;
    assert_eq!(providers(&heard), ["deepgram", "assemblyai"]);
    assert_billed_to(&app, &heard, chunks).await;
    assert!(failovers(&app, "succeeded") >= 1);
    assert_eq!(app.deepgram().requests().len(), 2, "one stream, and one refusal");
    assert_eq!(app.metric("provider_breaker_open", &["deepgram"]), 1);
    // Who comes later begins with the other, and is told so.
    for _ in 0..3 {
        let talk = Talk::begin(&app).await;
        assert_eq!(talk.started()["provider"], "assemblyai");
        assert_eq!(talk.started()["model"], "universal-streaming-english");
        assert_eq!(providers(&talk.finish().await), ["assemblyai"]);
    }
    assert_eq!(app.deepgram().requests().len(), 2, "nobody asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_taken_back() {
    Box::pin(refused(401)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_runs_empty() {
    Box::pin(refused(402)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_not() {
    Box::pin(refused(403)).await;
}
