//! The SQL of `users` as people meet it.

use sqlx::PgPool;

use crate::auth::people::{StoredLogin, User};

/// What a login of that address is checked against.
pub(in crate::auth) async fn find_login(
    pool: &PgPool,
    email: &str,
) -> Result<Option<StoredLogin>, sqlx::Error> {
    sqlx::query_as!(
        StoredLogin,
        r#"SELECT id, password_hash, coalesce(is_active, false) AS "is_active!"
           FROM users WHERE email = $1"#,
        email,
    )
    .fetch_optional(pool)
    .await
}

/// Notes that an active user has logged in now.
pub(in crate::auth) async fn update_last_login(
    pool: &PgPool,
    id: i32,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        r#"UPDATE users SET last_login = timezone('utc', now()) WHERE id = $1 AND is_active
           RETURNING id, email, first_name, last_name, company,
                     coalesce(plan, 'free') AS "plan!", is_active AS "is_active!",
                     coalesce(email_verified, false) AS "email_verified!", created_at, last_login,
                     coalesce(api_calls_month, 0) AS "api_calls_month!",
                     coalesce(audio_minutes_month, 0) AS "audio_minutes_month!""#,
        id,
    )
    .fetch_optional(pool)
    .await
}

/// The user of that id.
pub(in crate::auth) async fn find_user(
    pool: &PgPool,
    id: i32,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        r#"SELECT id, email, first_name, last_name, company, coalesce(plan, 'free') AS "plan!",
                  coalesce(is_active, false) AS "is_active!",
                  coalesce(email_verified, false) AS "email_verified!", created_at, last_login,
                  coalesce(api_calls_month, 0) AS "api_calls_month!",
                  coalesce(audio_minutes_month, 0) AS "audio_minutes_month!"
           FROM users WHERE id = $1"#,
        id,
    )
    .fetch_optional(pool)
    .await
}
