//! Runs with their lease and checkpoints, and their labels for queries.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS runs (
        tenant_id text NOT NULL,
        run_id text NOT NULL,
        spec text,
        spec_hash text NOT NULL,
        workflow_id text,
        name text,
        labels text NOT NULL,
        metadata text NOT NULL,
        links text NOT NULL,
        status text NOT NULL,
        failure text,
        created_at bigint NOT NULL,
        started_at bigint,
        finished_at bigint,
        progress text NOT NULL,
        owner text,
        epoch bigint NOT NULL DEFAULT 0,
        lease_until bigint,
        claimed_at bigint,
        cancel_requested_at bigint,
        archived_through_seq bigint NOT NULL DEFAULT 0,
        recorded_through_seq bigint NOT NULL DEFAULT 0,
        last_seq bigint NOT NULL DEFAULT 0,
        purged_at bigint,
        PRIMARY KEY (tenant_id, run_id))",
    "CREATE TABLE IF NOT EXISTS run_labels (
        tenant_id text NOT NULL,
        run_id text NOT NULL,
        name text NOT NULL,
        value text NOT NULL,
        PRIMARY KEY (tenant_id, name, value, run_id),
        FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, run_id) ON DELETE CASCADE)",
    "CREATE INDEX IF NOT EXISTS runs_newest ON runs (tenant_id, created_at, run_id)",
    "CREATE INDEX IF NOT EXISTS runs_by_status ON runs (tenant_id, status, created_at, run_id)",
    "CREATE INDEX IF NOT EXISTS runs_by_workflow ON runs (tenant_id, workflow_id, created_at, run_id)",
    // The queue and the leases are a few rows among many: this index holds only those.
    "CREATE INDEX IF NOT EXISTS runs_unfinished ON runs (status, created_at, run_id)
        WHERE status IN ('QUEUED', 'RUNNING') OR owner IS NOT NULL",
];
const DOWN: [&str; 2] = ["DROP TABLE IF EXISTS run_labels", "DROP TABLE IF EXISTS runs"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in UP {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in DOWN {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
