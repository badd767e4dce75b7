//! The SQL of `users`, `api_keys` and `token_blacklist`.

pub(super) mod keys;
pub(super) mod people;
pub(super) mod tokens;

use chrono::NaiveDateTime;
use sqlx::{PgConnection, PgPool};

/// A key that may be used, with its owner.
#[derive(Clone, Debug)]
pub(super) struct KeyRow {
    pub(super) id: i32,
    pub(super) user_id: i32,
    pub(super) key_hash: String,
    pub(super) plan: String,
    pub(super) expires_at: Option<NaiveDateTime>,
}

/// The key with that SHA-256, if both it and its owner are active and it has not expired.
pub(super) async fn find_active_key(
    pool: &PgPool,
    key_hash: &str,
) -> Result<Option<KeyRow>, sqlx::Error> {
    sqlx::query_as!(
        KeyRow,
        r#"SELECT k.id, k.user_id, k.key_hash, coalesce(u.plan, 'free') AS "plan!", k.expires_at
           FROM api_keys k JOIN users u ON u.id = k.user_id
           WHERE k.key_hash = $1 AND k.is_active AND u.is_active
             AND (k.expires_at IS NULL OR k.expires_at > timezone('utc', now()))
           ORDER BY k.id LIMIT 1"#,
        key_hash,
    )
    .fetch_optional(pool)
    .await
}

/// Adds uses to many keys at once.
pub(super) async fn add_key_uses(
    pool: &PgPool,
    ids: &[i32],
    counts: &[i32],
    last_used: &[NaiveDateTime],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE api_keys k
         SET usage_count = coalesce(k.usage_count, 0) + used.count,
             last_used = greatest(k.last_used, used.at)
         FROM unnest($1::integer[], $2::integer[], $3::timestamp[]) AS used (id, count, at)
         WHERE k.id = used.id",
        ids,
        counts,
        last_used,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// An account of the tenant, as its row has it.
#[derive(Clone, Debug)]
pub(super) struct AccountRow {
    pub(super) id: i32,
    pub(super) plan: String,
    pub(super) is_active: bool,
}

/// The row with that `auth0_sub`, made if there is none; however many ask at once, one row comes of
/// it.
///
/// An address that belongs to another account is left out: it proves nothing about who calls.
pub(super) async fn upsert_auth0_user(
    connection: &mut PgConnection,
    sub: &str,
    email: Option<&str>,
) -> Result<AccountRow, sqlx::Error> {
    for email in [email.filter(|email| email.chars().count() <= 320), None] {
        if let Some(row) = find_auth0_user(connection, sub).await? {
            return Ok(row);
        }
        let made = sqlx::query_as!(
            AccountRow,
            r#"INSERT INTO users (auth0_sub, email, email_verified)
               VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
               RETURNING id, coalesce(plan, 'free') AS "plan!",
                         coalesce(is_active, false) AS "is_active!""#,
            sub,
            email,
            email.is_some(),
        );
        if let Some(row) = made.fetch_optional(&mut *connection).await? {
            return Ok(row);
        }
    }
    find_auth0_user(connection, sub).await?.ok_or(sqlx::Error::RowNotFound)
}

/// The row with that `auth0_sub`.
pub(super) async fn find_auth0_user(
    connection: &mut PgConnection,
    sub: &str,
) -> Result<Option<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        r#"SELECT id, coalesce(plan, 'free') AS "plan!", coalesce(is_active, false) AS "is_active!"
           FROM users WHERE auth0_sub = $1"#,
        sub,
    )
    .fetch_optional(connection)
    .await
}
