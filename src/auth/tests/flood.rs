//! Tokens with invented key ids, and a tenant that is away.

use axum::http::StatusCode;
use futures_util::future::join_all;
use jsonwebtoken::Header;
use serde_json::json;

use super::{
    authenticator, nowhere,
    tenant::{Tenant, header, key, other_key},
};

/// The same claims under a key id that nobody has; the signature is never looked at.
pub(super) fn unknown(tenant: &Tenant, count: usize) -> Vec<String> {
    let token = tenant.token();
    let (_, rest) = token.split_once('.').unwrap();
    let header = |kid: usize| {
        let header = Header { kid: Some(format!("random-{kid}")), ..header() };
        key().sign(&header, &json!({})).split('.').next().unwrap().to_owned()
    };
    (0..count).map(|kid| format!("{}.{rest}", header(kid))).collect()
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_one_fetch() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, nowhere());
    assert!(authenticator.authenticate(&tenant.token()).await.is_ok());
    let tokens = unknown(&tenant, 300);
    for _ in 0..10 {
        let answers = join_all(tokens.iter().map(|token| authenticator.authenticate(token))).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().detail, "Token verification failed");
        }
        let good = key().sign(&header(), &tenant.claims());
        assert!(authenticator.authenticate(&good).await.is_ok());
    }
    assert_eq!(tenant.fetches(), 1);
}

#[tokio::test]
async fn a_tenant_without_keys_is_asked_once() {
    for (status, body) in [
        (StatusCode::SERVICE_UNAVAILABLE, "away".to_owned()),
        (StatusCode::OK, r#"{"keys":[]}"#.to_owned()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, "x".repeat(1 << 20)),
        (StatusCode::FOUND, String::new()),
    ] {
        let tenant = Tenant::start().await;
        tenant.answers(status, body);
        let authenticator = authenticator(&tenant, nowhere());
        for token in unknown(&tenant, 50) {
            let error = authenticator.authenticate(&token).await.unwrap_err();
            assert_eq!(error.detail, "Token verification failed");
        }
        assert_eq!(tenant.fetches(), 1);
    }
}

#[tokio::test]
async fn keys_outlive_their_tenant() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, nowhere());
    assert!(authenticator.authenticate(&tenant.token()).await.is_ok());
    tenant.answers(StatusCode::SERVICE_UNAVAILABLE, "away");
    let mut claims = tenant.claims();
    claims["sub"] = json!("auth0|new");
    assert!(authenticator.authenticate(&key().sign(&header(), &claims)).await.is_ok());
}

#[tokio::test]
async fn keys_of_another_kind_are_passed_over() {
    let tenant = Tenant::start().await;
    let mut encryption = other_key().public();
    encryption.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Encryption);
    let future = json!({"kty": "PQC", "kid": "three", "alg": "ML-DSA-65", "pub": "AAAA"});
    let set = json!({"keys": [future, encryption, key().public()]});
    tenant.answers(StatusCode::OK, set.to_string());
    let authenticator = authenticator(&tenant, nowhere());
    assert!(authenticator.authenticate(&tenant.token()).await.is_ok());
    let header = Header { kid: Some("two".to_owned()), ..header() };
    let token = other_key().sign(&header, &tenant.claims());
    assert!(authenticator.authenticate(&token).await.is_err());
}
