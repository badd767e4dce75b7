//! Viewers: each hears what the speaker heard, in the same order, without holes.

use std::collections::BTreeMap;

use super::ranges::Ranges;
use super::{Book, Evidence, Rule};
use crate::history::{Session, Track, Viewed};

/// Checks one of them; `last_numbers` are the greatest that anybody heard, by session.
pub(super) fn check(
    evidence: &Evidence,
    viewed: &Viewed,
    last_numbers: &BTreeMap<String, u64>,
    book: &mut Book,
) {
    let who = format!("viewer {} of {}", viewed.name, viewed.room);
    for (id, track) in &viewed.tracks {
        let Some((_, session)) = evidence.find(id) else {
            book.object(Rule::Viewers, &who, format!("hears {id}, which nobody speaks in"));
            continue;
        };
        same(session, track, &who, book);
        if viewed.unrecovered == 0 {
            whole(session, last_numbers.get(id).copied().unwrap_or(0), track, &who, book);
        }
    }
    let spoken = evidence.spoken.iter().flat_map(|spoken| &spoken.sessions);
    let here = spoken.filter(|one| one.room.as_ref() == Some(&viewed.room));
    for session in here.filter(|one| !one.track.pieces.is_empty()) {
        if !viewed.tracks.contains_key(&session.id) && viewed.unrecovered == 0 {
            book.object(Rule::Viewers, &who, format!("hears nothing of {}", session.id));
        }
    }
}

/// What it heard is what the speaker heard under that number.
fn same(session: &Session, track: &Track, who: &str, book: &mut Book) {
    for (n, piece) in &track.pieces {
        let spoken = session.track.pieces.get(n);
        if spoken.is_some_and(|spoken| spoken != piece) {
            book.object(Rule::Viewers, who, format!("{piece:?}, but the speaker {spoken:?}"));
        }
    }
    for (first, then) in &track.changed {
        book.object(Rule::Viewers, who, format!("{first:?} became {then:?}"));
    }
    for n in &track.late {
        book.object(Rule::Viewers, who, format!("n {n} of {} came late", session.id));
    }
}

/// It heard everything from the first number to the last.
fn whole(session: &Session, last: u64, track: &Track, who: &str, book: &mut Book) {
    let heard = Ranges::of(track.pieces.keys().map(|n| *n..n + 1));
    let missing = Ranges::one(1..last + 1).without(&heard);
    if !missing.is_empty() {
        book.object(Rule::Viewers, who, format!("misses numbers {missing} of {}", session.id));
    }
}
