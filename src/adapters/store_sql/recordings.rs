//! The rows of recordings. Every write of an owner locks the row of the run first, so that a fenced owner
//! changes nothing.

use std::collections::HashMap;

use runcast_actors::ids::{Epoch, RunKey, StreamKey};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{
    ArchiveBatch, EncoderStates, IncompleteReason, Recording, RecordingState, Segment, StoreError,
};
use runcast_actors::run_view::{RecordingCounts, RunStatus};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, Iterable, QueryFilter,
    QuerySelect, Select, Value,
};

use super::error::{broken, store_error};
use super::rows::{run_key, seq_column};
use super::rows_of_archive::{recording as recording_of, recording_row, stream_key};
use super::{ROWS_PER_STATEMENT, SqlStore, lease, segments};
use crate::entities::workflow_terminal_records as records;

fn of_run(run: &RunKey) -> Select<records::Entity> {
    records::Entity::find()
        .filter(records::Column::TenantId.eq(run.tenant.as_str()))
        .filter(records::Column::RunId.eq(run.run.as_str()))
}

fn of_stream(run: &RunKey, stream: &StreamKey) -> Select<records::Entity> {
    of_run(run)
        .filter(records::Column::NodeRef.eq(stream.node_ref.as_str()))
        .filter(records::Column::Stream.eq(stream.stream.as_str()))
}

pub(super) async fn recordings(
    store: &SqlStore,
    run: &RunKey,
) -> Result<Vec<Recording>, StoreError> {
    use records::Column::EncoderState;
    let listed = records::Column::iter().filter(|column| !matches!(column, EncoderState));
    let rows = of_run(run)
        .select_only()
        .columns(listed)
        // The row has every column, and databases want to know of which type nothing is.
        .column_as(Expr::cust("CAST(NULL AS text)"), EncoderState)
        .all(&store.read)
        .await
        .map_err(|error| store_error(&error))?;
    let mut found = rows.iter().map(recording_of).collect::<Result<Vec<_>, _>>()?;
    // Here and not there: databases order texts by their locale.
    found.sort_by(|left, right| left.stream.cmp(&right.stream));
    Ok(found)
}

pub(super) async fn encoder_states(
    store: &SqlStore,
    run: &RunKey,
) -> Result<EncoderStates, StoreError> {
    use records::Column::{EncoderState, NodeRef, Stream};
    let rows: Vec<(String, String, String)> = of_run(run)
        .filter(EncoderState.is_not_null())
        .select_only()
        .columns([NodeRef, Stream, EncoderState])
        .into_tuple()
        .all(&store.read)
        .await
        .map_err(|error| store_error(&error))?;
    let keyed = |(node_ref, stream, state): (String, String, String)| {
        Ok((stream_key(&node_ref, &stream)?, state))
    };
    rows.into_iter().map(keyed).collect()
}

pub(super) async fn recording(
    store: &SqlStore,
    run: &RunKey,
    stream: &StreamKey,
) -> Result<Option<Recording>, StoreError> {
    let row = of_stream(run, stream).one(&store.read).await;
    row.map_err(|error| store_error(&error))?.as_ref().map(recording_of).transpose()
}

pub(super) async fn archive(
    store: &SqlStore,
    run: &RunKey,
    epoch: Epoch,
    batch: &ArchiveBatch,
) -> Result<(), StoreError> {
    let failed = |error| store_error(&error);
    let transaction = store.begin_write().await?;
    let checkpoints = lease::lock_run(store, &transaction, run, epoch).await?;
    if batch.through <= checkpoints.archived {
        return Ok(());
    }
    write(&transaction, run, &batch.recordings).await?;
    segments::add(&transaction, run, &batch.segments).await?;
    let sql = "UPDATE runs SET archived_through_seq = $4 \
         WHERE tenant_id = $1 AND run_id = $2 AND epoch = $3";
    let values: Vec<Value> = vec![
        run.tenant.as_str().into(),
        run.run.as_str().into(),
        i64::from(epoch.0).into(),
        seq_column(batch.through).into(),
    ];
    transaction.execute_raw(store.statement(sql, values)).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

pub(super) async fn finalise(
    store: &SqlStore,
    run: &RunKey,
    epoch: Epoch,
    recording: &Recording,
    whole: Option<&Segment>,
) -> Result<(), StoreError> {
    let failed = |error| store_error(&error);
    let transaction = store.begin_write().await?;
    lease::lock_run(store, &transaction, run, epoch).await?;
    let expired = of_stream(run, &recording.stream)
        .filter(records::Column::PurgedAt.is_not_null())
        .one(&transaction)
        .await;
    if expired.map_err(failed)?.is_some() {
        return Ok(());
    }
    write(&transaction, run, std::slice::from_ref(recording)).await?;
    if let Some(whole) = whole {
        segments::replace_all(&transaction, run, whole).await?;
    }
    transaction.commit().await.map_err(failed)
}

/// Inserts recordings or brings their rows to what they are now. A row keeps its id, its beginning and
/// whether retention was there.
async fn write(
    transaction: &DatabaseTransaction,
    run: &RunKey,
    recordings: &[Recording],
) -> Result<(), StoreError> {
    use records::Column::{CreatedAt, Id, NodeRef, PurgedAt, RunId, Stream, TenantId};
    let key = [TenantId, RunId, NodeRef, Stream];
    let stays = |column: &records::Column| {
        matches!(column, Id | CreatedAt | PurgedAt | TenantId | RunId | NodeRef | Stream)
    };
    let changes = || records::Column::iter().filter(|column| !stays(column));
    for part in recordings.chunks(ROWS_PER_STATEMENT) {
        let rows = part.iter().map(|recording| recording_row(run, recording));
        records::Entity::insert_many(rows)
            .on_conflict(OnConflict::columns(key).update_columns(changes()).to_owned())
            .exec_without_returning(transaction)
            .await
            .map_err(|error| store_error(&error))?;
    }
    Ok(())
}

/// How the recordings of some runs of a tenant stand; a run without recordings is not in it.
pub(super) async fn counts<C: ConnectionTrait>(
    connection: &C,
    tenant: &str,
    runs: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, RecordingCounts>, StoreError> {
    let counted: Vec<(String, String, i64)> = records::Entity::find()
        .select_only()
        .columns([records::Column::RunId, records::Column::State])
        .column_as(records::Column::Id.count(), "recordings")
        .filter(records::Column::TenantId.eq(tenant))
        .filter(records::Column::RunId.is_in(runs))
        .group_by(records::Column::RunId)
        .group_by(records::Column::State)
        .into_tuple()
        .all(connection)
        .await
        .map_err(|error| store_error(&error))?;
    let mut of_runs: HashMap<String, RecordingCounts> = HashMap::new();
    for (run, state, count) in counted {
        let counts = of_runs.entry(run).or_default();
        let place = match state.as_str() {
            "live" => &mut counts.live,
            "complete" => &mut counts.complete,
            "incomplete" => &mut counts.incomplete,
            other => return Err(broken("state", other)),
        };
        *place = u32::try_from(count).unwrap_or(u32::MAX);
    }
    Ok(of_runs)
}

pub(super) async fn expired(
    store: &SqlStore,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<RunKey>, StoreError> {
    let failed = |error| store_error(&error);
    let sql = "SELECT kept.tenant_id AS tenant_id, kept.run_id AS run_id \
         FROM workflow_terminal_records kept \
         JOIN runs ON runs.tenant_id = kept.tenant_id AND runs.run_id = kept.run_id \
         WHERE (kept.purged_at IS NULL OR kept.file_url IS NOT NULL) AND kept.completed_at <= $1 \
         AND runs.owner IS NULL AND runs.status NOT IN ($2, $3) \
         AND NOT EXISTS (SELECT 1 FROM workflow_terminal_records other \
             WHERE other.tenant_id = kept.tenant_id AND other.run_id = kept.run_id \
             AND (other.state = $4 OR other.completed_at IS NULL OR other.completed_at > $1)) \
         GROUP BY kept.tenant_id, kept.run_id \
         ORDER BY MIN(kept.completed_at), kept.tenant_id, kept.run_id LIMIT $5";
    let values: Vec<Value> = vec![
        before.0.into(),
        RunStatus::Queued.as_str().into(),
        RunStatus::Running.as_str().into(),
        RecordingState::Live.as_str().into(),
        i64::from(limit).into(),
    ];
    let rows = store.read.query_all_raw(store.statement(sql, values)).await.map_err(failed)?;
    let key = |row: &sea_orm::QueryResult| {
        let column = |name| row.try_get::<String>("", name).map_err(failed);
        run_key(&column("tenant_id")?, &column("run_id")?)
    };
    rows.iter().map(key).collect()
}

pub(super) async fn expire(store: &SqlStore, run: &RunKey) -> Result<(), StoreError> {
    let failed = |error| store_error(&error);
    let key: Vec<Value> = vec![run.tenant.as_str().into(), run.run.as_str().into()];
    let forget = "DELETE FROM archive_segments WHERE tenant_id = $1 AND run_id = $2";
    let note = "UPDATE workflow_terminal_records SET purged_at = $3 \
         WHERE tenant_id = $1 AND run_id = $2 AND purged_at IS NULL";
    let transaction = store.begin_write().await?;
    transaction.execute_raw(store.statement(forget, key.clone())).await.map_err(failed)?;
    let values = key.into_iter().chain([Timestamp::now().0.into()]).collect();
    transaction.execute_raw(store.statement(note, values)).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

pub(super) async fn forget_objects(store: &SqlStore, run: &RunKey) -> Result<(), StoreError> {
    let sql = "UPDATE workflow_terminal_records SET file_url = NULL \
         WHERE tenant_id = $1 AND run_id = $2 AND purged_at IS NOT NULL";
    let key: Vec<Value> = vec![run.tenant.as_str().into(), run.run.as_str().into()];
    let forgotten = store.write.execute_raw(store.statement(sql, key)).await;
    forgotten.map(|_| ()).map_err(|error| store_error(&error))
}

pub(super) async fn mark_damaged(
    store: &SqlStore,
    run: &RunKey,
    stream: &StreamKey,
) -> Result<(), StoreError> {
    let sql = "UPDATE workflow_terminal_records SET state = $5, reason = $6, updated_at = $7 \
         WHERE tenant_id = $1 AND run_id = $2 AND node_ref = $3 AND stream = $4 \
         AND state = $8 AND purged_at IS NULL";
    let values: Vec<Value> = vec![
        run.tenant.as_str().into(),
        run.run.as_str().into(),
        stream.node_ref.as_str().into(),
        stream.stream.as_str().into(),
        RecordingState::Incomplete.as_str().into(),
        IncompleteReason::Archive.as_str().into(),
        Timestamp::now().0.into(),
        RecordingState::Complete.as_str().into(),
    ];
    let marked = store.write.execute_raw(store.statement(sql, values)).await;
    marked.map(|_| ()).map_err(|error| store_error(&error))
}
