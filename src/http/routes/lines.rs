//! The lines of a node: a range of them, the last ones, and what is found in them.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use runcast_actors::event_json::Millis;
use runcast_actors::ids::{NodeRef, Seq, StreamKey, StreamName};
use runcast_actors::run_view::NodeView;
use runcast_actors::seek::{LineAt, LinePage, LinesFrom, Pattern, Search};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::{self, Query};
use crate::http::routes::terminal::{node_of, stream_of};
use crate::http::schema;

const MAX_LINES: u32 = 1000;
const DEFAULT_LINES: u32 = 100;
/// The longest text or pattern that is searched for, in bytes.
const MAX_QUERY_BYTES: usize = 1024;
const KEYS: [&str; 6] = ["stream", "from", "tail", "q", "regex", "limit"];

/// Some lines of a node.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lines {
    lines: Vec<Line>,
    /// `from` of what follows.
    next_from: u64,
    /// How many lines there are now; null while that is being computed.
    total_lines: Option<u64>,
}

/// A line of a node.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    /// From 0.
    line: u64,
    /// Told where several streams are interleaved.
    #[schema(value_type = Option<schema::StreamName>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<StreamName>,
    text: String,
    /// The chunk that ended it.
    #[schema(value_type = u64)]
    seq: Seq,
    /// The place of that chunk on the time axis.
    #[schema(value_type = f64)]
    at_ms: Millis,
}

impl Line {
    fn of(line: LineAt, is_interleaved: bool) -> Self {
        Self {
            line: line.line,
            stream: is_interleaved.then_some(line.stream),
            text: line.text,
            seq: line.seq,
            at_ms: Millis(line.at_us),
        }
    }
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::at("/runs/{runId}/terminal/{nodeRef}/lines").on(Method::GET, web::to(get_lines))]
}

enum Wanted {
    Page(LinesFrom, usize),
    Hits { pattern: Pattern, from: u64, limit: usize },
}

/// Lines of a node's console. With `q` only those that match are sent, as they are found.
#[utoipa::path(
    get, path = "/runs/{runId}/terminal/{nodeRef}/lines", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
        ("stream" = Option<String>, Query, description = "pty, stdout, stderr, or all (default), which interleaves them"),
        ("from" = Option<u64>, Query, description = "The first line, else 0"),
        ("tail" = Option<u32>, Query, description = "Instead of `from` and `limit`: the last so many lines, 1 to 1000"),
        ("q" = Option<String>, Query, description = "Only lines with this text, 1 to 1024 bytes, case matters"),
        ("regex" = Option<bool>, Query, description = "`q` is a regular expression"),
        ("limit" = Option<u32>, Query, description = "1 to 1000 lines, else 100; a page has about 4 MiB at most"),
    ),
    responses((status = 200, description = "Lines", body = Lines)),
)]
pub(crate) async fn get_lines(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    let node_ref = params::node_ref(&request)?;
    let query = Query::of(&request, &KEYS, &[])?;
    let wanted = wanted(&query)?;
    let view = api.run(&run).await?.view;
    let streams = streams_of(node_of(&view, &node_ref)?, &query)?;
    let is_interleaved = streams.len() > 1;
    let key = |stream| StreamKey { node_ref: NodeRef::clone(&node_ref), stream };
    let keys: Vec<StreamKey> = streams.into_iter().map(key).collect();
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    match wanted {
        Wanted::Page(from, limit) => {
            let page = api.seeker.lines(&run, &keys, from, limit).await?;
            Ok(response.json(document(page, is_interleaved)))
        }
        Wanted::Hits { pattern, from, limit } => {
            let search = api.seeker.search(&run, &keys, pattern, from, limit).await?;
            response.insert_header((CONTENT_TYPE, "application/json"));
            Ok(response.streaming(pieces(search, is_interleaved)))
        }
    }
}

fn wanted(query: &Query) -> Result<Wanted, ApiError> {
    let from = query.number("from", &(0..=(1 << 53) - 1))?;
    let first = from.and_then(|from| u64::try_from(from).ok()).unwrap_or(0);
    let tail = query.number("tail", &(1..=i64::from(MAX_LINES)))?;
    let limit = query.limit(MAX_LINES, DEFAULT_LINES)? as usize;
    let is_regex: Option<bool> = match query.text("regex") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(ApiError::invalid("regex", "allowed: true, false")),
    };
    if let Some(tail) = tail {
        if let Some(other) =
            ["from", "limit", "q", "regex"].iter().find(|key| query.text(key).is_some())
        {
            let message = format!("the last lines do not go with `{other}`");
            return Err(ApiError::invalid("tail", message));
        }
        let tail = usize::try_from(tail).unwrap_or_default();
        return Ok(Wanted::Page(LinesFrom::Tail, tail));
    }
    let Some(text) = query.text("q") else {
        return match is_regex {
            Some(_) => Err(ApiError::invalid("regex", "it goes with `q` alone")),
            None => Ok(Wanted::Page(LinesFrom::Line(first), limit)),
        };
    };
    if !(1..=MAX_QUERY_BYTES).contains(&text.len()) {
        let message = format!("it has {} bytes; allowed: 1 to {MAX_QUERY_BYTES}", text.len());
        return Err(ApiError::invalid("q", message));
    }
    let pattern = match is_regex {
        Some(true) => Pattern::regex(text),
        _ => Pattern::text(text),
    };
    let pattern = pattern.map_err(|error| ApiError::invalid("q", error.to_string()))?;
    Ok(Wanted::Hits { pattern, from: first, limit })
}

fn streams_of(node: &NodeView, query: &Query) -> Result<Vec<StreamName>, ApiError> {
    match query.text("stream") {
        None | Some("all") => Ok(node.terminal.mode.streams().to_vec()),
        Some(_) => Ok(vec![stream_of(node, query.parsed("stream")?)?]),
    }
}

fn document(page: LinePage, is_interleaved: bool) -> Lines {
    let lines = page.lines.into_iter().map(|line| Line::of(line, is_interleaved)).collect();
    Lines { lines, next_from: page.next_from, total_lines: page.total }
}

/// What is left to send of a search.
enum Left {
    Opening(Box<Search>),
    Hits { search: Box<Search>, is_first: bool },
    Nothing,
}

/// The same document in pieces, so that a hit is sent when it is found. A failure cuts it off: what is
/// not whole must not look whole.
fn pieces(
    search: Search,
    is_interleaved: bool,
) -> impl stream::Stream<Item = Result<Bytes, ApiError>> {
    stream::unfold(Left::Opening(Box::new(search)), move |left| async move {
        let (mut search, mut is_first) = match left {
            Left::Opening(search) => {
                let left = Left::Hits { search, is_first: true };
                return Some((Ok(Bytes::from_static(b"{\"lines\":[")), left));
            }
            Left::Hits { search, is_first } => (search, is_first),
            Left::Nothing => return None,
        };
        let hits = match search.next().await {
            Ok(Some(hits)) => hits,
            Ok(None) => {
                let (next_from, total) = search.end();
                let total = total.map_or("null".to_owned(), |total| total.to_string());
                let end = format!("],\"nextFrom\":{next_from},\"totalLines\":{total}}}");
                return Some((Ok(Bytes::from(end)), Left::Nothing));
            }
            Err(error) => {
                tracing::warn!(%error, "a search was cut off");
                return Some((Err(error.into()), Left::Nothing));
            }
        };
        // A search that finds nothing for a while shows that it goes on: blanks change no JSON.
        let mut piece = if hits.is_empty() { b"\n".to_vec() } else { Vec::new() };
        for hit in hits {
            if !std::mem::replace(&mut is_first, false) {
                piece.push(b',');
            }
            let line = serde_json::to_vec(&Line::of(hit, is_interleaved)).unwrap_or_default();
            piece.extend(line);
        }
        Some((Ok(Bytes::from(piece)), Left::Hits { search, is_first }))
    })
}
