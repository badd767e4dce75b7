//! Viewers: what they see, in what order, and what that costs.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn history_comes_first_and_then_what_is_said() {
    let server = process::Redis::start().unwrap();
    let (one, other, session) = (replica(&server).await, replica(&server).await, session());
    let claim = claim(&one, session).await;
    let mut publisher = one.rooms.publisher(claim);
    let mut early = other.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    publish(&mut publisher, session, 1..=600).await;
    let mut late = other.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    // The first is read while it is written, or it would be too slow.
    assert_eq!(numbers(&mut late, 600).await, upwards(1..=600));
    drop(early.next().await);
    let mut joined = one.rooms.join(&room(), ACCOUNT, Start::Now);
    let Settled::Afresh { reason: None, finals, .. } = joined.begin(3).await.unwrap() else {
        panic!("it asked for nothing")
    };
    assert_eq!(finals.iter().map(|is| is.text.label.n).collect::<Vec<_>>(), [598, 599, 600]);
    let look = one.rooms.look(&room(), ACCOUNT).await.unwrap().unwrap();
    assert!(look.live && look.position == finals[2].position, "{look:?}");
    let mut resumed = one.rooms.join(&room(), ACCOUNT, Start::After(finals[0].cursor()));
    assert!(matches!(resumed.begin(3).await.unwrap(), Settled::Resumed(_)));
    assert_eq!(numbers(&mut resumed, 2).await, [599, 600]);
    let mut now = one.rooms.join(&room(), ACCOUNT, Start::Now);
    until("the feed", SOON, async || {
        tokio::select! { biased; _ = now.next() => true, () = std::future::ready(()) => {
            now.cursor().position.offset == 600
        } }
    })
    .await;
    publish(&mut publisher, session, 601..=602).await;
    for viewer in [&mut late, &mut joined, &mut now] {
        assert_eq!(numbers(viewer, 2).await, [601, 602]);
    }
}

#[tokio::test]
async fn interims_are_coalesced_and_never_trail_their_final() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim);
    let mut viewer = here.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    let heard = async || calls(&server, "subscribe") > 0;
    until("the subscription", SOON, heard).await;
    publisher.publish(text(session, 1)).await.unwrap();
    assert_eq!(numbers(&mut viewer, 1).await, [1]);
    for n in [2, 2, 2, 1] {
        publisher.say(&text(session, n)).await.unwrap();
    }
    let Some(Update::Interim(interim)) = viewer.next().await else { panic!("an interim") };
    assert_eq!(interim.label.n, 2);
    publisher.publish(text(session, 2)).await.unwrap();
    assert_eq!(numbers(&mut viewer, 1).await, [2]);
    for n in [2, 1, 3] {
        publisher.say(&text(session, n)).await.unwrap();
    }
    let next = tokio::time::timeout(SOON, viewer.next()).await.expect("an update");
    let Some(Update::Interim(interim)) = next else { panic!("{next:?}") };
    assert_eq!(interim.label.n, 3);
    let feed = here.rooms.fanout.feed(&room()).unwrap();
    let taken = feed.state().newer_interim(0).unwrap().0;
    assert_eq!(taken, 4, "three times 2 before its final, and once 3");
}

#[tokio::test]
async fn a_slow_viewer_ends_and_loses_nothing() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim);
    let mut quick = here.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    let mut slow = here.rooms.join(&room(), ACCOUNT, Start::After(Cursor::default()));
    publish(&mut publisher, session, 1..=10).await;
    assert_eq!(numbers(&mut quick, 10).await, upwards(1..=10));
    assert_eq!(numbers(&mut slow, 10).await, upwards(1..=10));
    for hundred in 0..8 {
        let some = hundred * 100 + 11..=hundred * 100 + 110;
        publish(&mut publisher, session, some.clone()).await;
        assert_eq!(numbers(&mut quick, 100).await, upwards(some));
    }
    assert_eq!(next(&mut slow).await, Update::Behind);
    assert_eq!(slow.next().await, None);
    let mut again = here.rooms.join(&room(), ACCOUNT, Start::After(slow.cursor()));
    assert_eq!(numbers(&mut again, 800).await, upwards(11..=810));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_viewers_cost_one_reader() {
    let server = process::Redis::start().unwrap();
    let replicas = [replica(&server).await, replica(&server).await];
    let session = session();
    let claim = claim(&replicas[0], session).await;
    let mut publisher = replicas[0].rooms.publisher(claim);
    let start = Start::After(Cursor::default());
    let mut viewers: Vec<Viewer> =
        (0..200).map(|at| replicas[at % 2].rooms.join(&room(), ACCOUNT, start)).collect();
    let counted = async || replicas[1].rooms.viewers(&room()).await.unwrap() == 200;
    until("every viewer to be counted", SOON, counted).await;
    let (scripts, ranges) = (calls(&server, "evalsha"), calls(&server, "xrange"));
    let said = publish(&mut publisher, session, 1..=100);
    let seen = join_all(viewers.iter_mut().map(|viewer| numbers(viewer, 100)));
    let ((), seen) = tokio::join!(said, seen);
    assert!(seen.iter().all(|numbers| *numbers == upwards(1..=100)));
    let spent = (calls(&server, "evalsha") - scripts, calls(&server, "xrange") - ranges);
    println!("scripts and ranges for 100 finals and 200 viewers: {spent:?}");
    assert!(spent.0 <= 100 + 2 * 100 + 50, "{spent:?}");
    // All of them again, as after the end of their replica.
    let cursors: Vec<Cursor> = viewers.iter().map(Viewer::cursor).collect();
    drop(viewers);
    let new = replica(&server).await;
    let ranges = calls(&server, "xrevrange");
    let mut viewers: Vec<Viewer> = cursors
        .iter()
        .map(|cursor| new.rooms.join(&room(), ACCOUNT, Start::After(*cursor)))
        .collect();
    publish(&mut publisher, session, [101]).await;
    let seen = join_all(viewers.iter_mut().map(|viewer| numbers(viewer, 1))).await;
    assert!(seen.iter().all(|numbers| *numbers == [101]));
    let spent = calls(&server, "xrevrange") - ranges;
    println!("ends that were looked at for 200 resumptions: {spent}");
    assert!(spent < 20, "{spent}");
}

#[tokio::test]
async fn a_position_that_nobody_has_is_told() {
    let server = process::Redis::start().unwrap();
    let (here, session) = (replica(&server).await, session());
    let last = Some(Label { session: SessionId(Uuid::new_v4()), n: 9 });
    let lost = Cursor { position: Position { epoch: 5, offset: 9 }, last };
    let mut viewer = here.rooms.join(&room(), ACCOUNT, Start::After(lost));
    assert_eq!(next(&mut viewer).await, Update::Gap(Reason::EpochGone));
    let claim = claim(&here, session).await;
    let mut publisher = here.rooms.publisher(claim);
    let entered = async || {
        tokio::select! { biased; _ = viewer.next() => false, () = std::future::ready(()) => true }
    };
    until("the present", SOON, entered).await;
    publish(&mut publisher, session, 1..=3).await;
    assert_eq!(numbers(&mut viewer, 3).await, [1, 2, 3]);
    let mut other = here.rooms.join(&room(), ACCOUNT, Start::After(lost));
    assert_eq!(next(&mut other).await, Update::Gap(Reason::EpochGone));
    assert_eq!(numbers(&mut other, 3).await, [1, 2, 3], "what was not seen of what there is");
}

/// Redis lost its memory, and the speaker has not noticed yet.
#[tokio::test]
async fn a_room_that_is_told_again_is_waited_for() {
    let server = process::Redis::start().unwrap();
    let (one, other, session) = (replica(&server).await, replica(&server).await, session());
    let mut publisher = one.rooms.publisher(claim(&one, session).await);
    publish(&mut publisher, session, 1..=5).await;
    let seen = one.rooms.history().read_end(&room(), 2).await.unwrap().finals[0].cursor();
    server.command(&["FLUSHALL"]).unwrap();
    let mut viewer = other.rooms.join(&room(), ACCOUNT, Start::After(seen));
    let loaded = async || viewer.feed.state().loaded;
    until("the room to be read", SOON, loaded).await;
    let (settled, ()) = tokio::join!(viewer.begin(3), publish(&mut publisher, session, 6..=6));
    assert!(matches!(settled.unwrap(), Settled::Resumed(_)));
    assert_eq!(numbers(&mut viewer, 2).await, [5, 6]);
}
