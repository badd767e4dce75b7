//! `POST /auth/register`: an account with a password and a first key.

use axum::{extract::State, http::StatusCode, response::Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{Accounts, answer, fields};
use crate::{
    auth::{directory::NewUser, email, password},
    model::{Error, Plan},
    telemetry::log_patterns,
    web::{
        body::{JsonObject, Unreadable},
        error::Failure,
    },
};

const FAILED: &str = "Registration failed";

/// Who wants an account, and with which password.
#[derive(Debug)]
struct Wanted {
    password: SecretString,
    /// Whole but for the hash of the password.
    user: NewUser,
}

/// Makes an account. Whatever plan is asked for, it is the free one.
pub async fn register(
    State(accounts): State<Accounts>,
    body: Result<JsonObject, Unreadable>,
) -> Result<Response, Failure> {
    let Wanted { password, mut user } = read(&answer::readable(body, FAILED)?)?;
    let auth = &accounts.auth;
    if auth.people().find_login(&user.email).await?.is_some() {
        return Err(taken());
    }
    user.password_hash = auth.passwords().hash(password).await?;
    let (user, key) = auth.people().register(&user).await?.ok_or_else(taken)?;
    log_patterns::user_registered(user.id);
    let issued = auth.local().issue(user.id)?;
    let body = json!({
        "message": "User registered successfully",
        "user": user,
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
        "expires_in": issued.expires_in,
        "api_key": key.expose_secret(),
    });
    Ok(answer::secret(StatusCode::CREATED, body))
}

fn taken() -> Failure {
    Failure(Error::invalid("Email already registered"))
}

/// Checks the fields in the order of the contract.
fn read(body: &JsonObject) -> Result<Wanted, Error> {
    for name in ["email", "password"] {
        if fields::is_missing(body, name) {
            return Err(Error::invalid(format!("Missing required field: {name}")));
        }
    }
    let text = |name| body.text(name).ok_or_else(|| Error::invalid(FAILED));
    let (email, password) = (text("email")?, text("password")?);
    let email = email::normalised(email).ok_or_else(|| Error::invalid("Invalid email format"))?;
    if let Some(fault) = password::fault(password) {
        return Err(Error::invalid(fault));
    }
    let optional =
        |name, longest| fields::optional(body, name, longest).map(Option::unwrap_or_default);
    let user = NewUser {
        email,
        password_hash: String::new(),
        first_name: optional("first_name", 50)?,
        last_name: optional("last_name", 50)?,
        company: optional("company", 100)?,
        plan: Plan::Free,
        email_verified: false,
    };
    Ok(Wanted { password: password.into(), user })
}
