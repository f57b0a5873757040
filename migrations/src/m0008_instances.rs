//! Instances that share the database, each renewed while it lives.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "CREATE TABLE IF NOT EXISTS instances (
    id text NOT NULL PRIMARY KEY,
    name text,
    role text NOT NULL,
    url text NOT NULL,
    has_replica boolean NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL)";
const DOWN: &str = "DROP TABLE IF EXISTS instances";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}
