//! Vectors that others made for verifiers: what they say is good passes, and nothing else does.

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Value, json};

use super::{authenticator, nowhere, tenant::Tenant};

const WYCHEPROOF: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jws/wycheproof_rs256.json"));
const RFC_7520: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jws/rfc7520.json"));

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// Wrong paddings, hashes and encodings of RSASSA-PKCS1-v1_5, of which forgeries are made.
#[test]
fn the_verifier_agrees_with_wycheproof() {
    let vectors: Value = serde_json::from_str(WYCHEPROOF).unwrap();
    let mut good = 0;
    let mut bad = 0;
    for group in vectors["groups"].as_array().unwrap() {
        let key = DecodingKey::from_rsa_components(text(group, "n"), text(group, "e")).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let message = URL_SAFE_NO_PAD.decode(text(test, "message")).unwrap();
            let verified =
                crypto::verify(text(test, "signature"), &message, &key, Algorithm::RS256);
            let valid = test["valid"].as_bool().unwrap();
            assert_eq!(verified.unwrap_or(false), valid, "{}: {}", test["id"], test["comment"]);
            if valid { good += 1 } else { bad += 1 }
        }
    }
    assert_eq!((good, bad), (9, 249));
}

/// The example's payload is prose: its signature is good, and it is still no token of ours.
#[tokio::test]
async fn the_example_of_rfc_7520_verifies_until_a_bit_is_changed() {
    let tenant = Tenant::start().await;
    let example: Value = serde_json::from_str(RFC_7520).unwrap();
    tenant.answers(StatusCode::OK, json!({ "keys": [example["key"]] }).to_string());
    let authenticator = authenticator(&tenant, nowhere());
    let told = async |token: &str| authenticator.authenticate(token).await.unwrap_err().detail;
    let token = text(&example, "token");
    assert_eq!(told(token).await, "Invalid token: Invalid payload: must be a json object");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[100] ^= 1;
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
    assert_eq!(told(&forged).await, "Invalid signature");
}
