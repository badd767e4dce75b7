//! Long texts: cut at sentences, in order, and all or nothing.

use std::fmt::Write;

use serde_json::json;
use testkit::{recorded::Refusal, translators::Fault};

use super::{hello, send, start};

/// So many sentences, each of them once, in paragraphs of ten.
fn text(sentences: usize) -> String {
    (1..=sentences).fold(String::new(), |mut text, n| {
        let end = if n % 10 == 0 { "\n\n" } else { " " };
        write!(text, "The patient number {n} was given {n} mg of it.{end}").expect("written");
        text
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_text_is_cut_at_sentences_and_put_together_in_order() {
    let (app, translators) = start().await;
    let text = text(800);
    for route in ["openai", "google", "deepseek"] {
        let body = json!({ "text": text, "target_language": "it" });
        let (status, told) = send(&app, route, body).await;
        let expected = text.trim().to_uppercase();
        assert_eq!(status, 200, "{route}");
        assert!(told["translated_text"] == expected, "{route}: the text is not whole");
        let asked = translators.requests(route);
        assert!(asked.len() > 5, "{route}: {} pieces", asked.len());
        if route == "openai" {
            assert_eq!(told["chunks_processed"], asked.len());
            assert_eq!(told["total_chunks"], asked.len());
        }
        for request in asked {
            let piece = match route {
                "google" => request.body["q"][0].clone(),
                _ => request.body["messages"][1]["content"].clone(),
            };
            let piece = piece.as_str().expect("a text").to_owned();
            assert!(piece.starts_with("The patient") && piece.ends_with("of it."), "{piece}");
        }
    }
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_piece_fails_all_of_it_has() {
    let (app, translators) = start().await;
    translators.refuse("google", [Refusal::of(400)]);
    let body = json!({ "text": text(300), "target_language": "it" });
    let (status, told) = send(&app, "google", body).await;
    assert_eq!((status, told["translated_text"].is_null()), (400, true));
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_translation_that_is_stopped_at_the_bound_is_made_in_halves() {
    let (app, translators) = start().await;
    translators.fault("openai", [Fault::Cut]);
    let body = json!({ "text": "One is here. Two is there.", "target_language": "it" });
    let (status, told) = send(&app, "openai", body).await;
    assert_eq!((status, &told["translated_text"]), (200, &"ONE IS HERE. TWO IS THERE.".into()));
    assert_eq!(translators.asked("openai"), 3);
    // What has no halves is not told as if it were whole.
    translators.fault("openai", std::iter::repeat_n(Fault::Cut, 20));
    let (status, told) = send(&app, "openai", hello()).await;
    assert_eq!((status, &told["code"]), (502, &"provider_rejected".into()), "{told}");
}
