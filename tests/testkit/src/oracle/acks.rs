//! Acknowledgements: nothing is acknowledged before it is final, and nothing asked for after.

use super::{Book, Rule, name};
use crate::history::{Session, Spoken};

pub(super) fn check(spoken: &Spoken, book: &mut Book) {
    let who = name(spoken);
    for session in &spoken.sessions {
        acknowledged(session, &who, book);
        taken_up(session, &who, book);
    }
}

fn acknowledged(session: &Session, who: &str, book: &mut Book) {
    let (mut ms, mut seq) = (0, None);
    for ack in &session.acks {
        if ack.acked_ms > ack.heard_ms {
            let what = format!("{} ms acknowledged, {} ms are final", ack.acked_ms, ack.heard_ms);
            book.object(Rule::Acks, who, what);
        }
        if ack.acked_ms < ms || ack.acked_seq < seq {
            book.object(Rule::Acks, who, format!("{ack:?} takes back {ms} ms"));
        }
        (ms, seq) = (ack.acked_ms, ack.acked_seq);
    }
}

/// A resume asks for nothing that the client was told to forget, and takes no such final back.
fn taken_up(session: &Session, who: &str, book: &mut Book) {
    for resumed in &session.resumed {
        if resumed.from_ms < resumed.acked_ms || resumed.next_seq < resumed.kept_seq {
            book.object(Rule::Acks, who, format!("{resumed:?} asks for what was acknowledged"));
        }
    }
    let least = session.resumed.iter().map(|resumed| resumed.from_ms).min();
    for piece in &session.track.voided {
        if least.is_some_and(|from_ms| piece.to_ms <= from_ms) && !piece.is_gap() {
            let what = format!("n {} is taken back, and its audio not asked for", piece.n);
            book.object(Rule::Acks, who, what);
        }
    }
}
