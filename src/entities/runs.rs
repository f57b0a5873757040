//! A run with its lease and its checkpoints.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: String,
    pub spec: Option<String>,
    pub spec_hash: String,
    pub workflow_id: Option<String>,
    pub name: Option<String>,
    pub labels: String,
    pub metadata: String,
    pub links: String,
    pub status: String,
    pub failure: Option<String>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub progress: String,
    pub owner: Option<String>,
    pub epoch: i64,
    pub lease_until: Option<i64>,
    pub claimed_at: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub archived_through_seq: i64,
    pub recorded_through_seq: i64,
    pub last_seq: i64,
    pub purged_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
