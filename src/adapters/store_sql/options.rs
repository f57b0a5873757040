//! How connections of each database are set up.

use std::path::Path;
use std::time::Duration;

use runcast_actors::ports::StoreError;
use sea_orm::sqlx::{PgConnection, Row as _, raw_sql};
use sea_orm::{ConnectOptions, SqlxError};

use super::SqlStoreSettings;

/// How long SQLite waits for the lock of another process.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that is given back may take to end what is open; one that does not is given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// What connections are called in `pg_stat_activity`.
const APPLICATION_NAME: &str = "runcast";

pub(super) fn options(settings: &SqlStoreSettings, connections: u32) -> ConnectOptions {
    let busy_timeout = settings.statement_timeout.min(MAX_BUSY_TIMEOUT);
    let limit_ms = settings.statement_timeout.as_millis();
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(connections)
        .acquire_timeout(settings.acquire_timeout)
        .statement_timeout(settings.statement_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .set_application_name(APPLICATION_NAME)
        .map_sqlx_postgres_opts(move |postgres| {
            // An instance that is stopped in a transaction must not hold the rows of a run for ever. A call is
            // given up earlier than this.
            let limit = limit_ms.to_string();
            // That there was no transaction to end is nothing to tell of.
            let quiet = ("client_min_messages", "error".to_owned());
            postgres.options([("idle_in_transaction_session_timeout", limit), quiet])
        })
        .map_sqlx_postgres_pool_opts(|pool| {
            // A call that is given up while its transaction begins leaves that open, and the driver does not know:
            // whatever came later would be part of it, and lost with it. And without a limit, a network that
            // swallows everything would take all connections away for good.
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    match tokio::time::timeout(RELEASE_TIMEOUT, is_well(connection)).await {
                        Ok(answer) => answer,
                        Err(_) => Err(SqlxError::PoolTimedOut),
                    }
                })
            })
        })
        .map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .create_if_missing(true)
                .busy_timeout(busy_timeout)
                .foreign_keys(true)
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", "FULL")
        });
    options
}

/// Ends what is open. False on a server that is a standby, perhaps only since the connection was made: the next
/// connection may lead to the one that has taken its place.
async fn is_well(connection: &mut PgConnection) -> Result<bool, SqlxError> {
    let asked = raw_sql("ROLLBACK; SHOW transaction_read_only");
    let row = asked.fetch_one(connection).await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}

pub(super) async fn create_folder(url: &str) -> Result<(), StoreError> {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = Path::new(path.split('?').next().unwrap_or_default());
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|error| StoreError::Unavailable(format!("folder `{}`: {error}", folder.display())))
}
