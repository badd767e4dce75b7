//! `POST /auth/login`: tokens for an address and a password.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde_json::json;

use super::{Accounts, answer, fields};
use crate::{
    auth::digest,
    limits::{LimitedAction, Verdict},
    model::{Error, ErrorKind, Plan},
    telemetry::log_patterns,
    web::{
        body::{JsonObject, Unreadable},
        error::Failure,
    },
};

const FAILED: &str = "Login failed";
/// Characters of the column `users.email`.
const LONGEST_EMAIL: usize = 320;

/// What somebody claims.
#[derive(Debug)]
struct Claim {
    email: String,
    password: SecretString,
}

/// Logs in. Attempts are counted by the account too: an attacker has many addresses to come from.
pub async fn login(
    State(accounts): State<Accounts>,
    body: Result<JsonObject, Unreadable>,
) -> Result<Response, Failure> {
    let claim = read(&answer::readable(body, FAILED)?)?;
    let subject = format!("account-{}", digest::of(&claim.email));
    let verdict = accounts.limits.check(LimitedAction::Login, &subject, Plan::Free).await;
    let mut response = match verdict.map(Verdict::into_result).transpose() {
        Ok(_) => enter(&accounts, claim).await.into_response(),
        Err(refusal) => Failure(refusal).into_response(),
    };
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    Ok(response)
}

/// Checks the claim; how long that takes does not tell whether there is such an account.
async fn enter(accounts: &Accounts, claim: Claim) -> Result<Response, Failure> {
    let auth = &accounts.auth;
    let stored = if could_be_kept(&claim.email) {
        auth.people().find_login(&claim.email).await?
    } else {
        None
    };
    let (id, hash) = stored.map(|stored| (stored.id, stored.password_hash)).unzip();
    let right = auth.passwords().verify(claim.password, hash.flatten()).await?;
    let Some(user_id) = id.filter(|_| right) else {
        log_patterns::login_failed(id);
        return Err(refused("Invalid email or password"));
    };
    let Some(user) = auth.people().note_login(user_id).await? else {
        log_patterns::login_failed(id);
        return Err(refused("Account deactivated"));
    };
    log_patterns::login_successful(user.id);
    let issued = auth.local().issue(user.id)?;
    let body = json!({
        "message": "Login successful",
        "user": user,
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
        "expires_in": issued.expires_in,
    });
    Ok(answer::secret(StatusCode::OK, body))
}

/// Whether the database can be asked for that at all; it may hold what is no address to us.
fn could_be_kept(email: &str) -> bool {
    email.chars().count() <= LONGEST_EMAIL && !email.contains('\0')
}

fn refused(text: &str) -> Failure {
    Failure(Error::new(ErrorKind::Unauthenticated, text))
}

fn read(body: &JsonObject) -> Result<Claim, Error> {
    if ["email", "password"].iter().any(|name| fields::is_missing(body, name)) {
        return Err(Error::invalid("Email and password required"));
    }
    let text = |name| body.text(name).ok_or_else(|| Error::invalid(FAILED));
    let (email, password) = (text("email")?, text("password")?);
    Ok(Claim { email: email.trim().to_lowercase(), password: password.into() })
}
