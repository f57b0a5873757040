//! The schema, step by step.

use std::time::Duration;

use runcast_actors::ports::StoreError;
use runcast_migrations::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, TransactionTrait};

use super::SqlStore;
use super::error::{store_error, timed_out};
use crate::adapters::client_runtime::within;

/// How long the steps may take: they may rewrite large tables.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);
/// What instances that start at the same time queue at: `runcast` in ASCII.
const MIGRATION_LOCK: i64 = 0x0072_756e_6361_7374;

/// A step of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name.
    pub name: String,
    /// True if the database has it.
    pub applied: bool,
}

impl SqlStore {
    /// Brings the schema to the newest step. Instances that do so at the same time wait for each other.
    pub async fn migrate_up(&self) -> Result<(), StoreError> {
        self.migrating(async {
            let Some(locked) = self.lock_schema().await? else {
                return Migrator::up(&self.write, None).await;
            };
            Migrator::up(&locked, None).await?;
            locked.commit().await
        })
        .await
    }

    /// Takes the last `steps` steps back, with everything they hold.
    pub async fn migrate_down(&self, steps: u32) -> Result<(), StoreError> {
        self.migrating(async {
            let Some(locked) = self.lock_schema().await? else {
                return Migrator::down(&self.write, Some(steps)).await;
            };
            Migrator::down(&locked, Some(steps)).await?;
            locked.commit().await
        })
        .await
    }

    /// Every step in order, and whether the database has it. Changes nothing.
    pub async fn migrate_status(&self) -> Result<Vec<MigrationState>, StoreError> {
        let asked = Migrator::get_migration_with_status_read_only(&self.read);
        let steps = self.migrating(asked).await?;
        let state = |step: &runcast_migrations::Migration| MigrationState {
            name: step.name().to_owned(),
            applied: step.status() == MigrationStatus::Applied,
        };
        Ok(steps.iter().map(state).collect())
    }

    /// The transaction of all steps on PostgreSQL; none on SQLite, which has one writer anyway.
    async fn lock_schema(&self) -> Result<Option<DatabaseTransaction>, DbErr> {
        if self.write.get_database_backend() != DbBackend::Postgres {
            return Ok(None);
        }
        let transaction = self.write.begin().await?;
        let limit = MIGRATION_TIMEOUT.as_millis();
        // For this transaction alone.
        transaction
            .execute_unprepared(&format!(
                "SET LOCAL statement_timeout = {limit}; \
                 SET LOCAL idle_in_transaction_session_timeout = {limit}; \
                 SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
            ))
            .await?;
        Ok(Some(transaction))
    }

    async fn migrating<T>(
        &self,
        steps: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, StoreError> {
        let steps = async {
            match tokio::time::timeout(MIGRATION_TIMEOUT, steps).await {
                Ok(done) => done.map_err(|error| store_error(&error)),
                Err(_) => Err(timed_out(MIGRATION_TIMEOUT)),
            }
        };
        within(&self.runtime, steps).await
    }
}
