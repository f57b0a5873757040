//! Nodes of runs, with the process of each while it runs.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 1] = ["CREATE TABLE IF NOT EXISTS nodes (
        tenant_id text NOT NULL,
        run_id text NOT NULL,
        node_ref text NOT NULL,
        position integer NOT NULL,
        name text,
        command text NOT NULL,
        status text NOT NULL,
        attempt integer NOT NULL,
        depends_on text NOT NULL,
        runner_kind text NOT NULL,
        terminal_mode text NOT NULL,
        terminal_cols integer NOT NULL,
        terminal_rows integer NOT NULL,
        streams text NOT NULL,
        started_at bigint,
        finished_at bigint,
        exit_code integer,
        signal integer,
        failure text,
        totals text NOT NULL,
        pid integer,
        process_group integer,
        process_start_ticks bigint,
        process_boot_id text,
        PRIMARY KEY (tenant_id, run_id, node_ref),
        FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, run_id) ON DELETE CASCADE)"];
const DOWN: [&str; 1] = ["DROP TABLE IF EXISTS nodes"];

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
