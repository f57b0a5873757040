//! A client of the REST API that panics with the whole answer when it is not what was expected.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::deadline::wait_for;
use super::sse::SseRequest;

/// How long a run of a test may take, if nothing else is said.
pub(crate) const RUN_LIMIT: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    fn parsed<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// This reply, if it has the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        self
    }
}

/// A page of a console. Chunks are kept as they were sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChunkPage {
    pub(crate) chunks: Vec<Box<RawValue>>,
    pub(crate) next_after_chunk: i64,
    pub(crate) complete: bool,
    pub(crate) source: String,
}

/// A page of events.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventPage {
    pub(crate) events: Vec<PageEvent>,
    pub(crate) next_after: u64,
    pub(crate) live: bool,
    pub(crate) done: Option<Value>,
}

/// An event of a page. Its data is kept as it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct PageEvent {
    pub(crate) event: String,
    pub(crate) data: Box<RawValue>,
}

/// A client of one service.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// Of the service at this address.
    pub(crate) fn new(base: &str) -> Self {
        // The service ends a connection that was silent for five seconds, perhaps just as it is used again.
        let http = Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(2));
        let http = http.timeout(Duration::from_secs(60));
        Self { http: http.build().expect("a client"), base: base.to_owned(), token: None }
    }

    /// The same with a token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Where the service is, without a path.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Its token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Opens an interactive terminal and gives its document.
    pub(crate) async fn open_terminal(&self, wanted: &Value) -> Value {
        let reply = self.post("/terminals", wanted).await;
        assert!(reply.status == 201 || reply.status == 200, "{}", reply.json());
        reply.json()["session"].clone()
    }

    /// Asks for a path from the root, for example `/readyz`.
    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Reply> {
        self.request(Method::GET, path, None).await
    }

    /// Asks for a path below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.try_get(&format!("/api/v1{path}")).await.expect("an answer")
    }

    /// Sends a document to a path below `/api/v1`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        let path = format!("/api/v1{path}");
        self.request(Method::POST, &path, Some(body)).await.expect("an answer")
    }

    /// Deletes a path below `/api/v1`.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.request(Method::DELETE, &format!("/api/v1{path}"), None).await.expect("an answer")
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Reply> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// Submits a run and gives its id.
    pub(crate) async fn submit(&self, run: &Value) -> String {
        let submitted = self.post("/runs", run).await.expect(201).json();
        submitted["runId"].as_str().expect("a run id").to_owned()
    }

    /// Waits until the archive has the whole of a run that has ended.
    pub(crate) async fn wait_recorded(&self, run: &str) {
        wait_for("every recording is final", Duration::from_secs(60), async || {
            let view = self.run(run).await;
            let nodes = view["nodes"].as_array().expect("nodes");
            let ended = |node: &Value| node["final"].as_array().map_or(0, Vec::len) as u64;
            let count = |state: &str| view["recordings"][state].as_u64().expect("a number");
            let is_final =
                count("complete") + count("incomplete") == nodes.iter().map(ended).sum::<u64>();
            (is_final && count("live") == 0).then_some(())
        })
        .await;
    }

    /// The run with its nodes.
    pub(crate) async fn run(&self, run: &str) -> Value {
        self.get(&format!("/runs/{run}")).await.expect(200).json()
    }

    /// Waits until the run is as wanted.
    pub(crate) async fn wait_run(
        &self,
        run: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let what = format!("run {run}: {what}");
        wait_for(&what, within, async || {
            let view = self.run(run).await;
            wanted(&view).then_some(view)
        })
        .await
    }

    /// Waits until the run has ended.
    pub(crate) async fn wait_ended(&self, run: &str) -> Value {
        self.wait_run(run, "it ends", RUN_LIMIT, |view| is_terminal(&view["status"])).await
    }

    /// Waits until a node runs.
    pub(crate) async fn wait_node_running(&self, run: &str, node: &str) -> Value {
        self.wait_run(run, "its node runs", RUN_LIMIT, |view| {
            node_of(view, node)["status"] == "RUNNING"
        })
        .await
    }

    /// Asks for the end of a run.
    pub(crate) async fn cancel(&self, run: &str) {
        self.post(&format!("/runs/{run}/cancel"), &Value::Null).await.expect(202);
    }

    /// Asks for the end of a run unless it has ended, and waits for it.
    pub(crate) async fn cancel_if_running(&self, run: &str) -> Value {
        let reply = self.post(&format!("/runs/{run}/cancel"), &Value::Null).await;
        assert!(matches!(reply.status, 202 | 409), "{reply:?}");
        self.wait_ended(run).await
    }

    /// One page of a console; `query` is what follows `stream=`, for example `&limit=3`.
    pub(crate) async fn chunk_page(
        &self,
        run: &str,
        node: &str,
        stream: &str,
        query: &str,
    ) -> ChunkPage {
        let path = format!("/runs/{run}/terminal/{node}?stream={stream}{query}");
        self.get(&path).await.expect(200).parsed()
    }

    /// All chunks of a console that are there, page by page; the data of each is given to `each`.
    pub(crate) async fn each_chunk(
        &self,
        run: &str,
        node: &str,
        stream: &str,
        limit: usize,
        mut each: impl FnMut(&str),
    ) {
        let mut after: i64 = -1;
        loop {
            let query = format!("&afterChunk={after}&limit={limit}");
            let page = self.chunk_page(run, node, stream, &query).await;
            page.chunks.iter().for_each(|chunk| each(chunk.get()));
            if page.chunks.is_empty() && page.next_after_chunk == after {
                return;
            }
            after = page.next_after_chunk;
        }
    }

    /// All traces of a run.
    pub(crate) async fn traces(&self, run: &str) -> Vec<Value> {
        let mut traces = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("/runs/{run}/trace?after={after}&limit=1000");
            let page = self.get(&path).await.expect(200).json();
            let events = page["events"].as_array().expect("events");
            if events.is_empty() {
                return traces;
            }
            traces.extend(events.iter().cloned());
            after = page["nextAfter"].as_u64().expect("nextAfter");
        }
    }

    /// One page of events; `query` for example `after=5&waitSecs=10`.
    pub(crate) async fn events(&self, run: &str, query: &str) -> EventPage {
        self.get(&format!("/runs/{run}/events?{query}")).await.expect(200).parsed()
    }

    /// A stream of the run; open it with [`SseRequest::open`].
    pub(crate) fn stream(&self, run: &str) -> SseRequest {
        SseRequest::new(format!("{}/api/v1/runs/{run}/stream", self.base), self.token.clone())
    }

    /// A stream of one node.
    pub(crate) fn node_stream(&self, run: &str, node: &str) -> SseRequest {
        let url = format!("{}/api/v1/runs/{run}/terminal/{node}/stream", self.base);
        SseRequest::new(url, self.token.clone())
    }
}

/// True for a status that is an end.
pub(crate) fn is_terminal(status: &Value) -> bool {
    matches!(status.as_str(), Some("COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT" | "SKIPPED"))
}

/// A node of a run's view.
#[track_caller]
pub(crate) fn node_of<'a>(view: &'a Value, node: &str) -> &'a Value {
    let nodes = view["nodes"].as_array().expect("nodes");
    nodes.iter().find(|found| found["ref"] == node).unwrap_or_else(|| panic!("no node {node}"))
}
