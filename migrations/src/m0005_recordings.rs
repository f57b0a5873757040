//! What is archived of each stream.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS workflow_terminal_records (
        id text NOT NULL PRIMARY KEY,
        tenant_id text NOT NULL,
        run_id text NOT NULL,
        node_ref text NOT NULL,
        stream text NOT NULL,
        state text NOT NULL,
        reason text,
        file_url text,
        first_chunk_index bigint,
        last_chunk_index bigint,
        last_seq bigint NOT NULL,
        chunk_count bigint NOT NULL,
        byte_count bigint NOT NULL,
        sha256 text,
        gap_count bigint NOT NULL,
        duration_us bigint NOT NULL,
        cols integer NOT NULL,
        rows integer NOT NULL,
        epoch bigint NOT NULL,
        encoder_state text,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        completed_at bigint,
        purged_at bigint,
        UNIQUE (tenant_id, run_id, node_ref, stream),
        FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, run_id) ON DELETE CASCADE)",
    // What must still be brought to its end, and what retention may remove: few rows among many.
    "CREATE INDEX IF NOT EXISTS workflow_terminal_records_live
        ON workflow_terminal_records (tenant_id, run_id) WHERE state = 'live'",
    "CREATE INDEX IF NOT EXISTS workflow_terminal_records_kept
        ON workflow_terminal_records (completed_at) WHERE purged_at IS NULL",
];
const DOWN: [&str; 1] = ["DROP TABLE IF EXISTS workflow_terminal_records"];

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
