//! The SQL of named acts.

use std::time::Duration;

use sqlx::{PgPool, postgres::types::PgInterval};
use uuid::Uuid;

use super::{Answer, Named};

/// Rows that have ended which one claim removes.
const SWEPT: i64 = 20;

/// One row, and who wants it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) named: &'a Named,
    pub(super) holder: Uuid,
    pub(super) lease: Duration,
}

/// What there is of an act.
pub(super) enum Found {
    /// It is ours to do, under that id.
    Ours(Uuid),
    /// It was done.
    Done(Answer),
    /// Somebody does it.
    Running,
    /// Something else was asked for under the name.
    Another,
}

fn interval(lease: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: lease.as_micros().try_into().unwrap_or(i64::MAX),
    }
}

/// Takes the act, if nobody has it, or whoever had it gave no sign for too long, or a day is over.
pub(super) async fn claim(pool: &PgPool, row: Row<'_>) -> Result<Found, sqlx::Error> {
    let Row { named, holder, lease } = row;
    let fingerprint = named.fingerprint.clone().finish();
    // One that is a day old is a new one; one whose holder is gone keeps its id.
    let taken = sqlx::query!(
        r#"INSERT INTO idempotency_keys AS i
               (account, endpoint, key, fingerprint, act, holder, lease_until)
           VALUES ($1, $2, $3, $4, $5, $6, timezone('utc', now()) + $7)
           ON CONFLICT (account, endpoint, key) DO UPDATE SET
               act = CASE WHEN i.created_at < timezone('utc', now()) - interval '24 hours'
                          THEN EXCLUDED.act ELSE i.act END,
               created_at = CASE WHEN i.created_at < timezone('utc', now()) - interval '24 hours'
                                 THEN timezone('utc', now()) ELSE i.created_at END,
               fingerprint = EXCLUDED.fingerprint, holder = EXCLUDED.holder,
               lease_until = EXCLUDED.lease_until, content_type = NULL, body = NULL
           WHERE i.created_at < timezone('utc', now()) - interval '24 hours'
              OR (i.fingerprint = EXCLUDED.fingerprint AND i.body IS NULL
                  AND i.lease_until < timezone('utc', now()))
           RETURNING act"#,
        named.account,
        named.endpoint,
        named.key.as_str(),
        &fingerprint[..],
        Uuid::now_v7(),
        holder,
        interval(lease),
    )
    .fetch_optional(pool)
    .await?;
    if let Some(taken) = taken {
        if let Err(error) = sweep(pool).await {
            // The next claim sweeps again.
            tracing::debug!("named acts of yesterday were not removed: {error}");
        }
        return Ok(Found::Ours(taken.act));
    }
    look(pool, named, &fingerprint).await
}

async fn look(pool: &PgPool, named: &Named, fingerprint: &[u8]) -> Result<Found, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT fingerprint, content_type, body FROM idempotency_keys
         WHERE account = $1 AND endpoint = $2 AND key = $3",
        named.account,
        named.endpoint,
        named.key.as_str(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        // It was freed just now.
        None => Found::Running,
        Some(row) if row.fingerprint != fingerprint => Found::Another,
        Some(row) => match (row.content_type, row.body) {
            (Some(content_type), Some(body)) => {
                Found::Done(Answer { content_type: content_type.into(), body, replayed: true })
            }
            _ => Found::Running,
        },
    })
}

/// Says that the holder is alive.
pub(super) async fn beat(pool: &PgPool, row: Row<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE idempotency_keys SET lease_until = timezone('utc', now()) + $5
         WHERE account = $1 AND endpoint = $2 AND key = $3 AND holder = $4 AND body IS NULL",
        row.named.account,
        row.named.endpoint,
        row.named.key.as_str(),
        row.holder,
        interval(row.lease),
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Keeps the answer, unless another one is there already.
pub(super) async fn keep(pool: &PgPool, row: Row<'_>, answer: &Answer) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE idempotency_keys SET content_type = $5, body = $6
         WHERE account = $1 AND endpoint = $2 AND key = $3 AND holder = $4 AND body IS NULL",
        row.named.account,
        row.named.endpoint,
        row.named.key.as_str(),
        row.holder,
        &*answer.content_type,
        answer.body,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Lets go of an act that came to nothing.
pub(super) async fn free(pool: &PgPool, row: Row<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM idempotency_keys
         WHERE account = $1 AND endpoint = $2 AND key = $3 AND holder = $4 AND body IS NULL",
        row.named.account,
        row.named.endpoint,
        row.named.key.as_str(),
        row.holder,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Removes some of what is over.
async fn sweep(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (account, endpoint, key) IN
             (SELECT account, endpoint, key FROM idempotency_keys
              WHERE created_at < timezone('utc', now()) - interval '25 hours'
              ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        SWEPT,
    )
    .execute(pool)
    .await
    .map(drop)
}
