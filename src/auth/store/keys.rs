//! The SQL of `api_keys` as their owners see them.

use sqlx::{PgConnection, PgPool};

use crate::auth::{
    keys::{ApiKey, NewKey},
    mint::MintedKey,
};

/// Locks a user's row until the end of the transaction, so that two keys cannot both be the last
/// one allowed; how many keys the user may call with, or nothing if there is no such user.
pub(in crate::auth) async fn lock_and_count(
    connection: &mut PgConnection,
    user_id: i32,
) -> Result<Option<i64>, sqlx::Error> {
    let locked = sqlx::query_scalar!("SELECT id FROM users WHERE id = $1 FOR UPDATE", user_id);
    if locked.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(None);
    }
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_keys
           WHERE user_id = $1 AND is_active
             AND (expires_at IS NULL OR expires_at > timezone('utc', now()))"#,
        user_id,
    );
    count.fetch_one(connection).await.map(Some)
}

/// Makes a key; its id.
pub(in crate::auth) async fn insert_key(
    connection: &mut PgConnection,
    user_id: i32,
    new: &NewKey,
    key: &MintedKey,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO api_keys (user_id, name, key_hash, key_prefix, expires_at)
         VALUES ($1, $2, $3, $4, $5) RETURNING id",
        user_id,
        new.name,
        key.hash,
        key.prefix,
        new.expires_at,
    )
    .fetch_one(connection)
    .await
}

/// The keys with which a user may call now.
pub(in crate::auth) async fn list_active(
    pool: &PgPool,
    user_id: i32,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    sqlx::query_as!(
        ApiKey,
        r#"SELECT id, name, key_prefix || '****' AS "key_preview!", is_active AS "is_active!",
                  created_at, last_used, coalesce(usage_count, 0) AS "usage_count!", expires_at
           FROM api_keys
           WHERE user_id = $1 AND is_active
             AND (expires_at IS NULL OR expires_at > timezone('utc', now()))
           ORDER BY id"#,
        user_id,
    )
    .fetch_all(pool)
    .await
}

/// Takes a key of that user back; false if the user has no such key.
pub(in crate::auth) async fn deactivate(
    pool: &PgPool,
    user_id: i32,
    id: i32,
) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query!(
        "UPDATE api_keys SET is_active = false WHERE id = $1 AND user_id = $2",
        id,
        user_id,
    );
    Ok(updated.execute(pool).await?.rows_affected() > 0)
}
