//! The database schema of Runcast: one file a step, each with its way up and its way down.
//!
//! The same steps run on SQLite and PostgreSQL. Times are microseconds since 1970 as `bigint`, documents are
//! JSON as `text`, and `seq` fits a `bigint` because it stays below 2⁵³.

mod m0001_tenants;
mod m0002_runs;
mod m0003_nodes;
mod m0004_workflow_traces;
mod m0005_recordings;
mod m0006_archive_segments;
mod m0007_expired_recordings;
mod m0008_instances;
mod m0009_terminal_sessions;

pub use sea_orm_migration::MigratorTrait;
pub use sea_orm_migration::migrator::{Migration, MigrationStatus};
use sea_orm_migration::prelude::{MigrationTrait, async_trait};

/// The steps in their order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_tenants::Migration),
            Box::new(m0002_runs::Migration),
            Box::new(m0003_nodes::Migration),
            Box::new(m0004_workflow_traces::Migration),
            Box::new(m0005_recordings::Migration),
            Box::new(m0006_archive_segments::Migration),
            Box::new(m0007_expired_recordings::Migration),
            Box::new(m0008_instances::Migration),
            Box::new(m0009_terminal_sessions::Migration),
        ]
    }
}
