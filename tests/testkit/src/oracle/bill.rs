//! The bill: each transcribed millisecond once, and no other.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ranges::Ranges;
use super::{Book, Evidence, Rule, name};
use crate::history::{Kind, Session, Spoken};
use crate::numbered::FRAME_MS;

pub(super) fn check(evidence: &Evidence, book: &mut Book) {
    let mut rows = BTreeMap::<&str, Vec<Range<u64>>>::new();
    for row in &evidence.billed {
        rows.entry(&row.session).or_default().push(row.from_ms..row.to_ms);
    }
    for (session, rows) in &mut rows {
        tile(session, rows, book);
        if evidence.find(session).is_none() {
            book.object(Rule::Bill, session, format!("{rows:?} billed to nobody"));
        }
    }
    for spoken in &evidence.spoken {
        let allowed = evidence.allowed(spoken).unbilled_ms;
        let mut unbilled = 0;
        for session in &spoken.sessions {
            let billed = rows.get(session.id.as_str()).cloned().unwrap_or_default();
            unbilled += fits(evidence, spoken, session, &Ranges::of(billed), book);
        }
        if unbilled > allowed {
            book.object(Rule::Bill, &name(spoken), format!("{unbilled} ms are not billed"));
        }
    }
}

/// No range is empty and none overlaps another.
fn tile(session: &str, rows: &mut [Range<u64>], book: &mut Book) {
    rows.sort_by_key(|row| (row.start, row.end));
    let empty = rows.iter().any(Range::is_empty);
    let overlap = rows.windows(2).any(|pair| pair[1].start < pair[0].end);
    if empty || overlap {
        book.object(Rule::Bill, session, format!("billed twice or backwards: {rows:?}"));
    }
}

/// What is billed was transcribed; how much of what must be billed is not, in milliseconds.
fn fits(
    evidence: &Evidence,
    spoken: &Spoken,
    session: &Session,
    billed: &Ranges,
    book: &mut Book,
) -> u64 {
    let truth = evidence.truth(session);
    let pieces = || truth.values().filter(|piece| !matches!(piece.kind, Kind::Ended(_)));
    let final_ms = pieces().map(|piece| piece.to_ms).max().unwrap_or(0);
    let gaps = pieces().filter(|piece| piece.is_gap()).map(|gap| gap.from_ms..gap.to_ms);
    let gaps = Ranges::of(gaps);
    let sent_ms = u64::from(session.sent_until - session.origin) * FRAME_MS;
    let witnessed = evidence.is_witnessed(session);
    // Whoever heard no end cannot know what was said after it went.
    let most = if witnessed { final_ms } else { sent_ms.max(final_ms) };
    let wrong = billed.without(&Ranges::one(0..most)).len() + billed.and(&gaps).len();
    if wrong > 0 {
        let what = format!("{billed} billed, but {final_ms} ms final of {sent_ms}, without {gaps}");
        book.object(Rule::Bill, &name(spoken), what);
    }
    let least = if witnessed { final_ms } else { session.acked_ms() };
    Ranges::one(0..least).without(&gaps).without(billed).len()
}
