//! The rows of runs in SQLite or PostgreSQL, with the same statements for both.
//!
//! SQLite has one writer: its statements go through a pool of one connection, so that writers queue here and
//! not at the lock of the file; reads have their own connections and go on beside it. PostgreSQL has one pool.
//! Every call ends within the statement timeout; one that is given up is rolled back. Connections live in the
//! runtime in which the store was connected, whoever calls.

mod error;
mod instances;
mod lease;
mod migrate;
mod options;
mod purge;
mod query;
mod record;
mod recordings;
mod rows;
mod rows_of_archive;
mod segments;
mod submit;

use std::time::Duration;

use async_trait::async_trait;
use runcast_actors::entry::Entry;
use runcast_actors::ids::{Epoch, InstanceId, RunKey, Seq, StreamKey};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{
    Annotation, ArchiveBatch, CancelRequest, Claim, EncoderStates, Instance, InstanceStore, Lease,
    ObjectKey, Purged, RecordBatch, Recording, RecordingStore, RunList, RunQuery, RunStore, Seen,
    SeenInstance, Segment, StoreError, StoredRun, Submission, Submitted, TraceQuery,
};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, IsolationLevel,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::runtime::Handle;

use self::error::{store_error, timed_out};
use self::lease::Queued;
use self::options::{create_folder, options};
use super::client_runtime::within;

pub use self::migrate::MigrationState;

/// Rows of one INSERT or one list of keys: far below the 32,766 parameters of SQLite.
const ROWS_PER_STATEMENT: usize = 500;

/// Where the database is, and how long it may take.
#[derive(Debug, Clone)]
pub struct SqlStoreSettings {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    /// At most this many connections, at least 1; on SQLite this many readers beside the one writer.
    pub max_connections: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a call may take in all.
    pub statement_timeout: Duration,
}

/// The ports [`RunStore`], [`RecordingStore`] and [`InstanceStore`] on a database.
#[derive(Debug, Clone)]
pub struct SqlStore {
    write: DatabaseConnection,
    read: DatabaseConnection,
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
        let connections = settings.max_connections.max(1);
        let runtime = Handle::current();
        if !DbBackend::Sqlite.is_prefix_of(&settings.url) {
            let pool = Database::connect(options(settings, connections))
                .await
                .map_err(|error| store_error(&error))?;
            return Ok(Self { write: pool.clone(), read: pool, statement_timeout, runtime });
        }
        create_folder(&settings.url).await?;
        // The writer comes first: it creates the file and turns on the write-ahead log.
        let write = Database::connect(options(settings, 1)).await;
        let write = write.map_err(|error| store_error(&error))?;
        let read = Database::connect(options(settings, connections)).await;
        let read = read.map_err(|error| store_error(&error))?;
        Ok(Self { write, read, statement_timeout, runtime })
    }

    /// Closes all connections; calls after this are `Unavailable`.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.limited(async {
            self.read.close_by_ref().await.map_err(|error| store_error(&error))?;
            self.write.close_by_ref().await.map_err(|error| store_error(&error))
        })
        .await
    }

    async fn limited<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let limit = self.statement_timeout;
        let call = async {
            tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(timed_out(limit)))
        };
        within(&self.runtime, call).await
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

#[async_trait]
impl RunStore for SqlStore {
    async fn submit(&self, submission: Submission) -> Result<Submitted, StoreError> {
        self.limited(submit::submit(self, &submission)).await
    }

    async fn find(&self, run: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        self.limited(query::find(self, run)).await
    }

    async fn list(&self, query: &RunQuery) -> Result<RunList, StoreError> {
        self.limited(query::list(self, query)).await
    }

    async fn history(
        &self,
        run: &RunKey,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.limited(query::history(self, run, after, limit)).await
    }

    async fn traces(&self, run: &RunKey, query: &TraceQuery) -> Result<Vec<Entry>, StoreError> {
        self.limited(query::traces(self, run, query)).await
    }

    async fn claim(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        self.limited(lease::claim(self, owner, lease, limit, Queued::Any)).await
    }

    async fn claim_cancelled(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        self.limited(lease::claim(self, owner, lease, limit, Queued::Cancelled)).await
    }

    async fn renew(
        &self,
        owner: &InstanceId,
        lease: Duration,
        runs: &[(RunKey, Epoch)],
    ) -> Result<Vec<RunKey>, StoreError> {
        self.limited(lease::renew(self, owner, lease, runs)).await
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.limited(lease::leases(self)).await
    }

    async fn take_over(
        &self,
        run: &RunKey,
        seen: Seen,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        self.limited(lease::take_over(self, run, seen, owner, lease)).await
    }

    async fn release(&self, run: &RunKey, epoch: Epoch) -> Result<(), StoreError> {
        self.limited(lease::release(self, run, epoch)).await
    }

    async fn record(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: RecordBatch,
    ) -> Result<(), StoreError> {
        self.limited(record::record(self, run, epoch, &batch)).await
    }

    async fn request_cancel(&self, run: &RunKey) -> Result<CancelRequest, StoreError> {
        self.limited(lease::request_cancel(self, run)).await
    }

    async fn cancel_requests(&self, owner: &InstanceId) -> Result<Vec<RunKey>, StoreError> {
        self.limited(lease::cancel_requests(self, owner)).await
    }

    async fn annotate(&self, run: &RunKey, annotation: Annotation) -> Result<bool, StoreError> {
        self.limited(submit::annotate(self, run, &annotation)).await
    }

    async fn purge(&self, run: &RunKey) -> Result<Purged, StoreError> {
        self.limited(purge::purge(self, run)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let asked = async {
            let answer = self.read.query_one_raw(self.statement("SELECT 1", Vec::new())).await;
            answer.map(drop).map_err(|error| store_error(&error))
        };
        self.limited(asked).await
    }
}

#[async_trait]
impl InstanceStore for SqlStore {
    async fn enter(&self, me: &Instance) -> Result<(), StoreError> {
        self.limited(instances::enter(self, me)).await
    }

    async fn announce(&self, me: &Instance) -> Result<(), StoreError> {
        self.limited(instances::announce(self, me)).await
    }

    async fn instances(&self) -> Result<Vec<SeenInstance>, StoreError> {
        self.limited(instances::instances(self)).await
    }

    async fn leave(&self, me: &InstanceId) -> Result<(), StoreError> {
        self.limited(instances::leave(self, me)).await
    }
}

#[async_trait]
impl RecordingStore for SqlStore {
    async fn has_objects(&self) -> Result<bool, StoreError> {
        self.limited(segments::has_objects(self)).await
    }

    async fn recordings(&self, run: &RunKey) -> Result<Vec<Recording>, StoreError> {
        self.limited(recordings::recordings(self, run)).await
    }

    async fn encoder_states(&self, run: &RunKey) -> Result<EncoderStates, StoreError> {
        self.limited(recordings::encoder_states(self, run)).await
    }

    async fn recording(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<Recording>, StoreError> {
        self.limited(recordings::recording(self, run, stream)).await
    }

    async fn segments(
        &self,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
        limit: u32,
    ) -> Result<(Seq, Vec<Segment>), StoreError> {
        self.limited(segments::segments(self, run, stream, after, limit)).await
    }

    async fn unknown(&self, objects: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        self.limited(segments::unknown(self, objects)).await
    }

    async fn archive(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: ArchiveBatch,
    ) -> Result<(), StoreError> {
        self.limited(recordings::archive(self, run, epoch, &batch)).await
    }

    async fn finalise(
        &self,
        run: &RunKey,
        epoch: Epoch,
        recording: Recording,
        whole: Option<Segment>,
    ) -> Result<(), StoreError> {
        self.limited(recordings::finalise(self, run, epoch, &recording, whole.as_ref())).await
    }

    async fn mark_damaged(&self, run: &RunKey, stream: &StreamKey) -> Result<(), StoreError> {
        self.limited(recordings::mark_damaged(self, run, stream)).await
    }

    async fn superseded(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<ObjectKey>, StoreError> {
        self.limited(segments::superseded(self, before, limit)).await
    }

    async fn forget_superseded(&self, objects: &[ObjectKey]) -> Result<(), StoreError> {
        self.limited(segments::forget_superseded(self, objects)).await
    }

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<RunKey>, StoreError> {
        self.limited(recordings::expired(self, before, limit)).await
    }

    async fn expire(&self, run: &RunKey) -> Result<(), StoreError> {
        self.limited(recordings::expire(self, run)).await
    }

    async fn forget_objects(&self, run: &RunKey) -> Result<(), StoreError> {
        self.limited(recordings::forget_objects(self, run)).await
    }
}

#[cfg(test)]
mod tests;
