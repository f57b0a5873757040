//! The rows of runs in SQLite or PostgreSQL, with the same statements for both.
//!
//! SQLite has one writer: its statements go through a pool of one connection, so that writers queue here and
//! not at the lock of the file; reads have their own connections and go on beside it. PostgreSQL has one pool, and
//! another one for the renewal of leases, however many wait for the first.
//! Every call ends within the statement timeout; one that is given up is rolled back. Calls run as tasks of the
//! runtime in which the store was connected, whoever waits for them: a caller whose thread has a low priority, or
//! is busy, would else keep a connection, and the locks of a transaction, until it gets its turn.

mod error;
mod instances;
mod lease;
mod migrate;
mod options;
mod ports;
mod purge;
mod query;
mod record;
mod recordings;
mod rows;
mod rows_of_archive;
mod segments;
mod sessions;
mod submit;

use std::time::Duration;

use runcast_actors::ports::StoreError;
use sea_orm::{
    Database, DatabaseConnection, DatabaseTransaction, DbBackend, IsolationLevel,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::runtime::Handle;

use self::error::{store_error, timed_out};
use self::options::{create_folder, options};
use super::client_runtime::apart;

pub use self::migrate::MigrationState;

/// Rows of one INSERT or one list of keys: far below the 32,766 parameters of SQLite.
const ROWS_PER_STATEMENT: usize = 500;

/// One that renews, and another one should the first hang.
const LEASE_CONNECTIONS: u32 = 2;

/// Where the database is, and how long it may take.
#[derive(Debug, Clone)]
pub struct SqlStoreSettings {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    /// At most this many connections, at least 3; on SQLite this many readers beside the one writer.
    pub max_connections: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a call may take in all.
    pub statement_timeout: Duration,
}

/// The ports of runs, recordings and instances on a database.
#[derive(Debug, Clone)]
pub struct SqlStore {
    write: DatabaseConnection,
    read: DatabaseConnection,
    /// For the renewal of leases alone.
    leases: DatabaseConnection,
    statement_timeout: Duration,
    runtime: Handle,
}

impl SqlStore {
    /// Connects, from now on in the runtime that this is called in; a SQLite file and its folder are created. The schema is left as it is.
    pub async fn connect(settings: SqlStoreSettings) -> Result<Self, StoreError> {
        let limit = settings.acquire_timeout + settings.statement_timeout;
        let connecting = Self::open(&settings);
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(timed_out(limit)))
    }

    async fn open(settings: &SqlStoreSettings) -> Result<Self, StoreError> {
        let statement_timeout = settings.statement_timeout;
        let connections = settings.max_connections;
        let runtime = Handle::current();
        let pool = async |connections: u32| {
            let pool = Database::connect(options(settings, connections.max(1))).await;
            pool.map_err(|error| store_error(&error))
        };
        if !DbBackend::Sqlite.is_prefix_of(&settings.url) {
            let leases = pool(LEASE_CONNECTIONS).await?;
            let (write, read) = {
                let shared = pool(connections.saturating_sub(LEASE_CONNECTIONS)).await?;
                (shared.clone(), shared)
            };
            return Ok(Self { write, read, leases, statement_timeout, runtime });
        }
        create_folder(&settings.url).await?;
        // The writer comes first: it creates the file and turns on the write-ahead log.
        let write = pool(1).await?;
        let read = pool(connections).await?;
        Ok(Self { leases: write.clone(), write, read, statement_timeout, runtime })
    }

    /// Closes all connections; calls after this are `Unavailable`.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.limited(async |store| {
            for pool in [&store.read, &store.write, &store.leases] {
                pool.close_by_ref().await.map_err(|error| store_error(&error))?;
            }
            Ok(())
        })
        .await
    }

    async fn limited<T, Call>(
        &self,
        call: impl FnOnce(Self) -> Call + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Call: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (store, limit) = (self.clone(), self.statement_timeout);
        let call = async move {
            let called = tokio::time::timeout(limit, call(store)).await;
            called.unwrap_or_else(|_| Err(timed_out(limit)))
        };
        apart(&self.runtime, call)
            .await
            .unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())))
    }

    /// A transaction that holds the write lock from its beginning, so that it never fails half-way for want of it.
    async fn begin_write(&self) -> Result<DatabaseTransaction, StoreError> {
        let is_sqlite = self.write.get_database_backend() == DbBackend::Sqlite;
        let options = TransactionOptions {
            sqlite_transaction_mode: is_sqlite.then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.write.begin_with_options(options).await.map_err(|error| store_error(&error))
    }

    /// A transaction in which all reads see the same moment.
    async fn begin_read(&self) -> Result<DatabaseTransaction, StoreError> {
        let is_sqlite = self.read.get_database_backend() == DbBackend::Sqlite;
        let options = TransactionOptions {
            isolation_level: (!is_sqlite).then_some(IsolationLevel::RepeatableRead),
            ..TransactionOptions::default()
        };
        self.read.begin_with_options(options).await.map_err(|error| store_error(&error))
    }

    /// A statement whose parameters are `$1`, `$2` … on both databases.
    fn statement(&self, sql: impl Into<String>, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.write.get_database_backend(), sql, values)
    }
}

#[cfg(test)]
mod tests;
