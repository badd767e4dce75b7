//! Tokens that must not pass, with the text of each refusal.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{
    authenticator, nowhere,
    tenant::{AUDIENCE, Tenant, header, key, other_key},
};
use crate::{
    auth::{Owner, principal::AuthType},
    model::{Clock, ErrorKind},
    postgres::private,
};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Good claims with one of them replaced, or taken out where the value is null.
fn with(tenant: &Tenant, name: &str, value: Value) -> String {
    let mut claims = tenant.claims();
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    key().sign(&header(), &claims)
}

fn bad_claims(tenant: &Tenant) -> Vec<(String, &'static str)> {
    let now = Clock.now().timestamp();
    vec![
        (with(tenant, "exp", json!(now)), "Token has expired"),
        (with(tenant, "exp", json!(now - 4)), "Token has expired"),
        (
            with(tenant, "exp", json!((now + 3600).to_string())),
            "Invalid token: Expiration Time (exp) claim must be a number",
        ),
        (with(tenant, "exp", json!(null)), "Invalid token: Token is missing the \"exp\" claim"),
        (with(tenant, "sub", json!(null)), "Invalid token: Token is missing the \"sub\" claim"),
        (with(tenant, "aud", json!(null)), "Invalid token: Token is missing the \"aud\" claim"),
        (with(tenant, "iss", json!(null)), "Invalid token: Token is missing the \"iss\" claim"),
        (with(tenant, "nbf", json!(now + 60)), "Invalid token: The token is not yet valid (nbf)"),
        (with(tenant, "iat", json!(now + 60)), "Invalid token: The token is not yet valid (iat)"),
        (
            with(tenant, "nbf", json!("now")),
            "Invalid token: Not Before (nbf) claim must be a number",
        ),
        (with(tenant, "iss", json!("https://evil.test/")), "Invalid issuer"),
        (with(tenant, "iss", json!(tenant.issuer.trim_end_matches('/'))), "Invalid issuer"),
        (with(tenant, "iss", json!([tenant.issuer])), "Invalid issuer"),
        (with(tenant, "aud", json!("https://other.test")), "Invalid audience"),
        (with(tenant, "aud", json!([])), "Invalid audience"),
        (with(tenant, "aud", json!({"0": AUDIENCE})), "Invalid audience"),
        (with(tenant, "aud", json!(format!("{AUDIENCE}.evil"))), "Invalid audience"),
        (with(tenant, "sub", json!(42)), "Invalid token: Subject must be a string"),
        (
            with(tenant, "sub", json!("a\nINFO forged")),
            "Invalid token: Subject must be a string of 1 to 255 bytes",
        ),
    ]
}

fn bad_headers(tenant: &Tenant) -> Vec<(String, &'static str)> {
    let algorithm = "Invalid token: The specified alg value is not allowed";
    let unverified = "Token verification failed";
    let payload = part(&tenant.claims());
    let signature = tenant.token().rsplit_once('.').unwrap().1.to_owned();
    let raw = |header: Value| format!("{}.{payload}.{signature}", part(&header));
    let symmetric = |secret: &[u8]| {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&header, &tenant.claims(), &key).unwrap()
    };
    let public = serde_json::to_string(&key().public()).unwrap();
    let rs384 = Header { alg: Algorithm::RS384, ..header() };
    let kid = |kid: &str| {
        let header = Header { kid: Some(kid.to_owned()), ..header() };
        key().sign(&header, &tenant.claims())
    };
    vec![
        (raw(json!({"alg": "none", "kid": "one"})), algorithm),
        (raw(json!({"alg": "None", "kid": "one"})), algorithm),
        (raw(json!({"kid": "one"})), algorithm),
        (raw(json!({"alg": ["RS256"], "kid": "one"})), algorithm),
        (symmetric(public.as_bytes()), algorithm),
        (key().sign(&rs384, &tenant.claims()), algorithm),
        (
            raw(json!({"alg": "RS256", "kid": "one", "crit": ["exp"]})),
            "Invalid token: Unsupported critical extension",
        ),
        (raw(json!({"alg": "RS256"})), unverified),
        (raw(json!({"alg": "RS256", "kid": 1})), unverified),
        (kid("../../etc/passwd"), unverified),
        (kid("http://127.0.0.1:1/keys"), unverified),
        (kid("' OR 1=1 --\nforged"), unverified),
        (kid(&"k".repeat(300)), unverified),
        (
            raw(json!({"alg": "RS256", "kid": "one", "x": "y".repeat(9000)})),
            "Invalid token: Token is too long",
        ),
    ]
}

fn bad_shapes(tenant: &Tenant) -> Vec<(String, &'static str)> {
    let token = tenant.token();
    let parts: Vec<&str> = token.split('.').collect();
    let segments = "Invalid token: Not enough segments";
    let signature = "Invalid signature";
    let forged = with(tenant, "sub", json!("auth0|somebody-else"));
    let swapped = forged.split('.').nth(1).unwrap();
    vec![
        (String::new(), segments),
        ("garbage".to_owned(), segments),
        ("a.b".to_owned(), segments),
        ("..".to_owned(), "Invalid token: Invalid header padding"),
        (format!("{token}.."), "Invalid token: Too many segments"),
        (format!("{token}.x.y"), "Invalid token: Too many segments"),
        (format!("{}.{}.", parts[0], parts[1]), signature),
        (token[..token.len() - 2].to_owned(), signature),
        (format!("{}.{swapped}.{}", parts[0], parts[2]), signature),
        (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(342)), signature),
        (other_key().sign(&header(), &tenant.claims()), signature),
        (
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            "Invalid token: Invalid header padding",
        ),
        (format!("\u{1F4A5}.{}.{}", parts[1], parts[2]), "Invalid token: Invalid header padding"),
    ]
}

#[tokio::test]
async fn forged_tokens_are_refused_with_the_contracts_text() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, nowhere());
    let forged = [bad_claims(&tenant), bad_headers(&tenant), bad_shapes(&tenant)].concat();
    assert!(forged.len() > 40);
    for (token, text) in forged {
        let error = authenticator.authenticate(&token).await.unwrap_err();
        assert_eq!(
            (error.kind, error.detail.as_str()),
            (ErrorKind::Unauthenticated, text),
            "{token}"
        );
    }
    assert!(tenant.fetches() <= 1);
}

#[tokio::test]
async fn a_good_token_is_its_account() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, nowhere());
    let principal = authenticator.authenticate(&tenant.token()).await.unwrap();
    assert_eq!((principal.subject.as_str(), principal.auth_type), ("auth0|123", AuthType::Auth0));
    let email = Some("ada@example.test".to_owned());
    assert_eq!(principal.owner, Owner::Auth0 { sub: "auth0|123".to_owned(), email });
    let left = principal.expires_at.unwrap() - Clock.now();
    assert!((3590..=3600).contains(&left.num_seconds()), "{left}");
    let (verified, _) = authenticator.authenticate_tenant(&tenant.token()).await.unwrap();
    assert_eq!(verified.claims["scope"], "openid");
    let ahead = with(&tenant, "nbf", json!(Clock.now().timestamp() + 3));
    assert!(authenticator.authenticate(&ahead).await.is_ok());
    let single = with(&tenant, "aud", json!(AUDIENCE));
    assert!(authenticator.authenticate(&single).await.is_ok());
}

#[tokio::test]
async fn a_remembered_token_still_ends() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, private::database().await);
    let soon = Clock.now().timestamp_millis() as f64 / 1000.0 + 0.8;
    let token = with(&tenant, "exp", json!(soon));
    assert!(authenticator.authenticate(&token).await.is_ok());
    let ended = async {
        while authenticator.authenticate(&token).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), ended).await.unwrap();
    let over = Clock.now().timestamp_millis() as f64 / 1000.0 - soon;
    assert!((0.0..0.5).contains(&over), "{over}");
}
