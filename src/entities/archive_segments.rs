//! A stretch of a stream in one object.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "archive_segments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub object: String,
    pub tenant_id: String,
    pub run_id: String,
    pub node_ref: String,
    pub stream: String,
    pub epoch: i64,
    pub first_chunk: i64,
    pub last_chunk: i64,
    pub first_seq: i64,
    pub last_seq: i64,
    pub start_ms: i64,
    pub end_ms: i64,
    pub length: i64,
    pub frames: String,
    pub superseded_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
