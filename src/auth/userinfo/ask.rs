//! One question to the tenant's `/userinfo`, bounded in time and size.

use std::{sync::Arc, time::Duration};

use reqwest::{Response, header::RETRY_AFTER};

use super::{Failed, Profile, Source};

/// The longest wait that the tenant may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const LARGEST_BODY_BYTES: usize = 64 * 1024;

/// Asks with the user's own token.
pub(super) async fn ask(source: &Source, token: &str) -> Result<Profile, Failed> {
    let request = source.http.get(&source.url).bearer_auth(token).timeout(source.deadline);
    let response = request.send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(refused(source, &response));
    }
    let body = read(response).await?;
    let profile = serde_json::from_slice(&body);
    profile.map(Arc::new).map_err(|_| Failed::because("the answer is not a JSON object"))
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > LARGEST_BODY_BYTES {
            return Err(Failed::because("the answer is too large"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The words of the replaced service's HTTP library, which operators know.
fn refused(source: &Source, response: &Response) -> Failed {
    let status = response.status();
    let side = if status.is_client_error() { "Client" } else { "Server" };
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let wait =
        response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
    let wait = wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
    let url = &source.url;
    Failed { cause: format!("{} {side} Error: {reason} for url: {url}", status.as_u16()), wait }
}

/// The library's own text would name more than the caller is to know.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreachable(error: reqwest::Error) -> Failed {
    Failed::because(if error.is_timeout() { "timed out" } else { "could not connect" })
}
