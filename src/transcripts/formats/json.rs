//! Everything that is known of a transcript.

use serde::Serialize;

use super::super::record::{Final, Session};
use crate::model::{Error, ErrorKind};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    session: &'a Session,
    /// Stretches of `n` that are not there.
    missing: Vec<Missing>,
    finals: &'a [Final],
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
    from_n: u64,
    to_n: u64,
}

/// The session, what is missing, and the finals in their order.
pub(super) fn write(session: &Session, finals: &[Final]) -> Result<String, Error> {
    let said = session.transcript.as_ref().map_or(0, |kept| kept.finals);
    let document = Document { session, missing: missing(finals, said), finals };
    let failed = |error| Error::new(ErrorKind::Internal, "internal error").because(error);
    serde_json::to_string(&document).map_err(|error| failed(error.to_string()))
}

/// Which of `said` finals are not among these, which are in order.
pub(super) fn missing(finals: &[Final], said: u64) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut next = 1;
    for n in finals.iter().map(|said| said.n).chain([said + 1]) {
        if n > next {
            missing.push(Missing { from_n: next, to_n: n - 1 });
        }
        next = n + 1;
    }
    missing
}
