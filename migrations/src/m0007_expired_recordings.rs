//! What retention looks for, as one index: recordings that have objects, also those whose expiry was cut short.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 2] = [
    "DROP INDEX IF EXISTS workflow_terminal_records_kept",
    "CREATE INDEX IF NOT EXISTS workflow_terminal_records_kept
        ON workflow_terminal_records (completed_at)
        WHERE purged_at IS NULL OR file_url IS NOT NULL",
];
const DOWN: [&str; 2] = [
    "DROP INDEX IF EXISTS workflow_terminal_records_kept",
    "CREATE INDEX IF NOT EXISTS workflow_terminal_records_kept
        ON workflow_terminal_records (completed_at) WHERE purged_at IS NULL",
];

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
