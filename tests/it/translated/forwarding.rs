//! Translations that go on to a webhook.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use testkit::{
    recorded::Refusal,
    translators::{Fault, Request, Translators},
    wait_until,
};

use super::{hello, send, setup, start};
use crate::harness::{LONG, TestApp};

const SECRET: &str = "a-secret-of-the-webhook";

async fn delivered(translators: &Translators, times: usize) -> Vec<Request> {
    let arrived = async || translators.asked("make") >= times;
    wait_until("the deliveries", LONG, arrived).await.expect("delivered");
    translators.requests("make")
}

async fn counted(app: &TestApp, outcome: &str, times: i64) {
    let outcome = format!("outcome=\"{outcome}\"");
    let counted = async || app.metric("webhook_deliveries_total", &[&outcome]) == times;
    wait_until("the deliveries to be counted", LONG, counted).await.expect("counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_translation_goes_on_with_what_came_beside_it() {
    let translators = Translators::start().await.expect("they start");
    let dev = format!("{}/hook/dev", translators.base_url());
    let app = setup(&translators)
        .with("MAKE_WEBHOOK_SECRET", SECRET)
        .with("MAKE_WEBHOOK_DEV_URL", dev)
        .start()
        .await;
    let mut body = hello();
    body["fileName"] = "Visit 1.mp3".into();
    body["groupId"] = "7".into();
    body["isDev"] = "true".into();
    let (status, told) = send(&app, "deepseek", body).await;
    let expected = json!({ "translated_text": "GOOD MORNING, DOCTOR.", "forwarded": true,
        "message": "Request sent to external service" });
    assert_eq!((status, told), (200, expected));
    let request = delivered(&translators, 1).await.remove(0);
    let expected = json!({ "fileName": "Visit 1.mp3", "groupId": "7",
        "translation": "GOOD MORNING, DOCTOR.", "transcription": "Good morning, doctor." });
    assert_eq!(request.body, expected);
    let header = |name: &str| request.headers[name].to_str().expect("text").to_owned();
    let signed = format!(
        "{}.{}.{}",
        header("webhook-id"),
        header("webhook-timestamp"),
        String::from_utf8_lossy(&request.raw)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_webhook_is_told_so() {
    let translators = Translators::start().await.expect("they start");
    let app = setup(&translators).with("MAKE_WEBHOOK_URL", "").start().await;
    let expected = json!({ "translated_text": "GOOD MORNING, DOCTOR.", "forwarded": false });
    assert_eq!(send(&app, "deepseek", hello()).await, (200, expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_is_down_slow_or_busy_gets_it_later_under_the_same_id() {
    let (app, translators) = start().await;
    let busy = Refusal { retry_after: Some(1), ..Refusal::of(429) };
    let full = Refusal { body: "Queue is full.".into(), ..Refusal::of(400) };
    translators.fault(
        "make",
        [
            Fault::Refuse(Refusal::of(503)),
            Fault::Refuse(busy),
            Fault::Refuse(full),
            Fault::Wait(Duration::from_millis(300)),
        ],
    );
    let (status, told) = send(&app, "deepseek", hello()).await;
    assert_eq!((status, &told["forwarded"]), (200, &true.into()));
    let requests = delivered(&translators, 4).await;
    let ids = requests.iter().map(|request| request.headers["webhook-id"].clone());
    let mut ids: Vec<_> = ids.collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    counted(&app, "delivered", 1).await;
    counted(&app, "retried", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_is_gone_is_not_asked_again_and_the_client_never_hears_of_it() {
    let (app, translators) = start().await;
    translators.refuse("make", [Refusal::of(410)]);
    assert_eq!(send(&app, "deepseek", hello()).await.0, 200);
    counted(&app, "lost", 1).await;
    assert_eq!(translators.asked("make"), 1);
}
