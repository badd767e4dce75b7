//! `key`: API keys of users.

use anyhow::{bail, ensure};
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{announcement, table, user, words};
use crate::{
    auth::{Directory, Revoked, directory::Key},
    config::Config,
    postgres::Database,
};

/// Days after which a key may end.
const DAYS: std::ops::RangeInclusive<i64> = 1..=36_500;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key, and show it this once
    Create {
        #[command(flatten)]
        user: user::Name,
        /// What the key is called
        #[arg(long, default_value = "API Key", value_parser = words::at_most::<100>)]
        name: String,
        /// After how many days it ends; else never
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(DAYS))]
        expires_in_days: Option<i32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the keys of a user
    List {
        #[command(flatten)]
        user: user::Name,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Refuse a key for good, on every replica at once
    Revoke {
        /// The key's id, as `key list` shows it
        #[arg(value_name = "KEY")]
        id: i32,
    },
    /// Let a key that ends hold for longer
    Renew {
        /// The key's id, as `key list` shows it
        #[arg(value_name = "KEY")]
        id: i32,
        /// For how many days from now
        #[arg(long, default_value = "365", value_parser = clap::value_parser!(i32).range(DAYS))]
        days: i32,
    },
}

/// Runs one of the commands.
pub(super) async fn run(
    config: &Config,
    database: &Database,
    command: Command,
) -> anyhow::Result<()> {
    words::reach(database).await?;
    let directory = Directory::new(database.clone());
    match command {
        Command::Create { user, name, expires_in_days, json } => {
            create(&directory, &user, &name, expires_in_days, json).await
        }
        Command::List { user, json } => list(&directory, &user, json).await,
        Command::Revoke { id } => revoke(config, &directory, id).await,
        Command::Renew { id, days } => renew(config, &directory, id, days).await,
    }
}

async fn create(
    directory: &Directory,
    user: &user::Name,
    name: &str,
    days: Option<i32>,
    json: bool,
) -> anyhow::Result<()> {
    let user = user.find(directory).await?;
    ensure!(user.is_active, "{} is disabled", user::shown(&user));
    let (id, minted) = directory.create_key(user.id, name, days).await.map_err(words::plain)?;
    let key = find(directory, id).await?;
    let text = minted.text.expose_secret();
    if json {
        let made = json!({ "id": id, "user_id": user.id, "name": name, "api_key": text,
                           "expires_at": key.expires_at });
        return super::print(&format!("{made}\n"));
    }
    let end = key.expires_at.map_or("never ends".to_owned(), |_| ends(&key));
    super::print(&format!(
        "Key {id} of {} was made and {end}. It is not shown again:\n{text}\n",
        user::shown(&user)
    ))
}

async fn list(directory: &Directory, user: &user::Name, json: bool) -> anyhow::Result<()> {
    let user = user.find(directory).await?;
    let keys = directory.keys(user.id).await.map_err(words::plain)?;
    if json {
        return super::print(&format!("{}\n", serde_json::to_string_pretty(&keys)?));
    }
    let row = |key: Key| {
        [
            key.id.to_string(),
            key.name,
            key.preview,
            table::yes(key.is_active),
            table::time(key.created_at),
            table::time(key.last_used),
            key.usage_count.to_string(),
            table::time(key.expires_at),
        ]
    };
    let head = ["id", "name", "key", "active", "created (UTC)", "last used", "uses", "ends"];
    super::print(&table::aligned(head, keys.into_iter().map(row).collect()))
}

async fn revoke(config: &Config, directory: &Directory, id: i32) -> anyhow::Result<()> {
    let key = find(directory, id).await?;
    directory.revoke_key(id).await.map_err(words::plain)?;
    announcement::announce(&config.redis, &Revoked::Key(id)).await;
    super::print(&format!("Key {id} of user {} is revoked\n", key.user_id))
}

async fn renew(config: &Config, directory: &Directory, id: i32, days: i32) -> anyhow::Result<()> {
    let key = find(directory, id).await?;
    ensure!(key.is_active, "key {id} is revoked: make a new one");
    ensure!(key.expires_at.is_some(), "key {id} never ends");
    if directory.renew_key(id, days).await.map_err(words::plain)?.is_none() {
        bail!("key {id} {} already, which is later", ends(&key));
    }
    announcement::announce(&config.redis, &Revoked::Key(id)).await;
    let key = find(directory, id).await?;
    super::print(&format!("Key {id} of user {} {}\n", key.user_id, ends(&key)))
}

async fn find(directory: &Directory, id: i32) -> anyhow::Result<Key> {
    let found = directory.find_key(id).await.map_err(words::plain)?;
    found.ok_or_else(|| anyhow::anyhow!("there is no key {id}"))
}

fn ends(key: &Key) -> String {
    format!("ends at {} UTC", table::time(key.expires_at))
}
