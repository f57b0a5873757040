//! Reading: single runs, lists, history.

use runcast_actors::entry::{Body, Entry, Level};
use runcast_actors::ids::{RunKey, Seq};
use runcast_actors::ports::{RunCursor, RunList, RunQuery, StoreError, StoredRun, TraceQuery};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, Iterable, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
};

use super::error::{broken, store_error};
use super::rows::{from_json, run_view, seq, seq_column, stored_run, word};
use super::{SqlStore, recordings};
use crate::entities::{nodes, run_labels, runs, workflow_traces};

/// `kind` of a `status` entry.
pub(super) const STATUS: &str = "status";
/// `kind` of a `trace` entry.
pub(super) const TRACE: &str = "trace";
/// The most rows one call gives back.
const MAX_ROWS: u32 = 1000;

/// The row of this run.
pub(super) fn is_run(run: &RunKey) -> Condition {
    Condition::all()
        .add(runs::Column::TenantId.eq(run.tenant.as_str()))
        .add(runs::Column::RunId.eq(run.run.as_str()))
}

pub(super) async fn find(store: &SqlStore, run: &RunKey) -> Result<Option<StoredRun>, StoreError> {
    Ok(find_with_hash(store, run).await?.map(|(stored, _)| stored))
}

/// The run and the fingerprint of what was submitted.
pub(super) async fn find_with_hash(
    store: &SqlStore,
    run: &RunKey,
) -> Result<Option<(StoredRun, String)>, StoreError> {
    let transaction = store.begin_read().await?;
    let row = runs::Entity::find().filter(is_run(run)).one(&transaction).await;
    let Some(row) = row.map_err(|error| store_error(&error))? else { return Ok(None) };
    let stored = with_nodes(&transaction, &row).await?;
    Ok(Some((stored, row.spec_hash)))
}

/// The run of this row with its nodes.
pub(super) async fn with_nodes<C: ConnectionTrait>(
    connection: &C,
    row: &runs::Model,
) -> Result<StoredRun, StoreError> {
    let node_rows = nodes::Entity::find()
        .filter(nodes::Column::TenantId.eq(row.tenant_id.as_str()))
        .filter(nodes::Column::RunId.eq(row.run_id.as_str()))
        .order_by_asc(nodes::Column::Position)
        .all(connection)
        .await
        .map_err(|error| store_error(&error))?;
    let run = row.run_id.as_str();
    let counted = recordings::counts(connection, &row.tenant_id, [run]).await?;
    stored_run(row, &node_rows, counted.get(run).copied().unwrap_or_default())
}

pub(super) async fn list(store: &SqlStore, query: &RunQuery) -> Result<RunList, StoreError> {
    let limit = query.limit.clamp(1, MAX_ROWS);
    // The document is the large part of a row, and nobody asked for it.
    let columns = runs::Column::iter().filter(|column| !matches!(column, runs::Column::Spec));
    let mut rows = runs::Entity::find()
        .select_only()
        .columns(columns)
        .expr_as(Expr::cust("NULL"), "spec")
        .filter(runs::Column::TenantId.eq(query.tenant.as_str()))
        .filter(runs::Column::PurgedAt.is_null());
    if !query.status.is_empty() {
        let statuses = query.status.iter().map(|status| status.as_str());
        rows = rows.filter(runs::Column::Status.is_in(statuses));
    }
    if let Some(workflow_id) = &query.workflow_id {
        rows = rows.filter(runs::Column::WorkflowId.eq(workflow_id.as_str()));
    }
    if let Some(run_id) = &query.run_id {
        rows = rows.filter(runs::Column::RunId.eq(run_id.as_str()));
    }
    for (name, value) in &query.labels {
        rows = rows.filter(has_label(query, name, value));
    }
    if let Some(cursor) = &query.cursor {
        let same_time = Condition::all()
            .add(runs::Column::CreatedAt.eq(cursor.created_at.0))
            .add(runs::Column::RunId.lt(cursor.run_id.as_str()));
        rows = rows.filter(
            Condition::any().add(runs::Column::CreatedAt.lt(cursor.created_at.0)).add(same_time),
        );
    }
    let found = rows
        .order_by_desc(runs::Column::CreatedAt)
        .order_by_desc(runs::Column::RunId)
        .limit(u64::from(limit) + 1)
        .all(&store.read)
        .await
        .map_err(|error| store_error(&error))?;
    let page_len = found.len().min(limit as usize);
    let page = &found[..page_len];
    let keys = page.iter().map(|row| row.run_id.as_str());
    let counted = recordings::counts(&store.read, query.tenant.as_str(), keys).await?;
    let recordings_of = |row: &runs::Model| counted.get(&row.run_id).copied().unwrap_or_default();
    let runs =
        page.iter().map(|row| run_view(row, recordings_of(row))).collect::<Result<Vec<_>, _>>()?;
    let next = (found.len() > page_len)
        .then(|| runs.last())
        .flatten()
        .map(|run| RunCursor { created_at: run.created_at, run_id: run.run_id.clone() });
    Ok(RunList { runs, next })
}

fn has_label(query: &RunQuery, name: &str, value: &str) -> SimpleExpr {
    let labelled = run_labels::Entity::find()
        .select_only()
        .column(run_labels::Column::RunId)
        .filter(run_labels::Column::TenantId.eq(query.tenant.as_str()))
        .filter(run_labels::Column::Name.eq(name))
        .filter(run_labels::Column::Value.eq(value));
    runs::Column::RunId.in_subquery(labelled.into_query())
}

pub(super) async fn history(
    store: &SqlStore,
    run: &RunKey,
    after: Seq,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    entries(store, entries_after(run, after), limit).await
}

pub(super) async fn traces(
    store: &SqlStore,
    run: &RunKey,
    query: &TraceQuery,
) -> Result<Vec<Entry>, StoreError> {
    let mut rows = entries_after(run, query.after).filter(workflow_traces::Column::Kind.eq(TRACE));
    if let Some(min_level) = query.min_level {
        let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
        let levels = levels.into_iter().filter(|level| *level >= min_level);
        rows = rows.filter(workflow_traces::Column::Level.is_in(levels.map(|level| word(&level))));
    }
    if let Some(kind) = query.kind {
        rows = rows.filter(workflow_traces::Column::EventType.eq(word(&kind)));
    }
    if let Some(node_ref) = &query.node_ref {
        rows = rows.filter(workflow_traces::Column::NodeRef.eq(node_ref.as_str()));
    }
    entries(store, rows, query.limit).await
}

fn entries_after(run: &RunKey, after: Seq) -> Select<workflow_traces::Entity> {
    workflow_traces::Entity::find()
        .filter(workflow_traces::Column::TenantId.eq(run.tenant.as_str()))
        .filter(workflow_traces::Column::RunId.eq(run.run.as_str()))
        .filter(workflow_traces::Column::Sequence.gt(seq_column(after)))
}

async fn entries(
    store: &SqlStore,
    rows: Select<workflow_traces::Entity>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let found: Vec<(i64, String, String)> = rows
        .select_only()
        .column(workflow_traces::Column::Sequence)
        .column(workflow_traces::Column::Kind)
        .column(workflow_traces::Column::Body)
        .order_by_asc(workflow_traces::Column::Sequence)
        .limit(u64::from(limit.clamp(1, MAX_ROWS)))
        .into_tuple()
        .all(&store.read)
        .await
        .map_err(|error| store_error(&error))?;
    found
        .into_iter()
        .map(|(sequence, kind, body)| {
            let body = match kind.as_str() {
                STATUS => Body::Status(from_json("body", &body)?),
                TRACE => Body::Trace(from_json("body", &body)?),
                other => return Err(broken("kind", other)),
            };
            Ok(Entry { seq: seq("sequence", sequence)?, body })
        })
        .collect()
}
