//! The claims of a token whose signature is good, checked with the texts of the contract.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// How far another clock may be ahead, for `nbf` and `iat`; `exp` has none.
const LEEWAY_SECONDS: f64 = 5.0;
/// Longer subjects are nobody's.
const LONGEST_SUBJECT: usize = 255;

/// What a token must say.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) issuer: String,
    pub(super) audience: String,
}

/// What a token says, once checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) sub: String,
    /// Only where the tenant has verified it.
    pub(super) email: Option<String>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Checks every claim; the error is the text that the client reads.
pub(super) fn check(
    claims: &Map<String, Value>,
    expected: &Expected,
    now: DateTime<Utc>,
) -> Result<Checked, String> {
    for name in ["exp", "sub", "aud", "iss"] {
        if claims.get(name).is_none_or(Value::is_null) {
            return Err(format!("Invalid token: Token is missing the \"{name}\" claim"));
        }
    }
    let expires_at = check_times(claims, now)?;
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer.as_str()) {
        return Err("Invalid issuer".to_owned());
    }
    if !has_audience(claims, &expected.audience) {
        return Err("Invalid audience".to_owned());
    }
    let sub = claims.get("sub").and_then(Value::as_str);
    let sub = sub.ok_or("Invalid token: Subject must be a string")?;
    if sub.is_empty() || sub.len() > LONGEST_SUBJECT || sub.contains(char::is_control) {
        return Err("Invalid token: Subject must be a string of 1 to 255 bytes".to_owned());
    }
    // An address that nobody has verified may be anybody's.
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    let email = claims.get("email").and_then(Value::as_str).filter(|_| verified);
    let email = email.filter(|email| !email.contains(char::is_control)).map(str::to_owned);
    Ok(Checked { sub: sub.to_owned(), email, expires_at })
}

/// When the token ends, if it has begun and has not ended.
pub(super) fn check_times(
    claims: &Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, String> {
    let seconds = now.timestamp_micros() as f64 / 1e6;
    for (name, long) in [("iat", "Issued At (iat)"), ("nbf", "Not Before (nbf)")] {
        let Some(value) = claims.get(name) else { continue };
        let time = value
            .as_f64()
            .ok_or_else(|| format!("Invalid token: {long} claim must be a number"))?;
        if time > seconds + LEEWAY_SECONDS {
            return Err(format!("Invalid token: The token is not yet valid ({name})"));
        }
    }
    let exp = claims.get("exp").and_then(Value::as_f64);
    let exp = exp.ok_or("Invalid token: Expiration Time (exp) claim must be a number")?;
    if exp <= seconds {
        return Err("Token has expired".to_owned());
    }
    // An expiry beyond what the calendar holds is as good as the calendar's end.
    let micros = (exp * 1e6) as i64;
    Ok(DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

fn has_audience(claims: &Map<String, Value>, wanted: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}
