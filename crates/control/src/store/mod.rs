//! The store: SQLite, or PostgreSQL, from one code path.
//!
//! **Invariants**: one write transaction at a time; times are microseconds, ids are text; a
//! transaction's wakes reach the reconciler after its commit and never without it.

mod migrate;
mod paging;
mod seal_proof;
mod text;
mod transaction;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, TransactionTrait,
};

pub use paging::{Cursors, Listing, Position, Rows};
pub use text::{Micros, Text, ip, number};
pub use transaction::{Metered, Tx};

use crate::reconciler::Wakes;
use crate::usage::Meter;

/// How many connections read at the same time.
const READERS: u32 = 4;
/// How long a request waits for a connection.
const WAIT: Duration = Duration::from_secs(30);

/// Where a store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl FromStr for Location {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let known = ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme));
        known.then(|| Self(url.to_owned())).ok_or_else(|| {
            "expected `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE` as the database".to_owned()
        })
    }
}

/// The open store.
#[derive(Debug, Clone)]
pub struct Store {
    read: DatabaseConnection,
    write: DatabaseConnection,
    wakes: Wakes,
    meter: Arc<Meter>,
}

impl Store {
    /// Opens a store and brings its schema up to date.
    pub async fn open(
        location: &Location,
        schema: Option<&str>,
        wakes: Wakes,
        meter: Arc<Meter>,
    ) -> Result<Self, DbErr> {
        let url = match location.0.strip_prefix("sqlite:") {
            Some(path) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                make_private(path).map_err(|error| DbErr::Custom(format!("open {path}: {error}")))?;
                format!("sqlite://{path}")
            }
            None => location.0.clone(),
        };
        let connect = |connections| Database::connect(options(&url, schema, connections));
        // One writer at a time: those that wait for their turn keep no connection from the readers.
        let write = connect(1).await?;
        let read = connect(READERS).await?;
        let store = Self { read, write, wakes, meter };
        migrate::run(&store.write).await?;
        Ok(store)
    }

    /// Where single reads go.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// Begins a transaction that only reads: each of its statements sees the rows of one moment.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        if !is_postgres(self.read.get_database_backend()) {
            return self.read.begin().await;
        }
        let level = Some(IsolationLevel::RepeatableRead);
        self.read.begin_with_config(level, Some(AccessMode::ReadOnly)).await
    }

    /// Where visits are asked for.
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Begins a write transaction. Another one waits until it ends.
    pub async fn begin(&self) -> Result<Tx, DbErr> {
        Tx::begin(&self.write, self.wakes.clone(), self.meter.clone()).await
    }

    /// Calls `see` with the text of each statement, for the test that finds table scans.
    pub fn watch(&mut self, see: impl Fn(&str) + Send + Sync + Clone + 'static) {
        for connection in [&mut self.read, &mut self.write] {
            let see = see.clone();
            connection.set_metric_callback(move |seen| see(&seen.statement.sql));
        }
    }
}

fn options(url: &str, schema: Option<&str>, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).acquire_timeout(WAIT).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .journal_mode(sea_orm::sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(sea_orm::sqlx::sqlite::SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT)
    });
    if let Some(schema) = schema {
        options.set_schema_search_path(schema);
    }
    options
}

/// A database is its owner's alone, and so are the files that SQLite puts beside it.
fn make_private(path: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

/// Whether the other side is PostgreSQL.
fn is_postgres(backend: DbBackend) -> bool {
    backend == DbBackend::Postgres
}
