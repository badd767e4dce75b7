//! Other tenants' numbers, which may be found nowhere.

use super::{Book, Evidence, Rule, name};
use crate::history::{Piece, Track};
use crate::numbered::Mark;

/// Letters of a mark's word.
const MARK_LETTERS: usize = 19;

pub(super) fn check(evidence: &Evidence, book: &mut Book) {
    for spoken in &evidence.spoken {
        for session in &spoken.sessions {
            heard(&session.track, spoken.tenant, &name(spoken), book);
        }
    }
    for viewed in &evidence.viewed {
        for track in viewed.tracks.values() {
            heard(track, viewed.tenant, &format!("viewer {}", viewed.name), book);
        }
    }
    for text in &evidence.texts {
        let found = marks(&text.text).find(|mark| Some(mark.tenant) != text.tenant);
        if let Some(mark) = found {
            book.object(Rule::Tenants, &text.name, format!("{} is in it", mark.word()));
        }
    }
}

/// Whatever ever came, also what was taken back or changed.
fn heard(track: &Track, tenant: u16, who: &str, book: &mut Book) {
    let changed = track.changed.iter().flat_map(|(first, then)| [first, then]);
    let pieces = track.pieces.values().chain(&track.voided).chain(changed);
    let marks = pieces.flat_map(Piece::words).filter_map(|word| Mark::parse(&word.text));
    let mut foreign: Vec<_> = marks.filter(|mark| mark.tenant != tenant).collect();
    foreign.dedup();
    if let Some(mark) = foreign.first() {
        book.object(
            Rule::Tenants,
            who,
            format!("hears {} and {} more", mark.word(), foreign.len() - 1),
        );
    }
}

/// Every mark in a text.
fn marks(text: &str) -> impl Iterator<Item = Mark> {
    let begins = text.match_indices('f');
    begins.filter_map(|(at, _)| Mark::parse(text.get(at..at + MARK_LETTERS)?))
}
