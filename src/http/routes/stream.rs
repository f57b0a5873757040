//! Streams of runs and nodes, and the same events for clients that poll.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use runcast_actors::flow::frame::Ends;
use runcast_actors::ids::{NodeRef, RunKey, Seq};
use runcast_actors::run_view::RunView;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::{Query, node_ref};
use crate::http::schema;
use crate::http::sse;
use crate::http::stream::encoders;
use crate::http::stream::line_events::{LineStyle, LineWriter, Tail};
use crate::http::stream::options::{Begin, Filter, Format, StreamOptions, cursor};
use crate::http::stream::source::{Done, Part, Passing, Source, Streaming, has_nothing_after};

/// Events of one page, at most.
const MAX_EVENTS: u32 = 1000;
/// Events of one page, if nothing is said.
const DEFAULT_EVENTS: u32 = 100;
/// How long a poll waits, at most, in seconds.
const MAX_WAIT_SECS: i64 = 25;
/// What is handed to a connection at once: it is copied into its buffer.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes of one page, about.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are read at once for a page.
const READ_BYTES: usize = 256 * 1024;

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/runs/{runId}/stream").on(Method::GET, web::to(stream_run)),
        Endpoint::at("/runs/{runId}/terminal/{nodeRef}/stream")
            .on(Method::GET, web::to(stream_node)),
        Endpoint::at("/runs/{runId}/events").on(Method::GET, web::to(get_events)),
    ]
}

/// Streams the events of a run: everything after the cursor, then live.
#[utoipa::path(
    get, path = "/runs/{runId}/stream", tag = "streams",
    params(
        ("runId" = String, Path, description = "The run"),
        ("after" = Option<u64>, Query, description = "Only events after this `seq`; `Last-Event-ID` and `last_event_id` win over it"),
        ("from" = Option<String>, Query, description = "Without a cursor: `start` (default), or `live`: the screens as they are now, then what follows"),
        ("nodes" = Option<String>, Query, description = "Only consoles of these nodes, separated by commas"),
        ("types" = Option<String>, Query, description = "Only these: status, trace, terminal, separated by commas"),
        ("scrollback" = Option<u32>, Query, description = "With from=live: lines above each screen, 0 to 5000, else 200"),
        ("format" = Option<String>, Query, description = "sse (default), ndjson, lines, text"),
        ("tail" = Option<u32>, Query, description = "With ndjson, lines or text: only the last so many of what is there"),
    ),
    responses(
        (status = 200, description = "Events until the run has ended", content_type = "text/event-stream", body = String),
        (status = 204, description = "The run has ended and nothing after the cursor passes the filters"),
    ),
)]
pub(crate) async fn stream_run(
    api: web::Data<Api>,
    streaming: web::Data<Streaming>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    open(api, &streaming, &caller, &request, None).await
}

/// Streams the events of a run with the console of one node, until that node has ended.
#[utoipa::path(
    get, path = "/runs/{runId}/terminal/{nodeRef}/stream", tag = "streams",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
        ("after" = Option<u64>, Query, description = "Only events after this `seq`; `Last-Event-ID` and `last_event_id` win over it"),
        ("from" = Option<String>, Query, description = "Without a cursor: `start` (default), or `live`: the screen as it is now, then what follows"),
        ("types" = Option<String>, Query, description = "Only these: status, trace, terminal, separated by commas"),
        ("scrollback" = Option<u32>, Query, description = "With from=live: lines above the screen, 0 to 5000, else 200"),
        ("format" = Option<String>, Query, description = "sse (default), ndjson, lines, text"),
        ("tail" = Option<u32>, Query, description = "With ndjson, lines or text: only the last so many of what is there"),
    ),
    responses(
        (status = 200, description = "Events until the node has ended", content_type = "text/event-stream", body = String),
        (status = 204, description = "The node has ended and nothing after the cursor passes the filters"),
    ),
)]
pub(crate) async fn stream_node(
    api: web::Data<Api>,
    streaming: web::Data<Streaming>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let node = node_ref(&request)?;
    open(api, &streaming, &caller, &request, Some(node)).await
}

async fn open(
    api: web::Data<Api>,
    streaming: &Streaming,
    caller: &Caller,
    request: &HttpRequest,
    node: Option<NodeRef>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let options = StreamOptions::of(request, node.clone())?;
    let run = api.key(caller, request)?;
    let view = match api.run(&run).await {
        Ok(stored) => stored.view,
        // EventSource gives up for good at any status but 200; a repeat mends this.
        Err(error) if error.is_passing() => return Ok(come_back_later(&options, &error)),
        Err(error) => return Err(error),
    };
    if let Some(unknown) = unknown_node(&view, &options.filter) {
        let message = format!("the run has no node `{unknown}`");
        return Err(if node.is_some() {
            ApiError::not_found(message)
        } else {
            ApiError::invalid("nodes", message)
        });
    }
    if let Begin::After(seq) = options.begin
        && has_nothing_after(&api, &run, node.as_ref(), &options.filter, &view, seq).await?
    {
        return Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish());
    }
    let expires_at = caller.expires_at.map(|at| {
        let micros = at.0.saturating_sub(runcast_actors::moment::Timestamp::now().0);
        Instant::now() + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    });
    let several = options
        .filter
        .nodes()
        .map_or(view.progress.total as usize, std::collections::BTreeSet::len)
        > 1;
    let writer = Writer::new(&options, several);
    // Lines are computed from the beginning of their stream, whatever the cursor.
    let begin = match (options.format, options.begin) {
        (Format::Lines | Format::Text, Begin::After(_)) => Begin::Start,
        (_, begin) => begin,
    };
    let source = Source::new(
        api,
        streaming.clone(),
        run,
        node,
        options.filter.clone(),
        begin,
        options.scrollback,
        expires_at,
    );
    let opening = matches!(options.format, Format::Sse | Format::Lines).then(sse::opening);
    let body = Body { source, writer, ready: opening.into_iter().collect() };
    let pieces = stream::unfold(body, |mut body| async move {
        let piece = body.next().await?;
        Some((Ok::<Bytes, actix_web::Error>(piece), body))
    });
    Ok(headers(&options).streaming(pieces))
}

fn headers(options: &StreamOptions) -> actix_web::HttpResponseBuilder {
    let content_type = match options.format {
        Format::Sse | Format::Lines => "text/event-stream",
        Format::Ndjson => "application/x-ndjson",
        Format::Text => "text/plain; charset=utf-8",
    };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CACHE_CONTROL, "no-store, no-transform"))
        .insert_header(("X-Accel-Buffering", "no"));
    response
}

fn come_back_later(options: &StreamOptions, error: &ApiError) -> HttpResponse {
    let part = Part::ComeBack(Some(Passing::new(error.message())));
    let mut writer = Writer::new(options, false);
    let body: Vec<u8> = writer.write(&part).concat();
    headers(options).body(body)
}

fn unknown_node(view: &RunView, filter: &Filter) -> Option<NodeRef> {
    let known =
        |node_ref: &NodeRef| view.nodes.iter().flatten().any(|node| node.node_ref == *node_ref);
    filter.nodes()?.iter().find(|node_ref| !known(node_ref)).cloned()
}

/// What is left to send of one connection.
struct Body {
    source: Source,
    writer: Writer,
    ready: VecDeque<Bytes>,
}

impl Body {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(mut piece) = self.ready.pop_front() {
                if piece.len() > PIECE_BYTES {
                    let rest = piece.split_off(PIECE_BYTES);
                    self.ready.push_front(rest);
                }
                return Some(piece);
            }
            let part = self.source.next().await?;
            self.ready.extend(self.writer.write(&part));
        }
    }
}

enum Writer {
    Sse,
    Ndjson { tail: Option<Tail> },
    Lines(Box<LineWriter>),
}

impl Writer {
    fn new(options: &StreamOptions, several_nodes: bool) -> Self {
        let cursor = match options.begin {
            Begin::After(seq) => seq,
            Begin::Start | Begin::Live => Seq::START,
        };
        let lines = |style| Self::Lines(Box::new(LineWriter::new(style, cursor, options.tail)));
        match options.format {
            Format::Sse => Self::Sse,
            Format::Ndjson => Self::Ndjson { tail: options.tail.map(Tail::new) },
            Format::Lines => lines(LineStyle::Events),
            Format::Text => lines(LineStyle::Text { prefixed: several_nodes }),
        }
    }

    fn write(&mut self, part: &Part) -> Vec<Bytes> {
        match self {
            Self::Sse => encoders::sse(part),
            Self::Lines(lines) => lines.write(part),
            Self::Ndjson { tail: None } => encoders::ndjson(part),
            Self::Ndjson { tail } => {
                let pieces = encoders::ndjson(part);
                match (part, tail.as_mut()) {
                    (Part::Events(_), Some(tail)) => {
                        pieces.into_iter().for_each(|piece| tail.hold(piece));
                        Vec::new()
                    }
                    (Part::Live(_), Some(_)) => {
                        let held = tail.take().map(Tail::release).unwrap_or_default();
                        held.into_iter().chain(pieces).collect()
                    }
                    _ => pieces,
                }
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventPage {
    events: Vec<PageEvent>,
    next_after: Seq,
    live: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Box<Done>>,
}

#[derive(Serialize)]
struct PageEvent {
    event: &'static str,
    data: Box<RawValue>,
}

/// The events of the stream, for clients that poll.
#[utoipa::path(
    get, path = "/runs/{runId}/events", tag = "streams",
    params(
        ("runId" = String, Path, description = "The run"),
        ("after" = Option<u64>, Query, description = "Only events after this `seq`"),
        ("nodes" = Option<String>, Query, description = "Only consoles of these nodes, separated by commas"),
        ("types" = Option<String>, Query, description = "Only these: status, trace, terminal, separated by commas"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, else 100"),
        ("waitSecs" = Option<u32>, Query, description = "How long to wait for the first event, 0 to 25"),
    ),
    responses((status = 200, description = "A page of events", body = schema::EventPage)),
)]
pub(crate) async fn get_events(
    api: web::Data<Api>,
    streaming: web::Data<Streaming>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let query = Query::of(&request, &["after", "nodes", "types", "limit", "waitSecs"], &[])?;
    let filter = Filter::of(&query)?;
    let limit = query.limit(MAX_EVENTS, DEFAULT_EVENTS)? as usize;
    let after = query.text("after").map_or(Ok(Seq::START), |text| cursor("after", text))?;
    let wait_secs = query.number("waitSecs", &(0..=MAX_WAIT_SECS))?.unwrap_or(0);
    let run = api.key(&caller, &request)?;
    let view = api.run(&run).await?.view;
    if let Some(unknown) = unknown_node(&view, &filter) {
        return Err(ApiError::invalid("nodes", format!("the run has no node `{unknown}`")));
    }
    let wait = Duration::from_secs(u64::try_from(wait_secs).unwrap_or(0));
    let page = page(&api, &streaming, &run, &filter, (after, limit), wait).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(page))
}

async fn page(
    api: &web::Data<Api>,
    streaming: &Streaming,
    run: &RunKey,
    filter: &Filter,
    (after, limit): (Seq, usize),
    wait: Duration,
) -> Result<EventPage, ApiError> {
    let deadline = Instant::now() + wait;
    let mut closing = streaming.closing.clone();
    let mut wake = api.history.follow(run);
    let mut events = Vec::new();
    let mut through = after;
    let mut bytes = 0;
    let mut has_ended = false;
    loop {
        let stretch = api.history.read(run, through, READ_BYTES).await?;
        for item in &stretch.items {
            if events.len() == limit || bytes >= PAGE_BYTES {
                break;
            }
            let frame = runcast_actors::flow::frame::Frame::of_item(&run.run, item);
            through = frame.seq;
            has_ended |= frame.ends == Ends::Run;
            if filter.passes(&frame) {
                bytes += frame.text().len();
                events.push(PageEvent { event: frame.event.as_str(), data: encoders::raw(&frame) });
            }
        }
        let live = through >= stretch.tail;
        let is_full = events.len() == limit || bytes >= PAGE_BYTES;
        if is_full || (live && (has_ended || !events.is_empty() || Instant::now() >= deadline)) {
            let view = api.run(run).await?.view;
            let is_over = live && view.status.is_terminal() && through >= view.last_seq;
            let done = is_over.then(|| Box::new(Done::of(&view, None, filter, view.last_seq)));
            return Ok(EventPage { events, next_after: through, live, done });
        }
        if live {
            let view = api.run(run).await?.view;
            if view.status.is_terminal() && through >= view.last_seq {
                has_ended = true;
                continue;
            }
            tokio::select! {
                () = wake.changed() => {}
                () = tokio::time::sleep_until(deadline) => {}
                _ = closing.wait_for(|closing| *closing) => has_ended = true,
            }
        }
    }
}
