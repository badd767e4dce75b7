//! The SQL of `room_records`; of `live_sessions` it only reads.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::writer::Letter;
use crate::usage::{Mark, Marked, leave_marks};

/// What became of what a session left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is there.
    There,
    /// Another owner has taken the session over.
    Fenced,
    /// The session has no row yet.
    Unknown,
}

/// Writes letters, which are of different sessions and in the order of their ids, in one
/// transaction: each session's finals and mark, or nothing of it.
pub(super) async fn insert_records(
    pool: &PgPool,
    letters: &[Letter],
) -> Result<Vec<Kept>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let marks: Vec<Marked<'_>> = letters.iter().map(Letter::marked).collect();
    let known = leave_marks(&mut transaction, &marks).await?;
    let kept = |letter: &Letter| match known.get(&letter.claim.session) {
        Some(true) => Kept::There,
        Some(false) => Kept::Fenced,
        None => Kept::Unknown,
    };
    let accepted: Vec<&Letter> =
        letters.iter().filter(|letter| kept(letter) == Kept::There).collect();
    insert(&mut transaction, &accepted).await?;
    transaction.commit().await?;
    Ok(letters.iter().map(kept).collect())
}

async fn insert(connection: &mut PgConnection, letters: &[&Letter]) -> Result<(), sqlx::Error> {
    let (mut sessions, mut numbers, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rooms, mut accounts, mut fences) = (Vec::new(), Vec::new(), Vec::new());
    for letter in letters {
        for text in &letter.finals {
            sessions.push(letter.claim.session.0);
            numbers.push(text.label.n.cast_signed());
            rooms.push(letter.claim.room.to_string());
            accounts.push(letter.claim.account.clone());
            fences.push(letter.claim.fence.cast_signed());
            bodies.push(text.body.clone());
        }
    }
    sqlx::query!(
        "INSERT INTO room_records AS held (session_id, n, room, account, fence, body)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                              $6::text[])
         ON CONFLICT (session_id, n) DO UPDATE
         SET room = excluded.room, account = excluded.account, fence = excluded.fence,
             body = excluded.body
         WHERE held.fence < excluded.fence",
        &sessions,
        &numbers,
        &rooms,
        &accounts,
        &fences,
        &bodies,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What a session left, in order: numbers and bodies.
pub(super) async fn list_records(
    pool: &PgPool,
    session: Uuid,
) -> Result<Vec<(u64, String)>, sqlx::Error> {
    let rows =
        sqlx::query!("SELECT n, body FROM room_records WHERE session_id = $1 ORDER BY n", session,);
    let rows = rows.fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.n.cast_unsigned(), row.body)).collect())
}

/// A record on its way to its room.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) session: Uuid,
    pub(super) n: u64,
    pub(super) room: String,
    pub(super) account: String,
    pub(super) fence: u64,
    pub(super) body: String,
    /// Where its owner stood last, if nobody has taken over since.
    pub(super) mark: Option<Mark>,
}

impl Record {
    /// Its session, and the fence of who said it.
    pub(super) const fn owner(&self) -> (Uuid, u64) {
        (self.session, self.fence)
    }
}

/// At most so many records, those of one owner of a session after each other and in order.
pub(super) async fn list_waiting(pool: &PgPool, at_most: i64) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT r.session_id, r.n, r.room, r.account, r.fence, r.body,
                  s.covered_ms AS "covered_ms?", s.last_n AS "last_n?", s.bookmark AS "bookmark?"
           FROM room_records r
           LEFT JOIN live_sessions s ON s.id = r.session_id AND s.marked_by = r.fence
           ORDER BY r.session_id, r.fence, r.n LIMIT $1"#,
        at_most,
    );
    let rows = rows.fetch_all(pool).await?;
    let records =
        rows.into_iter().map(|row| Record {
            session: row.session_id,
            n: row.n.cast_unsigned(),
            room: row.room,
            account: row.account,
            fence: row.fence.cast_unsigned(),
            body: row.body,
            mark: row.covered_ms.zip(row.last_n).zip(row.bookmark).map(|((ms, n), bookmark)| {
                Mark { covered_ms: ms.cast_unsigned(), last_n: n.cast_unsigned(), bookmark }
            }),
        });
    Ok(records.collect())
}

/// Deletes what one owner of a session left, up to a number.
pub(super) async fn delete_records(
    pool: &PgPool,
    session: Uuid,
    fence: u64,
    until_n: u64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM room_records WHERE session_id = $1 AND fence = $2 AND n <= $3",
        session,
        fence.cast_signed(),
        until_n.cast_signed(),
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}

/// Deletes what has waited for longer than rooms keep anything.
pub(super) async fn delete_expired(pool: &PgPool, life: Duration) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM room_records WHERE said_at < timezone('utc', now()) - make_interval(secs => $1)",
        life.as_secs_f64(),
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}
