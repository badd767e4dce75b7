//! The SQL of `token_blacklist`: tokens that were used up or taken back.

use chrono::NaiveDateTime;
use sqlx::PgPool;

/// A user who may log in, and what was taken back from them.
#[derive(Debug)]
pub(in crate::auth) struct LoginRow {
    pub(in crate::auth) plan: String,
    pub(in crate::auth) token_revoked: bool,
    pub(in crate::auth) family_revoked: bool,
}

/// The active user of that id, if there was one by then, and whether a token or its whole login was
/// taken back.
pub(in crate::auth) async fn find_login(
    pool: &PgPool,
    user_id: i32,
    by: Option<NaiveDateTime>,
    jti: &str,
    family: &str,
) -> Result<Option<LoginRow>, sqlx::Error> {
    sqlx::query_as!(
        LoginRow,
        r#"SELECT coalesce(plan, 'free') AS "plan!",
                  EXISTS (SELECT FROM token_blacklist WHERE jti = $2) AS "token_revoked!",
                  EXISTS (SELECT FROM token_blacklist WHERE jti = $3) AS "family_revoked!"
           FROM users WHERE id = $1 AND is_active
             AND ($4::timestamp IS NULL OR created_at IS NULL OR created_at <= $4)"#,
        user_id,
        jti,
        family,
        by,
    )
    .fetch_optional(pool)
    .await
}

/// Writes that an id is good no more; false if that was so before. However many write it at once,
/// one of them is told true.
pub(in crate::auth) async fn insert_revoked(
    pool: &PgPool,
    jti: &str,
    token_type: &str,
    user_id: i32,
    expires_at: NaiveDateTime,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "INSERT INTO token_blacklist (jti, token_type, user_id, expires_at)
         VALUES ($1, $2, $3, $4) ON CONFLICT (jti) DO NOTHING",
        jti,
        token_type,
        user_id.to_string(),
        expires_at,
    );
    Ok(written.execute(pool).await?.rows_affected() == 1)
}

/// As what an id was taken back.
pub(in crate::auth) async fn find_revoked_type(
    pool: &PgPool,
    jti: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT token_type FROM token_blacklist WHERE jti = $1", jti)
        .fetch_optional(pool)
        .await
}

/// Deletes at most so many rows whose tokens ended more than an hour ago, whatever clocks say;
/// how many there were.
pub(in crate::auth) async fn delete_expired(
    pool: &PgPool,
    at_most: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM token_blacklist WHERE id IN (
             SELECT id FROM token_blacklist
             WHERE expires_at < timezone('utc', now()) - interval '1 hour' LIMIT $1)",
        at_most,
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}
