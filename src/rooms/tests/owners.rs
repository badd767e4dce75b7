//! Whose words a viewer may see: its own account's, whatever becomes of the room.

use super::*;
use crate::model::ErrorKind;

const OTHER: &str = "user:8";

async fn claim_for(replica: &Replica, account: &str, session: SessionId) -> Publisher {
    let claimed = replica.rooms.history().claim(&room(), account, session, 0).await.unwrap();
    replica.rooms.publisher(claimed.0)
}

#[tokio::test]
async fn who_waits_for_a_room_that_becomes_anothers_sees_nothing_of_it() {
    let server = process::Redis::start().unwrap();
    let (one, other, session) = (replica(&server).await, replica(&server).await, session());
    let start = Start::After(Cursor::default());
    let mut ours = [&one, &other].map(|at| at.rooms.join(&room(), ACCOUNT, start));
    let mut theirs = [&one, &other].map(|at| at.rooms.join(&room(), OTHER, start));
    for viewer in ours.iter_mut().chain(&mut theirs) {
        assert!(viewer.begin(50).await.is_ok(), "nobody owns it yet");
    }
    let mut publisher = claim_for(&one, ACCOUNT, session).await;
    let heard = async || publisher.say(&text(session, 1)).await.unwrap() == 2;
    until("both replicas to listen", SOON, heard).await;
    for viewer in &mut theirs {
        let seen = tokio::time::timeout(SOON, viewer.next()).await.expect("an update");
        assert_eq!(seen, Some(Update::Foreign));
        assert_eq!(viewer.next().await, None);
    }
    publish(&mut publisher, session, 1..=2).await;
    for viewer in &mut ours {
        assert_eq!(numbers(viewer, 2).await, [1, 2]);
    }
    // Somebody who thinks that the room is theirs, and has not been told otherwise yet.
    let account = OTHER.to_owned();
    let claim = Claim { room: room(), account, session, fence: u64::MAX >> 12, base: None };
    one.rooms.history().say(&claim, &text(session, 9)).await.unwrap();
    publisher.say(&text(session, 3)).await.unwrap();
    for viewer in &mut ours {
        let interim = async {
            loop {
                if let Some(Update::Interim(interim)) = viewer.next().await
                    && interim.label.n > 2
                {
                    return interim.label.n;
                }
            }
        };
        let n = tokio::time::timeout(SOON, interim).await.expect("an interim");
        assert_eq!(n, 3, "not the other's");
    }
    let mut late = other.rooms.join(&room(), OTHER, start);
    assert_eq!(late.begin(50).await.unwrap_err().kind, ErrorKind::Forbidden);
    assert_eq!(late.next().await, Some(Update::Foreign));
    let looked = other.rooms.look(&room(), OTHER).await;
    assert_eq!(looked.unwrap_err().kind, ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_room_that_changes_hands_leaves_nothing_behind() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let mut publisher = claim_for(&here, ACCOUNT, session).await;
    publish(&mut publisher, session, 1..=3).await;
    let mut ours = here.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    assert_eq!(numbers(&mut ours, 3).await, [1, 2, 3]);
    // Only the owner is forgotten, as by a Redis that is short of memory.
    server.command(&["DEL", "test:{room:meeting-1}:meta"]).unwrap();
    let next = super::session();
    let mut theirs = claim_for(&here, OTHER, next).await;
    publish(&mut theirs, next, 1..=2).await;
    assert_eq!(super::next(&mut ours).await, Update::Foreign);
    let mut viewer = here.rooms.join(&room(), OTHER, Start::After(Cursor::default()));
    let seen = numbers(&mut viewer, 2).await;
    assert_eq!(seen, [1, 2]);
    assert_eq!(viewer.cursor().last.unwrap().session, next);
    let refused = publisher.publish(text(session, 4)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    // The other way about: the history goes with its owner.
    server.command(&["FLUSHALL"]).unwrap();
    publish(&mut publisher, session, 5..=5).await;
    assert_eq!(super::next(&mut viewer).await, Update::Foreign);
}

#[tokio::test]
async fn a_session_that_has_ended_speaks_no_more() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    assert!(here.rooms.look(&room(), ACCOUNT).await.unwrap().is_none());
    let mut publisher = claim_for(&here, ACCOUNT, session).await;
    let live = async || here.rooms.look(&room(), ACCOUNT).await.unwrap().unwrap().live;
    assert!(live().await, "it was claimed");
    publish(&mut publisher, session, 1..=1).await;
    assert!(live().await);
    let body = r#"{"type":"session_ended","n":2}"#.to_owned();
    publisher.publish(Text { label: Label { session, n: 2 }, body }).await.unwrap();
    assert!(!live().await);
    publisher.set_mark(mark(9, "put away"));
    assert!(matches!(publisher.tell().await.unwrap(), Published::Stored { .. }));
    assert!(!live().await);
}

#[tokio::test]
async fn a_room_is_its_accounts_by_whatever_name_they_are_known() {
    let server = process::Redis::start().unwrap();
    let (one, other, session) = (replica(&server).await, replica(&server).await, session());
    // Somebody of the tenant while their account can be looked up, and while it cannot.
    let (whole, half, key) = ("user-7/auth0-d1", "auth0-d1", "user-7");
    let start = Start::After(Cursor::default());
    for (speaks, watches) in [(whole, half), (half, whole), (whole, key), (half, half)] {
        let mut publisher = claim_for(&one, speaks, session).await;
        let n = last_n(&one, whole, session).await + 1;
        publish(&mut publisher, session, n..=n).await;
        let mut viewer = other.rooms.join(&room(), watches, start);
        viewer.begin(50).await.unwrap();
        assert_eq!(up_to(&mut viewer, n).await.0.last(), Some(&n), "{speaks} for {watches}");
        assert_eq!(other.rooms.is_owned(&room(), watches).await.ok(), Some(true));
    }
    for stranger in ["user-70", "user-7x/auth0-d2", "auth0-d", "d1"] {
        let claimed = one.rooms.history().claim(&room(), stranger, session, 0).await;
        assert_eq!(claimed.unwrap_err().kind, ErrorKind::Forbidden, "{stranger}");
        let mut viewer = other.rooms.join(&room(), stranger, start);
        assert_eq!(viewer.begin(50).await.unwrap_err().kind, ErrorKind::Forbidden, "{stranger}");
    }
}

/// An attempt that was slow takes nothing from one that began later and was quick.
#[tokio::test]
async fn who_looked_before_another_took_over_comes_too_late() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let history = here.rooms.history();
    let first = claim(&here, session).await;
    let seen = history.held(&room(), session).await.unwrap().fence;
    assert_eq!(seen, first.fence);
    let quick = history.claim_after(&room(), ACCOUNT, session, seen).await.unwrap();
    let quick = quick.expect("nobody was before").0;
    let slow = history.claim_after(&room(), ACCOUNT, session, seen).await.unwrap();
    assert!(slow.is_none(), "{slow:?}");
    let held = history.held(&room(), session).await.unwrap().fence;
    assert_eq!(held, quick.fence, "and changes nothing");
    let again = history.claim_after(&room(), ACCOUNT, session, held).await.unwrap();
    assert!(again.expect("it looked again").0.fence > quick.fence);
}

/// The last number that a session has said.
async fn last_n(replica: &Replica, account: &str, session: SessionId) -> u64 {
    let history = replica.rooms.history();
    let said = history.read_session((&room(), account), session, 0, None).await.unwrap();
    said.finals.last().map_or(0, |last| last.text.label.n)
}
