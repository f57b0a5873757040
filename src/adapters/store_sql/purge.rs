//! Forgetting a run: everything but its id, which stays taken.

use runcast_actors::ids::RunKey;
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{Purged, StoreError};
use sea_orm::{ConnectionTrait, Value};

use super::error::store_error;
use super::{SqlStore, query};

pub(super) async fn purge(store: &SqlStore, run: &RunKey) -> Result<Purged, StoreError> {
    let failed = |error| store_error(&error);
    let key: Vec<Value> = vec![run.tenant.as_str().into(), run.run.as_str().into()];
    let mut values = key.clone();
    values.push(Timestamp::now().0.into());
    let forget = "UPDATE runs SET purged_at = $3, spec = NULL, workflow_id = NULL, name = NULL, \
         labels = '{}', metadata = '{}', links = '[]', failure = NULL \
         WHERE tenant_id = $1 AND run_id = $2 AND purged_at IS NULL AND owner IS NULL \
         AND status NOT IN ('QUEUED', 'RUNNING') AND NOT EXISTS ( \
             SELECT 1 FROM workflow_terminal_records \
             WHERE tenant_id = $1 AND run_id = $2 AND state = 'live')";
    let transaction = store.begin_write().await?;
    let forgotten =
        transaction.execute_raw(store.statement(forget, values)).await.map_err(failed)?;
    if forgotten.rows_affected() == 0 {
        transaction.rollback().await.map_err(failed)?;
        return Ok(match query::find(store, run).await? {
            None => Purged::Unknown,
            Some(stored) if stored.purged => Purged::Already,
            Some(_) => Purged::Running,
        });
    }
    let tables =
        ["archive_segments", "workflow_terminal_records", "nodes", "workflow_traces", "run_labels"];
    for table in tables {
        let sql = format!("DELETE FROM {table} WHERE tenant_id = $1 AND run_id = $2");
        transaction.execute_raw(store.statement(sql, key.clone())).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Purged::Done)
}
