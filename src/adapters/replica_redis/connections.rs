//! The connections of a process: a pool for what writes, one for all reads, one for notifications.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::aio::{ConnectionLike as _, MultiplexedConnection, PubSub};
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo as _,
    Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value,
};
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use runcast_actors::ports::LogError;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::condition::{Condition, is_away, is_full};

/// Until a connection is there, with TLS and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Until the server has answered a write; a batch may be large and its disk slow.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// Until the server has answered a read.
const READ_LIMIT: Duration = Duration::from_secs(3);
/// Until one of the pool is free.
const POOL_LIMIT: Duration = Duration::from_secs(5);
/// Connections of the pool. The server works on one command at a time; more would only wait there.
const POOL_LEN: usize = 4;

/// The connections to one server.
pub(super) struct Connections {
    client: Client,
    writers: Pool,
    reader: Mutex<Reader>,
    read_config: AsyncConnectionConfig,
    condition: Arc<Condition>,
}

#[derive(Default)]
struct Reader {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is, counted from the first.
    number: u64,
}

impl Connections {
    /// Connects to nothing yet. The error names no password.
    pub(super) fn new(url: &str, condition: Arc<Condition>) -> Result<Self, RedisError> {
        let info = connection_info(url)?;
        let config = |answer_limit| {
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_LIMIT))
                .set_response_timeout(Some(answer_limit))
        };
        let manager = Manager::new_with_config(info.clone(), config(WRITE_LIMIT))?;
        let writers = Pool::builder(manager)
            .max_size(POOL_LEN)
            .wait_timeout(Some(POOL_LIMIT))
            .create_timeout(Some(CONNECT_LIMIT))
            .recycle_timeout(Some(READ_LIMIT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| RedisError::from((ErrorKind::InvalidClientConfig, "the pool")))?;
        Ok(Self {
            client: Client::open(info)?,
            writers,
            reader: Mutex::default(),
            read_config: config(READ_LIMIT),
            condition,
        })
    }

    /// Runs calls of one script in order, each of which the server answers for itself.
    pub(super) async fn run(
        &self,
        script: &Script,
        calls: Vec<Cmd>,
    ) -> Result<Vec<Value>, LogError> {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for call in calls {
            pipeline.add_command(call);
        }
        let answers = self.write(&pipeline).await?;
        let is_unknown = |answer: &Value| match answer {
            Value::ServerError(error) => error.kind() == Some(ServerErrorKind::NoScript),
            _ => false,
        };
        if !answers.iter().any(is_unknown) {
            return Ok(answers);
        }
        // The server is new, or was restarted. Calls that were answered may be repeated.
        let mut connection = self.writers.get().await.map_err(|error| self.no_connection(error))?;
        script.load_async(&mut connection).await.map_err(|error| self.condition.failed(&error))?;
        drop(connection);
        self.write(&pipeline).await
    }

    /// Runs commands over one of the pool.
    pub(super) async fn write(&self, pipeline: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.condition.admit()?;
        let mut connection = self.writers.get().await.map_err(|error| self.no_connection(error))?;
        let answered = connection.req_packed_commands(pipeline, 0, pipeline.len()).await;
        let judged = self.judged(answered);
        if judged.is_err() {
            // Whatever state it is in, another one is better: it may also lead to another server.
            drop(Connection::take(connection));
            self.drop_idle();
        }
        judged
    }

    /// Runs commands that change nothing, over the one connection that all reads share.
    pub(super) async fn read(&self, pipeline: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.condition.admit()?;
        let (mut connection, number) = self.reader().await?;
        let answered = connection.req_packed_commands(pipeline, 0, pipeline.len()).await;
        let judged = self.judged(answered);
        if judged.is_err() {
            let mut reader = self.reader.lock().await;
            if reader.number == number {
                reader.connection = None;
            }
            self.drop_idle();
        }
        judged
    }

    /// Ends the writing connections that nobody uses: each would have to be found dead by itself.
    fn drop_idle(&self) {
        self.writers.retain(|_, _| false);
    }

    async fn reader(&self) -> Result<(MultiplexedConnection, u64), LogError> {
        let mut reader = self.reader.lock().await;
        if let Some(connection) = &reader.connection {
            return Ok((connection.clone(), reader.number));
        }
        let connecting =
            self.client.get_multiplexed_async_connection_with_config(&self.read_config);
        let connection = match timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(self.condition.failed(&error)),
            Err(_) => return Err(self.condition.away("no connection in time".to_owned())),
        };
        reader.connection = Some(connection.clone());
        reader.number += 1;
        Ok((connection, reader.number))
    }

    /// A connection for notifications of its own.
    pub(super) async fn pubsub(&self) -> Result<PubSub, LogError> {
        match timeout(CONNECT_LIMIT, self.client.get_async_pubsub()).await {
            Ok(Ok(pubsub)) => Ok(pubsub),
            Ok(Err(error)) => Err(LogError::Unavailable(super::condition::describe(&error))),
            Err(_) => Err(LogError::Unavailable("no connection in time".to_owned())),
        }
    }

    fn judged(&self, answered: RedisResult<Vec<Value>>) -> Result<Vec<Value>, LogError> {
        match answered {
            Ok(answers) => {
                let mut refusals = answers.iter().filter_map(|answer| match answer {
                    Value::ServerError(error) => Some(RedisError::from(error.clone())),
                    _ => None,
                });
                if let Some(error) = refusals.find(is_away) {
                    return Err(self.condition.failed(&error));
                }
                self.condition.reached();
                Ok(answers)
            }
            Err(error) if is_away(&error) => Err(self.condition.failed(&error)),
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// The server is there and has refused a call.
    pub(super) fn refusal(&self, error: &RedisError) -> LogError {
        if is_full(error) {
            self.condition.set_full(true);
        }
        LogError::Unavailable(super::condition::describe(error))
    }

    fn no_connection(&self, error: PoolError) -> LogError {
        match error {
            PoolError::Backend(error) => self.condition.failed(&error),
            PoolError::Timeout(deadpool_redis::TimeoutType::Wait) => {
                LogError::Unavailable("all connections are in use".to_owned())
            }
            PoolError::Timeout(_) => self.condition.away("no connection in time".to_owned()),
            other => LogError::Unavailable(other.to_string()),
        }
    }
}

/// The address, user, password and database of a URL, with what a connection needs to be quick and to notice
/// that the other side has gone.
fn connection_info(url: &str) -> Result<ConnectionInfo, RedisError> {
    let info = url.into_connection_info()?;
    // What a connection may be asked for stands in the rules of its user; a name is not worth one.
    let login = info.redis_settings().clone().set_skip_set_lib_name();
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(WRITE_LIMIT);
    Ok(info.set_redis_settings(login).set_tcp_settings(tcp))
}
