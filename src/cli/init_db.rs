//! `init-db`: the first schema and the first user, or everything afresh.

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;

use super::{
    question::{self, Chosen, Password},
    words,
};
use crate::{
    auth::{
        Directory, MintedKey,
        directory::{NewUser, User},
    },
    config::Config,
    model::Plan,
    postgres::{self, Database, NotReset},
};

const HELP: &str = "\
Without --safe, --force or test-user every table of this service is dropped, after a question and
never in production. Where usage has been recorded, the database's name is asked for too.
Standard input is read line by line: first the answers, then the password.
Exit codes: 0 done, 1 refused or failed, 2 wrong configuration or usage.";

#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    form: Option<Form>,
    /// Drop nothing: bring the schema up to date, and make the administrator if there is none
    #[arg(long, conflicts_with_all = ["force", "database"])]
    safe: bool,
    /// Drop everything without asking, in any environment
    #[arg(long)]
    force: bool,
    /// The name of the database whose recorded usage may be dropped
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The administrator's address
    #[arg(long, default_value = "admin@example.com", value_parser = words::email)]
    email: String,
    #[command(flatten)]
    password: Password,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// Make the user test@example.com on the schema that is there; not in production
    TestUser(Password),
}

/// Somebody to be made, and the name of their key.
struct Person {
    title: &'static str,
    user: NewUser,
    key: &'static str,
}

/// Does what the arguments ask for; where it fails before anything was dropped, nothing was done.
pub(super) async fn run(
    config: &Config,
    database: &Database,
    arguments: Arguments,
) -> anyhow::Result<()> {
    let guarded = !arguments.safe && !arguments.force;
    ensure!(
        !guarded || !config.is_production(),
        "refused in production: init-db --safe drops nothing, init-db --force drops everything"
    );
    match &arguments.form {
        Some(Form::TestUser(password)) => add(database, tester(), password).await,
        None if arguments.safe => {
            add(database, administrator(&arguments.email), &arguments.password).await
        }
        None => afresh(config, database, &arguments).await,
    }
}

/// Drops everything and makes it again.
async fn afresh(config: &Config, database: &Database, arguments: &Arguments) -> anyhow::Result<()> {
    let admin = administrator(&arguments.email);
    let server = config.database.options()?.get_host().to_owned();
    let usage_may_go = confirm(database, &server, arguments).await?;
    let chosen = arguments.password.choose(&admin.user.email)?;
    drop_tables(database, usage_may_go).await?;
    super::migrate(database).await?;
    make(database, admin, &chosen).await
}

/// Adds one user to what is there, unless they are there too.
async fn add(database: &Database, person: Person, password: &Password) -> anyhow::Result<()> {
    super::migrate(database).await?;
    let there = Directory::new(database.clone()).find_users(&person.user.email).await;
    if let Some(User { id, .. }) = there.map_err(words::plain)?.first() {
        return exists(&person.user.email, Some(*id));
    }
    let chosen = password.choose(&person.user.email)?;
    make(database, person, &chosen).await
}

/// Asks what has to be asked before anything is dropped; whether recorded usage may go too.
async fn confirm(database: &Database, server: &str, arguments: &Arguments) -> anyhow::Result<bool> {
    let name = words::reach(database).await?;
    if !arguments.force {
        let question =
            format!("Every table in database {name} on {server} will be dropped. Type yes: ");
        ensure!(question::line(&question)?.trim() == "yes", "not confirmed; nothing was dropped");
    }
    let given = match &arguments.database {
        Some(given) => given.clone(),
        None if !postgres::usage_is_there(database).await.map_err(words::away)? => {
            return Ok(false);
        }
        None => question::line("Usage has been recorded. Type the database's name: ")?,
    };
    ensure!(given.trim() == name, "{given:?} is not the database's name; nothing was dropped");
    Ok(true)
}

async fn drop_tables(database: &Database, usage_may_go: bool) -> anyhow::Result<()> {
    match postgres::reset(database, usage_may_go).await {
        Ok(()) => super::print(
            "Every table was dropped. Restart running replicas: they remember dropped users\n",
        ),
        Err(NotReset::UsageIsThere) => {
            bail!("usage was recorded just now: give --database; nothing was dropped")
        }
        Err(error) => bail!("{error}; nothing was dropped"),
    }
}

async fn make(database: &Database, mut person: Person, chosen: &Chosen) -> anyhow::Result<()> {
    person.user.password_hash = chosen.hash()?;
    let directory = Directory::new(database.clone());
    let made = directory.create_user_with_key(&person.user, person.key).await;
    match made.map_err(words::plain)? {
        Some((id, key)) => super::print(&told(&person, id, &key, chosen)),
        None => exists(&person.user.email, None),
    }
}

/// Everything that is shown this once.
fn told(person: &Person, id: i32, key: &MintedKey, chosen: &Chosen) -> String {
    let Person { title, user, key: key_name } = person;
    let (email, plan) = (&user.email, user.plan.as_str());
    let password = chosen.news().map(|text| format!("Password: {text}\n")).unwrap_or_default();
    let key = key.text.expose_secret();
    let last = if chosen.generated { "Neither is" } else { "It is not" };
    format!(
        "{title} {email} was made, with id {id} and plan {plan}\n{password}{key_name}: {key}\n\
         {last} shown again\n"
    )
}

fn exists(email: &str, id: Option<i32>) -> anyhow::Result<()> {
    let id = id.map(|id| format!(" with id {id}")).unwrap_or_default();
    super::print(&format!("{email} exists already{id}: no user and no key was made\n"))
}

fn administrator(email: &str) -> Person {
    let user = person(email, ["Admin", "User", "System"], Plan::Enterprise);
    Person { title: "Administrator", user, key: "Admin API Key" }
}

fn tester() -> Person {
    let user = person("test@example.com", ["Test", "User", "Development"], Plan::Pro);
    Person { title: "Test user", user, key: "Development API Key" }
}

fn person(email: &str, [first_name, last_name, company]: [&str; 3], plan: Plan) -> NewUser {
    NewUser {
        email: email.to_owned(),
        password_hash: String::new(),
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        company: company.to_owned(),
        plan,
        email_verified: true,
    }
}
