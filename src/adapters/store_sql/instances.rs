//! Which instances share the database, by its own clock.

use std::time::Duration;

use runcast_actors::ids::InstanceId;
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{Instance, SeenInstance, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};

use super::SqlStore;
use super::error::{broken, store_error};

/// A row that nobody has renewed for so long is of an instance that will not come back.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(7 * 24);

/// Now, in microseconds since 1970.
pub(super) fn now(store: &SqlStore) -> &'static str {
    match store.write.get_database_backend() {
        DbBackend::Postgres => {
            "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)"
        }
        _ => "CAST((julianday('now') - 2440587.5) * 86400000000 AS bigint)",
    }
}

pub(super) async fn enter(store: &SqlStore, me: &Instance) -> Result<(), StoreError> {
    let forgotten = i64::try_from(FORGOTTEN_AFTER.as_micros()).unwrap_or(i64::MAX);
    let sql = format!("DELETE FROM instances WHERE seen_at < {} - $1", now(store));
    execute(store, &sql, vec![forgotten.into()]).await?;
    put(store, me, "excluded.started_at").await
}

pub(super) async fn announce(store: &SqlStore, me: &Instance) -> Result<(), StoreError> {
    put(store, me, "instances.started_at").await
}

async fn put(store: &SqlStore, me: &Instance, started_at: &str) -> Result<(), StoreError> {
    let now = now(store);
    let sql = format!(
        "INSERT INTO instances (id, name, role, url, has_replica, started_at, seen_at) \
         VALUES ($1, $2, $3, $4, $5, {now}, {now}) ON CONFLICT (id) DO UPDATE SET \
         name = excluded.name, role = excluded.role, url = excluded.url, \
         has_replica = excluded.has_replica, started_at = {started_at}, seen_at = excluded.seen_at"
    );
    let values: Vec<Value> = vec![
        me.id.as_str().into(),
        me.name.clone().into(),
        me.role.as_str().into(),
        me.url.as_str().into(),
        me.has_replica.into(),
    ];
    execute(store, &sql, values).await
}

pub(super) async fn instances(store: &SqlStore) -> Result<Vec<SeenInstance>, StoreError> {
    let sql = format!(
        "SELECT id, name, role, url, has_replica, started_at, seen_at, {} AS now \
         FROM instances ORDER BY started_at, id",
        now(store)
    );
    let rows = store.read.query_all_raw(store.statement(sql, Vec::new())).await;
    rows.map_err(|error| store_error(&error))?.iter().map(seen).collect()
}

fn seen(row: &QueryResult) -> Result<SeenInstance, StoreError> {
    let failed = |error| store_error(&error);
    let text = |name| row.try_get::<String>("", name).map_err(failed);
    let time = |name| row.try_get::<i64>("", name).map_err(failed);
    let id: String = text("id")?;
    let instance = Instance {
        id: id.parse().map_err(|error| broken("id", error))?,
        name: row.try_get("", "name").map_err(failed)?,
        role: text("role")?,
        url: text("url")?,
        has_replica: row.try_get("", "has_replica").map_err(failed)?,
    };
    let seen_at = time("seen_at")?;
    Ok(SeenInstance {
        instance,
        started_at: Timestamp(time("started_at")?),
        seen_at: Timestamp(seen_at),
        unseen_for: Duration::from_micros(u64::try_from(time("now")? - seen_at).unwrap_or(0)),
    })
}

pub(super) async fn leave(store: &SqlStore, me: &InstanceId) -> Result<(), StoreError> {
    execute(store, "DELETE FROM instances WHERE id = $1", vec![me.as_str().into()]).await
}

async fn execute(store: &SqlStore, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
    let done = store.write.execute_raw(store.statement(sql, values)).await;
    done.map(drop).map_err(|error| store_error(&error))
}
