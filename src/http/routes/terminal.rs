//! The consoles of a run's nodes by REST: pages of chunks, and what a viewer may do to a terminal.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::entry::TerminalSize;
use runcast_actors::history::Wanted;
use runcast_actors::ids::{ChunkIndex, NodeRef, RunKey, StreamKey, StreamName};
use runcast_actors::run_spec::MAX_TEXT_BYTES;
use runcast_actors::run_view::{NodeView, RunView};
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::body::JsonBody;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::{self, Query};
use crate::http::position_cache::{PageEnd, Position};
use crate::http::routes::runs::Noted;
use crate::http::routes::terminal_page::{ChunkPage, PageRequest};
use crate::http::schema;

const MAX_CHUNKS: u32 = 5000;
const DEFAULT_CHUNKS: u32 = 500;
/// How much of the history is read at once, in bytes of memory.
const READ_BYTES: usize = 1024 * 1024;
/// How long a page looks for its chunks; the next one goes on where it stopped.
const MAX_SEARCH: Duration = Duration::from_secs(5);
const KINDS: [&str; 6] = ["output", "input", "resize", "marker", "gap", "exit"];

/// A new size of a terminal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeRequest {
    /// Columns.
    #[schema(minimum = 1, maximum = 1000)]
    pub cols: u16,
    /// Rows.
    #[schema(minimum = 1, maximum = 500)]
    pub rows: u16,
}

/// A mark for the stream of a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkerRequest {
    /// What people see, 1 to 1,024 bytes.
    pub label: String,
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/runs/{runId}/terminal/{nodeRef}").on(Method::GET, web::to(get_chunks)),
        Endpoint::at("/runs/{runId}/terminal/{nodeRef}/markers")
            .on(Method::POST, web::to(add_marker)),
        Endpoint::at("/runs/{runId}/nodes/{nodeRef}/resize")
            .on(Method::POST, web::to(resize_terminal)),
    ]
}

/// A page of a node's console. A node that has not started has an empty one.
#[utoipa::path(
    get, path = "/runs/{runId}/terminal/{nodeRef}", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
        ("stream" = Option<schema::StreamName>, Query, description = "Needed where the node has several"),
        ("afterChunk" = Option<i64>, Query, description = "Only later chunks; -1 is the beginning"),
        ("beforeChunk" = Option<i64>, Query, description = "Only earlier chunks; alone: the last ones before it"),
        ("kinds" = Option<String>, Query, description = "Only of these kinds, separated by commas"),
        ("limit" = Option<u32>, Query, description = "1 to 5000, else 500; a page has about 4 MiB at most"),
    ),
    responses((status = 200, description = "A page of chunks", body = schema::ChunkPage)),
)]
pub(crate) async fn get_chunks(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    let node_ref = params::node_ref(&request)?;
    let query = ChunkQuery::of(&request)?;
    let view = api.recorded_run(&run).await?.view;
    let node = node_of(&view, &node_ref)?;
    let stream = stream_of(node, query.stream)?;
    let page = read_page(&api, query.page(run, StreamKey { node_ref, stream })).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(page.finish()))
}

async fn read_page(api: &Api, request: PageRequest) -> Result<ChunkPage, ApiError> {
    let place = |chunk| PageEnd { run: request.run.clone(), stream: request.stream.clone(), chunk };
    let mut start = api.positions.nearest(&place(request.after)).unwrap_or_default();
    let first = Wanted::Chunk(ChunkIndex(u64::try_from(request.after + 1).unwrap_or(0)));
    let archived = api.history.nearest(&request.run, &request.stream, first).await?;
    if archived.after > start.through {
        start = Position { through: archived.after, ended: None };
    }
    let deadline = Instant::now() + MAX_SEARCH;
    let mut page = ChunkPage::new(request.clone(), start);
    loop {
        let (run, stream) = (&request.run, &request.stream);
        let stretch = api.history.read_stream(run, stream, page.cursor(), READ_BYTES).await?;
        let is_last = stretch.items.is_empty() || stretch.through >= stretch.tail;
        if page.push_stretch(&stretch) || is_last || Instant::now() >= deadline {
            break;
        }
    }
    let (chunk, position) = page.end();
    if position != Position::default() {
        api.positions.put(place(chunk), position);
    }
    Ok(page)
}

struct ChunkQuery {
    stream: Option<StreamName>,
    after: Option<i64>,
    before: Option<i64>,
    kinds: Vec<&'static str>,
    limit: u32,
}

impl ChunkQuery {
    fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let allowed = ["stream", "afterChunk", "beforeChunk", "kinds", "limit"];
        let query = Query::of(request, &allowed, &[])?;
        let largest = (1 << 53) - 1;
        Ok(Self {
            stream: query.parsed("stream")?,
            after: query.number("afterChunk", &(-1..=largest))?,
            before: query.number("beforeChunk", &(0..=largest))?,
            kinds: query.text("kinds").map(kinds_of).transpose()?.unwrap_or_default(),
            limit: query.limit(MAX_CHUNKS, DEFAULT_CHUNKS)?,
        })
    }

    fn page(self, run: RunKey, stream: StreamKey) -> PageRequest {
        // Indices are dense, so the last chunks before one are a range that can be told.
        let last_before = |before: i64| (before - 1 - i64::from(self.limit)).max(-1);
        let backward = self.after.is_none() && self.before.is_some();
        PageRequest {
            run,
            stream,
            after: self.after.or(self.before.map(last_before)).unwrap_or(-1),
            before: self.before,
            backward,
            kinds: self.kinds,
            limit: self.limit as usize,
        }
    }
}

fn kinds_of(list: &str) -> Result<Vec<&'static str>, ApiError> {
    let known = |text: &str| KINDS.into_iter().find(|kind| *kind == text);
    list.split(',')
        .map(|text| {
            let shown: String = text.chars().take(64).collect();
            let message = format!("`{shown}`; allowed: {}", KINDS.join(", "));
            known(text).ok_or_else(|| ApiError::invalid("kinds", message))
        })
        .collect()
}

pub(crate) fn node_of<'a>(view: &'a RunView, node_ref: &NodeRef) -> Result<&'a NodeView, ApiError> {
    let mut nodes = view.nodes.iter().flatten();
    nodes
        .find(|node| node.node_ref == *node_ref)
        .ok_or_else(|| ApiError::not_found(format!("the run has no node `{node_ref}`")))
}

// The mode of a node is fixed when it is submitted, so its streams are known before it starts.
pub(crate) fn stream_of(
    node: &NodeView,
    asked: Option<StreamName>,
) -> Result<StreamName, ApiError> {
    let streams = node.terminal.mode.streams();
    match (asked, streams) {
        (Some(asked), _) if streams.contains(&asked) => Ok(asked),
        (None, [only]) => Ok(*only),
        (asked, _) => {
            let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
            let message = match asked {
                Some(asked) => {
                    format!("`{asked}` is no stream of this node; allowed: {}", names.join(", "))
                }
                None => format!("the node has several streams; allowed: {}", names.join(", ")),
            };
            Err(ApiError::invalid("stream", message).detail("streams", names))
        }
    }
}

/// Gives the terminal of a running node another size.
#[utoipa::path(
    post, path = "/runs/{runId}/nodes/{nodeRef}/resize", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
    ),
    request_body = ResizeRequest,
    responses((status = 202, description = "The wish is noted", body = Noted)),
)]
pub(crate) async fn resize_terminal(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<ResizeRequest>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let run = api.key(&caller, &request)?;
    let node_ref = params::node_ref(&request)?;
    Query::none(&request)?;
    let ResizeRequest { cols, rows } = body.0;
    for (field, value, most) in
        [("cols", cols, TerminalSize::MAX_COLS), ("rows", rows, TerminalSize::MAX_ROWS)]
    {
        if !(1..=most).contains(&value) {
            return Err(ApiError::invalid(field, format!("{value}; allowed: 1 to {most}")));
        }
    }
    api.control.resize(&run, &node_ref, TerminalSize { cols, rows }).await?;
    Ok(Noted::accepted(&run))
}

/// Puts a mark into the stream of a running node.
#[utoipa::path(
    post, path = "/runs/{runId}/terminal/{nodeRef}/markers", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
    ),
    request_body = MarkerRequest,
    responses((status = 202, description = "The wish is noted", body = Noted)),
)]
pub(crate) async fn add_marker(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<MarkerRequest>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let run = api.key(&caller, &request)?;
    let node_ref = params::node_ref(&request)?;
    Query::none(&request)?;
    let label = body.0.label;
    if !(1..=MAX_TEXT_BYTES).contains(&label.len()) || label.contains('\0') {
        let message = format!("allowed: 1 to {MAX_TEXT_BYTES} bytes without a NUL character");
        return Err(ApiError::invalid("label", message));
    }
    api.control.add_marker(&run, &node_ref, label).await?;
    Ok(Noted::accepted(&run))
}
