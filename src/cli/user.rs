//! `user`: who may use the service, and on which plan.

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{announcement, question::Password, table, words};
use crate::{
    auth::{
        Directory, Revoked,
        directory::{NewUser, User},
    },
    config::Config,
    model::Plan,
    postgres::Database,
};

/// The row of whoever holds the static key.
const SYSTEM: i32 = 0;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a local user; nobody has verified the address
    Create(Create),
    /// List every user
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a user on a plan
    SetPlan {
        #[command(flatten)]
        user: Name,
        /// The plan
        #[arg(value_parser = words::plan())]
        plan: Plan,
    },
    /// Refuse everything that a user presents, on every replica at once
    Disable(Name),
    /// Accept what a user presents again
    Enable(Name),
}

/// How a user is named on the command line.
#[derive(Debug, Args)]
pub(super) struct Name {
    /// The user's id, e-mail address, or Auth0 subject
    user: String,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The e-mail address
    #[arg(long, value_parser = words::email)]
    email: String,
    /// The plan
    #[arg(long, default_value = "free", value_parser = words::plan())]
    plan: Plan,
    /// The first name
    #[arg(long, value_name = "TEXT", value_parser = words::at_most::<50>)]
    first_name: Option<String>,
    /// The last name
    #[arg(long, value_name = "TEXT", value_parser = words::at_most::<50>)]
    last_name: Option<String>,
    /// The company
    #[arg(long, value_name = "TEXT", value_parser = words::at_most::<100>)]
    company: Option<String>,
    #[command(flatten)]
    password: Password,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
        Command::Create(create) => make(&directory, create).await,
        Command::List { json } => list(&directory, json).await,
        Command::SetPlan { user, plan } => {
            let user = changeable(&directory, &user).await?;
            directory.set_plan(user.id, plan).await.map_err(words::plain)?;
            announcement::announce(&config.redis, &Revoked::User(user.id)).await;
            super::print(&format!("{} is on plan {}\n", shown(&user), plan.as_str()))
        }
        Command::Disable(user) => switch(config, &directory, &user, false).await,
        Command::Enable(user) => switch(config, &directory, &user, true).await,
    }
}

impl Name {
    /// The one user of that name.
    pub(super) async fn find(&self, directory: &Directory) -> anyhow::Result<User> {
        let mut found = directory.find_users(&self.user).await.map_err(words::plain)?;
        ensure!(found.len() < 2, "{:?} is the name of several users: give an id", self.user);
        found.pop().ok_or_else(|| anyhow::anyhow!("there is no user {:?}", self.user))
    }
}

/// A user in a sentence.
pub(super) fn shown(user: &User) -> String {
    match user.email.as_ref().or(user.auth0_sub.as_ref()) {
        Some(name) => format!("User {} ({})", user.id, name.escape_debug()),
        None => format!("User {}", user.id),
    }
}

async fn changeable(directory: &Directory, name: &Name) -> anyhow::Result<User> {
    let user = name.find(directory).await?;
    ensure!(user.id != SYSTEM, "user 0 is whoever holds API_KEY: change or unset that variable");
    Ok(user)
}

async fn make(directory: &Directory, create: Create) -> anyhow::Result<()> {
    let taken = directory.find_users(&create.email).await.map_err(words::plain)?;
    if let Some(user) = taken.first() {
        bail!("{} has that address already", shown(user));
    }
    let chosen = create.password.choose(&create.email)?;
    let user = NewUser {
        email: create.email,
        password_hash: chosen.hash()?,
        first_name: create.first_name.unwrap_or_default(),
        last_name: create.last_name.unwrap_or_default(),
        company: create.company.unwrap_or_default(),
        plan: create.plan,
        email_verified: false,
    };
    let made = directory.create_user(&user).await.map_err(words::plain)?;
    let Some(id) = made else { bail!("{} exists already", user.email) };
    let NewUser { email, plan, .. } = user;
    if create.json {
        let made = json!({ "id": id, "email": email, "plan": plan, "password": chosen.news() });
        return super::print(&format!("{made}\n"));
    }
    let password = chosen.news().map(|text| format!("Password, not shown again: {text}\n"));
    let password = password.unwrap_or_default();
    super::print(&format!("User {id} ({email}) was made on plan {}\n{password}", plan.as_str()))
}

async fn list(directory: &Directory, json: bool) -> anyhow::Result<()> {
    let users = directory.users().await.map_err(words::plain)?;
    if json {
        return super::print(&format!("{}\n", serde_json::to_string_pretty(&users)?));
    }
    let row = |user: User| {
        [
            user.id.to_string(),
            user.email.or(user.auth0_sub).unwrap_or_else(|| "-".to_owned()),
            user.plan,
            table::yes(user.is_active),
            table::time(user.created_at),
            user.keys.to_string(),
        ]
    };
    let head = ["id", "user", "plan", "active", "created (UTC)", "keys"];
    super::print(&table::aligned(head, users.into_iter().map(row).collect()))
}

async fn switch(
    config: &Config,
    directory: &Directory,
    name: &Name,
    active: bool,
) -> anyhow::Result<()> {
    let user = changeable(directory, name).await?;
    directory.set_active(user.id, active).await.map_err(words::plain)?;
    announcement::announce(&config.redis, &Revoked::User(user.id)).await;
    let state = if active { "enabled" } else { "disabled" };
    super::print(&format!("{} is {state}\n", shown(&user)))
}
