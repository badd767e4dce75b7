//! Tokens of `/auth/login` that must not pass, with the text of each refusal.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{
    authenticator, nowhere,
    tenant::{Tenant, key},
    with,
};
use crate::{
    auth::Authenticator,
    config::Environment,
    model::{Clock, ErrorKind},
    postgres::private,
};

pub(super) const SECRET: &str = "the secret of tokens under test";
const NOT_ALLOWED: &str = "Invalid token: The specified alg value is not allowed";

/// Claims as `/auth/login` writes them.
pub(super) fn claims() -> Value {
    let now = Clock.now().timestamp();
    json!({
        "fresh": false, "iat": now, "nbf": now, "exp": now + 3600, "type": "access", "sub": "7",
        "jti": "00000000-0000-4000-8000-000000000001", "csrf": "x",
        "family": "00000000-0000-4000-8000-00000000000f",
    })
}

/// The claims with one of them replaced, or taken out where the value is null.
fn changed(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

pub(super) fn sign(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn bad_claims() -> Vec<(Value, &'static str)> {
    let now = Clock.now().timestamp();
    let missing = |name| changed(name, json!(null));
    let id = "Invalid token: The \"jti\" claim must be an id";
    let user = "Invalid token: Subject must be the id of a user";
    vec![
        (missing("exp"), "Invalid token: Token is missing the \"exp\" claim"),
        (missing("sub"), "Invalid token: Token is missing the \"sub\" claim"),
        (missing("type"), "Invalid token: Token is missing the \"type\" claim"),
        (missing("jti"), "Invalid token: Token is missing the \"jti\" claim"),
        (changed("exp", json!(now)), "Token has expired"),
        (changed("exp", json!(now - 4)), "Token has expired"),
        (
            changed("exp", json!("soon")),
            "Invalid token: Expiration Time (exp) claim must be a number",
        ),
        (changed("iat", json!(now + 60)), "Invalid token: The token is not yet valid (iat)"),
        (changed("nbf", json!(now + 60)), "Invalid token: The token is not yet valid (nbf)"),
        (changed("type", json!("refresh")), "Invalid token: Only non-refresh tokens are allowed"),
        (changed("type", json!("other")), "Invalid token: Type must be access or refresh"),
        (changed("type", json!(1)), "Invalid token: Type must be access or refresh"),
        (changed("sub", json!(7)), "Invalid token: Subject must be a string"),
        (changed("sub", json!("")), user),
        (changed("sub", json!("-7")), user),
        (changed("sub", json!("+7")), user),
        (changed("sub", json!("07")), user),
        (changed("sub", json!("7.0")), user),
        (changed("sub", json!("2147483648")), user),
        (changed("sub", json!("auth0|123")), user),
        (changed("jti", json!("")), id),
        (changed("jti", json!(1)), id),
        (changed("jti", json!("x".repeat(37))), id),
        (changed("jti", json!("a\0b")), id),
        (changed("family", json!([])), "Invalid token: The \"family\" claim must be an id"),
    ]
}

fn bad_signatures() -> Vec<(String, &'static str)> {
    let good = sign(SECRET, &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let under = |header: Value| format!("{}.{}.{}", part(header), parts[1], parts[2]);
    let signed = |algorithm, secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).unwrap()
    };
    let public = serde_json::to_string(&key().public()).unwrap();
    let admin = part(changed("sub", json!("1")));
    vec![
        (under(json!({"alg": "none"})), NOT_ALLOWED),
        (under(json!({"alg": "None"})), NOT_ALLOWED),
        (under(json!({"alg": "hs256"})), NOT_ALLOWED),
        (under(json!({"alg": ["HS256"]})), NOT_ALLOWED),
        (under(json!({})), NOT_ALLOWED),
        (under(json!({"alg": "HS256", "crit": ["exp"]})), NOT_ALLOWED),
        (under(json!({"alg": "HS256", "typ": "other"})), NOT_ALLOWED),
        // Names the tenant's algorithm, with our signature under it.
        (under(json!({"alg": "RS256"})), "Token verification failed"),
        (signed(Algorithm::HS384, SECRET.as_bytes()), NOT_ALLOWED),
        (signed(Algorithm::HS512, SECRET.as_bytes()), NOT_ALLOWED),
        (signed(Algorithm::HS256, public.as_bytes()), NOT_ALLOWED),
        (signed(Algorithm::HS256, b""), NOT_ALLOWED),
        (signed(Algorithm::HS256, b"change-me"), NOT_ALLOWED),
        (key().sign(&Header::new(Algorithm::RS256), &claims()), "Token verification failed"),
        (format!("{}.{}.", parts[0], parts[1]), NOT_ALLOWED),
        (format!("{}.{admin}.{}", parts[0], parts[2]), NOT_ALLOWED),
        (good[..good.len() - 2].to_owned(), NOT_ALLOWED),
        (format!("{}.{}", parts[0], parts[1]), "Invalid token: Not enough segments"),
        (format!("{good}.x"), "Invalid token: Too many segments"),
        (format!("{good}{}", "A".repeat(9000)), "Invalid token: Token is too long"),
    ]
}

/// An authenticator with that secret, which trusts that tenant too.
async fn with_secret() -> (Authenticator, Tenant) {
    let tenant = Tenant::start().await;
    let mut config = tenant.config();
    config.jwt_secret_key = Some(SECRET.into());
    (with(&config, Environment::Test, nowhere()), tenant)
}

#[tokio::test]
async fn forged_logins_are_refused() {
    let (authenticator, _tenant) = with_secret().await;
    let refused = bad_claims().into_iter().map(|(claims, text)| (sign(SECRET, &claims), text));
    let refused: Vec<_> = refused.chain(bad_signatures()).collect();
    assert!(refused.len() > 40);
    for (token, text) in refused {
        let error = authenticator.authenticate(&token).await.unwrap_err();
        let told = (error.kind, error.detail.as_str());
        assert_eq!(told, (ErrorKind::Unauthenticated, text), "{token}");
    }
}

/// What is refused above is refused for its fault: the same without one reaches for the database.
#[tokio::test]
async fn a_token_without_fault_is_looked_up() {
    let (authenticator, _tenant) = with_secret().await;
    let ahead = Clock.now().timestamp() + 3;
    for claims in [
        claims(),
        changed("nbf", json!(ahead)),
        changed("iat", json!(ahead)),
        changed("family", json!(null)),
        changed("csrf", json!(null)),
        changed("fresh", json!(null)),
    ] {
        let error = authenticator.authenticate(&sign(SECRET, &claims)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::DatabaseUnavailable, "{claims}");
    }
}

/// Without a tenant a stranger's token is no fault of the configuration.
#[tokio::test]
async fn another_services_token_is_refused_without_a_tenant_too() {
    let mut config = private::config().auth;
    config.jwt_secret_key = Some(SECRET.into());
    let authenticator = with(&config, Environment::Test, nowhere());
    let error = authenticator.authenticate(&sign("theirs", &claims())).await.unwrap_err();
    assert_eq!((error.kind, error.detail.as_str()), (ErrorKind::Unauthenticated, NOT_ALLOWED));
}

/// Where no secret is configured each process makes one up: nobody can know it.
#[tokio::test]
async fn a_secret_that_was_made_up_is_its_process_own() {
    let tenant = Tenant::start().await;
    let [one, other] = [(); 2].map(|()| authenticator(&tenant, nowhere()));
    let token = one.local().issue(7).unwrap().access_token;
    assert_eq!(other.authenticate(&token).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    assert_eq!(one.authenticate(&token).await.unwrap_err().kind, ErrorKind::DatabaseUnavailable);
    assert!(one.authenticate(&sign("", &claims())).await.unwrap_err().detail == NOT_ALLOWED);
}
