//! Submission of runs, and what can be changed of them later.

use std::time::Duration;

use runcast_actors::ids::{InstanceId, RunKey, Seq};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{Annotation, Claim, StoreError, StoredRun, Submission, Submitted};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::error::store_error;
use super::rows::{json, node_row};
use super::{ROWS_PER_STATEMENT, SqlStore, query};
use crate::entities::{nodes, run_labels, runs};

pub(super) async fn submit(
    store: &SqlStore,
    submission: &Submission,
) -> Result<Submitted, StoreError> {
    let fingerprint = submission.fingerprint();
    // Most repeats and reused ids are met here, without the write lock.
    if let Some(existing) = compare(store, submission, &fingerprint).await? {
        return Ok(existing);
    }
    if let Some(created) = insert(store, submission, &fingerprint, None).await? {
        return Ok(Submitted::Created(Box::new(created)));
    }
    compare(store, submission, &fingerprint).await?.ok_or_else(|| {
        StoreError::Broken(format!("run {} is neither new nor there", submission.run))
    })
}

pub(super) async fn submit_owned(
    store: &SqlStore,
    submission: &Submission,
    owner: &InstanceId,
    lease: Duration,
) -> Result<Option<Claim>, StoreError> {
    let fingerprint = submission.fingerprint();
    let stored = insert(store, submission, &fingerprint, Some((owner, lease))).await?;
    Ok(stored.map(|stored| Claim {
        run: submission.run.clone(),
        epoch: stored.view.epoch,
        stored,
        recorded_through: Seq::START,
        archived_through: Seq::START,
        cancel_requested: false,
    }))
}

async fn compare(
    store: &SqlStore,
    submission: &Submission,
    fingerprint: &str,
) -> Result<Option<Submitted>, StoreError> {
    let Some((existing, hash)) = query::find_with_hash(store, &submission.run).await? else {
        return Ok(None);
    };
    Ok(Some(if existing.purged {
        Submitted::Gone
    } else if hash == fingerprint {
        Submitted::Existing(Box::new(existing))
    } else {
        Submitted::Conflict
    }))
}

/// Inserts the run with its nodes and labels; none if the id was taken in the meantime.
async fn insert(
    store: &SqlStore,
    submission: &Submission,
    fingerprint: &str,
    owner: Option<(&InstanceId, Duration)>,
) -> Result<Option<StoredRun>, StoreError> {
    let now = Timestamp::now();
    let view = submission.queued_view(now);
    let run = &submission.run;
    let row = runs::ActiveModel {
        tenant_id: Set(run.tenant.to_string()),
        run_id: Set(run.run.to_string()),
        spec: Set(Some(json(&submission.spec))),
        spec_hash: Set(fingerprint.to_owned()),
        workflow_id: Set(view.workflow_id.clone()),
        name: Set(view.name.clone()),
        labels: Set(json(&view.labels)),
        metadata: Set(json(&view.metadata)),
        links: Set(json(&view.links)),
        status: Set(view.status.as_str().to_owned()),
        created_at: Set(view.created_at.0),
        progress: Set(json(&view.progress)),
        failure: NotSet,
        owner: Set(owner.map(|(owner, _)| owner.to_string())),
        lease_until: Set(owner.map(|(_, lease)| now.plus(lease).0)),
        claimed_at: Set(owner.map(|_| now.0)),
        ..Default::default()
    };
    let failed = |error| store_error(&error);
    let transaction = store.begin_write().await?;
    let keep_existing =
        OnConflict::columns([runs::Column::TenantId, runs::Column::RunId]).do_nothing().to_owned();
    let inserted = runs::Entity::insert_many([row])
        .on_conflict(keep_existing)
        .exec_without_returning(&transaction)
        .await;
    match inserted {
        Ok(0) | Err(sea_orm::DbErr::RecordNotInserted) => return Ok(None),
        other => other.map_err(failed)?,
    };
    let node_rows: Vec<_> = (0_i32..)
        .zip(view.nodes.iter().flatten())
        .map(|(position, node)| node_row(run, position, node, None))
        .collect();
    for rows in node_rows.chunks(ROWS_PER_STATEMENT) {
        nodes::Entity::insert_many(rows.to_vec())
            .exec_without_returning(&transaction)
            .await
            .map_err(failed)?;
    }
    let labels: Vec<_> = view
        .labels
        .iter()
        .map(|(name, value)| run_labels::ActiveModel {
            tenant_id: Set(run.tenant.to_string()),
            run_id: Set(run.run.to_string()),
            name: Set(name.clone()),
            value: Set(value.clone()),
        })
        .collect();
    if !labels.is_empty() {
        run_labels::Entity::insert_many(labels)
            .exec_without_returning(&transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Some(StoredRun { view, spec: submission.spec.clone(), purged: false }))
}

pub(super) async fn annotate(
    store: &SqlStore,
    run: &RunKey,
    annotation: &Annotation,
) -> Result<bool, StoreError> {
    let mut update = runs::Entity::update_many()
        .filter(query::is_run(run))
        .filter(runs::Column::PurgedAt.is_null())
        // An empty annotation is a statement too: it tells whether the run is there.
        .col_expr(runs::Column::RunId, Expr::value(run.run.as_str()));
    if let Some(metadata) = &annotation.metadata {
        update = update.col_expr(runs::Column::Metadata, Expr::value(json(metadata)));
    }
    if let Some(links) = &annotation.links {
        update = update.col_expr(runs::Column::Links, Expr::value(json(links)));
    }
    let updated = update.exec(&store.write).await.map_err(|error| store_error(&error))?;
    Ok(updated.rows_affected > 0)
}
