//! The screen of a node at any moment.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runcast_actors::entry::TerminalSize;
use runcast_actors::event_json::Millis;
use runcast_actors::ids::{ChunkIndex, NodeRef, RunId, Seq, StreamKey, StreamName};
use runcast_actors::screen::VirtualTerminal;
use runcast_actors::seek::{At, ScreenAt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::{self, Query};
use crate::http::routes::terminal::{node_of, stream_of};
use crate::http::schema;

/// How a screen is told.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Rows with colours.
    Ansi,
    /// Rows without.
    Text,
    /// Both, with the cursor and the place.
    Json,
}

impl Format {
    /// The `format` of a query.
    pub(crate) fn of(query: &Query) -> Result<Self, ApiError> {
        Ok(query.word("format", "ansi, text, json")?.unwrap_or(Self::Ansi))
    }
}

/// A screen.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Screen {
    #[schema(value_type = String)]
    run_id: RunId,
    #[schema(value_type = String)]
    node_ref: NodeRef,
    #[schema(value_type = schema::StreamName)]
    stream: StreamName,
    #[serde(flatten)]
    shown: Shown,
    /// The last entry in it: events after it follow.
    #[schema(value_type = u64)]
    seq: Seq,
    /// The last chunk in it; null before the first.
    #[schema(value_type = Option<u64>)]
    chunk_index: Option<ChunkIndex>,
    /// The place of that chunk on the time axis.
    #[schema(value_type = f64)]
    at_ms: Millis,
}

/// What a terminal shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    cols: u16,
    rows: u16,
    cursor: Cursor,
    /// True while a full-screen program shows its own screen.
    is_alternate: bool,
    /// The rows without colours, joined by LF.
    text: String,
    /// The rows with colours.
    ansi: String,
    /// The bytes that show this screen on a fresh terminal of its size, also its modes.
    #[schema(value_type = String, format = Byte)]
    payload: String,
}

/// A place on the screen, from 0.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cursor {
    /// Equal to the width while a wrap is pending.
    col: usize,
    row: usize,
    is_visible: bool,
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/runs/{runId}/terminal/{nodeRef}/screen")
            .on(Method::GET, web::to(get_screen)),
    ]
}

/// The screen of a node at a moment: a chunk or time beyond its end is its end. A node that has not started
/// has an empty one.
#[utoipa::path(
    get, path = "/runs/{runId}/terminal/{nodeRef}/screen", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node; it needs a terminal"),
        ("stream" = Option<schema::StreamName>, Query, description = "`pty`, which is the only one with a screen"),
        ("chunkIndex" = Option<u64>, Query, description = "Right after this chunk"),
        ("atMs" = Option<f64>, Query, description = "At this place on the time axis, in milliseconds"),
        ("format" = Option<String>, Query, description = "ansi (default): rows with colours; text; json: both, cursor and place"),
    ),
    responses((status = 200, description = "The screen", content(
        (Screen = "application/json"), (String = "text/plain"),
    ))),
)]
pub(crate) async fn get_screen(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    let node_ref = params::node_ref(&request)?;
    let query = Query::of(&request, &["stream", "chunkIndex", "atMs", "format"], &[])?;
    let at = moment(&query)?;
    let format = Format::of(&query)?;
    let view = api.run(&run).await?.view;
    let node = node_of(&view, &node_ref)?;
    if !node.terminal.mode.streams().contains(&StreamName::Pty) {
        let message = "the node has no terminal and so no screen; it has `lines`";
        return Err(ApiError::invalid("nodeRef", message));
    }
    let stream = stream_of(node, query.parsed("stream")?)?;
    let key = StreamKey { node_ref, stream };
    let found = api.seeker.screen_at(&run, &key, at).await?;
    let size = TerminalSize { cols: node.terminal.cols, rows: node.terminal.rows };
    let screen = match found {
        Some(screen) => screen,
        None if node.streams.is_empty() || !node.status.is_terminal() => ScreenAt {
            terminal: VirtualTerminal::new(size),
            seq: Seq::START,
            chunk_index: None,
            at_us: 0,
        },
        None => return Err(gone()),
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    Ok(match format {
        Format::Ansi => plain(&mut response, screen.terminal.ansi_text()),
        Format::Text => plain(&mut response, screen.terminal.text()),
        Format::Json => response.json(document(run.run, key, &screen)),
    })
}

/// What is answered where a stream has begun and nothing of it is kept any more.
pub(crate) fn gone() -> ApiError {
    ApiError::new(ErrorCode::Gone, "nothing of this stream is kept any more")
}

fn moment(query: &Query) -> Result<At, ApiError> {
    let chunk = query.number("chunkIndex", &(0..=(1 << 53) - 1))?;
    let Some(text) = query.text("atMs") else {
        let chunk = chunk.and_then(|chunk| u64::try_from(chunk).ok());
        return Ok(chunk.map_or(At::Now, |chunk| At::Chunk(ChunkIndex(chunk))));
    };
    if chunk.is_some() {
        return Err(ApiError::invalid("atMs", "either `chunkIndex` or `atMs`, not both"));
    }
    match text.parse::<f64>() {
        Ok(millis) if millis.is_finite() && millis >= 0.0 => {
            Ok(At::Time(Millis::from_f64(millis).0))
        }
        _ => {
            let shown: String = text.chars().take(64).collect();
            Err(ApiError::invalid("atMs", format!("`{shown}`; allowed: 0 and more milliseconds")))
        }
    }
}

pub(crate) fn plain(
    response: &mut actix_web::HttpResponseBuilder,
    mut text: String,
) -> HttpResponse {
    text.push('\n');
    response.insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(text)
}

fn document(run_id: RunId, key: StreamKey, screen: &ScreenAt) -> Screen {
    Screen {
        run_id,
        node_ref: key.node_ref,
        stream: key.stream,
        shown: Shown::by(&screen.terminal),
        seq: screen.seq,
        chunk_index: screen.chunk_index,
        at_ms: Millis(screen.at_us),
    }
}

impl Shown {
    /// What this terminal shows.
    pub(crate) fn by(terminal: &VirtualTerminal) -> Self {
        let (size, cursor) = (terminal.size(), terminal.cursor());
        Self {
            cols: size.cols,
            rows: size.rows,
            cursor: Cursor { col: cursor.col, row: cursor.row, is_visible: cursor.is_visible },
            is_alternate: terminal.is_alternate(),
            text: terminal.text(),
            ansi: terminal.ansi_text(),
            payload: STANDARD.encode(terminal.repaint()),
        }
    }
}
