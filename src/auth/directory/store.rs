//! The SQL of the directory.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};

use super::{Key, MintedKey, NewUser, User};

/// Users by id: all of them, or those of one name.
pub(super) async fn list_users(
    pool: &PgPool,
    name: Option<&str>,
) -> Result<Vec<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        r#"SELECT u.id, u.email, u.auth0_sub, coalesce(u.plan, 'free') AS "plan!",
                  coalesce(u.is_active, false) AS "is_active!",
                  u.created_at AT TIME ZONE 'UTC' AS created_at,
                  (SELECT count(*) FROM api_keys k WHERE k.user_id = u.id AND k.is_active
                   AND (k.expires_at IS NULL OR k.expires_at > timezone('utc', now()))) AS "keys!"
           FROM users u
           WHERE $1::text IS NULL OR u.id::text = $1 OR u.auth0_sub = $1
              OR lower(u.email) = lower($1)
           ORDER BY u.id"#,
        name,
    )
    .fetch_all(pool)
    .await
}

/// The id of the new row; none if the address is taken.
pub(super) async fn insert_user(
    executor: impl PgExecutor<'_>,
    user: &NewUser,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO users (email, password_hash, first_name, last_name, company, plan,
                            email_verified)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id",
        user.email,
        user.password_hash,
        user.first_name,
        user.last_name,
        user.company,
        user.plan.as_str(),
        user.email_verified,
    )
    .fetch_optional(executor)
    .await
}

pub(super) async fn update_plan(pool: &PgPool, id: i32, plan: &str) -> Result<(), sqlx::Error> {
    let update = sqlx::query!("UPDATE users SET plan = $2 WHERE id = $1", id, plan);
    update.execute(pool).await.map(drop)
}

pub(super) async fn update_active(pool: &PgPool, id: i32, active: bool) -> Result<(), sqlx::Error> {
    let update = sqlx::query!("UPDATE users SET is_active = $2 WHERE id = $1", id, active);
    update.execute(pool).await.map(drop)
}

/// The id of the new row.
pub(super) async fn insert_key(
    executor: impl PgExecutor<'_>,
    user_id: i32,
    name: &str,
    minted: &MintedKey,
    days: Option<i32>,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO api_keys (user_id, name, key_hash, key_prefix, expires_at)
         VALUES ($1, $2, $3, $4, timezone('utc', now()) + make_interval(days => $5))
         RETURNING id",
        user_id,
        name,
        minted.hash,
        minted.prefix,
        days,
    )
    .fetch_one(executor)
    .await
}

/// Keys by id: those of one user, or the one of that id.
pub(super) async fn list_keys(
    pool: &PgPool,
    user_id: Option<i32>,
    id: Option<i32>,
) -> Result<Vec<Key>, sqlx::Error> {
    sqlx::query_as!(
        Key,
        r#"SELECT id, user_id, name, key_prefix || '****' AS "preview!",
                  coalesce(is_active, false) AS "is_active!",
                  created_at AT TIME ZONE 'UTC' AS created_at,
                  last_used AT TIME ZONE 'UTC' AS last_used,
                  coalesce(usage_count, 0) AS "usage_count!",
                  expires_at AT TIME ZONE 'UTC' AS expires_at
           FROM api_keys WHERE user_id = $1 OR id = $2 ORDER BY id"#,
        user_id,
        id,
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn revoke_key(pool: &PgPool, id: i32) -> Result<(), sqlx::Error> {
    let update = sqlx::query!("UPDATE api_keys SET is_active = false WHERE id = $1", id);
    update.execute(pool).await.map(drop)
}

/// The later end; none where the key is not active, or holds as long as that already.
pub(super) async fn renew_key(
    pool: &PgPool,
    id: i32,
    days: i32,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE api_keys SET expires_at = timezone('utc', now()) + make_interval(days => $2)
           WHERE id = $1 AND is_active
             AND expires_at < timezone('utc', now()) + make_interval(days => $2)
           RETURNING expires_at AT TIME ZONE 'UTC' AS "expires_at!""#,
        id,
        days,
    )
    .fetch_optional(pool)
    .await
}
