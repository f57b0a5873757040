//! The client of the HTTP API: requests, and what their failures mean to a person.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::text::clean;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A healthy stream says something at least every 30 s.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(75);
/// How often the system asks a connection on which nothing comes …
const KEEPALIVE: Duration = Duration::from_secs(15);
/// … and how often in vain.
const KEEPALIVE_RETRIES: u32 = 4;
/// No answer but a stream is larger.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Where the service is and who asks.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// The address of the service
    #[arg(
        long,
        value_name = "URL",
        env = "RUNCAST_SERVER",
        default_value = "http://127.0.0.1:7420",
        value_parser = parse_server
    )]
    pub(super) server: Url,
    /// The token, if the service asks for one
    #[arg(long, value_name = "TOKEN", env = "RUNCAST_TOKEN", hide_env_values = true, hide = true)]
    pub(super) token: Option<String>,
}

fn parse_server(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("{error}; allowed: http(s)://host[:port]"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("allowed: http(s)://host[:port]".to_owned());
    }
    Ok(url)
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens there.
    #[error("no service answers at {0}; start one with `runcast serve`")]
    NoService(String),
    /// The connection failed or was cut.
    #[error("the request to {url} failed: {message}")]
    Transport {
        /// The service.
        url: String,
        /// The innermost cause.
        message: String,
    },
    /// The service refused.
    #[error("{message} ({code}{})", request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default())]
    Refused {
        /// The status of HTTP; 200 for an `error` event of a stream.
        status: u16,
        /// The code of the contract.
        code: String,
        /// A sentence.
        message: String,
        /// What the service calls this request in its log.
        request_id: Option<String>,
    },
    /// The answer is not what the contract promises.
    #[error("the answer of {url} cannot be understood: {message}")]
    Unreadable {
        /// The service.
        url: String,
        /// What is wrong.
        message: String,
    },
}

impl ClientError {
    /// What an answer with this status and body means.
    pub(super) fn refused(status: u16, body: &[u8]) -> Self {
        refusal(StatusCode::from_u16(status).unwrap_or_default(), body)
    }

    /// True if the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NoService(_) | Self::Transport { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Unreadable { .. } => false,
        }
    }
}

/// A client of one service.
#[derive(Debug, Clone)]
pub(super) struct ApiClient {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    token: Option<String>,
}

impl ApiClient {
    pub(super) fn new(connection: &Connection) -> anyhow::Result<Self> {
        Self::build(connection, |builder| builder.read_timeout(SILENCE_TIMEOUT))
    }

    /// For a download that says nothing while its node says nothing: the system asks whether the other side is there.
    pub(super) fn patient(connection: &Connection) -> anyhow::Result<Self> {
        Self::build(connection, |builder| {
            builder
                .tcp_keepalive(KEEPALIVE)
                .tcp_keepalive_interval(KEEPALIVE)
                .tcp_keepalive_retries(KEEPALIVE_RETRIES)
        })
    }

    fn build(
        connection: &Connection,
        silence: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> anyhow::Result<Self> {
        let mut builder = silence(reqwest::Client::builder())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("runcast/", env!("CARGO_PKG_VERSION")));
        // A proxy cannot reach what listens on this machine's loopback.
        if matches!(connection.server.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build()?,
            base: connection.server.as_str().trim_end_matches('/').to_owned(),
            token: connection.token.clone().filter(|token| !token.is_empty()),
        })
    }

    /// The address of the service.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The token, if there is one.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path).query(query).timeout(REQUEST_TIMEOUT);
        self.read(self.send(request).await?).await
    }

    pub(super) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, path).json(body).timeout(REQUEST_TIMEOUT);
        self.read(self.send(request).await?).await
    }

    pub(super) async fn post_empty(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::POST, path).timeout(REQUEST_TIMEOUT);
        self.send(request).await.map(drop)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, path).timeout(REQUEST_TIMEOUT);
        self.send(request).await.map(drop)
    }

    /// The status of `GET /readyz`, which is no failure of the request.
    pub(super) async fn ready_status(&self) -> Result<StatusCode, ClientError> {
        let request = self.http.get(format!("{}/readyz", self.base)).timeout(REQUEST_TIMEOUT);
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        Ok(response.status())
    }

    /// Opens a stream of events after a cursor.
    pub(super) async fn open_stream(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        last_event_id: Option<&str>,
    ) -> Result<Response, ClientError> {
        let mut request = self.request(Method::GET, path).query(query);
        request = request.header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        self.send(request).await
    }

    /// Opens a download; its body is read as fast as the caller takes it.
    pub(super) async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Response, ClientError> {
        // Compression that is undone on the way would hide the length.
        let request = self.request(Method::GET, path).query(query);
        self.send(request.header("accept-encoding", "identity")).await
    }

    /// The next piece of a download; an error if it was cut before its end.
    pub(super) async fn piece(
        &self,
        response: &mut Response,
    ) -> Result<Option<bytes::Bytes>, ClientError> {
        response.chunk().await.map_err(|error| self.transport(&error))
    }

    /// What a failure of the connection means.
    pub(super) fn transport(&self, error: &reqwest::Error) -> ClientError {
        if error.is_connect() && is_refused(error) {
            return ClientError::NoService(self.base.clone());
        }
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            message = inner.to_string();
            cause = inner.source();
        }
        ClientError::Transport { url: self.base.clone(), message }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await.unwrap_or_default();
        Err(refusal(status, &body))
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let body = self.body(response).await?;
        let mut reader = serde_json::Deserializer::from_slice(&body);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| ClientError::Unreadable {
            url: self.base.clone(),
            message: clean(&error.to_string()),
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.transport(&error))? {
            if body.len() + piece.len() > MAX_BODY_BYTES {
                let message = format!("more than {MAX_BODY_BYTES} bytes");
                return Err(ClientError::Unreadable { url: self.base.clone(), message });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = inner.source();
    }
    false
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &body["error"];
    let mut message = match error["message"].as_str() {
        Some(message) => clean(message),
        None => format!("the service answered with status {}", status.as_u16()),
    };
    if let Some(field) = error["details"]["field"].as_str()
        && !message.contains(field)
    {
        message = format!("{}: {message}", clean(field));
    }
    ClientError::Refused {
        status: status.as_u16(),
        code: error["code"].as_str().map_or_else(|| format!("HTTP {}", status.as_u16()), clean),
        message,
        request_id: body["requestId"].as_str().map(clean),
    }
}
