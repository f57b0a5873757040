//! Which object holds which stretch of a stream. A segment belongs to the recording with its key; it counts
//! until `superseded_at` is set.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS archive_segments (
        object text NOT NULL PRIMARY KEY,
        tenant_id text NOT NULL,
        run_id text NOT NULL,
        node_ref text NOT NULL,
        stream text NOT NULL,
        epoch bigint NOT NULL,
        first_chunk bigint NOT NULL,
        last_chunk bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        start_ms bigint NOT NULL,
        end_ms bigint NOT NULL,
        length bigint NOT NULL,
        frames text NOT NULL,
        superseded_at bigint,
        FOREIGN KEY (tenant_id, run_id, node_ref, stream)
            REFERENCES workflow_terminal_records (tenant_id, run_id, node_ref, stream)
            ON DELETE CASCADE)",
    "CREATE INDEX IF NOT EXISTS archive_segments_by_end
        ON archive_segments (tenant_id, run_id, last_seq) WHERE superseded_at IS NULL",
    "CREATE INDEX IF NOT EXISTS archive_segments_superseded
        ON archive_segments (superseded_at) WHERE superseded_at IS NOT NULL",
    // Deleting a recording looks for its segments by this key.
    "CREATE INDEX IF NOT EXISTS archive_segments_by_recording
        ON archive_segments (tenant_id, run_id, node_ref, stream)",
];
const DOWN: [&str; 1] = ["DROP TABLE IF EXISTS archive_segments"];

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
