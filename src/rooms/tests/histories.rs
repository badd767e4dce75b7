//! What a history takes, refuses, forgets and tells.

use super::*;
use crate::model::ErrorKind;

fn stored(appended: Appended) -> (Position, u64, bool) {
    match appended {
        Appended::Stored { position, added, began } => (position, added, began),
        other => panic!("{other:?}"),
    }
}

async fn read(replica: &Replica, cursor: Cursor) -> Read {
    replica.rooms.history().read_after(&room(), &cursor, 1000).await.unwrap().1
}

fn found(read: Read) -> Vec<u64> {
    match read {
        Read::Recovered { finals, .. } => finals.iter().map(|is| is.text.label.n).collect(),
        Read::NotRecovered { reason, .. } => panic!("{reason:?}"),
    }
}

const NEW: Position = Position { epoch: 0, offset: 0 };

#[tokio::test]
async fn a_final_is_added_once_and_in_order() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let history = here.rooms.history();
    let claim = claim(&here, session).await;
    let append = async |at, finals: Vec<Arc<Text>>| {
        history.append(&claim, at, false, &finals, None).await.unwrap()
    };
    let (first, added, began) = stored(append(NEW, texts(session, 1..=3)).await);
    assert_eq!((first.offset, added, began), (3, 3, true));
    assert_eq!(append(first, texts(session, 1..=3)).await, Appended::Known(first));
    let second = Position { offset: 2, ..first };
    assert_eq!(append(NEW, texts(session, [2])).await, Appended::Known(first));
    let (position, added, began) = stored(append(first, texts(session, 2..=5)).await);
    assert_eq!((position.offset, added, began), (5, 2, false));
    assert_eq!(append(position, texts(session, [7])).await, Appended::Missing(5));
    assert_eq!(found(read(&here, Cursor::default()).await), [1, 2, 3, 4, 5]);
    let seen = Cursor { position: second, last: Some(Label { session, n: 2 }) };
    assert_eq!(found(read(&here, seen).await), [3, 4, 5]);
    assert_eq!(found(read(&here, Cursor { last: None, ..seen }).await), [3, 4, 5]);
    let strange = Cursor { position: Position { epoch: 7, offset: 2 }, last: None };
    assert!(matches!(
        read(&here, strange).await,
        Read::NotRecovered { reason: Reason::EpochGone, .. }
    ));
}

#[tokio::test]
async fn however_much_others_say_nothing_looks_through_it() {
    let server = process::Redis::start().unwrap();
    let here = replica(&server).await;
    let (history, ours, others) = (here.rooms.history(), session(), session());
    let (mine, theirs) = (claim(&here, ours).await, claim(&here, others).await);
    let append = async |claim: &Claim, at, finals: Vec<Arc<Text>>| {
        history.append(claim, at, false, &finals, None).await.unwrap()
    };
    let (mut first, ..) = stored(append(&mine, NEW, texts(ours, 1..=5)).await);
    for page in 0..20 {
        let said = texts(others, page * 200 + 1..=page * 200 + 200);
        first.offset = stored(append(&theirs, first, said).await).0.offset;
    }
    server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    assert_eq!(append(&mine, NEW, texts(ours, 2..=3)).await, Appended::Known(first));
    assert_eq!(append(&mine, first, texts(ours, 4..=5)).await, Appended::Known(first));
    stored(append(&mine, first, texts(ours, [5, 6])).await);
    assert_eq!(calls(&server, "xrevrange"), 3, "each looks at the end, and at nothing else");
    assert_eq!(calls(&server, "xrange"), 0);
}

#[tokio::test]
async fn concurrent_retries_leave_each_final_once() {
    let server = process::Redis::start().unwrap();
    let (one, other, session) = (replica(&server).await, replica(&server).await, session());
    let claim = claim(&one, session).await;
    let mut tries = Vec::new();
    for round in 0..40_usize {
        let history = if round % 2 == 0 { one.rooms.history() } else { other.rooms.history() };
        let claim = claim.clone();
        tries.push(async move {
            let finals = texts(session, 1..=(round as u64 % 20 + 1));
            history.append(&claim, NEW, false, &finals, None).await.unwrap()
        });
    }
    futures_util::future::join_all(tries).await;
    assert_eq!(found(read(&one, Cursor::default()).await), upwards(1..=20));
}

#[tokio::test]
async fn a_zombie_and_a_stranger_are_refused() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let history = here.rooms.history();
    let old = claim(&here, session).await;
    stored(history.append(&old, NEW, false, &texts(session, [1]), None).await.unwrap());
    let new = claim(&here, session).await;
    assert!(new.fence > old.fence);
    let refused = history.append(&old, NEW, false, &texts(session, [2]), None).await.unwrap();
    assert_eq!(refused, Appended::Fenced { told: false });
    stored(history.append(&new, NEW, false, &texts(session, [2]), None).await.unwrap());
    let refused = history.append(&old, NEW, false, &texts(session, [2]), None).await.unwrap();
    assert_eq!(refused, Appended::Fenced { told: true });
    let mut zombie = here.rooms.publisher(old);
    assert_eq!(zombie.publish(text(session, 3)).await.unwrap(), Published::Fenced);

    assert!(here.rooms.is_owned(&room(), ACCOUNT).await.unwrap());
    let stranger = history.claim(&room(), "user:8", session, 0).await.unwrap_err();
    assert_eq!(stranger.kind, ErrorKind::Forbidden);
    let forged = Claim { account: "user:8".to_owned(), fence: u64::MAX >> 12, ..new };
    let refused =
        history.append(&forged, NEW, false, &texts(session, [3]), None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    let meta = "test:{room:meeting-1}:meta";
    server.command(&["HSET", meta, "owner", "00.\"user:8\""]).unwrap();
    let forged = here.rooms.is_owned(&room(), "user:8").await.unwrap();
    assert!(!forged, "who writes to Redis owns nothing");
    assert!(found(read(&here, Cursor::default()).await).is_empty(), "and shows nothing");
}

#[tokio::test]
async fn a_history_is_bounded_and_expires() {
    let server = process::Redis::start().unwrap();
    let bounds = Bounds { finals: 10, bytes: 1000, life: LIFE };
    let (here, session) = (replica_with(&server, bounds).await, session());
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim);
    publish(&mut publisher, session, 1..=25).await;
    let end = here.rooms.history().read_end(&room(), 100).await.unwrap().finals;
    assert_eq!(end.iter().map(|is| is.text.label.n).collect::<Vec<_>>(), upwards(16..=25));
    let at = |n: u64| Cursor {
        position: Position { epoch: end[0].position.epoch, offset: n },
        last: Some(Label { session, n }),
    };
    assert_eq!(found(read(&here, at(15)).await), upwards(16..=25));
    for lost in [at(14), Cursor::default()] {
        let read = read(&here, lost).await;
        assert!(matches!(read, Read::NotRecovered { reason: Reason::Trimmed, .. }), "{read:?}");
    }
    let long = Text { label: Label { session, n: 26 }, body: "x".repeat(980) };
    publisher.publish(long).await.unwrap();
    let left = here.rooms.history().read_end(&room(), 100).await.unwrap().finals;
    assert_eq!(left.iter().map(|is| is.text.label.n).collect::<Vec<_>>(), [25, 26]);
    for part in ["history", "meta", "numbers"] {
        let key = format!("test:{{room:meeting-1}}:{part}");
        let life_ms: u128 = server.command(&["PTTL", &key]).unwrap()[1..].trim().parse().unwrap();
        assert!(life_ms > 0 && life_ms <= LIFE.as_millis(), "{part}: {life_ms}");
    }
}

/// As after a failover to a server that had not heard of the last finals yet.
#[tokio::test]
async fn a_lost_end_begins_a_new_epoch_with_everything() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim);
    publish(&mut publisher, session, 1..=5).await;
    let all = here.rooms.history().read_end(&room(), 10).await.unwrap().finals;
    let (seen, history) = (all[3].cursor(), "test:{room:meeting-1}:history");
    for lost in &all[2..] {
        server.command(&["XDEL", history, &lost.position.to_string()]).unwrap();
    }
    server.command(&["HSET", "test:{room:meeting-1}:numbers", &session.to_string(), "2"]).unwrap();
    let Read::Recovered { finals, short: true, .. } = read(&here, seen).await else {
        panic!("the owner may come back");
    };
    assert!(finals.is_empty());
    let published = publisher.publish(text(session, 6)).await.unwrap();
    let Published::Stored { position, refilled: true } = published else { panic!("{published:?}") };
    assert!(position.epoch > seen.position.epoch);
    assert_eq!(found(read(&here, seen).await), [5, 6], "across epochs");
    assert_eq!(found(read(&here, Cursor::default()).await), upwards(1..=6));
}

/// Redis does nothing else while it looks, so it does not look far.
#[tokio::test]
async fn what_was_seen_is_looked_for_among_the_last_thousand() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let claim = claim(&here, session).await;
    let history = here.rooms.history();
    stored(history.append(&claim, NEW, false, &texts(session, 1..=1200), None).await.unwrap());
    let seen =
        |n| Cursor { position: Position { epoch: 5, offset: n }, last: Some(Label { session, n }) };
    assert_eq!(found(read(&here, seen(201)).await), upwards(202..=1200));
    for far in [1, 200] {
        let read = read(&here, seen(far)).await;
        let Read::NotRecovered { reason: Reason::EpochGone, rest, .. } = read else {
            panic!("{far}")
        };
        assert_eq!(rest.last().map(|last| last.text.label.n), Some(1200), "it begins afresh");
    }
}

#[tokio::test]
async fn what_cannot_be_told_again_is_a_hole_that_is_told() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim.clone());
    publish(&mut publisher, session, 1..=3).await;
    let seen = here.rooms.history().read_end(&room(), 1).await.unwrap().finals[0].cursor();
    // An owner that knows nothing of 4 and 5.
    let resumed = here.rooms.publisher(claim).resumed([], 0, seen.position);
    let mut resumed = resumed;
    resumed.publish(text(session, 6)).await.unwrap();
    for lost in [seen, Cursor::default()] {
        let Read::NotRecovered { rest, .. } = read(&here, lost).await else { panic!("{lost:?}") };
        assert_eq!(rest.iter().map(|is| is.text.label.n).collect::<Vec<_>>(), [6]);
    }
}

/// Redis forgot everything, and the owner that could have told it again is dead.
#[tokio::test]
async fn who_saw_all_that_was_lost_misses_nothing() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let mut publisher = here.rooms.publisher(claim(&here, session).await);
    publish(&mut publisher, session, 1..=3).await;
    let seen = here.rooms.history().read_end(&room(), 2).await.unwrap().finals;
    server.command(&["FLUSHALL"]).unwrap();
    let next = here.rooms.publisher(claim(&here, session).await);
    let mut next = next.resumed([], 3, Position::default());
    publish(&mut next, session, 4..=5).await;
    assert_eq!(found(read(&here, seen[1].cursor()).await), [4, 5]);
    let Read::NotRecovered { rest, .. } = read(&here, seen[0].cursor()).await else {
        panic!("3 is lost")
    };
    assert_eq!(rest.len(), 2);
}

/// As above, for two who speak in one room: each says once that something is missing.
#[tokio::test]
async fn two_that_cannot_tell_again_do_not_undo_each_other() {
    let server = process::Redis::start().unwrap();
    let here = replica(&server).await;
    let mut owners = Vec::new();
    for _ in 0..2 {
        let session = session();
        let owner = here.rooms.publisher(claim(&here, session).await);
        owners.push((session, owner.resumed([], 3, Position::default())));
    }
    let mut epochs = std::collections::BTreeSet::new();
    for n in 4..=8 {
        for (session, owner) in &mut owners {
            let Published::Stored { position, .. } =
                owner.publish(text(*session, n)).await.unwrap()
            else {
                panic!("{n} of {session:?}")
            };
            epochs.insert(position.epoch);
        }
    }
    assert_eq!(epochs.len(), 2);
    let end = here.rooms.history().read_end(&room(), 100).await.unwrap().finals;
    assert_eq!(end.len(), 9, "what was said before the second hole is told as missing");
}

#[tokio::test]
async fn a_mark_is_left_with_finals_and_handed_on() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let history = here.rooms.history();
    let old = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(old.clone());
    publisher.set_mark(mark(2, "first"));
    publish(&mut publisher, session, 1..=2).await;
    assert_eq!(history.held(&room(), session).await.unwrap().mark.as_deref(), Some("first"));
    publisher.set_mark(mark(2, "second"));
    assert!(matches!(publisher.tell().await.unwrap(), Published::Stored { .. }));
    let (new, left) = history.claim(&room(), ACCOUNT, session, 0).await.unwrap();
    assert_eq!(left.as_deref(), Some("second"));
    publisher.set_mark(mark(3, "of a zombie"));
    assert_eq!(publisher.tell().await.unwrap(), Published::Fenced);
    assert_eq!(publisher.publish(text(session, 3)).await.unwrap(), Published::Fenced);
    assert_eq!(history.held(&room(), session).await.unwrap().mark.as_deref(), Some("second"));

    let other = claim(&here, self::session()).await;
    assert!(
        history.leave_mark(&other, &mark(1, "of another")).await.unwrap(),
        "sessions share the room"
    );
    let floor = new.fence + 1_000_000;
    let (later, _) = history.claim(&room(), ACCOUNT, session, floor).await.unwrap();
    assert_eq!(later.fence, floor + 1);

    let room = room();
    let said = |n| history.read_session((&room, ACCOUNT), session, n, None);
    assert_eq!(numbers_of(&said(0).await.unwrap()), [1, 2]);
    assert_eq!(numbers_of(&said(1).await.unwrap()), [2]);
    assert!(said(2).await.unwrap().finals.is_empty());
}

/// A session that says nothing for long still has its room.
#[tokio::test]
async fn a_mark_keeps_the_room_as_well() {
    let server = process::Redis::start().unwrap();
    let here = replica(&server).await;
    let owned = claim(&here, session()).await;
    let meta =
        "local meta = redis.call('KEYS', '*:meta')[1]; return redis.call(ARGV[1], meta, ARGV[2])";
    server.command(&["EVAL", meta, "0", "PEXPIRE", "60000"]).unwrap();
    assert!(here.rooms.history().leave_mark(&owned, &mark(1, "quiet")).await.unwrap());
    let meta = meta.replace(", ARGV[2]", "");
    let left = server.command(&["EVAL", &meta, "0", "PTTL"]).unwrap();
    let left_ms: u128 = left[1..].trim().parse().unwrap();
    assert!(left_ms > LIFE.as_millis() / 2, "{left_ms}");
}

fn numbers_of(said: &Said) -> Vec<u64> {
    said.finals.iter().map(|recorded| recorded.text.label.n).collect()
}

/// What is not remembered between two finals stays missing, and holds nobody up.
#[tokio::test]
async fn a_hole_in_what_is_remembered_is_a_hole_in_the_room() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let recorded = |n| {
        let position = Position { epoch: 7, offset: n };
        Arc::new(Recorded { position, text: text(session, n) })
    };
    let said = [1, 2, 5, 6].map(recorded);
    let mut publisher = here.rooms.publisher(claim(&here, session).await).after(&said, 6);
    publisher.hold(text(session, 7));
    let flushed = tokio::time::timeout(SOON, publisher.flush()).await.expect("an end");
    assert!(matches!(flushed.unwrap(), Published::Stored { .. }));
    let whole =
        here.rooms.history().read_session((&room(), ACCOUNT), session, 0, None).await.unwrap();
    assert_eq!(numbers_of(&whole), [5, 6, 7]);
}

/// Only what is asked for is looked at, however long the history is, a page at a time; and a room that
/// forgets is told again what owners before said, once that was recalled.
#[tokio::test]
async fn what_a_session_said_is_read_page_by_page() {
    let server = process::Redis::start().unwrap();
    let here = replica(&server).await;
    let (history, session, room) = (here.rooms.history(), session(), room());
    let mut publisher = here.rooms.publisher(claim(&here, session).await);
    let other = self::session();
    let mut beside = here.rooms.publisher(claim(&here, other).await);
    for first in (1..=600).step_by(100) {
        (first..first + 100).for_each(|n| publisher.hold(text(session, n)));
        publisher.flush().await.unwrap();
        (first..first + 100).for_each(|n| beside.hold(text(other, n)));
        beside.flush().await.unwrap();
    }
    let last = history.read_session((&room, ACCOUNT), session, 560, None).await.unwrap();
    assert_eq!((numbers_of(&last), last.older), (upwards(561..=600), None));
    let (mut before, mut pages) = (None, Vec::new());
    loop {
        let page = history.read_session((&room, ACCOUNT), session, 0, before).await.unwrap();
        pages.push(numbers_of(&page));
        before = page.older;
        if before.is_none() {
            break;
        }
    }
    assert!(pages.len() >= 6 && pages.iter().all(|page| page.len() <= 200), "{pages:?}");
    pages.reverse();
    assert_eq!(pages.concat(), upwards(1..=600));

    let mut next = here.rooms.publisher(claim(&here, session).await).after(&last.finals, 600);
    for _ in 0..10 {
        next.recall().await.unwrap();
    }
    server.command(&["FLUSHALL"]).unwrap();
    next.hold(text(session, 601));
    next.flush().await.unwrap();
    let whole = history.read_session((&room, ACCOUNT), session, 400, None).await.unwrap();
    assert_eq!(numbers_of(&whole), upwards(402..=601));
    let first = history.read_after(&room, &Cursor::default(), 1).await.unwrap().1;
    let Read::Recovered { finals, .. } = first else { panic!("a hole: {first:?}") };
    assert_eq!(finals[0].text.label.n, 1, "the room is whole");
}
