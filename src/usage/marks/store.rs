//! The SQL of the marks in `live_sessions`.

use std::{collections::HashSet, time::Duration};

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Left, Mark, Marked};

/// What was left of a session.
pub(super) async fn find_left(
    pool: &PgPool,
    session: Uuid,
    life: Duration,
) -> Result<Option<Left>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT fence, bookmark,
                  extract(epoch FROM timezone('utc', now()) - marked_at)::double precision AS age
           FROM live_sessions WHERE id = $1"#,
        session,
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| left(row.fence, row.bookmark, row.age, life)))
}

/// Raises the fence of a session, and says what was left of it.
pub(super) async fn claim(
    pool: &PgPool,
    session: Uuid,
    (floor, seen): (u64, Option<u64>),
    life: Duration,
) -> Result<Option<Left>, sqlx::Error> {
    let row = sqlx::query!(
        r#"UPDATE live_sessions SET fence = greatest($2, fence + 1)
           WHERE id = $1 AND fence <= coalesce($3, fence)
           RETURNING fence, bookmark,
                  extract(epoch FROM timezone('utc', now()) - marked_at)::double precision AS age"#,
        session,
        floor.cast_signed(),
        seen.map(u64::cast_signed),
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| left(row.fence, row.bookmark, row.age, life)))
}

fn left(fence: i64, bookmark: Option<String>, age: Option<f64>, life: Duration) -> Left {
    let age = age.map(|age| Duration::try_from_secs_f64(age).unwrap_or_default());
    let counts = age.is_some_and(|age| age < life);
    Left { fence: fence.cast_unsigned(), bookmark: bookmark.filter(|_| counts), age }
}

/// Locks the rows in the order in which everybody does; which there are.
pub(super) async fn lock(
    connection: &mut PgConnection,
    sessions: &[Marked<'_>],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = sessions.iter().map(|marked| marked.session.0).collect();
    let lock = sqlx::query!(
        "SELECT id FROM live_sessions WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        &ids,
    );
    Ok(lock.fetch_all(connection).await?.into_iter().map(|row| row.id).collect())
}

/// Moves fences and marks on, unless the owner is of the past; whose was not.
pub(in crate::usage) async fn update_marks(
    connection: &mut PgConnection,
    sessions: &[Marked<'_>],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = sessions.iter().map(|marked| marked.session.0).collect();
    let fences: Vec<i64> = sessions.iter().map(|marked| marked.fence.cast_signed()).collect();
    let of = |value: fn(&Mark) -> i64| -> Vec<i64> {
        sessions.iter().map(|marked| marked.mark.map_or(0, value)).collect()
    };
    let bookmarks: Vec<Option<String>> =
        sessions.iter().map(|marked| Some(marked.mark?.bookmark.clone())).collect();
    let accepted = sqlx::query!(
        r#"UPDATE live_sessions s
           SET fence = new.fence,
               covered_ms = CASE WHEN new.moves THEN new.covered_ms ELSE s.covered_ms END,
               last_n = CASE WHEN new.moves THEN new.last_n ELSE s.last_n END,
               bookmark = CASE WHEN new.moves THEN new.bookmark ELSE s.bookmark END,
               marked_by = CASE WHEN new.moves THEN new.fence ELSE s.marked_by END,
               marked_at = CASE WHEN new.moves THEN timezone('utc', now()) ELSE s.marked_at END
           FROM (SELECT given.*, given.bookmark IS NOT NULL
                        AND (given.fence, given.last_n, given.covered_ms)
                            >= (held.marked_by, held.last_n, held.covered_ms) AS moves
                 FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
                      AS given (id, fence, covered_ms, last_n, bookmark)
                 JOIN live_sessions held ON held.id = given.id) AS new
           WHERE s.id = new.id AND s.fence <= new.fence
           RETURNING s.id"#,
        &ids,
        &fences,
        &of(|mark| mark.covered_ms.cast_signed()),
        &of(|mark| mark.last_n.cast_signed()),
        &bookmarks as &[Option<String>],
    );
    Ok(accepted.fetch_all(connection).await?.into_iter().map(|row| row.id).collect())
}
