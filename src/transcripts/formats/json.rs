//! Everything that is known of a transcript.

use serde::Serialize;

use super::super::record::{Contents, Final, Gap, Session};
use crate::model::{Error, ErrorKind};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    session: &'a Session,
    /// Stretches of `n` that are not there.
    missing: Vec<Missing>,
    finals: &'a [Final],
    /// Audio without a transcript.
    gaps: &'a [Gap],
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
    from_n: u64,
    to_n: u64,
}

/// The session, what is missing, and the finals and gaps in their order.
pub(super) fn write(session: &Session, contents: &Contents) -> Result<String, Error> {
    let Contents { finals, gaps } = contents;
    let said = session.transcript.as_ref().map_or(0, |kept| kept.finals) + gaps.len() as u64;
    let document = Document { session, missing: missing(contents, said), finals, gaps };
    let failed = |error| Error::new(ErrorKind::Internal, "internal error").because(error);
    serde_json::to_string(&document).map_err(|error| failed(error.to_string()))
}

/// Which of so many numbers are neither a final's nor a gap's.
pub(super) fn missing(contents: &Contents, numbers: u64) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut next = 1;
    let finals = contents.finals.iter().map(|said| said.n);
    let mut there: Vec<u64> = finals.chain(contents.gaps.iter().map(|gap| gap.n)).collect();
    there.sort_unstable();
    for n in there.into_iter().chain([numbers + 1]) {
        if n > next {
            missing.push(Missing { from_n: next, to_n: n - 1 });
        }
        next = n + 1;
    }
    missing
}
