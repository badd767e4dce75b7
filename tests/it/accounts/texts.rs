//! Every status and text of registering and logging in, in the words of the replaced service.

use serde_json::{Value, json};

use super::{Answer, PASSWORD, answer, call, execute, login, register, setup};
use crate::harness::TestApp;

/// Bodies of a registration that are refused, in the order of the checks.
fn refused() -> Vec<(Value, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut body = json!({ "email": "new@example.com", "password": PASSWORD });
        body[name] = value;
        body
    };
    let address = |email: &str| with("email", json!(email));
    let password = |password: &str| with("password", json!(password));
    let short = "Password must be at least 8 characters long";
    let margin = "Password cannot start or end with whitespace";
    vec![
        (json!({}), "Missing required field: email"),
        (json!({ "password": "x" }), "Missing required field: email"),
        (with("email", json!("")), "Missing required field: email"),
        (with("email", json!(null)), "Missing required field: email"),
        (json!({ "email": "x" }), "Missing required field: password"),
        (with("password", json!("")), "Missing required field: password"),
        (json!({ "email": "x", "password": "x" }), "Invalid email format"),
        (address("a@b"), "Invalid email format"),
        (address("a b@example.com"), "Invalid email format"),
        (address(&format!("{}@example.com", "a".repeat(320))), "Invalid email format"),
        (password("a1"), short),
        (password("ä1ö2ü3ß"), short),
        (password(" 1"), short),
        (password(" abcdefg1"), margin),
        (password("abcdefg1\n"), margin),
        (password(" 12345678"), margin),
        (password("12345678"), "Password must contain at least one letter"),
        (password("--------"), "Password must contain at least one letter"),
        (password("abcdefgh"), "Password must contain at least one number"),
        (
            with("first_name", json!("x".repeat(51))),
            "first_name must be text of at most 50 characters",
        ),
        (
            with("last_name", json!("x".repeat(51))),
            "last_name must be text of at most 50 characters",
        ),
        (with("company", json!("x".repeat(101))), "company must be text of at most 100 characters"),
        (with("company", json!(["x"])), "company must be text of at most 100 characters"),
        (with("first_name", json!("a\0b")), "first_name must be text of at most 50 characters"),
        (with("email", json!(1)), "Registration failed"),
        (with("password", json!(["x"])), "Registration failed"),
        (address(" TAKEN@Example.com "), "Email already registered"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_refused_in_the_contracts_words_and_order() {
    let app = setup().start().await;
    register(&app, "taken@example.com").await;
    for (body, text) in refused() {
        let answer = call(&app, "POST /auth/register", "", body.clone()).await;
        assert_eq!(answer.error(), (400, text), "{body}");
        assert_eq!(answer.body["code"], "invalid_request");
    }
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM users WHERE id > 0").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_what_the_contract_says() {
    let app = setup().start().await;
    let body = json!({
        "email": " Ada@Example.COM ", "password": PASSWORD, "first_name": "Ada",
        "last_name": "L\u{f8}velace", "company": "x".repeat(100), "plan": "enterprise",
        "is_active": false, "email_verified": true, "id": 77, "unknown": [1],
    });
    let answer = call(&app, "POST /auth/register", "", body).await;
    assert_eq!((answer.status, answer.text("message")), (201, "User registered successfully"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let user = answer.body["user"].as_object().expect("a user");
    let created = user["created_at"].as_str().expect("a time");
    assert!(created.len() == 27 && created.ends_with('Z'), "{created}");
    let expected = json!({
        "id": 1, "email": "ada@example.com", "first_name": "Ada", "last_name": "L\u{f8}velace",
        "company": "x".repeat(100), "plan": "free", "is_active": true, "email_verified": false,
        "created_at": created, "last_login": null, "api_calls_month": 0,
        "audio_minutes_month": 0.0,
    });
    assert_eq!(json!(user), expected);
    assert_eq!(answer.body["expires_in"], 3600);
    let hash: String = app.sql("SELECT password_hash FROM users WHERE id = 1").await;
    assert!(hash.starts_with("$2b$12$"), "{hash}");
    assert_eq!(app.sql::<String>("SELECT plan::text FROM users WHERE id = 1").await, "free");
    assert_first_key(&app, &answer).await;
}

async fn assert_first_key(app: &TestApp, registered: &Answer) {
    let key = registered.text("api_key");
    assert!(key.starts_with("usr_1_") && key.len() == 6 + 43, "{key}");
    let answer = call(app, "GET /auth/profile", key, Value::Null).await;
    assert_eq!((answer.status, &answer.body["user"]), (200, &registered.body["user"]));
    let keys = answer.body["api_keys"].as_array().expect("keys");
    let created = keys[0]["created_at"].as_str().expect("a time");
    let expected = json!({
        "id": 1, "name": "Default API Key", "key_preview": "usr_1_****", "is_active": true,
        "created_at": created, "last_used": null, "usage_count": 0, "expires_at": null,
    });
    assert_eq!(json!(keys), json!([expected]));
    assert!(!answer.body.to_string().contains(&key[6..]), "shown once");
    let query =
        "SELECT count(*) FROM api_keys WHERE key_prefix = 'usr_1_' AND length(key_hash) = 64";
    assert_eq!(app.sql::<i64>(query).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_what_the_contract_says() {
    let app = setup().start().await;
    register(&app, "ada@example.com").await;
    let answer = login(&app, " ADA@example.com\t", PASSWORD).await;
    assert_eq!((answer.status, answer.text("message")), (200, "Login successful"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!((&answer.body["expires_in"], &answer.body["user"]["id"]), (&json!(3600), &json!(1)));
    assert!(answer.body["user"]["last_login"].as_str().expect("a time").ends_with('Z'));
    assert!(answer.body.get("api_key").is_none());
    for token in ["access_token", "refresh_token"] {
        assert_eq!(answer.text(token).split('.').count(), 3);
    }
    let written = "SELECT count(*) FROM users WHERE last_login > timezone('utc', now()) - interval '1 minute'";
    assert_eq!(app.sql::<i64>(written).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_refused_in_the_contracts_words() {
    let app = setup().start().await;
    register(&app, "ada@example.com").await;
    execute(&app, "INSERT INTO users (email) VALUES ('auth0@example.com')").await;
    let both = "Email and password required";
    for (body, text) in [
        (json!({}), both),
        (json!({ "email": "ada@example.com" }), both),
        (json!({ "password": PASSWORD }), both),
        (json!({ "email": "", "password": PASSWORD }), both),
        (json!({ "email": "ada@example.com", "password": null }), both),
        (json!({ "email": 1, "password": PASSWORD }), "Login failed"),
        (json!({ "email": "ada@example.com", "password": [PASSWORD] }), "Login failed"),
    ] {
        let answer = call(&app, "POST /auth/login", "", body.clone()).await;
        assert_eq!(answer.error(), (400, text), "{body}");
    }
    let wrong = (401, "Invalid email or password");
    let long = "x".repeat(400);
    for (email, password) in [
        ("ada@example.com", "correct horse 2"),
        ("ada@example.com", "correct horse 1 "),
        ("eve@example.com", PASSWORD),
        ("auth0@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("a\0da@example.com", PASSWORD),
        (&long, PASSWORD),
    ] {
        assert_eq!(login(&app, email, password).await.error(), wrong, "{email} {password}");
    }
    execute(&app, "UPDATE users SET is_active = false").await;
    assert_eq!(login(&app, "ada@example.com", "correct horse 2").await.error(), wrong);
    let deactivated = login(&app, "ada@example.com", PASSWORD).await;
    assert_eq!(deactivated.error(), (401, "Account deactivated"));
}

/// Whatever is no JSON object fails in the route's own words; the original's 500 was wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_json_object_is_told_so() {
    let app = setup().start().await;
    let bodies = [
        ("application/json", ""),
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", "\"text\""),
        ("application/json", "{\"email\": \"\\ud800\"}"),
        ("application/json", "{\"email\": \"a@b.co\"} {}"),
        ("text/plain", "{}"),
        ("application/x-www-form-urlencoded", "email=a@b.co&password=x"),
    ];
    for (path, text) in [("/auth/register", "Registration failed"), ("/auth/login", "Login failed")]
    {
        let post = || reqwest::Client::new().post(format!("{}{path}", app.url()));
        for (kind, body) in bodies {
            let told = answer(post().header("content-type", kind).body(body)).await;
            assert_eq!(told.error(), (400, text), "{kind} {body}");
        }
        assert_eq!(answer(post()).await.error(), (400, text));
        let large = format!("{{\"email\": \"{}\"}}", "x".repeat(1 << 20));
        let told = answer(post().header("content-type", "application/json").body(large)).await;
        let capacity = "The data value transmitted exceeds the capacity limit.";
        assert_eq!(told.error(), (413, capacity));
    }
}
