//! What is answered, and what it is billed as.

use reqwest::multipart;
use serde_json::{Value, json};

use super::{ask, form, hello, read, send, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_translator_answers_in_the_contracts_shape() {
    let (app, translators) = start().await;
    let told = "GOOD MORNING, DOCTOR.";
    let expected = json!({ "translated_text": told, "source_language": "auto",
        "target_language": "it", "model_used": "gpt-4o-mini", "service": "openai_gpt" });
    assert_eq!(send(&app, "openai", hello()).await, (200, expected));
    let expected = json!({ "translated_text": told, "source_language": "en",
        "target_language": "it", "service": "google_cloud" });
    assert_eq!(send(&app, "google", hello()).await, (200, expected));
    let mut local = hello();
    local["isLocal"] = "true".into();
    let expected = json!({ "translated_text": told });
    assert_eq!(send(&app, "deepseek", local).await, (200, expected));
    let asked = &translators.requests("deepseek")[0].body;
    assert_eq!(
        (&asked["thinking"]["type"], &asked["model"]),
        (&"disabled".into(), &"deepseek-flash".into())
    );
    let asked = &translators.requests("openai")[0].body;
    assert_eq!(asked["messages"][1]["content"], "Good morning, doctor.");
    assert!(
        asked["messages"][0]["content"]
            .as_str()
            .expect("text")
            .contains("from the language that it is in to it")
    );
    assert_eq!(translators.requests("google")[0].body["format"], "text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_act_is_one_row_at_its_price() {
    let (app, _translators) = start().await;
    for route in ["openai", "google", "deepseek"] {
        assert_eq!(send(&app, route, hello()).await.0, 200, "{route}");
    }
    let rows: String = app
        .sql(
            "SELECT string_agg(concat_ws('|', service, endpoint, model, language, tokens_used, \
             characters_processed, audio_duration_seconds IS NULL, cost_micros), E'\\n' \
             ORDER BY service) FROM usage_logs",
        )
        .await;
    let rows: Vec<&str> = rows.lines().collect();
    // Three words in, three out: 3 x 0.15 + 3 x 0.60 micro-dollars, the begun one counted; double at
    // DeepSeek's peak hours.
    let deepseek = "deepseek|/translations/deepseek|deepseek-flash|it|6|21|t|";
    assert!(["3", "5"].iter().any(|cost| rows[0] == format!("{deepseek}{cost}")), "{}", rows[0]);
    assert_eq!(rows[1], "google|/translations/google|nmt|it|21|t|420");
    assert_eq!(rows[2], "openai|/translations/openai|gpt-4o-mini|it|6|21|t|3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_of_a_glossary_become_what_they_are_to_become() {
    let (app, translators) = start().await;
    let glossary = json!({ "doctor": "Dottore & <co>", "day": "giorno" });
    let mut body = hello();
    body["glossary"] = glossary.clone();
    for route in ["openai", "google"] {
        let (status, told) = send(&app, route, body.clone()).await;
        assert_eq!(
            (status, &told["translated_text"]),
            (200, &"GOOD MORNING, Dottore & <co>.".into()),
            "{route}"
        );
    }
    body["glossary"] = glossary.to_string().into();
    let (_, told) = send(&app, "deepseek", body).await;
    assert_eq!(told["translated_text"], "GOOD MORNING, Dottore & <co>.");
    let system = translators.requests("openai")[0].body["messages"][0]["content"].to_string();
    assert!(!system.contains("giorno"), "a term that the text lacks is not told: {system}");
    assert_eq!(translators.requests("google")[0].body["format"], "html");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_is_asked_in_its_other_edition_where_that_is_wished() {
    let translators = testkit::translators::Translators::start().await.expect("they start");
    let app = super::setup(&translators).with("GOOGLE_TRANSLATE_VERSION", "v3").start().await;
    let mut body = hello();
    body["source_language"] = "en".into();
    let (status, told) = send(&app, "google", body).await;
    assert_eq!((status, &told["translated_text"]), (200, &"GOOD MORNING, DOCTOR.".into()));
    assert_eq!(told["source_language"], "en");
    let asked = &translators.requests("google")[0].body;
    assert_eq!(
        (&asked["mimeType"], &asked["sourceLanguageCode"]),
        (&"text/plain".into(), &"en".into())
    );
    // One token serves until it ends, or is taken back.
    assert_eq!(send(&app, "google", hello()).await.0, 200);
    assert_eq!(translators.asked("google_token"), 1);
    translators.revoke_tokens();
    assert_eq!(send(&app, "google", hello()).await.0, 200);
    assert_eq!(translators.asked("google_token"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_wrongly_is_told_in_the_contracts_words() {
    let (app, translators) = start().await;
    let empty = json!({ "text": "  ", "target_language": "it" });
    for route in ["openai", "google"] {
        for (body, text) in [
            (json!({}), "Missing required field: text"),
            (json!({ "text": "x" }), "Missing required field: target_language"),
            (empty.clone(), "Text cannot be empty"),
        ] {
            let (status, told) = send(&app, route, body).await;
            assert_eq!((status, &told["error"]), (400, &Value::from(text)), "{route}");
        }
        let (status, told) = read(form(ask(&app, route), &hello())).await;
        assert_eq!((status, &told["error"]), (400, &"Request must be JSON".into()));
        let json = ("content-type", "application/json");
        let (status, told) = read(ask(&app, route).header(json.0, json.1).body("{\"text\"")).await;
        assert_eq!((status, &told["code"]), (400, &"invalid_request".into()));
    }
    let (status, told) = send(&app, "deepseek", json!({ "target_language": "it" })).await;
    assert_eq!((status, &told["error"]), (400, &"Missing text parameter".into()));
    let (status, told) = read(ask(&app, "deepseek").json(&hello())).await;
    assert_eq!((status, &told["error"]), (400, &"Missing text parameter".into()));
    let asked = ["openai", "google", "deepseek"].map(|provider| translators.asked(provider));
    assert_eq!(asked, [0, 0, 0]);
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_kinds_of_forms_are_read() {
    let (app, translators) = start().await;
    let form = multipart::Form::new().text("text", "good day").text("isLocal", "true");
    let (status, told) = read(ask(&app, "deepseek").multipart(form)).await;
    assert_eq!((status, told), (200, json!({ "translated_text": "GOOD DAY" })));
    let system = translators.requests("deepseek")[0].body["messages"][0]["content"].to_string();
    assert!(system.contains("from the language that it is in to en"), "{system}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_may_have_a_mebibyte_and_no_byte_more() {
    const MOST: usize = 1024 * 1024;
    let (app, _translators) = start().await;
    for (bytes, expected) in [(MOST, 400), (MOST + 1, 413)] {
        // It has no target, so that what is read whole is refused for that.
        let around = "{\"text\":\"\"}".len();
        let body = format!("{{\"text\":\"{}\"}}", "a".repeat(bytes - around));
        let request = ask(&app, "openai").header("content-type", "application/json").body(body);
        assert_eq!(read(request).await.0, expected, "{bytes}");
        let body = format!("nothing={}", "a".repeat(bytes - "nothing=".len()));
        let kind = "application/x-www-form-urlencoded";
        let request = ask(&app, "deepseek").header("content-type", kind).body(body);
        assert_eq!(read(request).await.0, expected, "{bytes}");
    }
}
