//! Rows as the values of the domain, and back.

use runcast_actors::entry::ProcessIdentity;
use runcast_actors::ids::{Epoch, RunKey, Seq};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{StoreError, StoredRun};
use runcast_actors::run_view::{NodeView, RecordingCounts, RunView, TerminalView};
use runcast_actors::submission::purged_spec;
use sea_orm::ActiveValue::Set;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::broken;
use crate::entities::{nodes, runs};

/// A value as JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("values of the domain hold only strings as keys")
}

/// A unit variant by the name it has in events.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    json(value).trim_matches('"').to_owned()
}

/// Reads what [`json`] wrote.
pub(super) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| broken(column, error))
}

/// Reads what [`word`] wrote.
pub(super) fn from_word<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(text.into()).map_err(|error| broken(column, error))
}

/// A number as the database gives it back.
pub(super) fn number<T: TryFrom<i64>>(
    column: &str,
    value: impl Into<i64>,
) -> Result<T, StoreError> {
    let value = value.into();
    T::try_from(value).map_err(|_| broken(column, value))
}

/// A count as the database keeps it.
pub(super) fn big(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A position as the database keeps it.
pub(super) fn seq_column(seq: Seq) -> i64 {
    big(seq.0)
}

/// A position as the database gives it back.
pub(super) fn seq(column: &str, value: i64) -> Result<Seq, StoreError> {
    number(column, value).map(Seq)
}

/// An epoch as the database gives it back.
pub(super) fn epoch(value: i64) -> Result<Epoch, StoreError> {
    number("epoch", value).map(Epoch)
}

/// The key of a row.
pub(super) fn run_key(tenant: &str, run: &str) -> Result<RunKey, StoreError> {
    Ok(RunKey {
        tenant: tenant.parse().map_err(|error| broken("tenant_id", error))?,
        run: run.parse().map_err(|error| broken("run_id", error))?,
    })
}

/// A run without nodes.
pub(super) fn run_view(
    row: &runs::Model,
    recordings: RecordingCounts,
) -> Result<RunView, StoreError> {
    let key = run_key(&row.tenant_id, &row.run_id)?;
    Ok(RunView {
        run_id: key.run,
        tenant: key.tenant,
        workflow_id: row.workflow_id.clone(),
        name: row.name.clone(),
        labels: from_json("labels", &row.labels)?,
        metadata: from_json("metadata", &row.metadata)?,
        links: from_json("links", &row.links)?,
        status: from_word("status", &row.status)?,
        created_at: Timestamp(row.created_at),
        started_at: row.started_at.map(Timestamp),
        finished_at: row.finished_at.map(Timestamp),
        failure: row.failure.as_deref().map(|text| from_json("failure", text)).transpose()?,
        progress: from_json("progress", &row.progress)?,
        last_seq: seq("recorded_through_seq", row.recorded_through_seq)?,
        epoch: epoch(row.epoch)?,
        recordings,
        nodes: None,
    })
}

/// A run with its nodes, which come in the order of the submission.
pub(super) fn stored_run(
    row: &runs::Model,
    node_rows: &[nodes::Model],
    recordings: RecordingCounts,
) -> Result<StoredRun, StoreError> {
    let mut view = run_view(row, recordings)?;
    view.nodes = Some(node_rows.iter().map(node_view).collect::<Result<_, _>>()?);
    let spec = match &row.spec {
        Some(text) => from_json("spec", text)?,
        None => purged_spec(),
    };
    Ok(StoredRun { view, spec, purged: row.purged_at.is_some() })
}

fn node_view(row: &nodes::Model) -> Result<NodeView, StoreError> {
    Ok(NodeView {
        node_ref: row.node_ref.parse().map_err(|error| broken("node_ref", error))?,
        name: row.name.clone(),
        command: from_json("command", &row.command)?,
        status: from_word("status", &row.status)?,
        attempt: number("attempt", row.attempt)?,
        depends_on: from_json("depends_on", &row.depends_on)?,
        runner_kind: from_word("runner_kind", &row.runner_kind)?,
        terminal: TerminalView {
            mode: from_word("terminal_mode", &row.terminal_mode)?,
            cols: number("terminal_cols", row.terminal_cols)?,
            rows: number("terminal_rows", row.terminal_rows)?,
        },
        streams: from_json("streams", &row.streams)?,
        started_at: row.started_at.map(Timestamp),
        finished_at: row.finished_at.map(Timestamp),
        exit_code: row.exit_code,
        signal: row.signal,
        failure: row.failure.as_deref().map(|text| from_json("failure", text)).transpose()?,
        totals: from_json("totals", &row.totals)?,
    })
}

/// The row of a node; `position` is its place in the submission.
pub(super) fn node_row(
    run: &RunKey,
    position: i32,
    node: &NodeView,
    process: Option<ProcessIdentity>,
) -> nodes::ActiveModel {
    nodes::ActiveModel {
        tenant_id: Set(run.tenant.to_string()),
        run_id: Set(run.run.to_string()),
        node_ref: Set(node.node_ref.to_string()),
        position: Set(position),
        name: Set(node.name.clone()),
        command: Set(json(&node.command)),
        status: Set(node.status.as_str().to_owned()),
        attempt: Set(i32::try_from(node.attempt).unwrap_or(i32::MAX)),
        depends_on: Set(json(&node.depends_on)),
        runner_kind: Set(node.runner_kind.as_str().to_owned()),
        terminal_mode: Set(word(&node.terminal.mode)),
        terminal_cols: Set(node.terminal.cols.into()),
        terminal_rows: Set(node.terminal.rows.into()),
        streams: Set(json(&node.streams)),
        started_at: Set(node.started_at.map(|time| time.0)),
        finished_at: Set(node.finished_at.map(|time| time.0)),
        exit_code: Set(node.exit_code),
        signal: Set(node.signal),
        failure: Set(node.failure.as_ref().map(json)),
        totals: Set(json(&node.totals)),
        pid: Set(process.map(|process| process.pid)),
        process_group: Set(process.map(|process| process.pid)),
        process_start_ticks: Set(
            process.map(|process| i64::try_from(process.start_ticks).unwrap_or(i64::MAX))
        ),
        process_boot_id: Set(process.map(|process| process.boot_id.to_string())),
    }
}
