//! What a database error asks for: wait, give up, or report a fault of ours.

use sqlx::{Error as SqlError, error::DatabaseError, migrate::MigrateError};

use crate::model::{Error, ErrorKind};

/// What a failure says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server cannot be reached or is busy: it may work later.
    Away,
    /// Address, account or database are wrong: it will not work until somebody changes them.
    Refused,
    /// The statement is wrong for the data: it will fail again.
    Statement,
}

/// Sorts an error by what to do about it.
pub fn cause(error: &SqlError) -> Cause {
    match error {
        SqlError::Database(error) => cause_of_state(error.as_ref()),
        SqlError::Configuration(_) | SqlError::InvalidArgument(_) => Cause::Refused,
        SqlError::Io(_)
        | SqlError::Tls(_)
        | SqlError::Protocol(_)
        | SqlError::PoolTimedOut
        | SqlError::PoolClosed
        | SqlError::WorkerCrashed => Cause::Away,
        _ => Cause::Statement,
    }
}

/// By SQLSTATE (PostgreSQL, appendix A).
fn cause_of_state(error: &dyn DatabaseError) -> Cause {
    let state = error.code().unwrap_or_default();
    match state.as_ref() {
        // Authorisation, no such database.
        code if code.starts_with("28") || code == "3D000" => Cause::Refused,
        // Connection, resources, operator intervention, system; serialisation, deadlock, lock.
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Cause::Away,
        "40001" | "40P01" | "55P03" | "25P03" | "25006" => Cause::Away,
        _ => Cause::Statement,
    }
}

/// The same for a migration, where anything but an absent server is final.
pub(super) fn migration_cause(error: &MigrateError) -> Cause {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => cause(error),
        _ => Cause::Statement,
    }
}

/// The service's error for a query that failed.
pub fn query_error(error: SqlError) -> Error {
    match cause(&error) {
        Cause::Statement => Error::new(ErrorKind::Internal, "internal error").because(error),
        Cause::Away | Cause::Refused => unavailable().because(error),
    }
}

/// The service's error for a database that does not answer.
pub fn unavailable() -> Error {
    Error::new(ErrorKind::DatabaseUnavailable, "database unavailable")
}
