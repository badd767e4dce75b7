//! The SQL of `live_sessions` and of the live rows of `usage_logs`.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Marked,
    course::Leg,
    marks::update_marks,
    meter::Entry,
    price::{Price, RATE_CARD},
};
use crate::auth::Users;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) user_id: i32,
    /// Milliseconds that new rows bill; 0 if all of it was billed before.
    pub(super) billed_ms: u64,
    /// Whether nothing was written, since another owner has taken the session over.
    pub(super) fenced: bool,
}

/// A row to be: a part of an entry that is not billed yet.
struct Row<'a> {
    entry: &'a Entry,
    leg: &'a Leg,
    user_id: i32,
    from_ms: u64,
    until_ms: u64,
}

/// Writes entries, which are of different sessions and in the order of their ids, in one
/// transaction. What another transaction billed meanwhile is left out, under the lock of the
/// session's row, so that writing the same twice bills it once.
pub(super) async fn write(
    pool: &PgPool,
    users: &Users,
    entries: &[Entry],
) -> Result<Vec<Written>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut user_ids = Vec::with_capacity(entries.len());
    for entry in entries {
        user_ids.push(users.resolve(&mut connection, &entry.cursor.start.owner).await?);
    }
    let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
    insert_sessions(&mut transaction, entries, &user_ids).await?;
    let locked = lock_sessions(&mut transaction, entries).await?;
    let is_fenced = |entry: &Entry| {
        locked.get(&id_of(entry)).is_some_and(|locked| locked.fence > entry.cursor.fence)
    };
    let current: Vec<&Entry> = entries.iter().filter(|entry| !is_fenced(entry)).collect();
    let billed = list_billed(&mut transaction, &current, &locked).await?;
    let mut written = Vec::with_capacity(entries.len());
    let mut rows = Vec::with_capacity(entries.len());
    for (entry, user_id) in entries.iter().zip(&user_ids) {
        let fenced = is_fenced(entry);
        let new = if fenced { Vec::new() } else { unbilled(entry, *user_id, &billed) };
        let billed_ms = new.iter().map(|row| row.until_ms - row.from_ms).sum();
        written.push(Written { user_id: *user_id, billed_ms, fenced });
        rows.extend(new);
    }
    insert_rows(&mut transaction, &rows).await?;
    move_cursors(&mut transaction, &current).await?;
    let marks: Vec<Marked<'_>> = current.iter().map(|entry| entry.marked()).collect();
    update_marks(&mut transaction, &marks).await?;
    transaction.commit().await?;
    Ok(written)
}

fn id_of(entry: &Entry) -> Uuid {
    entry.cursor.start.session_id.0
}

/// A session's row as it is locked.
struct Locked {
    fence: u64,
    /// Up to where something is billed.
    reach_ms: u64,
}

/// Billed ranges by session, in order.
type Billed = HashMap<Uuid, Vec<(u64, u64)>>;

/// The parts of the entry that are to be billed and that no row bills yet.
fn unbilled<'a>(entry: &'a Entry, user_id: i32, billed: &Billed) -> Vec<Row<'a>> {
    let billed = billed.get(&id_of(entry)).map_or(&[][..], Vec::as_slice);
    let parts = entry.course.unbilled((entry.from_ms, entry.until_ms), billed);
    let row = |((from_ms, until_ms), leg)| Row { entry, leg, user_id, from_ms, until_ms };
    parts.into_iter().map(row).collect()
}

async fn insert_sessions(
    connection: &mut PgConnection,
    entries: &[Entry],
    user_ids: &[i32],
) -> Result<(), sqlx::Error> {
    let starts = || entries.iter().map(|entry| &entry.cursor.start);
    let ids: Vec<Uuid> = starts().map(|start| start.session_id.0).collect();
    let providers: Vec<String> = starts().map(|start| start.service.to_string()).collect();
    let models: Vec<String> = starts().map(|start| start.model.clone()).collect();
    let languages: Vec<String> = starts().map(|start| start.language.clone()).collect();
    let options: Vec<String> = starts().map(|start| start.options.to_string()).collect();
    let times: Vec<_> = entries.iter().map(|entry| entry.cursor.started_at).collect();
    sqlx::query!(
        "INSERT INTO live_sessions (id, user_id, provider, model, language, options, started_at)
         SELECT id, user_id, provider, model, language, options::jsonb, started_at
         FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::timestamp[])
              AS new (id, user_id, provider, model, language, options, started_at)
         ON CONFLICT (id) DO NOTHING",
        &ids,
        user_ids,
        &providers,
        &models,
        &languages,
        &options,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks the sessions' rows.
async fn lock_sessions(
    connection: &mut PgConnection,
    entries: &[Entry],
) -> Result<HashMap<Uuid, Locked>, sqlx::Error> {
    let ids: Vec<Uuid> = entries.iter().map(id_of).collect();
    let rows = sqlx::query!(
        "SELECT id, fence, billed_until_ms FROM live_sessions WHERE id = ANY($1)
         ORDER BY id FOR UPDATE",
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let locked = |fence: i64, reach: i64| Locked {
        fence: fence.cast_unsigned(),
        reach_ms: reach.cast_unsigned(),
    };
    Ok(rows.into_iter().map(|row| (row.id, locked(row.fence, row.billed_until_ms))).collect())
}

/// What is billed of entries that begin before the point up to which something is; most begin at
/// it, and then there is nothing to look up.
async fn list_billed(
    connection: &mut PgConnection,
    entries: &[&Entry],
    locked: &HashMap<Uuid, Locked>,
) -> Result<Billed, sqlx::Error> {
    let overlaps = |entry: &&&Entry| {
        let reach_ms = locked.get(&id_of(entry)).map_or(0, |locked| locked.reach_ms);
        entry.from_ms < reach_ms && entry.from_ms < entry.until_ms
    };
    let entries: Vec<&&Entry> = entries.iter().filter(overlaps).collect();
    if entries.is_empty() {
        return Ok(Billed::new());
    }
    let ids: Vec<Uuid> = entries.iter().map(|entry| id_of(entry)).collect();
    let from: Vec<i64> = entries.iter().map(|entry| entry.from_ms.cast_signed()).collect();
    let until: Vec<i64> = entries.iter().map(|entry| entry.until_ms.cast_signed()).collect();
    let rows = sqlx::query!(
        r#"SELECT u.session_id AS "session_id!", u.range_start_ms AS "from_ms!",
                  u.range_end_ms AS "until_ms!"
           FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS new (id, from_ms, until_ms)
           JOIN usage_logs u ON u.session_id = new.id
                AND u.range_end_ms > new.from_ms AND u.range_start_ms < new.until_ms
           ORDER BY u.range_start_ms"#,
        &ids,
        &from,
        &until,
    )
    .fetch_all(connection)
    .await?;
    let mut billed = Billed::new();
    for row in rows {
        let range = (row.from_ms.cast_unsigned(), row.until_ms.cast_unsigned());
        billed.entry(row.session_id).or_default().push(range);
    }
    Ok(billed)
}

async fn insert_rows(connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    let new: Vec<NewRow<'_>> = rows.iter().map(NewRow::of).collect();
    let new = serde_json::to_string(&new).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "INSERT INTO usage_logs
             (user_id, service, endpoint, audio_duration_seconds, cost_usd, created_at, ip_address,
              user_agent, session_id, range_start_ms, range_end_ms, idempotency_key, provider,
              model, language, diarize, billed_channels, cost_micros, provider_cost_micros,
              rate_card)
         SELECT user_id, service, endpoint, (until_ms - from_ms) / 1000.0, cost_micros / 1e6,
                created_at, ip_address, user_agent, session_id, from_ms, until_ms,
                session_id || ':' || from_ms, service, model, language, diarize, billed_channels,
                cost_micros, cost_micros, $2
         FROM json_to_recordset($1::text::json) AS new
             (user_id integer, service text, endpoint text, created_at timestamp, ip_address text,
              user_agent text, session_id uuid, from_ms bigint, until_ms bigint, model text,
              language text, diarize boolean, billed_channels smallint, cost_micros bigint)
         ON CONFLICT (idempotency_key) DO NOTHING",
        new,
        RATE_CARD,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A row of `usage_logs` on its way; the provider is paid what the user is billed.
#[derive(Serialize)]
struct NewRow<'a> {
    user_id: i32,
    service: &'a str,
    endpoint: &'a str,
    created_at: NaiveDateTime,
    ip_address: Option<String>,
    user_agent: Option<&'a str>,
    session_id: Uuid,
    from_ms: u64,
    until_ms: u64,
    model: &'a str,
    language: &'a str,
    diarize: bool,
    billed_channels: u16,
    cost_micros: i64,
}

impl<'a> NewRow<'a> {
    fn of(row: &Row<'a>) -> Self {
        let (start, leg) = (&row.entry.cursor.start, row.leg);
        let (diarize, channels) = (start.diarize, start.billed_channels);
        let price = Price::of(&leg.service, &leg.model, &start.language, diarize, channels);
        Self {
            user_id: row.user_id,
            service: &leg.service,
            endpoint: &start.endpoint,
            created_at: row.entry.at,
            ip_address: start.ip.map(|ip| ip.to_string()),
            user_agent: start.user_agent.as_deref(),
            session_id: start.session_id.0,
            from_ms: row.from_ms,
            until_ms: row.until_ms,
            model: &leg.model,
            language: &start.language,
            diarize,
            billed_channels: channels,
            cost_micros: price.between(row.from_ms, row.until_ms).0,
        }
    }
}

/// An entry that comes late, with nothing new, does not open a session again. A session ends when the
/// last of its owners finishes it; what that one says again does not move the end.
async fn move_cursors(
    connection: &mut PgConnection,
    entries: &[&Entry],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = entries.iter().map(|entry| id_of(entry)).collect();
    let until: Vec<i64> = entries.iter().map(|entry| entry.until_ms.cast_signed()).collect();
    let finished: Vec<bool> = entries.iter().map(|entry| entry.finished).collect();
    let fences: Vec<i64> = entries.iter().map(|entry| entry.cursor.fence.cast_signed()).collect();
    let times: Vec<_> = entries.iter().map(|entry| entry.at).collect();
    sqlx::query!(
        "UPDATE live_sessions s
         SET billed_until_ms = greatest(s.billed_until_ms, new.until_ms),
             ended_at = CASE WHEN new.finished AND new.fence > s.ended_by THEN new.at
                             WHEN new.finished THEN coalesce(s.ended_at, new.at)
                             WHEN new.until_ms <= s.billed_until_ms THEN s.ended_at END,
             ended_by = CASE WHEN new.finished THEN greatest(s.ended_by, new.fence)
                             ELSE s.ended_by END
         FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::timestamp[], $5::bigint[])
              AS new (id, until_ms, finished, at, fence)
         WHERE s.id = new.id",
        &ids,
        &until,
        &finished,
        &times,
        &fences,
    )
    .execute(connection)
    .await
    .map(drop)
}
