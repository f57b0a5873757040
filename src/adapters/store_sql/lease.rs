//! Who owns a run: claim, renewal, takeover, release, and the wish to cancel that the owner must meet.
//!
//! Each change is one conditional UPDATE, so that two instances never both succeed. A run is handed out as new
//! only once (`claimed_at`): whoever comes later takes over and raises the epoch, so that no `seq` is used twice.

use std::collections::HashSet;
use std::time::Duration;

use runcast_actors::ids::{Epoch, InstanceId, RunKey, Seq};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{CancelRequest, Claim, Lease, Seen, StoreError};
use runcast_actors::run_view::RunStatus;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult,
    QueryFilter, QueryResult, QuerySelect, Value,
};

use super::error::{broken, store_error};
use super::rows::{epoch, run_key, seq};
use super::{ROWS_PER_STATEMENT, SqlStore, query};
use crate::entities::runs;

/// When a lock is given back, all who wait for it go on at once: an owner that could not renew its lease would
/// race with who takes its run over.
const SHORT_LOCK_WAIT: &str = "SET LOCAL lock_timeout = '20ms'";

fn unfinished() -> [&'static str; 2] {
    [RunStatus::Queued.as_str(), RunStatus::Running.as_str()]
}

fn run_row(row: &QueryResult) -> Result<runs::Model, StoreError> {
    runs::Model::from_query_result(row, "").map_err(|error| store_error(&error))
}

fn claim_of(
    row: &runs::Model,
    stored: runcast_actors::ports::StoredRun,
) -> Result<Claim, StoreError> {
    Ok(Claim {
        run: run_key(&row.tenant_id, &row.run_id)?,
        epoch: epoch(row.epoch)?,
        stored,
        recorded_through: seq("recorded_through_seq", row.recorded_through_seq)?,
        archived_through: seq("archived_through_seq", row.archived_through_seq)?,
        cancel_requested: row.cancel_requested_at.is_some(),
    })
}

/// Up to where the rows and the archive of a run are.
pub(super) struct Checkpoints {
    /// Status and trace entries up to here have rows.
    pub(super) recorded: Seq,
    /// Chunks up to here are archived.
    pub(super) archived: Seq,
}

/// Locks the row of a run for its owner, until the transaction ends. That is a sign of life as good as a renewal,
/// which leaves out rows that are locked: who watches the lease sees it changed.
pub(super) async fn lock_run(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    run: &RunKey,
    epoch: Epoch,
) -> Result<Checkpoints, StoreError> {
    let failed = |error| store_error(&error);
    let sql = "UPDATE runs SET lease_until = lease_until + 1 \
         WHERE tenant_id = $1 AND run_id = $2 AND epoch = $3 \
         AND purged_at IS NULL RETURNING recorded_through_seq, archived_through_seq";
    let values: Vec<Value> =
        vec![run.tenant.as_str().into(), run.run.as_str().into(), i64::from(epoch.0).into()];
    let row = transaction.query_one_raw(store.statement(sql, values)).await.map_err(failed)?;
    let row = row.ok_or(StoreError::Fenced(epoch))?;
    let column = |name: &str| seq(name, row.try_get("", name).map_err(failed)?);
    Ok(Checkpoints {
        recorded: column("recorded_through_seq")?,
        archived: column("archived_through_seq")?,
    })
}

/// Which queued runs are claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    Any,
    /// Only those that somebody wants to end.
    Cancelled,
}

pub(super) async fn claim(
    store: &SqlStore,
    owner: &InstanceId,
    lease: Duration,
    limit: u32,
    queued: Queued,
) -> Result<Vec<Claim>, StoreError> {
    let failed = |error| store_error(&error);
    let now = Timestamp::now();
    let skip_locked = match store.write.get_database_backend() {
        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
        _ => "",
    };
    let wanted = match queued {
        Queued::Any => "",
        Queued::Cancelled => "AND cancel_requested_at IS NOT NULL",
    };
    // Materialized: PostgreSQL may run a plain subquery again for each row, and then its limit is none.
    let sql = format!(
        "WITH queued AS MATERIALIZED ( \
             SELECT tenant_id, run_id FROM runs \
             WHERE status = 'QUEUED' AND owner IS NULL AND claimed_at IS NULL AND purged_at IS NULL \
             {wanted} ORDER BY cancel_requested_at IS NULL, created_at, run_id LIMIT $4 {skip_locked}) \
         UPDATE runs SET owner = $1, lease_until = $2, claimed_at = $3 \
         WHERE owner IS NULL AND claimed_at IS NULL \
         AND (tenant_id, run_id) IN (SELECT tenant_id, run_id FROM queued) RETURNING *"
    );
    let values: Vec<Value> = vec![
        owner.as_str().into(),
        now.plus(lease).0.into(),
        now.0.into(),
        i64::from(limit).into(),
    ];
    // With its nodes in one transaction: a claim that could not be told was not made.
    let transaction = store.begin_write().await?;
    let claimed = transaction.query_all_raw(store.statement(sql, values)).await.map_err(failed)?;
    let mut rows = claimed.iter().map(run_row).collect::<Result<Vec<_>, _>>()?;
    rows.sort_by(|left, right| {
        (left.created_at, &left.run_id).cmp(&(right.created_at, &right.run_id))
    });
    let mut claims = Vec::with_capacity(rows.len());
    for row in &rows {
        claims.push(claim_of(row, query::with_nodes(&transaction, row).await?)?);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(claims)
}

/// Renews what nobody has locked at this moment: only the owner writes there, and its writes renew it, too. One
/// statement that waited for some rows would keep all others locked.
pub(super) async fn renew(
    store: &SqlStore,
    owner: &InstanceId,
    lease: Duration,
    runs: &[(RunKey, Epoch)],
) -> Result<Vec<RunKey>, StoreError> {
    let failed = |error| store_error(&error);
    let until = Timestamp::now().plus(lease).0;
    let mut held = HashSet::new();
    for part in runs.chunks(ROWS_PER_STATEMENT) {
        let mut values: Vec<Value> = vec![until.into(), owner.as_str().into()];
        let mut keys = Vec::with_capacity(part.len());
        for (run, epoch) in part {
            let first = values.len() + 1;
            keys.push(format!("(${first}, ${}, ${})", first + 1, first + 2));
            values.push(run.tenant.as_str().into());
            values.push(run.run.as_str().into());
            values.push(i64::from(epoch.0).into());
        }
        let ours =
            format!("owner = $2 AND (tenant_id, run_id, epoch) IN (VALUES {})", keys.join(", "));
        let sql = match store.leases.get_database_backend() {
            DbBackend::Postgres => format!(
                "WITH free AS MATERIALIZED ( \
                     SELECT tenant_id, run_id FROM runs WHERE {ours} FOR UPDATE SKIP LOCKED), \
                 renewed AS (UPDATE runs SET lease_until = $1 FROM free \
                     WHERE runs.tenant_id = free.tenant_id AND runs.run_id = free.run_id) \
                 SELECT tenant_id, run_id FROM runs WHERE {ours}"
            ),
            _ => {
                format!("UPDATE runs SET lease_until = $1 WHERE {ours} RETURNING tenant_id, run_id")
            }
        };
        let renewed = store.leases.query_all_raw(store.statement(sql, values)).await;
        for row in renewed.map_err(failed)? {
            let column = |name| row.try_get::<String>("", name).map_err(failed);
            held.insert(run_key(&column("tenant_id")?, &column("run_id")?)?);
        }
    }
    Ok(runs.iter().map(|(run, _)| run).filter(|run| !held.contains(*run)).cloned().collect())
}

pub(super) async fn leases(store: &SqlStore) -> Result<Vec<Lease>, StoreError> {
    let failed = |error| store_error(&error);
    // In two parts, each with an index that holds only its few rows.
    let sql = "SELECT tenant_id, run_id, owner, epoch, lease_until FROM runs \
         WHERE owner IS NOT NULL OR (status IN ($1, $2) AND claimed_at IS NOT NULL) \
         UNION ALL \
         SELECT tenant_id, run_id, owner, epoch, lease_until FROM runs \
         WHERE owner IS NULL AND status NOT IN ($1, $2) AND (tenant_id, run_id) IN ( \
             SELECT tenant_id, run_id FROM workflow_terminal_records WHERE state = 'live')";
    let values: Vec<Value> = unfinished().into_iter().map(Value::from).collect();
    let rows = store.read.query_all_raw(store.statement(sql, values)).await.map_err(failed)?;
    let lease = |row: &QueryResult| {
        let text = |name| row.try_get::<String>("", name).map_err(failed);
        let owner: Option<String> = row.try_get("", "owner").map_err(failed)?;
        let lease_until: Option<i64> = row.try_get("", "lease_until").map_err(failed)?;
        Ok(Lease {
            run: run_key(&text("tenant_id")?, &text("run_id")?)?,
            owner: owner
                .map(|name| name.parse().map_err(|error| broken("owner", error)))
                .transpose()?,
            epoch: epoch(row.try_get("", "epoch").map_err(failed)?)?,
            lease_until: lease_until.unwrap_or(0),
        })
    };
    rows.iter().map(lease).collect()
}

pub(super) async fn take_over(
    store: &SqlStore,
    run: &RunKey,
    seen: Seen,
    owner: &InstanceId,
    lease: Duration,
) -> Result<Option<Claim>, StoreError> {
    if seen.epoch >= Epoch::MAX {
        return Err(broken("epoch", format!("{} has no next one", seen.epoch)));
    }
    let failed = |error| store_error(&error);
    let now = Timestamp::now();
    let sql = "UPDATE runs SET epoch = $7, owner = $1, lease_until = $2, \
         claimed_at = COALESCE(claimed_at, $3) \
         WHERE tenant_id = $4 AND run_id = $5 AND purged_at IS NULL \
         AND ((epoch = $6 AND COALESCE(lease_until, 0) = COALESCE($8, lease_until, 0)) \
             OR (epoch = $7 AND owner = $1)) \
         RETURNING *";
    let values: Vec<Value> = vec![
        owner.as_str().into(),
        now.plus(lease).0.into(),
        now.0.into(),
        run.tenant.as_str().into(),
        run.run.as_str().into(),
        i64::from(seen.epoch.0).into(),
        i64::from(seen.epoch.next().0).into(),
        seen.lease_until.into(),
    ];
    let transaction = store.begin_write().await?;
    if store.write.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(SHORT_LOCK_WAIT).await.map_err(failed)?;
    }
    let taken = transaction.query_one_raw(store.statement(sql, values)).await.map_err(failed)?;
    let Some(row) = taken else { return Ok(None) };
    let row = run_row(&row)?;
    let claim = claim_of(&row, query::with_nodes(&transaction, &row).await?)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Some(claim))
}

pub(super) async fn release(
    store: &SqlStore,
    run: &RunKey,
    epoch: Epoch,
) -> Result<(), StoreError> {
    let sql = "UPDATE runs SET owner = NULL, lease_until = NULL \
         WHERE tenant_id = $1 AND run_id = $2 AND epoch = $3";
    let values: Vec<Value> =
        vec![run.tenant.as_str().into(), run.run.as_str().into(), i64::from(epoch.0).into()];
    let released = store.write.execute_raw(store.statement(sql, values)).await;
    match released.map_err(|error| store_error(&error))?.rows_affected() {
        0 => Err(StoreError::Fenced(epoch)),
        _ => Ok(()),
    }
}

pub(super) async fn request_cancel(
    store: &SqlStore,
    run: &RunKey,
) -> Result<CancelRequest, StoreError> {
    let failed = |error| store_error(&error);
    let sql = "UPDATE runs SET cancel_requested_at = COALESCE(cancel_requested_at, $1) \
         WHERE tenant_id = $2 AND run_id = $3 AND status IN ($4, $5) RETURNING owner";
    let [queued, running] = unfinished();
    let values: Vec<Value> = vec![
        Timestamp::now().0.into(),
        run.tenant.as_str().into(),
        run.run.as_str().into(),
        queued.into(),
        running.into(),
    ];
    let noted = store.write.query_one_raw(store.statement(sql, values)).await.map_err(failed)?;
    if let Some(row) = noted {
        let owner: Option<String> = row.try_get("", "owner").map_err(failed)?;
        let owner = owner.map(|name| name.parse().map_err(|error| broken("owner", error)));
        return Ok(CancelRequest::Noted(owner.transpose()?));
    }
    let ended = query::find(store, run).await?;
    Ok(ended.map_or(CancelRequest::Unknown, |stored| CancelRequest::Finished(stored.view.status)))
}

pub(super) async fn cancel_requests(
    store: &SqlStore,
    owner: &InstanceId,
) -> Result<Vec<RunKey>, StoreError> {
    let rows: Vec<(String, String)> = runs::Entity::find()
        .select_only()
        .columns([runs::Column::TenantId, runs::Column::RunId])
        .filter(runs::Column::Owner.eq(owner.as_str()))
        .filter(runs::Column::Status.is_in(unfinished()))
        .filter(runs::Column::CancelRequestedAt.is_not_null())
        .into_tuple()
        .all(&store.read)
        .await
        .map_err(|error| store_error(&error))?;
    rows.iter().map(|(tenant, run)| run_key(tenant, run)).collect()
}
