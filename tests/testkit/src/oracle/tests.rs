//! The judge is judged: it accepts every good run and objects to every bad one.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::history::{Ack, Kind, Resumed, Word};
use crate::numbered::{FRAME_MS, Mark};
use crate::seed::Dice;

const ROOM: &str = "room";

fn word(tenant: u16, number: u32, origin: u32) -> Word {
    let text = Mark { tenant, session: 1, number }.word();
    let start_ms = u64::from(number - origin) * FRAME_MS;
    Word { text, start_ms, end_ms: start_ms + FRAME_MS }
}

/// Frames `from..to` as a final, or as a gap.
fn piece(tenant: u16, n: u64, origin: u32, frames: (u32, u32), gap: bool) -> Piece {
    let ms = |frame: u32| u64::from(frame - origin) * FRAME_MS;
    let kind = if gap {
        Kind::Gap("provider_away".to_owned())
    } else {
        Kind::Final((frames.0..frames.1).map(|number| word(tenant, number, origin)).collect())
    };
    Piece { n, from_ms: ms(frames.0), to_ms: ms(frames.1), kind }
}

/// A session from `origin` on, with its acknowledgements and a resume in which finals were taken
/// back.
fn session(tenant: u16, number: u64, origin: u32, dice: &mut Dice) -> Session {
    let (mut at, mut n) = (origin, 0);
    let mut session = Session {
        id: format!("session-{tenant}-{number}"),
        room: Some(format!("{ROOM}-{tenant}")),
        origin,
        ..Session::default()
    };
    for _ in 0..3 + dice.below(6) {
        let until = at + 1 + dice.below(80) as u32;
        n += 1;
        let gap = n > 1 && dice.happens(0.2);
        if !gap && dice.happens(0.3) {
            // It is heard, taken back, and heard again as it is stored.
            session.track.hear(piece(tenant, n, origin, (at, until + 7), false));
            session.track.void_after(n - 1);
            session.resumed.push(resumed(at - origin, n - 1));
        }
        session.track.hear(piece(tenant, n, origin, (at, until), gap));
        let acked_ms = u64::from(until - origin) * FRAME_MS;
        let ack = Ack { at: Duration::ZERO, acked_ms, acked_seq: Some(n), heard_ms: acked_ms };
        session.acks.push(ack);
        at = until;
    }
    session.sent_until = at;
    let gaps = session.track.pieces.values().filter(|piece| piece.is_gap());
    let lost_ms: u64 = gaps.map(|gap| gap.to_ms - gap.from_ms).sum();
    session.stopped = Some(json!({ "report": { "lost_ms": lost_ms } }));
    session
}

fn resumed(frames: u32, last_n: u64) -> Resumed {
    Resumed {
        at: Duration::ZERO,
        next_seq: 0,
        from_ms: u64::from(frames) * FRAME_MS,
        last_n,
        recovered: true,
        kept_seq: 0,
        acked_ms: 0,
    }
}

/// A run in which all is well.
fn good(seed: u64) -> Evidence {
    let mut dice = Dice::new(seed);
    let mut evidence = Evidence::default();
    for tenant in 1..=2 {
        let mut spoken = Spoken { tenant, session: 1, over: true, ..Spoken::default() };
        for number in 0..=dice.below(2) {
            let session = session(tenant, number, spoken.frames, &mut dice);
            spoken.frames = session.sent_until;
            bill(&session, &mut evidence.billed, &mut dice);
            let words = session.track.words().map(|word| word.text.clone());
            evidence.kept.insert(session.id.clone(), words.collect());
            spoken.sessions.push(session);
        }
        for viewer in 0..2 {
            let tracks = spoken.sessions.iter().map(|one| {
                let pieces = one.track.pieces.clone();
                (one.id.clone(), Track { pieces, ..Track::default() })
            });
            let (name, room) = (format!("{tenant}-{viewer}"), format!("{ROOM}-{tenant}"));
            evidence.viewed.push(Viewed {
                name,
                tenant,
                room,
                tracks: tracks.collect(),
                ..Viewed::default()
            });
        }
        evidence.spoken.push(spoken);
    }
    evidence.texts.push(Text { name: "log".into(), tenant: None, text: "f, f0001-0001".into() });
    evidence
}

fn bill(session: &Session, rows: &mut Vec<Row>, dice: &mut Dice) {
    for piece in session.track.pieces.values().filter(|piece| !piece.is_gap()) {
        let between = piece.from_ms + dice.below(piece.to_ms - piece.from_ms);
        for (from_ms, to_ms) in [(piece.from_ms, between), (between, piece.to_ms)] {
            if from_ms < to_ms {
                rows.push(Row { session: session.id.clone(), from_ms, to_ms });
            }
        }
    }
}

fn first_final(evidence: &mut Evidence) -> &mut Piece {
    let pieces = evidence.spoken[0].sessions[0].track.pieces.values_mut();
    pieces.into_iter().find(|piece| !piece.is_gap()).unwrap()
}

fn words(piece: &mut Piece) -> &mut Vec<Word> {
    match &mut piece.kind {
        Kind::Final(words) => words,
        other => panic!("{other:?}"),
    }
}

/// One way to break a run, and the promise that is broken by it.
type Break = (&'static str, Rule, fn(&mut Evidence));

const BREAKS: [Break; 22] = [
    ("a word is dropped", Rule::Gaps, |evidence| {
        // Of everybody's, so that nobody else has it.
        for viewed in &mut evidence.viewed {
            for track in viewed.tracks.values_mut() {
                let Some(first) = track.pieces.get_mut(&1) else { continue };
                words(first).pop();
            }
        }
        words(first_final(evidence)).pop();
    }),
    ("a word is said twice", Rule::Words, |evidence| {
        let words = words(first_final(evidence));
        words.push(words[0].clone());
    }),
    ("words are swapped", Rule::Words, |evidence| {
        let words = words(first_final(evidence));
        words.push(words[words.len() - 1].clone());
        let last = words.len() - 1;
        words.swap(0, last);
    }),
    ("finals overlap", Rule::Words, |evidence| {
        let track = &mut evidence.spoken[0].sessions[0].track;
        track.pieces.get_mut(&1).unwrap().to_ms += 1;
    }),
    ("a final is said at another time", Rule::Words, |evidence| {
        for word in words(first_final(evidence)) {
            (word.start_ms, word.end_ms) = (word.start_ms + 2, word.end_ms + 2);
        }
    }),
    ("a final is missing", Rule::Words, |evidence| {
        for viewed in &mut evidence.viewed {
            viewed.tracks.values_mut().for_each(|track| drop(track.pieces.remove(&1)));
        }
        evidence.spoken[0].sessions[0].track.pieces.remove(&1);
    }),
    ("a word that was not sent", Rule::Words, |evidence| {
        let session = &mut evidence.spoken[0].sessions[0];
        session.sent_until = session.origin;
    }),
    ("a final changes", Rule::Words, |evidence| {
        let changed = Piece { to_ms: 1, ..first_final(evidence).clone() };
        evidence.spoken[0].sessions[0].track.hear(changed);
    }),
    ("a foreign word", Rule::Tenants, |evidence| {
        words(first_final(evidence))[0].text = Mark { tenant: 2, session: 1, number: 0 }.word();
    }),
    ("a foreign word that was taken back", Rule::Tenants, |evidence| {
        let foreign = piece(2, 1, 0, (0, 1), false);
        evidence.viewed[0].tracks.values_mut().next().unwrap().voided.push(foreign);
    }),
    ("a transcript in the log", Rule::Tenants, |evidence| {
        evidence.texts[0].text += &Mark { tenant: 1, session: 1, number: 3 }.word();
    }),
    ("a viewer misses a final", Rule::Viewers, |evidence| {
        evidence.viewed[1].tracks.values_mut().next().unwrap().pieces.pop_last();
    }),
    ("a viewer hears another final", Rule::Viewers, |evidence| {
        let track = evidence.viewed[1].tracks.values_mut().next().unwrap();
        words(track.pieces.get_mut(&1).unwrap())[0].end_ms += 1;
    }),
    ("a viewer hears nothing", Rule::Viewers, |evidence| evidence.viewed[0].tracks.clear()),
    ("a range is billed twice", Rule::Bill, |evidence| {
        let row = Row { to_ms: evidence.billed[0].from_ms + 1, ..evidence.billed[0].clone() };
        evidence.billed.push(row);
    }),
    ("a hole in the bill", Rule::Bill, |evidence| drop(evidence.billed.pop())),
    ("more is billed than was said", Rule::Bill, |evidence| {
        let end = evidence.spoken[0].sessions[0].track.end_ms();
        let session = evidence.spoken[0].sessions[0].id.clone();
        evidence.billed.push(Row { session, from_ms: end, to_ms: end + 1 });
    }),
    ("a session that nobody knows is billed", Rule::Bill, |evidence| {
        evidence.billed.push(Row { session: "other".into(), from_ms: 0, to_ms: 9 });
    }),
    ("more is acknowledged than is final", Rule::Acks, |evidence| {
        evidence.spoken[0].sessions[0].acks[0].acked_ms += 1;
    }),
    ("what was acknowledged is asked for", Rule::Acks, |evidence| {
        let resumed = Resumed { acked_ms: 21, ..resumed(1, 1) };
        evidence.spoken[0].sessions[0].resumed.push(resumed);
    }),
    ("a final is not stored", Rule::Kept, |evidence| {
        evidence.kept.values_mut().for_each(|words| drop(words.pop()));
    }),
    ("a final is stored twice", Rule::Kept, |evidence| {
        let first = evidence.kept.values_mut().find(|words| !words.is_empty()).unwrap();
        first.extend_from_within(..1);
    }),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_good_run_is_accepted(seed: u64) {
        prop_assert_eq!(check(&good(seed)), vec![]);
    }

    #[test]
    fn every_break_is_seen(seed: u64) {
        for (what, rule, spoil) in BREAKS {
            let mut evidence = good(seed);
            spoil(&mut evidence);
            let found = check(&evidence);
            prop_assert!(found.iter().any(|one| one.rule == rule), "{what}: {found:?}");
        }
    }

    /// A gap that nobody declared, and one that was billed.
    #[test]
    fn gaps_are_declared_and_unbilled(seed: u64) {
        let gap = (0..).map(|more| good(seed.wrapping_add(more))).find_map(|evidence| {
            let session = evidence.spoken[0].sessions[0].clone();
            let gap = session.track.pieces.values().find(|piece| piece.is_gap()).cloned();
            gap.map(|gap| (evidence, session.id, gap))
        });
        let (evidence, session, gap) = gap.expect("some run has a gap");
        let mut billed = evidence.clone();
        billed.billed.push(Row { session, from_ms: gap.from_ms, to_ms: gap.from_ms + 1 });
        let found = check(&billed);
        prop_assert!(found.iter().any(|one| one.rule == Rule::Bill), "{found:?}");
        let mut silent = evidence;
        let silence = Kind::Final(Vec::new());
        silent.spoken[0].sessions[0].track.pieces.get_mut(&gap.n).unwrap().kind = silence;
        let found = check(&silent);
        prop_assert!(found.iter().any(|one| one.rule == Rule::Gaps), "{found:?}");
    }
}

/// An older client may lose what was on its way, but no more than it is allowed to.
#[test]
fn losses_are_allowed_only_so_far() {
    let mut evidence = good(1);
    evidence.viewed.clear();
    evidence.kept.clear();
    let (frames, lost) = {
        let session = evidence.spoken[0].sessions.last_mut().unwrap();
        session.stopped = None;
        let (_, last) = session.track.pieces.pop_last().unwrap();
        session.acks.pop();
        (last.words().len() as u64, last.to_ms - last.from_ms)
    };
    assert!(frames > 0, "another seed is needed");
    let gaps = |evidence: &Evidence| check(evidence).iter().any(|one| one.rule == Rule::Gaps);
    assert!(gaps(&evidence));
    let allowed = Allowed { lost_ms: lost, unbilled_ms: 0 };
    evidence.allowed.insert((1, 1), allowed);
    assert_eq!(check(&evidence), [], "what was said to nobody may be billed");
    evidence.allowed.insert((1, 1), Allowed { lost_ms: lost - 1, ..allowed });
    assert!(gaps(&evidence));
}
