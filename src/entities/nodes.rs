//! A node of a run, with its process while it runs.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub node_ref: String,
    pub position: i32,
    pub name: Option<String>,
    pub command: String,
    pub status: String,
    pub attempt: i32,
    pub depends_on: String,
    pub runner_kind: String,
    pub terminal_mode: String,
    pub terminal_cols: i32,
    pub terminal_rows: i32,
    pub streams: String,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub failure: Option<String>,
    pub totals: String,
    pub pid: Option<i32>,
    pub process_group: Option<i32>,
    pub process_start_ticks: Option<i64>,
    pub process_boot_id: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
