//! Words of the command line as values, and errors of the service as sentences.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::{
    auth::email,
    model::{Error, Plan},
    postgres::{self, Database},
};

/// The SQLSTATE of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// An address in the form in which it is stored.
pub(super) fn email(text: &str) -> Result<String, String> {
    email::normalised(text).ok_or_else(|| "this is not an e-mail address".to_owned())
}

/// The plans that users can be on.
pub(super) fn plan() -> impl TypedValueParser<Value = Plan> {
    let plans = [Plan::Free, Plan::Pro, Plan::Enterprise].map(Plan::as_str);
    PossibleValuesParser::new(plans).map(|name| Plan::of(&name))
}

/// Text that fits into a column of so many characters.
pub(super) fn at_most<const LONGEST: usize>(text: &str) -> Result<String, String> {
    let fits = text.chars().count() <= LONGEST && !text.contains('\0');
    fits.then(|| text.to_owned()).ok_or_else(|| format!("at most {LONGEST} characters"))
}

/// What the operator has to know: the cause, which callers of the service never see.
pub(super) fn plain(error: Error) -> anyhow::Error {
    let Some(cause) = error.source.as_deref() else { return error.into() };
    let database = cause.downcast_ref().and_then(sqlx::Error::as_database_error);
    if database.is_some_and(|e| e.code().is_some_and(|state| state == UNDEFINED_TABLE)) {
        return anyhow::anyhow!("there is no schema yet: run migrate or init-db --safe first");
    }
    anyhow::anyhow!("{error}: {cause}")
}

/// The database's name, if it can be reached; otherwise why not.
pub(super) async fn reach(database: &Database) -> anyhow::Result<String> {
    postgres::name(database).await.map_err(away)
}

/// A database that does not answer.
pub(super) fn away(error: sqlx::Error) -> anyhow::Error {
    anyhow::anyhow!("database unavailable: {error}")
}
