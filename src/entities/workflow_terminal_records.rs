//! What is archived of a stream.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workflow_terminal_records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: String,
    pub run_id: String,
    pub node_ref: String,
    pub stream: String,
    pub state: String,
    pub reason: Option<String>,
    pub file_url: Option<String>,
    pub first_chunk_index: Option<i64>,
    pub last_chunk_index: Option<i64>,
    pub last_seq: i64,
    pub chunk_count: i64,
    pub byte_count: i64,
    pub sha256: Option<String>,
    pub gap_count: i64,
    pub duration_us: i64,
    pub cols: i32,
    pub rows: i32,
    pub epoch: i64,
    pub encoder_state: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    pub completed_at: Option<i64>,
    pub purged_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
