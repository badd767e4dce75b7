//! Stored transcripts: what was said in the end, each final once, and nothing else.

use super::{Book, Evidence, Rule};
use crate::history::Piece;

pub(super) fn check(evidence: &Evidence, book: &mut Book) {
    for (id, kept) in &evidence.kept {
        let Some((_, session)) = evidence.find(id) else {
            book.object(Rule::Kept, id, "stored, and nobody spoke in it");
            continue;
        };
        let truth = evidence.truth(session);
        let said = || truth.values().flat_map(Piece::words).map(|word| &word.text);
        if !said().eq(kept) {
            let odd = said().zip(kept).find(|(said, kept)| said != kept);
            let counts = (said().count(), kept.len());
            let what = format!("{} words were said, {} are stored; {odd:?}", counts.0, counts.1);
            book.object(Rule::Kept, id, what);
        }
    }
}
