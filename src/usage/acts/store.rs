//! The SQL of single acts.

use chrono::NaiveDateTime;
use sqlx::PgPool;

use super::Act;
use crate::{auth::Users, usage::price::RATE_CARD};

/// Writes the act, unless it is there already; whether it was new.
pub(in crate::usage) async fn insert(
    pool: &PgPool,
    users: &Users,
    act: &Act,
    at: NaiveDateTime,
) -> Result<bool, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let user_id = users.resolve(&mut connection, &act.owner).await?;
    let key = format!("act:{}", act.id);
    let written = sqlx::query!(
        "INSERT INTO usage_logs
             (user_id, service, endpoint, audio_duration_seconds, cost_usd, created_at, ip_address,
              user_agent, idempotency_key, provider, model, language, diarize, cost_micros,
              provider_cost_micros, rate_card, tokens_used, characters_processed, cached)
         VALUES ($1, $2, $3, $4, $5::bigint / 1e6, $6, $7, $8, $9, $14, $10, $11, $12, $5, $17, $13,
                 $15, $16, $18)
         ON CONFLICT (idempotency_key) DO NOTHING",
        user_id,
        &*act.service,
        &*act.endpoint,
        act.audio_ms.map(|ms| ms as f64 / 1000.0),
        act.cost.0,
        at,
        act.ip.map(|ip| ip.to_string()),
        act.user_agent.as_deref(),
        key,
        act.model,
        act.language.as_deref(),
        act.diarize,
        RATE_CARD,
        &*act.service,
        act.tokens.map(column),
        act.characters.map(column),
        act.provider_cost.0,
        act.cached,
    )
    .execute(&mut *connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// A count as the column has it, which the original made narrow.
fn column(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
