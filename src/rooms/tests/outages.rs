//! A Redis that forgets, dies, freezes and drops its subscribers.

use super::*;

struct Stage {
    server: process::Redis,
    replicas: [Replica; 2],
    publisher: Publisher,
    viewers: [Viewer; 2],
    session: SessionId,
}

/// A session that has said three things, and a viewer on each of two replicas who saw them.
async fn stage() -> Stage {
    let server = process::Redis::start().unwrap();
    let (replicas, session) = ([replica(&server).await, replica(&server).await], session());
    let claim = claim(&replicas[0], session).await;
    let mut publisher = replicas[0].rooms.publisher(claim);
    let start = Start::After(Cursor::default());
    let mut viewers = [0, 1].map(|at: usize| replicas[at].rooms.join(&room(), ACCOUNT, start));
    publish(&mut publisher, session, 1..=3).await;
    for viewer in &mut viewers {
        assert_eq!(numbers(viewer, 3).await, [1, 2, 3]);
    }
    Stage { server, replicas, publisher, viewers, session }
}

#[tokio::test]
async fn after_a_flush_a_new_epoch_has_everything() {
    let mut stage = Box::pin(stage()).await;
    let old = stage.viewers[0].cursor();
    stage.server.command(&["FLUSHALL"]).unwrap();
    let published = stage.publisher.publish(text(stage.session, 4)).await.unwrap();
    let Published::Stored { position, refilled: true } = published else { panic!("{published:?}") };
    assert!(position.epoch > old.position.epoch);
    assert_eq!(position.offset, 4, "the running session was added again");
    for viewer in &mut stage.viewers {
        assert_eq!(numbers(viewer, 1).await, [4], "nothing twice and nothing missed");
    }
    let mut resumed = stage.replicas[1].rooms.join(&room(), ACCOUNT, Start::After(old));
    assert_eq!(numbers(&mut resumed, 1).await, [4], "across epochs");
    // Another session after another flush: what the first said last may be missing.
    stage.server.command(&["FLUSHALL"]).unwrap();
    let another = session();
    let claim = claim(&stage.replicas[1], another).await;
    let mut other = stage.replicas[1].rooms.publisher(claim);
    publish(&mut other, another, 1..=2).await;
    for viewer in &mut stage.viewers {
        assert_eq!(next(viewer).await, Update::Gap(Reason::EpochGone));
        assert_eq!(numbers(viewer, 2).await, [1, 2]);
    }
}

#[tokio::test]
async fn a_redis_that_dies_and_comes_back_is_told_and_nothing_is_lost() {
    let mut stage = Box::pin(stage()).await;
    stage.server.kill().unwrap();
    for viewer in &mut stage.viewers {
        assert_eq!(next(viewer).await, Update::Degraded);
    }
    assert!(stage.publisher.publish(text(stage.session, 4)).await.is_err());
    assert_eq!(stage.publisher.waiting(), 1);
    let mut joined =
        stage.replicas[0].rooms.join(&room(), ACCOUNT, Start::After(stage.viewers[0].cursor()));
    assert_eq!(next(&mut joined).await, Update::Degraded);
    stage.server.restart().unwrap();
    publish(&mut stage.publisher, stage.session, 5..=6).await;
    for viewer in stage.viewers.iter_mut().chain([&mut joined]) {
        let (numbers, told) = up_to(viewer, 6).await;
        assert_eq!(numbers, [4, 5, 6]);
        assert_eq!(told.first(), Some(&Update::Recovered), "{told:?}");
        assert!(!told.iter().any(|update| matches!(update, Update::Gap(_))), "{told:?}");
    }
}

#[tokio::test]
async fn a_frozen_redis_delays_and_loses_nothing() {
    let mut stage = Box::pin(stage()).await;
    stage.server.freeze().unwrap();
    for viewer in &mut stage.viewers {
        assert_eq!(next(viewer).await, Update::Degraded);
    }
    stage.server.thaw().unwrap();
    publish(&mut stage.publisher, stage.session, 4..=8).await;
    for viewer in &mut stage.viewers {
        assert_eq!(up_to(viewer, 8).await.0, upwards(4..=8));
    }
}

#[tokio::test]
async fn a_subscriber_that_is_dropped_catches_up() {
    let mut stage = Box::pin(stage()).await;
    for round in 1..=3 {
        stage.server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        publish(&mut stage.publisher, stage.session, [round * 2 + 2, round * 2 + 3]).await;
        let began = std::time::Instant::now();
        for viewer in &mut stage.viewers {
            assert_eq!(numbers(viewer, 2).await, [round * 2 + 2, round * 2 + 3]);
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
