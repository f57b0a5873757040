//! The rows of interactive terminals.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::{InstanceId, TenantId};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{SessionClaim, SessionQuery, SessionRow, StoreError, StoredScreen};
use runcast_actors::sessions::{EndReason, SessionId, SessionState, SessionView};
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use serde::{Deserialize, Serialize};

use super::SqlStore;
use super::error::{broken, store_error};
use super::instances::now;
use super::rows::{from_json, from_word, json, number};

/// Everything but the screen.
const COLUMNS: &str = "id, tenant_id, project_id, user_id, type, tab_name, state, active, reason, \
     current_path, pid, cols, rows, instance, metadata, created_at, updated_at, ended_at";

/// The members that have no column.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    project_path: Option<String>,
    restored_from: Option<SessionId>,
    message: Option<String>,
    exit_code: Option<i32>,
    signal: Option<i32>,
}

/// A screen as its column holds it.
#[derive(Debug, Serialize, Deserialize)]
struct ScreenText {
    offset: u64,
    cols: u16,
    rows: u16,
    payload: String,
}

pub(super) async fn claim(store: &SqlStore, row: &SessionRow) -> Result<SessionClaim, StoreError> {
    let failed = |error| store_error(&error);
    let key = key_text(row);
    let transaction = store.begin_write().await?;
    let sql = insert("DO NOTHING");
    let values = values(row, &key);
    let written = transaction.execute_raw(store.statement(sql, values)).await.map_err(failed)?;
    let claim = if written.rows_affected() == 1 {
        let before =
            select("session_key = $1 AND state = 'terminated' ORDER BY ended_at DESC LIMIT 1");
        let before = one(store, &transaction, &before, vec![key.into()]).await?;
        SessionClaim::Taken { before: before.map(Box::new) }
    } else {
        let holder = select("session_key = $1 AND active");
        match one(store, &transaction, &holder, vec![key.into()]).await? {
            // The answer to the same claim was lost.
            Some(holder) if holder.view.id == row.view.id => SessionClaim::Taken { before: None },
            Some(holder) => SessionClaim::Held(Box::new(holder)),
            None => return Err(StoreError::Unavailable("the session has just ended".to_owned())),
        }
    };
    transaction.commit().await.map_err(failed)?;
    Ok(claim)
}

pub(super) async fn put(store: &SqlStore, rows: &[SessionRow]) -> Result<(), StoreError> {
    let failed = |error| store_error(&error);
    let transaction = store.begin_write().await?;
    let upsert = insert(
        "(id) DO UPDATE SET session_key = excluded.session_key, state = excluded.state, \
         active = excluded.active, reason = excluded.reason, current_path = excluded.current_path, \
         pid = excluded.pid, cols = excluded.cols, rows = excluded.rows, \
         metadata = excluded.metadata, screen = excluded.screen, updated_at = excluded.updated_at, \
         ended_at = excluded.ended_at",
    );
    for row in rows {
        let mut key = key_text(row);
        if row.view.active {
            // One that was opened while the database was away may have a twin on another instance.
            let twin =
                "SELECT id FROM terminal_sessions WHERE session_key = $1 AND active AND id <> $2";
            let of_twin = vec![key.as_str().into(), row.view.id.as_str().into()];
            let twin = transaction.query_one_raw(store.statement(twin, of_twin)).await;
            if twin.map_err(failed)?.is_some() {
                row.view.id.as_str().clone_into(&mut key);
            }
        }
        let statement = store.statement(upsert.as_str(), values(row, &key));
        transaction.execute_raw(statement).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

pub(super) async fn find(
    store: &SqlStore,
    tenant: &TenantId,
    id: &SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS}, screen FROM terminal_sessions WHERE tenant_id = $1 AND id = $2");
    let values = vec![tenant.as_str().into(), id.as_str().into()];
    let row = store.read.query_one_raw(store.statement(sql, values)).await;
    let Some(row) = row.map_err(|error| store_error(&error))? else { return Ok(None) };
    let mut session = session(&row)?;
    session.screen = screen(&row)?;
    Ok(Some(session))
}

pub(super) async fn list(
    store: &SqlStore,
    query: &SessionQuery,
) -> Result<Vec<SessionRow>, StoreError> {
    let mut values: Vec<Value> = Vec::new();
    let mut conditions = vec!["1 = 1".to_owned()];
    let mut also = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(format!("{condition} = ${}", values.len()));
    };
    if let Some(tenant) = &query.tenant {
        also("tenant_id", tenant.as_str().into());
    }
    if let Some(project) = &query.project {
        also("project_id", project.as_str().into());
    }
    if let Some(active) = query.active {
        also("active", active.into());
    }
    let condition = conditions.join(" AND ");
    let sql = select(&format!("{condition} ORDER BY created_at DESC, id LIMIT {}", query.limit));
    let rows = store.read.query_all_raw(store.statement(sql, values)).await;
    rows.map_err(|error| store_error(&error))?.iter().map(session).collect()
}

pub(super) async fn end_lost(
    store: &SqlStore,
    instance: &InstanceId,
    born: Timestamp,
    absent_for: Duration,
) -> Result<u64, StoreError> {
    let now = now(store);
    // Half of what fits, so that the difference does, too.
    let absent_us = i64::try_from(absent_for.as_micros()).unwrap_or(i64::MAX / 2);
    let (state, reason) = (SessionState::Terminated.as_str(), EndReason::Restarted.as_str());
    let sql = format!(
        "UPDATE terminal_sessions SET state = '{state}', active = false, pid = NULL, \
         reason = '{reason}', ended_at = {now} WHERE active AND ((instance = $1 AND created_at < $2) \
         OR (instance <> $1 AND instance NOT IN \
             (SELECT id FROM instances WHERE seen_at > {now} - $3)))"
    );
    let values = vec![instance.as_str().into(), born.0.into(), absent_us.into()];
    let ended = store.write.execute_raw(store.statement(sql, values)).await;
    ended.map(|result| result.rows_affected()).map_err(|error| store_error(&error))
}

pub(super) async fn forget(store: &SqlStore, ended_before: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM terminal_sessions WHERE NOT active AND ended_at < $1";
    let forgotten =
        store.write.execute_raw(store.statement(sql, vec![ended_before.0.into()])).await;
    forgotten.map(|result| result.rows_affected()).map_err(|error| store_error(&error))
}

fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM terminal_sessions WHERE {condition}")
}

fn insert(on_conflict: &str) -> String {
    format!(
        "INSERT INTO terminal_sessions ({COLUMNS}, screen, session_key) VALUES ($1, $2, $3, $4, $5, $6, \
         $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ON CONFLICT {on_conflict}"
    )
}

async fn one(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<SessionRow>, StoreError> {
    let row = transaction.query_one_raw(store.statement(sql, values)).await;
    row.map_err(|error| store_error(&error))?.as_ref().map(session).transpose()
}

/// The key as text, without doubt about where a part ends.
fn key_text(row: &SessionRow) -> String {
    let key = row.key();
    json(&(key.tenant, key.project, key.profile, key.tab_name, key.user))
}

fn values(row: &SessionRow, key: &str) -> Vec<Value> {
    let view = &row.view;
    let metadata = Metadata {
        project_path: view.project_path.clone(),
        restored_from: view.restored_from.clone(),
        message: view.message.clone(),
        exit_code: view.exit_code,
        signal: view.signal,
    };
    let screen = row.screen.as_ref().map(|screen| {
        json(&ScreenText {
            offset: screen.offset,
            cols: screen.size.cols,
            rows: screen.size.rows,
            payload: STANDARD.encode(&screen.payload),
        })
    });
    vec![
        view.id.as_str().into(),
        row.tenant.as_str().into(),
        view.project_id.as_str().into(),
        view.user_id.clone().into(),
        view.profile.as_str().into(),
        view.tab_name.as_str().into(),
        view.state.as_str().into(),
        view.active.into(),
        view.reason.map(|reason| reason.as_str().to_owned()).into(),
        view.current_path.as_str().into(),
        view.pid.into(),
        i32::from(view.cols).into(),
        i32::from(view.rows).into(),
        view.instance.as_str().into(),
        json(&metadata).into(),
        view.created_at.0.into(),
        view.last_activity.0.into(),
        view.ended_at.map(|at| at.0).into(),
        screen.into(),
        key.into(),
    ]
}

fn session(row: &QueryResult) -> Result<SessionRow, StoreError> {
    let failed = |error| store_error(&error);
    let text = |name| row.try_get::<String>("", name).map_err(failed);
    let side = |name| number::<u16>(name, row.try_get::<i32>("", name).map_err(failed)?);
    let time = |name| row.try_get::<i64>("", name).map(Timestamp).map_err(failed);
    let metadata: Metadata = from_json("metadata", &text("metadata")?)?;
    let reason: Option<String> = row.try_get("", "reason").map_err(failed)?;
    let ended_at: Option<i64> = row.try_get("", "ended_at").map_err(failed)?;
    let view = SessionView {
        id: text("id")?.parse().map_err(|error| broken("id", error))?,
        project_id: text("project_id")?.parse().map_err(|error| broken("project_id", error))?,
        user_id: row.try_get("", "user_id").map_err(failed)?,
        profile: text("type")?,
        tab_name: text("tab_name")?,
        state: from_word("state", &text("state")?)?,
        active: row.try_get("", "active").map_err(failed)?,
        current_path: text("current_path")?,
        project_path: metadata.project_path,
        pid: row.try_get("", "pid").map_err(failed)?,
        cols: side("cols")?,
        rows: side("rows")?,
        created_at: time("created_at")?,
        last_activity: time("updated_at")?,
        persisted: true,
        attached: 0,
        restored_from: metadata.restored_from,
        instance: text("instance")?.parse().map_err(|error| broken("instance", error))?,
        reason: reason.map(|reason| from_word("reason", &reason)).transpose()?,
        message: metadata.message,
        exit_code: metadata.exit_code,
        signal: metadata.signal,
        ended_at: ended_at.map(Timestamp),
    };
    let tenant = text("tenant_id")?.parse().map_err(|error| broken("tenant_id", error))?;
    Ok(SessionRow { tenant, view, screen: None })
}

fn screen(row: &QueryResult) -> Result<Option<StoredScreen>, StoreError> {
    let text: Option<String> = row.try_get("", "screen").map_err(|error| store_error(&error))?;
    let Some(text) = text else { return Ok(None) };
    let screen: ScreenText = from_json("screen", &text)?;
    let payload = STANDARD.decode(&screen.payload).map_err(|error| broken("screen", error))?;
    let size = TerminalSize { cols: screen.cols, rows: screen.rows };
    Ok(Some(StoredScreen { offset: screen.offset, size, payload }))
}
