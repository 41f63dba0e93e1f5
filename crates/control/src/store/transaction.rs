//! A write transaction, and what it sets in motion when it commits.

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use crate::reconciler::{Object, Wakes};
use crate::usage::Meter;

/// The key of the lock that makes PostgreSQL take one writer at a time, as SQLite does: "deckle" in hex.
const WRITER_LOCK: i64 = 0x6465_636b_6c65;

/// A write transaction. Dropped without a commit, it changes nothing.
#[derive(Debug)]
pub struct Tx {
    inner: Writing,
    wakes: Wakes,
    woken: Vec<Object>,
}

/// The statements of a write transaction.
#[derive(Debug)]
pub struct Writing {
    inner: DatabaseTransaction,
    meter: Arc<Meter>,
}

/// Where what is billed may change: a write transaction, and no other connection.
pub trait Metered: ConnectionTrait {
    /// What is metered with.
    fn meter(&self) -> &Meter;
}

impl Metered for Writing {
    fn meter(&self) -> &Meter {
        &self.meter
    }
}

#[async_trait]
impl ConnectionTrait for Writing {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}

impl Tx {
    pub(super) async fn begin(
        write: &DatabaseConnection,
        wakes: Wakes,
        meter: Arc<Meter>,
    ) -> Result<Self, DbErr> {
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let postgres = super::is_postgres(write.get_database_backend());
        let inner = if postgres { write.begin().await? } else { write.begin_with_options(immediate).await? };
        if postgres {
            inner.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({WRITER_LOCK})")).await?;
        }
        Ok(Self { inner: Writing { inner, meter }, wakes, woken: Vec::new() })
    }

    /// Has the reconciler visit an object once this transaction is committed.
    pub fn wake(&mut self, object: Object) {
        self.woken.push(object);
    }

    /// Makes the transaction's changes last. It runs to its end also when nobody waits for it any more, as
    /// after a request that took too long: what is committed is visited.
    pub async fn commit(self) -> Result<(), DbErr> {
        let Self { inner, wakes, woken } = self;
        let committed = tokio::spawn(async move {
            inner.inner.commit().await?;
            woken.into_iter().for_each(|object| wakes.wake(object));
            Ok(())
        });
        committed.await.unwrap_or_else(|error| Err(DbErr::Custom(error.to_string())))
    }
}

impl Deref for Tx {
    type Target = Writing;

    fn deref(&self) -> &Writing {
        &self.inner
    }
}
