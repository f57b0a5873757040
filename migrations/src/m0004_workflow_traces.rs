//! Every status and trace entry of a run, whole in `body`, with the members that are queried beside it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 1] = ["CREATE TABLE IF NOT EXISTS workflow_traces (
        tenant_id text NOT NULL,
        run_id text NOT NULL,
        sequence bigint NOT NULL,
        kind text NOT NULL,
        node_ref text,
        type text,
        level text,
        message text,
        error text,
        output_summary text,
        data text,
        timestamp bigint,
        body text NOT NULL,
        PRIMARY KEY (tenant_id, run_id, sequence),
        FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, run_id) ON DELETE CASCADE)"];
const DOWN: [&str; 1] = ["DROP TABLE IF EXISTS workflow_traces"];

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
