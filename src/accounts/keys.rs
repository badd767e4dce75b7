//! `POST /auth/api-keys` and `DELETE /auth/api-keys/{id}`: keys of the caller.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::{Accounts, answer, fields, profile};
use crate::{
    auth::{NewKey, Principal},
    model::{Clock, Error, ErrorKind},
    web::{body::JsonObject, error::Failure},
};

/// The longest that a key may be asked to live, in days.
const LONGEST_DAYS: i64 = 3650;

/// Makes a key and shows it, once.
pub async fn create(
    State(accounts): State<Accounts>,
    Extension(principal): Extension<Principal>,
    body: Option<JsonObject>,
) -> Result<Response, Failure> {
    let wanted = read(&body.unwrap_or(JsonObject(Map::new())))?;
    let user = accounts.auth.user_id(&principal).await?;
    let made = accounts.auth.keys().create(user, &wanted).await?;
    let (id, key) = made.ok_or_else(profile::unknown)?;
    let body = json!({
        "message": "API key created successfully",
        "id": id,
        "name": wanted.name,
        "api_key": key.expose_secret(),
        "expires_at": wanted.expires_at.map(|at| Clock.format(at.and_utc())),
    });
    Ok(answer::secret(StatusCode::CREATED, body))
}

/// Takes a key back, on every replica at once.
pub async fn delete(
    State(accounts): State<Accounts>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let not_found = |text| Failure(Error::new(ErrorKind::NotFound, text));
    if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_found("Endpoint not found"));
    }
    let user = accounts.auth.user_id(&principal).await?;
    let found = match id.parse() {
        Ok(id) => accounts.auth.keys().deactivate(user, id).await?,
        // A number that no row has.
        Err(_) => false,
    };
    if !found {
        return Err(not_found("API key not found"));
    }
    Ok(Json(json!({ "message": "API key deactivated" })))
}

fn read(body: &JsonObject) -> Result<NewKey, Error> {
    let name = fields::optional(body, "name", 100)?.filter(|name| !name.trim().is_empty());
    let name = name.unwrap_or_else(|| "API Key".to_owned());
    Ok(NewKey { name, expires_at: expiry(body, Clock.now())? })
}

fn expiry(body: &JsonObject, now: DateTime<Utc>) -> Result<Option<NaiveDateTime>, Error> {
    let given = |name| body.0.get(name).filter(|value| !value.is_null());
    match (given("expires_in_days"), given("expires_at")) {
        (None, None) => Ok(None),
        (Some(days), None) => {
            let days = days.as_i64().filter(|days| (1..=LONGEST_DAYS).contains(days));
            let days = days.ok_or_else(|| {
                Error::invalid(format!("expires_in_days must be a number from 1 to {LONGEST_DAYS}"))
            })?;
            Ok(Some((now + TimeDelta::days(days)).naive_utc()))
        }
        (None, Some(at)) => {
            let at = at.as_str().and_then(moment).filter(|at| *at > now.naive_utc());
            let text = "expires_at must be a time in the future, in ISO 8601";
            at.map(Some).ok_or_else(|| Error::invalid(text))
        }
        (Some(_), Some(_)) => {
            Err(Error::invalid("give expires_in_days or expires_at, but not both"))
        }
    }
}

/// A time in ISO 8601; without a zone it means UTC.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|at| at.naive_utc());
    zoned.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expires(body: Value) -> Result<Option<String>, String> {
        let Value::Object(body) = body else { unreachable!("an object") };
        let now = DateTime::parse_from_rfc3339("2030-01-01T00:00:00Z").unwrap().to_utc();
        let expiry = expiry(&JsonObject(body), now).map_err(|error| error.detail)?;
        Ok(expiry.map(|at| at.to_string()))
    }

    #[test]
    fn a_key_may_be_given_an_end() {
        let at = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(expires(json!({})), Ok(None));
        assert_eq!(expires(json!({"expires_at": null})), Ok(None));
        assert_eq!(expires(json!({"expires_in_days": 1})), at("2030-01-02 00:00:00"));
        assert_eq!(expires(json!({"expires_in_days": 3650})), at("2039-12-30 00:00:00"));
        for text in ["2030-02-01T02:00:00+02:00", "2030-02-01T00:00:00Z", "2030-02-01T00:00:00.0"] {
            assert_eq!(expires(json!({"expires_at": text})), at("2030-02-01 00:00:00"), "{text}");
        }
    }

    #[test]
    fn an_end_must_be_ahead_and_within_reason() {
        for days in [json!(0), json!(-1), json!(3651), json!(1.5), json!("7"), json!([])] {
            let told = expires(json!({"expires_in_days": days})).unwrap_err();
            assert_eq!(told, "expires_in_days must be a number from 1 to 3650");
        }
        for text in ["2029-12-31T23:59:59Z", "2030-01-01T00:00:00Z", "soon", ""] {
            let told = expires(json!({"expires_at": text})).unwrap_err();
            assert_eq!(told, "expires_at must be a time in the future, in ISO 8601", "{text}");
        }
        let both = json!({"expires_in_days": 1, "expires_at": "2031-01-01T00:00:00Z"});
        assert!(expires(both).is_err());
    }
}
