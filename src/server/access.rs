//! Who may pass to a route: the credential is looked at before anything else of a request.

use axum::{
    Extension,
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::tenant;
use crate::{
    auth::{self, Authenticator, Principal},
    limits::{LimitedAction, Limits, Verdict},
    model::{Error, ErrorKind, Plan},
    web::{
        body::drain, client_address::ClientAddress, credential, error::Failure,
        request_id::RequestId,
    },
};

/// Who verifies and who counts. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) auth: Authenticator,
    pub(super) limits: Limits,
}

/// Lets an address pass so often; whoever is behind it is not known yet.
pub(super) async fn counted(
    State((gate, action)): State<(Gate, LimitedAction)>,
    Extension(address): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Response {
    let subject = format!("ip-{}", address.network());
    let verdict = gate.limits.check(action, &subject, Plan::Free).await;
    admit(verdict, request, next).await
}

/// Lets any verified caller pass, who is then in the request's extensions.
pub(super) async fn any(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.verify(request.headers()).await {
        Ok(principal) => {
            let account = principal.account();
            let plan = principal.plan;
            request.extensions_mut().insert(principal);
            let verdict = gate.limits.check(LimitedAction::Request, &account, plan).await;
            admit(verdict, request, next).await
        }
        Err(refusal) => refuse(refusal, request).await,
    }
}

/// Lets callers of the Auth0 tenant pass, who then are in the request's extensions with all that
/// their token says; they read the contract's own words.
pub(super) async fn tenant(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match tenant::verify(&gate.auth, request.headers()).await {
        Ok((token, principal)) => {
            let (account, plan) = (principal.account(), principal.plan);
            request.extensions_mut().insert(token);
            request.extensions_mut().insert(principal);
            let verdict = gate.limits.check(LimitedAction::Request, &account, plan).await;
            admit(verdict, request, next).await
        }
        Err(refusal) => refusal.render(request.extensions().get::<RequestId>()),
    }
}

impl Gate {
    /// Who calls: by the bearer token, or where that is not good, by the API key.
    async fn verify(&self, headers: &HeaderMap) -> Result<Principal, Error> {
        let candidates = [credential::bearer(headers), credential::api_key(headers)];
        let mut refusal = Error::new(ErrorKind::Unauthenticated, "Authentication required");
        for token in candidates.into_iter().flatten() {
            match self.auth.authenticate(token).await {
                Err(error) if error.kind == ErrorKind::Unauthenticated => {
                    refusal.retry_after = refusal.retry_after.max(error.retry_after);
                }
                Err(error) if auth::is_unconfigured(&error) => {
                    tracing::debug!("a token could not be verified: {error}");
                }
                Err(error) => {
                    if error.kind == ErrorKind::Internal {
                        tracing::error!(?error, "a credential could not be verified");
                    }
                    return Err(error);
                }
                verified => return verified,
            }
        }
        Err(refusal)
    }
}

async fn admit(verdict: Option<Verdict>, request: Request, next: Next) -> Response {
    let Some(verdict) = verdict else { return next.run(request).await };
    let mut response = match verdict.into_result() {
        Ok(_) => next.run(request).await,
        Err(refusal) => refuse(refusal, request).await,
    };
    // A handler that has counted something narrower has told of that.
    if !response.headers().contains_key("x-ratelimit-limit") {
        verdict.tell(response.headers_mut());
    }
    response
}

/// Refuses once the client has sent what it sends, so that it reads why.
async fn refuse(refusal: Error, request: Request) -> Response {
    drain(request.into_body().into_data_stream()).await;
    Failure(refusal).into_response()
}
