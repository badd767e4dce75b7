//! What `/auth/refresh` and `/auth/logout` say of tokens and headers, under the key `msg`.

use serde_json::Value;

use super::{answer, call, execute, register, setup};

/// Headers that carry no token, as the replaced service answered them.
const HEADERS: [(&str, u16, &str); 8] = [
    ("", 401, "Missing Authorization Header"),
    ("   ", 401, "Missing Authorization Header"),
    (
        "Basic YTpi",
        401,
        "Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer <JWT>'",
    ),
    (
        "a.b.c",
        401,
        "Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer <JWT>'",
    ),
    ("Bearer", 422, "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'"),
    ("Bearer a b", 422, "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'"),
    ("Bearer x", 422, "Not enough segments"),
    ("Bearer a.b.c", 422, "Invalid header padding"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_tokens_are_refused_in_the_contracts_words() {
    let app = setup().start().await;
    let account = register(&app, "ada@example.com").await;
    let access = account.text("access_token");
    let none = "eyJhbGciOiJub25lIn0.e30.";
    let (signed, _) = access.rsplit_once('.').expect("three parts");
    for path in ["/auth/refresh", "/auth/logout"] {
        let post = || reqwest::Client::new().post(format!("{}{path}", app.url()));
        let missing = answer(post()).await;
        assert_eq!(missing.msg(), (401, "Missing Authorization Header"));
        assert!(missing.header("www-authenticate").is_some());
        for (header, status, text) in HEADERS {
            let told = answer(post().header("authorization", header)).await;
            assert_eq!(told.msg(), (status, text), "{path} {header}");
        }
        for (token, text) in [
            (none.to_owned(), "The specified alg value is not allowed"),
            (format!("{signed}.AAAA"), "Signature verification failed"),
        ] {
            let told = call(&app, &format!("POST {path}"), &token, Value::Null).await;
            assert_eq!(told.msg(), (422, text), "{path}");
        }
        // Keys are no tokens, wherever they stand.
        let told = call(&app, &format!("POST {path}"), account.text("api_key"), Value::Null).await;
        assert_eq!(told.msg(), (422, "Not enough segments"));
        let told = answer(post().header("x-api-key", account.text("api_key"))).await;
        assert_eq!(told.msg(), (401, "Missing Authorization Header"));
    }
    let told = call(&app, "POST /auth/refresh", access, Value::Null).await;
    assert_eq!(told.msg(), (422, "Only refresh tokens are allowed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_gone_has_no_tokens() {
    let app = setup().start().await;
    let account = register(&app, "ada@example.com").await;
    execute(&app, "UPDATE users SET is_active = false").await;
    let told = call(&app, "POST /auth/refresh", account.text("refresh_token"), Value::Null).await;
    assert_eq!(told.msg(), (401, "Token has been revoked"));
    execute(&app, "DELETE FROM api_keys").await;
    execute(&app, "DELETE FROM users WHERE id = 1").await;
    let told = call(&app, "POST /auth/refresh", account.text("refresh_token"), Value::Null).await;
    assert_eq!(told.msg(), (401, "Token has been revoked"));
    let told = call(&app, "GET /auth/profile", account.text("access_token"), Value::Null).await;
    assert_eq!(told.error(), (401, "Authentication required"));
}

/// A database that is made anew gives ids anew: tokens of the one before are nobody's there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_not_pass_to_whoever_has_its_users_id_now() {
    let app = setup().start().await;
    let account = register(&app, "mallory@example.com").await;
    execute(&app, "TRUNCATE users, api_keys, token_blacklist RESTART IDENTITY CASCADE").await;
    let heir = "INSERT INTO users (id, email, plan, created_at) \
                VALUES (1, 'ada@example.com', 'enterprise', timezone('utc', now()) + interval '2 min')";
    execute(&app, heir).await;
    let (access, refresh) = (account.text("access_token"), account.text("refresh_token"));
    for route in ["GET /auth/profile", "POST /auth/api-keys"] {
        let told = call(&app, route, access, Value::Null).await;
        assert_eq!(told.error(), (401, "Authentication required"), "{route}");
    }
    let told = call(&app, "POST /auth/refresh", refresh, Value::Null).await;
    assert_eq!(told.msg(), (401, "Token has been revoked"));
}
