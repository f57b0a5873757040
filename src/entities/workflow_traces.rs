//! A `status` or `trace` entry of a run, whole in `body`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workflow_traces")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    pub kind: String,
    pub node_ref: Option<String>,
    #[sea_orm(column_name = "type")]
    pub event_type: Option<String>,
    pub level: Option<String>,
    pub message: Option<String>,
    pub error: Option<String>,
    pub output_summary: Option<String>,
    pub data: Option<String>,
    pub timestamp: Option<i64>,
    pub body: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
