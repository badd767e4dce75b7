//! What Redis refuses waits in Postgres, is brought to its room by whoever is there, and counts only
//! where no later owner says otherwise.

use super::*;

/// A Redis of the test's own, two replicas on one database, and a session whose owner is the first.
struct Stage {
    server: process::Redis,
    database: Database,
    replicas: [Replica; 2],
    session: SessionId,
    claim: Claim,
}

async fn stage() -> Stage {
    let (server, database) = (process::Redis::start().unwrap(), private::database().await);
    let replica = async || replica_on(&server, database.clone(), BOUNDS).await;
    let (replicas, session) = ([replica().await, replica().await], session());
    let insert = "INSERT INTO live_sessions (id, user_id, provider, model, language) \
                  VALUES ($1, 0, 'deepgram', 'nova-2', 'en')";
    sqlx::query(insert).bind(session.0).execute(database.pool()).await.unwrap();
    let claim = claim(&replicas[0], session).await;
    Stage { server, database, replicas, session, claim }
}

impl Stage {
    /// Numbers of finals that wait in Postgres.
    async fn waiting(&self) -> Vec<i64> {
        let query = "SELECT n FROM room_records WHERE session_id = $1 ORDER BY n";
        let query = sqlx::query_scalar(query).bind(self.session.0);
        query.fetch_all(self.database.pool()).await.unwrap()
    }

    async fn until_drained(&self) {
        until("nothing to wait", 4 * SOON, async || self.waiting().await.is_empty()).await;
    }

    /// Says those numbers, marked, and what became of it.
    async fn tell(&self, publisher: &mut Publisher, numbers: &[u64], by: &str) -> Published {
        for n in numbers {
            let label = Label { session: self.session, n: *n };
            publisher.hold(Text { label, body: format!("{n} by {by}") });
            publisher.set_mark(mark(*n, &format!("{n} by {by}")));
        }
        publisher.tell().await.unwrap()
    }

    async fn bodies(&self) -> Vec<String> {
        let end = self.replicas[1].rooms.history().read_end(&room(), 100).await.unwrap();
        end.finals.iter().map(|is| is.text.body.clone()).collect()
    }
}

#[tokio::test]
async fn an_owner_goes_on_without_redis_and_its_room_has_it_all_afterwards() {
    let mut stage = Box::pin(stage()).await;
    let mut publisher = stage.replicas[0].rooms.publisher(stage.claim.clone());
    let stored = stage.tell(&mut publisher, &[1, 2], "one").await;
    assert!(matches!(stored, Published::Stored { .. }));
    let start = Start::After(Cursor::default());
    let mut viewer = stage.replicas[1].rooms.join(&room(), ACCOUNT, start);
    assert_eq!(numbers(&mut viewer, 2).await, [1, 2]);
    stage.server.kill().unwrap();
    assert_eq!(stage.tell(&mut publisher, &[3, 4], "one").await, Published::Kept);
    assert_eq!(stage.tell(&mut publisher, &[5], "one").await, Published::Kept);
    assert_eq!(stage.waiting().await, [1, 2, 3, 4, 5]);
    let left = stage.replicas[1].rooms.marks().find(stage.session).await.unwrap().unwrap();
    assert_eq!((left.fence, left.bookmark.as_deref()), (stage.claim.fence, Some("5 by one")));
    let kept = stage.replicas[1].rooms.kept(stage.session).await.unwrap();
    assert_eq!(kept.iter().map(|text| text.label.n).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);

    stage.server.restart().unwrap();
    let is_stored = async || matches!(publisher.tell().await, Ok(Published::Stored { .. }));
    until("the room to have it", 4 * SOON, is_stored).await;
    publisher.hold(text(stage.session, 6));
    assert!(matches!(publisher.tell().await, Ok(Published::Stored { .. })));
    stage.until_drained().await;
    assert_eq!(up_to(&mut viewer, 6).await.0, [3, 4, 5, 6]);
    let history = stage.replicas[1].rooms.history();
    let mark = history.held(&room(), stage.session).await.unwrap().mark;
    assert_eq!(mark.as_deref(), Some("5 by one"));
}

#[tokio::test]
async fn what_a_dead_owner_left_any_replica_brings() {
    let stage = Box::pin(stage()).await;
    let mut publisher = stage.replicas[0].rooms.publisher(stage.claim.clone());
    stage.tell(&mut publisher, &[1], "one").await;
    stage.server.freeze().unwrap();
    let many: Vec<u64> = (2..=450).collect();
    assert_eq!(stage.tell(&mut publisher, &many, "one").await, Published::Kept);
    stage.replicas[0].stop.abort();
    drop(publisher);
    stage.server.thaw().unwrap();
    stage.until_drained().await;
    let start = Start::After(Cursor::default());
    let mut viewer = stage.replicas[1].rooms.join(&room(), ACCOUNT, start);
    assert_eq!(up_to(&mut viewer, 450).await.0, upwards(1..=450));
    let history = stage.replicas[1].rooms.history();
    let mark = history.held(&room(), stage.session).await.unwrap().mark;
    assert_eq!(mark.as_deref(), Some("450 by one"));
}

#[tokio::test]
async fn where_redis_forgot_what_was_before_the_hole_is_told() {
    let mut stage = Box::pin(stage()).await;
    let mut publisher = stage.replicas[0].rooms.publisher(stage.claim.clone());
    let many: Vec<u64> = (1..=100).collect();
    stage.tell(&mut publisher, &many, "one").await;
    stage.server.kill().unwrap();
    assert_eq!(stage.tell(&mut publisher, &[101, 102], "one").await, Published::Kept);
    stage.replicas[0].stop.abort();
    drop(publisher);
    stage.server.restart().unwrap();
    stage.until_drained().await;
    let said: Vec<String> = (37..=102).map(|n| format!("{n} by one")).collect();
    assert_eq!(stage.bodies().await, said);
    let seen = Label { session: stage.session, n: 100 };
    let cursor = Cursor { position: Position { epoch: 1, offset: 100 }, last: Some(seen) };
    let read = stage.replicas[1].rooms.history().read_after(&room(), &cursor, 9).await.unwrap().1;
    assert!(matches!(&read, Read::Recovered { finals, .. } if finals.len() == 2), "{read:?}");
    let history = stage.replicas[1].rooms.history();
    let read = history.read_after(&room(), &Cursor::default(), 9).await.unwrap().1;
    assert!(matches!(read, Read::NotRecovered { reason: Reason::Trimmed, .. }), "{read:?}");
}

#[tokio::test]
async fn the_greater_fence_wins_wherever_it_was_given() {
    let mut stage = Box::pin(stage()).await;
    let mut first = stage.replicas[0].rooms.publisher(stage.claim.clone());
    stage.tell(&mut first, &[1], "one").await;
    stage.server.kill().unwrap();
    stage.tell(&mut first, &[2], "one").await;
    // Another replica takes over by Postgres alone.
    let marks = stage.replicas[1].rooms.marks();
    let left = marks.claim(stage.session, 0, None).await.unwrap().unwrap();
    assert_eq!(left.bookmark.as_deref(), Some("2 by one"));
    let claim = Claim { fence: left.fence, base: Some(2), ..stage.claim.clone() };
    let said = stage.replicas[1].rooms.kept(stage.session).await.unwrap();
    let second = stage.replicas[1].rooms.publisher(claim);
    let mut second = second.resumed(said, 1, Position::default());
    assert_eq!(stage.tell(&mut first, &[3], "one").await, Published::Fenced);
    assert_eq!(stage.tell(&mut second, &[3], "two").await, Published::Kept);

    // The first has not noticed, and is before the second to the Redis that is back.
    let blind = Claim { base: None, ..stage.claim.clone() };
    stage.server.restart().unwrap();
    let history = stage.replicas[0].rooms.history();
    let false_one = |n| {
        let label = Label { session: stage.session, n };
        Arc::new(Text { label, body: format!("{n} by nobody") })
    };
    let lies: Vec<Arc<Text>> = (2..=4).map(false_one).collect();
    let told = async || {
        history.append(&blind, Position::default(), false, &lies, None).await.is_ok()
            && matches!(stage.tell(&mut second, &[4, 5], "two").await, Published::Stored { .. })
    };
    until("both to be heard", 4 * SOON, told).await;
    let said = stage.bodies().await;
    assert_eq!(&said[said.len() - 3..], ["3 by two", "4 by two", "5 by two"], "{said:?}");
    let refused = history.append(&blind, Position::default(), false, &lies, None).await;
    assert_eq!(refused.unwrap(), Appended::Fenced { told: true });
    assert_eq!(stage.tell(&mut first, &[3], "one").await, Published::Fenced);
    stage.until_drained().await;
    assert_eq!(stage.bodies().await, said, "what the first left in Postgres adds nothing");
}

#[tokio::test]
async fn of_owners_that_took_over_by_postgres_alone_the_last_counts() {
    for brought_by_third in [true, false] {
        let stage = Box::pin(stage()).await;
        let mut first = stage.replicas[0].rooms.publisher(stage.claim.clone());
        stage.tell(&mut first, &[1, 2, 3, 4], "one").await;
        stage.server.freeze().unwrap();
        // What the database knows of the first is older than what the room has.
        let marks = stage.replicas[1].rooms.marks();
        let claim = async |base| {
            let fence =
                marks.claim(stage.session, stage.claim.fence, None).await.unwrap().unwrap().fence;
            Claim { fence, base: Some(base), ..stage.claim.clone() }
        };
        let second = stage.replicas[1].rooms.publisher(claim(1).await);
        let mut second = second.after(&[], 1);
        assert_eq!(stage.tell(&mut second, &[2, 3], "two").await, Published::Kept);
        let kept = stage.replicas[1].rooms.kept(stage.session).await.unwrap().into_iter();
        let kept = kept.map(|text| Arc::new(Recorded { position: Position::default(), text }));
        let third = stage.replicas[1].rooms.publisher(claim(3).await);
        let mut third = third.after(&kept.collect::<Vec<_>>(), 3);
        assert_eq!(stage.tell(&mut third, &[4], "three").await, Published::Kept);
        if brought_by_third {
            stage.server.thaw().unwrap();
            let told = async || matches!(third.tell().await, Ok(Published::Stored { .. }));
            until("the third to be heard", 4 * SOON, told).await;
        } else {
            drop(third);
            stage.server.thaw().unwrap();
        }
        stage.until_drained().await;
        assert_eq!(stage.bodies().await, ["1 by one", "2 by two", "3 by two", "4 by three"]);
    }
}
