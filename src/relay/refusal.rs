//! Requests that cannot be handed over, as clients are told.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    model::{Error, ErrorKind},
    web::error::Failure,
};

/// Why a request is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its session is on no replica that is alive.
    Unknown,
    /// The replica died, or what stands in its place is another.
    Gone,
    /// The replica did not answer in time.
    Late,
    /// The replica lives, and cannot be reached.
    Unreachable(Why),
}

/// Why a replica that lives cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing is shared by which replicas would know each other.
    NoSecret,
    /// It listens for nobody.
    NoListener,
    /// It and this one do not believe each other.
    Disbelief,
    /// Nothing answers where it says that it is.
    NoAnswer,
}

impl Why {
    /// What is to be done about it.
    pub(super) const fn cure(self) -> &'static str {
        match self {
            Self::NoSecret => "set SECRET_KEY to the same on all replicas",
            Self::NoListener => "REPLICA_PORT is off there, or SECRET_KEY not set: set them",
            Self::Disbelief => "set SECRET_KEY to the same on all replicas and their clocks right",
            Self::NoAnswer => {
                "set REPLICA_ADDRESS and REPLICA_PORT so that replicas reach each other"
            }
        }
    }
}

impl Refusal {
    /// The metric label.
    pub(super) const fn outcome(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gone => "gone",
            Self::Late => "late",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// A stock client opens a new session after any of these; the last one tells people why.
    pub(super) fn response(self) -> Response {
        let Self::Unreachable(why) = self else {
            let body = Json(json!({ "code": 1, "message": "Session ID unknown" }));
            return (StatusCode::BAD_REQUEST, body).into_response();
        };
        let text = format!(
            "this session is on another replica, which cannot be reached: {}; or make the balancer \
             sticky, or connect with transports: ['websocket']",
            why.cure()
        );
        Failure(Error::new(ErrorKind::DependencyUnavailable, text)).into_response()
    }
}
