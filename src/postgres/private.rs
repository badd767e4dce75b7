//! Databases for tests, on a real server that goes with the test process.

use std::sync::LazyLock;

use secrecy::SecretString;
use testkit::process::Postgres;
use tokio::sync::OnceCell;

use super::{Database, migrate};
use crate::config::{Config, DatabaseConfig, Env};

static SHARED: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().unwrap());
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// The server that all tests share.
pub(crate) fn shared() -> &'static Postgres {
    &SHARED
}

/// A server of the test's own that is not running, and the address of its database.
pub(crate) fn absent() -> (Postgres, String) {
    let mut server = Postgres::start().unwrap();
    let url = server.url("postgres");
    server.stop().unwrap();
    (server, url)
}

/// An empty database on the shared server.
pub(crate) fn empty_database() -> Database {
    at(&shared().create_database().unwrap())
}

/// A database of its own on the shared server, with the schema in place.
pub(crate) async fn database() -> Database {
    let make = async || {
        let url = shared().create_database().unwrap();
        let database = at(&url);
        migrate(&database).await.unwrap();
        database.close().await;
        url.rsplit_once('/').unwrap().1.to_owned()
    };
    let template = TEMPLATE.get_or_init(make).await;
    let database = at(&shared().create_database_from(template).unwrap());
    migrate(&database).await.unwrap();
    database
}

/// A handle on that address, without connecting.
pub(crate) fn at(url: &str) -> Database {
    let url = SecretString::from(url);
    let config = DatabaseConfig { url, pool_size: 5, migrate_on_start: true };
    Database::new(&config).unwrap()
}

/// The default configuration, for everything else that a test needs.
pub(crate) fn config() -> Config {
    Config::load(&Env::default()).unwrap()
}
