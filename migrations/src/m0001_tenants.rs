//! Tenants, with the one of a service without authentication.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS tenants (
        id text NOT NULL PRIMARY KEY,
        created_at bigint NOT NULL)",
    "INSERT INTO tenants (id, created_at) VALUES ('default', 0) ON CONFLICT DO NOTHING",
];
const DOWN: [&str; 1] = ["DROP TABLE IF EXISTS tenants"];

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
