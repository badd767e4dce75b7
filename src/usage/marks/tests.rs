//! Marks on a real Postgres.

use std::time::Duration;

use super::*;
use crate::postgres::private;

const LIFE: Duration = Duration::from_secs(60);

async fn session(database: &Database) -> SessionId {
    let session = SessionId::mint();
    let insert = "INSERT INTO live_sessions (id, user_id, provider, model, language) \
                  VALUES ($1, 0, 'deepgram', 'nova-2', 'en')";
    sqlx::query(insert).bind(session.0).execute(database.pool()).await.unwrap();
    session
}

fn mark(last_n: u64, covered_ms: u64) -> Mark {
    Mark { covered_ms, last_n, bookmark: format!("{last_n} {covered_ms}") }
}

async fn leave(database: &Database, session: SessionId, fence: u64, mark: &Mark) -> Option<bool> {
    let mut connection = database.pool().acquire().await.unwrap();
    let marked = [Marked { session, fence, mark: Some(mark) }];
    leave_marks(&mut connection, &marked).await.unwrap().remove(&session)
}

#[tokio::test]
async fn a_mark_goes_on_and_an_owner_of_the_past_leaves_none() {
    let database = private::database().await;
    let (marks, session) = (Marks::new(database.clone(), LIFE), session(&database).await);
    let found = async || marks.find(session).await.unwrap().unwrap();
    assert_eq!(found().await, Left::default());
    assert_eq!(leave(&database, session, 7, &mark(2, 900)).await, Some(true));
    assert_eq!(leave(&database, session, 7, &mark(2, 800)).await, Some(true));
    assert_eq!(leave(&database, session, 7, &mark(1, 950)).await, Some(true));
    assert_eq!(found().await.bookmark.as_deref(), Some("2 900"));
    let left = marks.claim(session, 3, None).await.unwrap().unwrap();
    assert_eq!((left.fence, left.bookmark.as_deref()), (8, Some("2 900")));
    assert_eq!(leave(&database, session, 7, &mark(9, 9_000)).await, Some(false));
    // What counts for the later owner may be less than what an earlier one has left.
    assert_eq!(leave(&database, session, 8, &mark(1, 400)).await, Some(true));
    assert_eq!(found().await.bookmark.as_deref(), Some("1 400"));
    assert_eq!(marks.claim(session, 100, None).await.unwrap().unwrap().fence, 100);
    assert_eq!(marks.claim(session, 0, Some(99)).await.unwrap(), None, "it was taken meanwhile");
    assert_eq!(marks.claim(session, 0, Some(100)).await.unwrap().unwrap().fence, 101);
    let stranger = SessionId::mint();
    assert_eq!(leave(&database, stranger, 7, &mark(1, 1)).await, None);
    assert_eq!(marks.claim(stranger, 1, None).await.unwrap(), None);
    assert_eq!(marks.find(stranger).await.unwrap(), None);
}

#[tokio::test]
async fn an_old_mark_does_not_count_but_its_fence_does() {
    let database = private::database().await;
    let session = session(&database).await;
    leave(&database, session, 7, &mark(2, 900)).await;
    let marks = Marks::new(database.clone(), Duration::ZERO);
    let left = marks.find(session).await.unwrap().unwrap();
    assert_eq!((left.fence, left.bookmark), (7, None));
}

#[tokio::test]
async fn a_server_that_is_away_is_told_at_once() {
    let marks = Marks::new(private::at("postgresql://127.0.0.1:1/none"), LIFE);
    let asked = std::time::Instant::now();
    assert!(marks.find(SessionId::mint()).await.is_err());
    assert!(asked.elapsed() < PATIENCE);
}
