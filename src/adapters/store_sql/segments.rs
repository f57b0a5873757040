//! The rows of segments: which object holds which stretch of a stream.

use std::collections::HashSet;

use runcast_actors::ids::{RunKey, Seq, StreamKey};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{ObjectKey, Segment, StoreError};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, Iterable, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::error::store_error;
use super::rows::{seq, seq_column};
use super::rows_of_archive::{object_key, segment, segment_row};
use super::{ROWS_PER_STATEMENT, SqlStore, query};
use crate::entities::{archive_segments, runs, workflow_terminal_records as records};

fn of_stream(run: &RunKey, stream: &StreamKey) -> Condition {
    of_run(run)
        .add(archive_segments::Column::NodeRef.eq(stream.node_ref.as_str()))
        .add(archive_segments::Column::Stream.eq(stream.stream.as_str()))
}

fn of_run(run: &RunKey) -> Condition {
    Condition::all()
        .add(archive_segments::Column::TenantId.eq(run.tenant.as_str()))
        .add(archive_segments::Column::RunId.eq(run.run.as_str()))
}

pub(super) async fn segments(
    store: &SqlStore,
    run: &RunKey,
    stream: Option<&StreamKey>,
    after: Seq,
    limit: u32,
) -> Result<(Seq, Vec<Segment>), StoreError> {
    let failed = |error| store_error(&error);
    let transaction = store.begin_read().await?;
    let through: Option<i64> = runs::Entity::find()
        .select_only()
        .column(runs::Column::ArchivedThroughSeq)
        .filter(query::is_run(run))
        .filter(runs::Column::PurgedAt.is_null())
        .into_tuple()
        .one(&transaction)
        .await
        .map_err(failed)?;
    let Some(through) = through else { return Ok((Seq::START, Vec::new())) };
    let wanted = stream.map_or_else(|| of_run(run), |stream| of_stream(run, stream));
    let rows = archive_segments::Entity::find()
        .filter(wanted)
        .filter(archive_segments::Column::SupersededAt.is_null())
        .filter(archive_segments::Column::LastSeq.gt(seq_column(after)))
        .order_by_asc(archive_segments::Column::FirstSeq)
        .limit(u64::from(limit))
        .all(&transaction)
        .await
        .map_err(failed)?;
    let found = rows.iter().map(segment).collect::<Result<_, _>>()?;
    Ok((seq("archived_through_seq", through)?, found))
}

pub(super) async fn has_objects(store: &SqlStore) -> Result<bool, StoreError> {
    let failed = |error| store_error(&error);
    let segment: Option<String> = archive_segments::Entity::find()
        .select_only()
        .column(archive_segments::Column::Object)
        .limit(1)
        .into_tuple()
        .one(&store.read)
        .await
        .map_err(failed)?;
    if segment.is_some() {
        return Ok(true);
    }
    // Retention forgets the segments before it deletes the objects.
    let recording: Option<String> = records::Entity::find()
        .select_only()
        .column(records::Column::FileUrl)
        .filter(records::Column::FileUrl.is_not_null())
        .limit(1)
        .into_tuple()
        .one(&store.read)
        .await
        .map_err(failed)?;
    Ok(recording.is_some())
}

pub(super) async fn unknown(
    store: &SqlStore,
    objects: &[ObjectKey],
) -> Result<Vec<ObjectKey>, StoreError> {
    let mut known: HashSet<String> = HashSet::new();
    for part in objects.chunks(ROWS_PER_STATEMENT) {
        let names = part.iter().map(ObjectKey::as_str);
        let rows: Vec<String> = archive_segments::Entity::find()
            .select_only()
            .column(archive_segments::Column::Object)
            .filter(archive_segments::Column::Object.is_in(names))
            .into_tuple()
            .all(&store.read)
            .await
            .map_err(|error| store_error(&error))?;
        known.extend(rows);
    }
    Ok(objects.iter().filter(|object| !known.contains(object.as_str())).cloned().collect())
}

/// Inserts segments; their recordings have rows.
pub(super) async fn add(
    transaction: &DatabaseTransaction,
    run: &RunKey,
    segments: &[Segment],
) -> Result<(), StoreError> {
    for part in segments.chunks(ROWS_PER_STATEMENT) {
        let rows = part.iter().map(|segment| segment_row(run, segment));
        archive_segments::Entity::insert_many(rows.collect::<Result<Vec<_>, _>>()?)
            .exec_without_returning(transaction)
            .await
            .map_err(|error| store_error(&error))?;
    }
    Ok(())
}

/// Makes `whole` the only segment of its stream that counts.
pub(super) async fn replace_all(
    transaction: &DatabaseTransaction,
    run: &RunKey,
    whole: &Segment,
) -> Result<(), StoreError> {
    use archive_segments::Column::{Object, SupersededAt};
    let failed = |error| store_error(&error);
    archive_segments::Entity::update_many()
        .col_expr(SupersededAt, Expr::value(Timestamp::now().0))
        .filter(of_stream(run, &whole.stream))
        .filter(Object.ne(whole.object.as_str()))
        .filter(SupersededAt.is_null())
        .exec(transaction)
        .await
        .map_err(failed)?;
    let changes = archive_segments::Column::iter().filter(|column| !matches!(column, Object));
    archive_segments::Entity::insert_many([segment_row(run, whole)?])
        .on_conflict(OnConflict::column(Object).update_columns(changes).to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn superseded(
    store: &SqlStore,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<ObjectKey>, StoreError> {
    let objects: Vec<String> = archive_segments::Entity::find()
        .select_only()
        .column(archive_segments::Column::Object)
        .filter(archive_segments::Column::SupersededAt.lte(before.0))
        .order_by_asc(archive_segments::Column::SupersededAt)
        .order_by_asc(archive_segments::Column::Object)
        .limit(u64::from(limit))
        .into_tuple()
        .all(&store.read)
        .await
        .map_err(|error| store_error(&error))?;
    objects.iter().map(|object| object_key(object)).collect()
}

pub(super) async fn forget_superseded(
    store: &SqlStore,
    objects: &[ObjectKey],
) -> Result<(), StoreError> {
    for part in objects.chunks(ROWS_PER_STATEMENT) {
        let names = part.iter().map(ObjectKey::as_str);
        archive_segments::Entity::delete_many()
            .filter(archive_segments::Column::Object.is_in(names))
            .filter(archive_segments::Column::SupersededAt.is_not_null())
            .exec(&store.write)
            .await
            .map_err(|error| store_error(&error))?;
    }
    Ok(())
}
