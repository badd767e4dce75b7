//! The door of `/api/*`: a bearer token of the tenant and nothing else, refused in the contract's
//! words.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use crate::{
    auth::{Authenticator, Principal, VerifiedToken},
    model::{Error, ErrorKind},
    telemetry::log_patterns,
    web::{error, request_id::RequestId},
};

/// A refusal with the contract's name for it.
#[derive(Debug)]
pub(super) struct Refusal {
    name: &'static str,
    error: Error,
    /// Whether there was a token that could be wrong.
    with_token: bool,
}

/// Who calls, with all that the token says.
pub(super) async fn verify(
    auth: &Authenticator,
    headers: &HeaderMap,
) -> Result<(VerifiedToken, Principal), Refusal> {
    let verified = auth.authenticate_tenant(token(headers)?).await;
    verified.map_err(|error| Refusal { error, ..failed("", true) })
}

/// The token of the header, by the rules of the replaced service.
fn token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    // Bytes that are no text are in no token.
    let mut words = str::from_utf8(header).unwrap_or("?").split_whitespace();
    let words = (words.next(), words.next(), words.next());
    let refusal = match words {
        (None, ..) => {
            let refusal = failed("Please provide a valid Bearer token", false);
            Refusal { name: "Authorization header is required", ..refusal }
        }
        (Some(scheme), ..) if !scheme.eq_ignore_ascii_case("bearer") => {
            failed("Authorization header must start with Bearer", false)
        }
        (_, None, _) => failed("Token not found", false),
        (_, Some(token), None) => return Ok(token),
        (_, Some(_), Some(_)) => failed("Authorization header must be Bearer token", true),
    };
    log_patterns::authentication_failed(&refusal.error.detail);
    Err(refusal)
}

fn failed(text: &str, with_token: bool) -> Refusal {
    let error = Error::new(ErrorKind::Unauthenticated, text);
    Refusal { name: "authentication_failed", error, with_token }
}

impl Refusal {
    /// The answer, with the challenge of RFC 6750.
    pub(super) fn render(&self, id: Option<&RequestId>) -> Response {
        let mut response = error::render_named(self.name, &self.error, id);
        if self.with_token && self.error.kind == ErrorKind::Unauthenticated {
            let challenge =
                HeaderValue::from_static("Bearer realm=\"api\", error=\"invalid_token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(header: &[u8]) -> Result<String, String> {
        let value = HeaderValue::from_bytes(header).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        token(&headers).map(str::to_owned).map_err(|refusal| refusal.error.detail)
    }

    #[test]
    fn headers_are_read_by_the_rules_of_the_replaced_service() {
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", "Bearer\ta.b.c"] {
            assert_eq!(told(good.as_bytes()).as_deref(), Ok("a.b.c"), "{good}");
        }
        for (bad, text) in [
            (&b""[..], "Please provide a valid Bearer token"),
            (b"   ", "Please provide a valid Bearer token"),
            (b"Basic YTpi", "Authorization header must start with Bearer"),
            (b"a.b.c", "Authorization header must start with Bearer"),
            (b"Bearer", "Token not found"),
            (b"Bearer ", "Token not found"),
            (b"Bearer a b", "Authorization header must be Bearer token"),
            (b"Bearer \xff", "Authorization header must start with Bearer"),
        ] {
            assert_eq!(told(bad), Err(text.to_owned()), "{bad:?}");
        }
        assert!(token(&HeaderMap::new()).is_err());
    }
}
