//! Words and gaps of a speaker: each number once, in order, in its place, or declared lost.

use std::collections::BTreeMap;

use super::ranges::Ranges;
use super::{Book, Evidence, Rule, name};
use crate::history::{Kind, Piece, Session, Spoken, Word};
use crate::numbered::{FRAME_MS, Mark};

/// Reasons that a gap may have.
const REASONS: [&str; 3] = ["client_buffer", "provider_away", "backfill_failed"];
/// Times are whole milliseconds, so that a word may be off by the rounding.
const ROUNDING_MS: u64 = 1;

pub(super) fn check(evidence: &Evidence, spoken: &Spoken, book: &mut Book) {
    let who = name(spoken);
    if !spoken.over {
        book.object(Rule::Words, &who, "it did not come to its end in time");
    }
    let mut next = 0;
    for session in &spoken.sessions {
        let truth = evidence.truth(session);
        tells_once(session, &truth, &who, book);
        for piece in session.track.pieces.values() {
            in_place(session, piece, &who, book);
            for word in piece.words() {
                next = in_order(spoken, session, word, next, &who, book);
            }
        }
        follow_each_other(&truth, &who, book);
        reported(session, &who, book);
    }
    declared(evidence, spoken, &who, book);
}

/// The numbers of pieces have no holes, and none came twice with other content.
fn tells_once(session: &Session, truth: &BTreeMap<u64, Piece>, who: &str, book: &mut Book) {
    let last = truth.last_key_value().map_or(0, |(n, _)| *n);
    let missing = Ranges::one(1..last + 1).without(&Ranges::of(truth.keys().map(|n| *n..n + 1)));
    if !missing.is_empty() {
        book.object(Rule::Words, who, format!("numbers {missing} of {} never came", session.id));
    }
    for (first, then) in &session.track.changed {
        book.object(Rule::Words, who, format!("{first:?} became {then:?}"));
    }
    for n in &session.track.late {
        book.object(Rule::Words, who, format!("n {n} of {} came late", session.id));
    }
}

/// Each word stands where its frame was spoken, and the final around it.
fn in_place(session: &Session, piece: &Piece, who: &str, book: &mut Book) {
    for word in piece.words() {
        let Some(mark) = Mark::parse(&word.text) else {
            book.object(Rule::Words, who, format!("{} was never said", word.text));
            continue;
        };
        let begins = u64::from(mark.number.wrapping_sub(session.origin)) * FRAME_MS;
        let near = |is: u64, ms: u64| is.abs_diff(ms) <= ROUNDING_MS;
        let placed = near(word.start_ms, begins) && near(word.end_ms, begins + FRAME_MS);
        let around = piece.from_ms <= word.start_ms && word.end_ms <= piece.to_ms;
        if !placed || !around {
            let what = format!("n {} has {word:?}, spoken at {begins} ms", piece.n);
            book.object(Rule::Words, who, what);
        }
    }
    if let Kind::Gap(reason) = &piece.kind
        && !REASONS.contains(&reason.as_str())
    {
        book.object(Rule::Gaps, who, format!("a gap for the unknown reason {reason}"));
    }
}

/// Each number comes once and after those before it; the next that may come.
fn in_order(
    spoken: &Spoken,
    session: &Session,
    word: &Word,
    next: u32,
    who: &str,
    book: &mut Book,
) -> u32 {
    let Some(mark) = Mark::parse(&word.text) else { return next };
    if (mark.tenant, mark.session) != (spoken.tenant, spoken.session) {
        let what = format!("hears {} of another", word.text);
        book.object(Rule::Tenants, who, what);
        return next;
    }
    if mark.number < next {
        book.object(Rule::Words, who, format!("{} was said before {next}", word.text));
    }
    if !(session.origin..session.sent_until).contains(&mark.number) {
        book.object(Rule::Words, who, format!("{} was not sent", word.text));
    }
    next.max(mark.number + 1)
}

/// Finals and gaps come in the order of the audio and do not overlap.
fn follow_each_other(truth: &BTreeMap<u64, Piece>, who: &str, book: &mut Book) {
    let mut until = 0;
    for piece in truth.values().filter(|piece| !matches!(piece.kind, Kind::Ended(_))) {
        if piece.from_ms < until || piece.to_ms < piece.from_ms {
            let what = format!("n {} begins at {} before {until}", piece.n, piece.from_ms);
            book.object(Rule::Words, who, what);
        }
        until = until.max(piece.to_ms);
    }
}

/// What the service says of its losses at the end is what it declared.
fn reported(session: &Session, who: &str, book: &mut Book) {
    let report = session.stopped.as_ref().map(|stopped| &stopped["report"]);
    let Some(lost_ms) = report.and_then(|report| report["lost_ms"].as_u64()) else { return };
    let gaps = session.track.pieces.values().filter(|piece| piece.is_gap());
    let declared: u64 = gaps.map(|gap| gap.to_ms - gap.from_ms).sum();
    if declared != lost_ms {
        let what = format!("{lost_ms} ms are reported lost, {declared} declared as gaps");
        book.object(Rule::Gaps, who, what);
    }
}

/// What was spoken was said, or declared lost, or never offered.
fn declared(evidence: &Evidence, spoken: &Spoken, who: &str, book: &mut Book) {
    let mut known: Vec<_> = spoken.dropped.iter().map(|r| r.start.into()..r.end.into()).collect();
    for session in &spoken.sessions {
        let truth = evidence.truth(session);
        let said = truth.values().flat_map(Piece::words).filter_map(|word| Mark::parse(&word.text));
        let said = Ranges::of(said.map(|mark| mark.number.into()..u64::from(mark.number) + 1));
        let given_up = |round: fn(u64) -> (u64, u64)| {
            let gaps = truth.values().filter(|piece| piece.is_gap());
            let frames = gaps.map(|gap| (round(gap.from_ms).0, round(gap.to_ms).1));
            let origin = u64::from(session.origin);
            Ranges::of(frames.map(|(from, to)| origin + from..origin + to))
        };
        let inside = |ms: u64| (ms.div_ceil(FRAME_MS), ms / FRAME_MS);
        let both = said.and(&given_up(inside));
        if !both.is_empty() {
            book.object(Rule::Gaps, who, format!("frames {both} were said and declared lost"));
        }
        let touched = given_up(|ms| (ms / FRAME_MS, ms.div_ceil(FRAME_MS)));
        known.extend(said.0);
        known.extend(touched.0);
    }
    let missing = Ranges::one(0..u64::from(spoken.frames)).without(&Ranges::of(known));
    if missing.len() * FRAME_MS > evidence.allowed(spoken).lost_ms {
        book.object(Rule::Gaps, who, format!("frames {missing} are missing and nobody says so"));
    }
}
