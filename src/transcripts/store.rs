//! The SQL of `session_transcripts`, `session_finals` and `session_gaps`; of `live_sessions` it only reads.

use std::collections::HashSet;

use chrono::NaiveDateTime;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    queue::{Letter, News},
    record::{Final, Gap, Kept, Session},
};
use crate::auth::{Owner, Users};

/// Everything that a batch says of one session.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    session_id: Uuid,
    owner: &'a Owner,
    at: NaiveDateTime,
    said: u64,
    audio_ms: u64,
    ended: Option<(&'static str, NaiveDateTime)>,
    pub(super) finals: Vec<&'a Final>,
    gaps: Vec<&'a Gap>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(letter: &'a Letter) -> Self {
        Self {
            session_id: letter.start.session_id.0,
            owner: &letter.start.owner,
            at: letter.at,
            said: 0,
            audio_ms: 0,
            ended: None,
            finals: Vec::new(),
            gaps: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, letter: &'a Letter) {
        match &letter.news {
            News::Began => {}
            News::Said(said) => {
                self.said = self.said.max(said.n);
                self.audio_ms = self.audio_ms.max(said.end_ms);
                self.finals.push(said);
            }
            News::Lost(gap) => {
                self.said = self.said.max(gap.n);
                self.audio_ms = self.audio_ms.max(gap.to_ms);
                self.gaps.push(gap);
            }
            News::Ended { outcome, finals, audio_ms } => {
                self.said = self.said.max(*finals);
                self.audio_ms = self.audio_ms.max(*audio_ms);
                self.ended = Some((outcome, letter.at));
            }
        }
    }
}

/// What became of the finals of a batch; the rest was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) stored: u64,
    /// Not stored, since their transcript was deleted.
    pub(super) deleted: u64,
}

/// Writes entries, which are of different sessions and in the order of their ids, in one
/// transaction. Writing the same twice changes nothing but when it expires.
pub(super) async fn write(
    pool: &PgPool,
    users: &Users,
    entries: &[Entry<'_>],
    retention_days: i32,
) -> Result<Written, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut user_ids = Vec::with_capacity(entries.len());
    for entry in entries {
        user_ids.push(users.resolve(&mut connection, entry.owner).await?);
    }
    let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
    let gone = upsert_transcripts(&mut transaction, entries, &user_ids, retention_days).await?;
    let said: usize = entries.iter().map(|entry| entry.finals.len()).sum();
    let (mut wanted, mut gaps) = (Vec::with_capacity(said), Vec::new());
    for entry in entries.iter().filter(|entry| !gone.contains(&entry.session_id)) {
        for said in &entry.finals {
            wanted.push(NewFinal { session_id: entry.session_id, said });
        }
        gaps.extend(entry.gaps.iter().map(|gap| (entry.session_id, *gap)));
    }
    insert_gaps(&mut transaction, &gaps).await?;
    let stored = insert_finals(&mut transaction, &wanted).await?;
    transaction.commit().await?;
    Ok(Written { stored, deleted: (said - wanted.len()) as u64 })
}

/// Makes or moves the sessions' rows, which stay locked; which of them are deleted.
async fn upsert_transcripts(
    connection: &mut PgConnection,
    entries: &[Entry<'_>],
    user_ids: &[i32],
    retention_days: i32,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.session_id).collect();
    let times: Vec<NaiveDateTime> = entries.iter().map(|entry| entry.at).collect();
    let said: Vec<i32> =
        entries.iter().map(|entry| i32::try_from(entry.said).unwrap_or(i32::MAX)).collect();
    let audio: Vec<i64> = entries.iter().map(|entry| entry.audio_ms.cast_signed()).collect();
    let outcome = |entry: &Entry<'_>| entry.ended.map(|(outcome, _)| outcome.to_owned());
    let outcomes: Vec<Option<String>> = entries.iter().map(outcome).collect();
    let ends: Vec<Option<NaiveDateTime>> =
        entries.iter().map(|entry| entry.ended.map(|(_, at)| at)).collect();
    let rows = sqlx::query!(
        r#"INSERT INTO session_transcripts AS kept
               (session_id, user_id, created_at, finals, audio_ms, outcome, ended_at, expires_at)
           SELECT id, user_id, at, said, audio_ms, outcome, ended_at,
                  timezone('utc', now()) + make_interval(days => nullif($8, 0))
           FROM unnest($1::uuid[], $2::integer[], $3::timestamp[], $4::integer[], $5::bigint[],
                       $6::text[], $7::timestamp[])
                AS new (id, user_id, at, said, audio_ms, outcome, ended_at)
           ON CONFLICT (session_id) DO UPDATE
           SET finals = greatest(kept.finals, excluded.finals),
               audio_ms = greatest(kept.audio_ms, excluded.audio_ms),
               outcome = coalesce(kept.outcome, excluded.outcome),
               ended_at = coalesce(kept.ended_at, excluded.ended_at),
               expires_at = excluded.expires_at
           RETURNING session_id, deleted_at IS NOT NULL AS "deleted!""#,
        &ids,
        user_ids,
        &times,
        &said,
        &audio,
        &outcomes as &[Option<String>],
        &ends as &[Option<NaiveDateTime>],
        retention_days,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter(|row| row.deleted).map(|row| row.session_id).collect())
}

/// A row of `session_finals` on its way.
#[derive(Serialize)]
struct NewFinal<'a> {
    session_id: Uuid,
    #[serde(flatten)]
    said: &'a Final,
}

/// Inserts what is not there yet; how many rows that were.
async fn insert_finals(
    connection: &mut PgConnection,
    finals: &[NewFinal<'_>],
) -> Result<u64, sqlx::Error> {
    if finals.is_empty() {
        return Ok(0);
    }
    let new = serde_json::to_string(finals).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let inserted = sqlx::query!(
        "INSERT INTO session_finals
             (session_id, n, start_ms, end_ms, text, confidence, words, timing, speaker, channel,
              language, provider)
         SELECT session_id, n, start_ms, end_ms, text, confidence, words, timing, speaker, channel,
                language, provider
         FROM json_to_recordset($1::text::json) AS new
             (session_id uuid, n integer, start_ms bigint, end_ms bigint, text text,
              confidence real, words jsonb, timing text, speaker integer, channel integer,
              language text, provider text)
         ON CONFLICT (session_id, n) DO NOTHING",
        new,
    );
    Ok(inserted.execute(connection).await?.rows_affected())
}

/// Inserts what is not there yet.
async fn insert_gaps(
    connection: &mut PgConnection,
    gaps: &[(Uuid, &Gap)],
) -> Result<(), sqlx::Error> {
    if gaps.is_empty() {
        return Ok(());
    }
    let sessions: Vec<Uuid> = gaps.iter().map(|(session, _)| *session).collect();
    let of = |value: fn(&Gap) -> u64| -> Vec<i64> {
        gaps.iter().map(|(_, gap)| value(gap).cast_signed()).collect()
    };
    let reasons: Vec<String> = gaps.iter().map(|(_, gap)| gap.reason.clone()).collect();
    let inserted = sqlx::query!(
        "INSERT INTO session_gaps (session_id, n, from_ms, to_ms, reason)
         SELECT session_id, n::integer, from_ms, to_ms, reason
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
              AS new (session_id, n, from_ms, to_ms, reason)
         ON CONFLICT (session_id, n) DO NOTHING",
        &sessions,
        &of(|gap| gap.n),
        &of(|gap| gap.from_ms),
        &of(|gap| gap.to_ms),
        &reasons,
    );
    inserted.execute(connection).await.map(drop)
}

/// A row of `live_sessions`, with what is kept of it.
struct SessionRow {
    id: Uuid,
    provider: String,
    model: String,
    language: String,
    started_at: NaiveDateTime,
    ended_at: Option<NaiveDateTime>,
    audio_ms: i64,
    is_kept: bool,
    finals: Option<i32>,
    stored: i64,
    gaps: i64,
    outcome: Option<String>,
    expires_at: Option<NaiveDateTime>,
    deleted_at: Option<NaiveDateTime>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        let numbers = u64::try_from(row.finals.unwrap_or(0)).unwrap_or(0);
        let finals = numbers.saturating_sub(row.gaps.cast_unsigned());
        let stored = row.stored.cast_unsigned();
        let finished = row.outcome.as_deref() == Some("finished");
        let transcript = row.is_kept.then_some(Kept {
            complete: finished && row.deleted_at.is_none() && stored == finals && row.gaps == 0,
            outcome: row.outcome,
            finals,
            stored,
            expires_at: row.expires_at,
            deleted_at: row.deleted_at,
        });
        Self {
            id: row.id,
            provider: row.provider,
            model: row.model,
            language: row.language,
            started_at: row.started_at,
            ended_at: row.ended_at,
            audio_ms: row.audio_ms.cast_unsigned(),
            transcript,
        }
    }
}

/// A user's sessions, newest first: one of them, or at most so many that began before another.
pub(super) async fn list_sessions(
    pool: &PgPool,
    user_id: i32,
    only: Option<Uuid>,
    before: Option<Uuid>,
    at_most: i64,
) -> Result<Vec<Session>, sqlx::Error> {
    let rows = sqlx::query_as!(
        SessionRow,
        r#"SELECT s.id, s.provider, s.model, s.language, s.started_at,
                  coalesce(s.ended_at, kept.ended_at) AS "ended_at?",
                  greatest(s.billed_until_ms, kept.audio_ms) AS "audio_ms!",
                  kept.session_id IS NOT NULL AS "is_kept!",
                  kept.finals AS "finals?",
                  (SELECT count(*) FROM session_finals f WHERE f.session_id = s.id) AS "stored!",
                  (SELECT count(*) FROM session_gaps g WHERE g.session_id = s.id) AS "gaps!",
                  kept.outcome AS "outcome?", kept.expires_at AS "expires_at?",
                  kept.deleted_at AS "deleted_at?"
           FROM live_sessions s LEFT JOIN session_transcripts kept ON kept.session_id = s.id
           WHERE s.user_id = $1 AND ($2::uuid IS NULL OR s.id = $2)
             AND ($3::uuid IS NULL OR (s.started_at, s.id) < (
                 SELECT b.started_at, b.id FROM live_sessions b WHERE b.id = $3 AND b.user_id = $1))
           ORDER BY s.started_at DESC, s.id DESC LIMIT $4"#,
        user_id,
        only,
        before,
        at_most,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// The finals of a session in their order.
pub(super) async fn list_finals(
    pool: &PgPool,
    session_id: Uuid,
) -> Result<Vec<Final>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT n, start_ms, end_ms, text, confidence, words::text AS "words!", timing, speaker,
                  channel, language, provider
           FROM session_finals WHERE session_id = $1 ORDER BY n"#,
        session_id,
    )
    .fetch_all(pool)
    .await?;
    let read = |words: &str| serde_json::from_str(words);
    rows.into_iter()
        .map(|row| {
            Ok(Final {
                n: u64::try_from(row.n).unwrap_or(0),
                start_ms: row.start_ms.cast_unsigned(),
                end_ms: row.end_ms.cast_unsigned(),
                text: row.text,
                confidence: row.confidence,
                words: read(&row.words).map_err(|error| sqlx::Error::Decode(error.into()))?,
                timing: row.timing,
                speaker: row.speaker.and_then(|speaker| u32::try_from(speaker).ok()),
                channel: row.channel.and_then(|channel| u16::try_from(channel).ok()),
                language: row.language,
                provider: row.provider,
            })
        })
        .collect()
}

/// The gaps of a session in their order.
pub(super) async fn list_gaps(pool: &PgPool, session_id: Uuid) -> Result<Vec<Gap>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT n, from_ms, to_ms, reason FROM session_gaps WHERE session_id = $1 ORDER BY n",
        session_id,
    );
    let gaps = rows.fetch_all(pool).await?.into_iter().map(|row| Gap {
        n: u64::try_from(row.n).unwrap_or(0),
        from_ms: row.from_ms.cast_unsigned(),
        to_ms: row.to_ms.cast_unsigned(),
        reason: row.reason,
    });
    Ok(gaps.collect())
}

/// Deletes what was said in a user's session, and leaves a mark so that what its recorder still
/// holds is not written any more; false if the user has no such session.
pub(super) async fn delete_transcript(
    pool: &PgPool,
    user_id: i32,
    session_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let marked = sqlx::query!(
        "INSERT INTO session_transcripts AS kept (session_id, user_id, expires_at, deleted_at)
         SELECT id, user_id, timezone('utc', now()) + interval '1 day', timezone('utc', now())
         FROM live_sessions WHERE id = $1 AND user_id = $2
         ON CONFLICT (session_id) DO UPDATE
         SET deleted_at = coalesce(kept.deleted_at, excluded.deleted_at)",
        session_id,
        user_id,
    );
    let found = marked.execute(&mut *transaction).await?.rows_affected() > 0;
    if found {
        let finals = sqlx::query!("DELETE FROM session_finals WHERE session_id = $1", session_id);
        finals.execute(&mut *transaction).await?;
        let gaps = sqlx::query!("DELETE FROM session_gaps WHERE session_id = $1", session_id);
        gaps.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(found)
}

/// Deletes at most so many transcripts that are due, with their finals; how many there were.
pub(super) async fn delete_expired(pool: &PgPool, at_most: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM session_transcripts WHERE session_id IN (
             SELECT session_id FROM session_transcripts
             WHERE expires_at < timezone('utc', now()) LIMIT $1)",
        at_most,
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}
