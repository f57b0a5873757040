//! Interactive terminals. `session_key` says what makes two requests mean the same session; of those that live,
//! one has it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS terminal_sessions (
        id text NOT NULL PRIMARY KEY,
        tenant_id text NOT NULL,
        project_id text NOT NULL,
        user_id text,
        type text NOT NULL,
        tab_name text NOT NULL,
        session_key text NOT NULL,
        state text NOT NULL,
        active boolean NOT NULL,
        reason text,
        current_path text NOT NULL,
        pid integer,
        cols integer NOT NULL,
        rows integer NOT NULL,
        instance text NOT NULL,
        metadata text NOT NULL,
        screen text,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        ended_at bigint)",
    "CREATE UNIQUE INDEX IF NOT EXISTS terminal_sessions_live
        ON terminal_sessions (session_key) WHERE active",
    "CREATE INDEX IF NOT EXISTS terminal_sessions_by_key
        ON terminal_sessions (session_key, ended_at)",
    "CREATE INDEX IF NOT EXISTS terminal_sessions_by_project
        ON terminal_sessions (tenant_id, project_id, created_at)",
    "CREATE INDEX IF NOT EXISTS terminal_sessions_by_user
        ON terminal_sessions (tenant_id, user_id, created_at)",
    "CREATE INDEX IF NOT EXISTS terminal_sessions_by_active
        ON terminal_sessions (active, ended_at)",
];
const DOWN: [&str; 1] = ["DROP TABLE IF EXISTS terminal_sessions"];

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
