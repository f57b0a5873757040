//! The recorder's writes: entries become rows, and the checkpoint moves with them in one transaction.

use std::collections::BTreeMap;

use runcast_actors::entry::{Body, Entry, ProcessIdentity, StatusChange};
use runcast_actors::ids::{Epoch, NodeRef, RunKey, Seq};
use runcast_actors::ports::{RecordBatch, StoreError};
use runcast_actors::run_view::{NodeStatus, NodeView};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Iterable, Value};

use super::error::store_error;
use super::rows::{json, node_row, seq_column, word};
use super::{ROWS_PER_STATEMENT, SqlStore, lease, query};
use crate::entities::{nodes, workflow_traces};

pub(super) async fn record(
    store: &SqlStore,
    run: &RunKey,
    epoch: Epoch,
    batch: &RecordBatch,
) -> Result<(), StoreError> {
    let transaction = store.begin_write().await?;
    let recorded = lease::lock_run(store, &transaction, run, epoch).await?.recorded;
    let new: Vec<&Entry> =
        batch.entries.iter().map(AsRef::as_ref).filter(|entry| entry.seq > recorded).collect();
    let rows: Vec<_> = new.iter().filter_map(|entry| trace_row(run, entry)).collect();
    for part in rows.chunks(ROWS_PER_STATEMENT) {
        workflow_traces::Entity::insert_many(part.to_vec())
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| store_error(&error))?;
    }
    write_nodes(&transaction, run, &new).await?;
    let last_status = new.iter().rev().find_map(|entry| status_of(entry));
    let last_entry = new.last().map_or(Seq::START, |entry| entry.seq);
    let through = recorded.max(batch.through).max(last_entry);
    move_checkpoint(store, &transaction, run, epoch, last_status, through).await?;
    transaction.commit().await.map_err(|error| store_error(&error))
}

fn status_of(entry: &Entry) -> Option<&StatusChange> {
    match &entry.body {
        Body::Status(change) => Some(change),
        _ => None,
    }
}

async fn move_checkpoint(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    run: &RunKey,
    epoch: Epoch,
    status: Option<&StatusChange>,
    through: Seq,
) -> Result<(), StoreError> {
    let mut values: Vec<Value> = vec![
        run.tenant.as_str().into(),
        run.run.as_str().into(),
        i64::from(epoch.0).into(),
        seq_column(through).into(),
    ];
    let mut changes = String::from("recorded_through_seq = $4, last_seq = $4");
    if let Some(StatusChange { run: view, .. }) = status {
        changes.push_str(
            ", status = $5, started_at = $6, finished_at = $7, failure = $8, progress = $9",
        );
        values.push(view.status.as_str().into());
        values.push(view.started_at.map(|time| time.0).into());
        values.push(view.finished_at.map(|time| time.0).into());
        values.push(view.failure.as_ref().map(json).into());
        values.push(json(&view.progress).into());
    }
    let sql =
        format!("UPDATE runs SET {changes} WHERE tenant_id = $1 AND run_id = $2 AND epoch = $3");
    let moved = transaction.execute_raw(store.statement(sql, values)).await;
    match moved.map_err(|error| store_error(&error))?.rows_affected() {
        0 => Err(StoreError::Fenced(epoch)),
        _ => Ok(()),
    }
}

fn trace_row(run: &RunKey, entry: &Entry) -> Option<workflow_traces::ActiveModel> {
    let row = workflow_traces::ActiveModel {
        tenant_id: Set(run.tenant.to_string()),
        run_id: Set(run.run.to_string()),
        sequence: Set(seq_column(entry.seq)),
        node_ref: Set(entry.node_ref().map(ToString::to_string)),
        event_type: Set(None),
        level: Set(None),
        message: Set(None),
        error: Set(None),
        output_summary: Set(None),
        data: Set(None),
        timestamp: Set(None),
        kind: Set(query::STATUS.to_owned()),
        body: Set(String::new()),
    };
    match &entry.body {
        Body::Terminal(_) => None,
        Body::Status(change) => {
            Some(workflow_traces::ActiveModel { body: Set(json(change)), ..row })
        }
        Body::Trace(event) => Some(workflow_traces::ActiveModel {
            kind: Set(query::TRACE.to_owned()),
            event_type: Set(Some(word(&event.kind))),
            level: Set(Some(word(&event.level))),
            message: Set(Some(storable(&event.message))),
            error: Set(event.error.as_ref().map(json)),
            output_summary: Set(event.output_summary.as_deref().map(storable)),
            data: Set(event.data.as_ref().map(json)),
            timestamp: Set(Some(event.timestamp.0)),
            body: Set(json(event)),
            ..row
        }),
    }
}

/// PostgreSQL keeps no NUL in a text; the exact text stands escaped in `body`.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Brings the rows of all nodes that changed to their last state.
async fn write_nodes(
    transaction: &DatabaseTransaction,
    run: &RunKey,
    entries: &[&Entry],
) -> Result<(), StoreError> {
    let mut changed: BTreeMap<&NodeRef, (&NodeView, Option<ProcessIdentity>)> = BTreeMap::new();
    for change in entries.iter().filter_map(|entry| status_of(entry)) {
        let Some(node) = &change.node else { continue };
        let known = changed.get(&node.node_ref).and_then(|(_, process)| *process);
        let running = node.status == NodeStatus::Running;
        let process = change.process.or(known).filter(|_| running);
        changed.insert(&node.node_ref, (node, process));
    }
    // A node that runs and does not tell of its process keeps the one that its row has.
    let (keep, replace): (Vec<_>, Vec<_>) = changed
        .into_values()
        .partition(|(node, process)| node.status == NodeStatus::Running && process.is_none());
    upsert_nodes(transaction, run, &keep, &without_process()).await?;
    upsert_nodes(transaction, run, &replace, &all_but_place()).await
}

fn all_but_place() -> Vec<nodes::Column> {
    use nodes::Column::{NodeRef, Position, RunId, TenantId};
    nodes::Column::iter()
        .filter(|column| !matches!(column, TenantId | RunId | NodeRef | Position))
        .collect()
}

fn without_process() -> Vec<nodes::Column> {
    use nodes::Column::{Pid, ProcessBootId, ProcessGroup, ProcessStartTicks};
    let is_process = |column: &nodes::Column| {
        matches!(column, Pid | ProcessGroup | ProcessStartTicks | ProcessBootId)
    };
    all_but_place().into_iter().filter(|column| !is_process(column)).collect()
}

async fn upsert_nodes(
    transaction: &DatabaseTransaction,
    run: &RunKey,
    changed: &[(&NodeView, Option<ProcessIdentity>)],
    columns: &[nodes::Column],
) -> Result<(), StoreError> {
    // The rows exist since the submission, in their places; a place given here is never written.
    let rows: Vec<_> =
        changed.iter().map(|(node, process)| node_row(run, i32::MAX, node, *process)).collect();
    for part in rows.chunks(ROWS_PER_STATEMENT) {
        let key = [nodes::Column::TenantId, nodes::Column::RunId, nodes::Column::NodeRef];
        let update = OnConflict::columns(key).update_columns(columns.iter().copied()).to_owned();
        nodes::Entity::insert_many(part.to_vec())
            .on_conflict(update)
            .exec_without_returning(transaction)
            .await
            .map_err(|error| store_error(&error))?;
    }
    Ok(())
}
