//! Google Translate, and the exchange of a signature for a token.
//!
//! Shapes: the discovery documents of Translation v2 and v3 (Apache-2.0), 2026-08.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Request, Shared, lock, refusal};
use crate::auth0::key::Key;

const EMAIL: &str = "translator@a-project.iam.gserviceaccount.com";
const PROJECT: &str = "a-project";
/// Whatever address the file names, Google's own libraries write this one.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// Code points of one request.
const MOST: usize = 30_000;

pub(super) fn service_account(key: &Key, base: &str) -> Value {
    json!({
        "type": "service_account", "project_id": PROJECT, "private_key_id": key.kid,
        "private_key": key.private_pem, "client_email": EMAIL, "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": format!("{base}/token"), "universe_domain": "googleapis.com" })
}

pub(super) async fn token(State(state): State<Shared>, headers: HeaderMap, raw: Bytes) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&raw).into_owned().collect();
    let body = fields.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
    let request =
        Request { provider: "google_token", headers, body: Value::Object(body), raw: raw.to_vec() };
    if let Err(refused) = state.note(request).await {
        return refused;
    }
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, text)| text);
    let granted = field("grant_type").is_some_and(|kind| kind.ends_with(":jwt-bearer"))
        && field("assertion").is_some_and(|assertion| is_signed(&state.key, assertion));
    if !granted {
        let body = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        return refusal(StatusCode::BAD_REQUEST, body);
    }
    let token = format!("ya29.{}", Uuid::new_v4().simple());
    lock(&state.tokens).push(token.clone());
    let body = json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" });
    Json(body).into_response()
}

fn is_signed(key: &Key, assertion: &str) -> bool {
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[EMAIL]);
    let told = decode::<Value>(assertion, &DecodingKey::from_rsa_der(&key.public_der), &rules);
    told.is_ok_and(|told| {
        let (claims, times) = (&told.claims, |name: &str| told.claims[name].as_i64().unwrap_or(0));
        claims["scope"].as_str().is_some_and(|scope| scope.contains("cloud"))
            && times("exp") - times("iat") <= 3_600
            && told.header.kid.as_deref() == Some(&key.kid)
    })
}

pub(super) async fn v2(State(state): State<Shared>, headers: HeaderMap, raw: Bytes) -> Response {
    let body = match admit(&state, headers, &raw).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let texts: Vec<&str> = match &body["q"] {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let html = body["format"].as_str() != Some("text");
    match translate(&texts, html, body["target"].as_str()) {
        Ok(translated) => {
            let told = translated.into_iter().map(|text| {
                let mut told = json!({ "translatedText": text });
                if body["source"].is_null() {
                    told["detectedSourceLanguage"] = "en".into();
                }
                told
            });
            Json(json!({ "data": { "translations": told.collect::<Vec<_>>() } })).into_response()
        }
        Err(why) => refused(StatusCode::BAD_REQUEST, why, "INVALID_ARGUMENT"),
    }
}

pub(super) async fn v3(
    State(state): State<Shared>,
    Path(call): Path<String>,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let body = match admit(&state, headers, &raw).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let known = [":translateText", "/locations/global:translateText"];
    if !known.iter().any(|path| call == format!("{PROJECT}{path}")) {
        return refused(StatusCode::NOT_FOUND, "no such project", "NOT_FOUND");
    }
    let texts = body["contents"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let html = body["mimeType"].as_str() != Some("text/plain");
    let texts: Vec<&str> = texts.collect();
    match translate(&texts, html, body["targetLanguageCode"].as_str()) {
        Ok(translated) => {
            let detects = body["sourceLanguageCode"].as_str().is_none_or(str::is_empty);
            let told = translated.into_iter().map(|text| {
                let mut told = json!({ "translatedText": text });
                if detects {
                    told["detectedLanguageCode"] = "en".into();
                }
                told
            });
            Json(json!({ "translations": told.collect::<Vec<_>>() })).into_response()
        }
        Err(why) => refused(StatusCode::BAD_REQUEST, why, "INVALID_ARGUMENT"),
    }
}

/// Lets in who has a token, and notes what comes.
async fn admit(state: &Shared, headers: HeaderMap, raw: &Bytes) -> Result<Value, Response> {
    let body: Value = serde_json::from_slice(raw).unwrap_or_default();
    let bearer =
        headers.get("authorization").and_then(|told| told.to_str().ok()).map(str::to_owned);
    let request = Request { provider: "google", headers, body: body.clone(), raw: raw.to_vec() };
    state.note(request).await?;
    let token = bearer.as_deref().and_then(|told| told.strip_prefix("Bearer "));
    if !token.is_some_and(|token| lock(&state.tokens).iter().any(|known| known == token)) {
        let why = "Request had invalid authentication credentials.";
        return Err(refused(StatusCode::UNAUTHORIZED, why, "UNAUTHENTICATED"));
    }
    Ok(body)
}

fn translate(
    texts: &[&str],
    html: bool,
    target: Option<&str>,
) -> Result<Vec<String>, &'static str> {
    if !target.is_some_and(|code| (2..=10).contains(&code.len())) {
        return Err("Invalid Value");
    }
    if texts.iter().map(|text| text.chars().count()).sum::<usize>() > MOST {
        return Err("Text too long");
    }
    let one = |text: &&str| if html { marked(text) } else { text.to_uppercase() };
    Ok(texts.iter().map(one).collect())
}

/// Capitals outside of tags and of what is not to be translated, with the entities that Google writes.
fn marked(text: &str) -> String {
    let (mut told, mut rest, mut kept) = (String::new(), text, false);
    while let Some(start) = rest.find('<') {
        told.push_str(&capitals(&rest[..start], kept));
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        let tag = &rest[start..end];
        kept = if tag.starts_with("</") { false } else { kept || tag.contains("translate=\"no\"") };
        told.push_str(tag);
        rest = &rest[end..];
    }
    told.push_str(&capitals(rest, kept));
    told
}

fn capitals(text: &str, kept: bool) -> String {
    if kept {
        return text.to_owned();
    }
    let upper = text.to_uppercase().replace('\'', "&#39;");
    ["&amp;", "&lt;", "&gt;"]
        .iter()
        .fold(upper, |text, entity| text.replace(&entity.to_uppercase(), entity))
}

fn refused(status: StatusCode, message: &str, name: &str) -> Response {
    let error = json!({ "error": { "code": status.as_u16(), "message": message, "status": name } });
    refusal(status, error.to_string())
}
