//! The recording of a node as a download: an asciicast, its lines, or its exact bytes.

use std::time::Duration;

use actix_web::body::{BodySize, SizedStream};
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, EntityTag, HeaderValue,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::stream;
use runcast_actors::cast::{self, CastHeader};
use runcast_actors::history::{StreamPlace, Wanted};
use runcast_actors::ids::{RunKey, StreamKey, StreamName};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::Recording;
use runcast_actors::run_view::{NodeView, RunView};
use tokio::time::Instant;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::export::body::{Export, Follow};
use crate::http::export::download::{self, CastVersion, Format, Part, Recorded};
use crate::http::export::pull::ChunkPull;
use crate::http::export::writer::{ByteWindow, CastExport, ExportWriter, LineExport};
use crate::http::params::{self, Query};
use crate::http::request_id::RequestId;
use crate::http::routes::terminal::{node_of, stream_of};
use crate::http::schema;
use crate::http::stream::source::Streaming;

/// Whether what is downloaded is whole: `live`, `complete` or `incomplete`.
const X_RUNCAST_STATE: &str = "X-Runcast-State";
/// What never changes may be kept for a year, by whoever may see it.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/runs/{runId}/terminal/{nodeRef}/cast")
            .on(Method::GET, web::to(get_cast))
            .on(Method::HEAD, web::to(head_cast)),
    ]
}

/// The recording of a node so far, as a download. A node that has not started has an empty one.
#[utoipa::path(
    get, path = "/runs/{runId}/terminal/{nodeRef}/cast", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
        ("format" = Option<String>, Query, description = "cast, txt (lines) or raw (exact bytes); else cast"),
        ("version" = Option<u8>, Query, description = "Of the asciicast: 3 or 2, else 3"),
        ("stream" = Option<String>, Query, description = "pty, stdout, stderr, or all by order of `seq`, which is the default"),
        ("follow" = Option<bool>, Query, description = "Goes on until the node has ended"),
        ("Range" = Option<String>, Header, description = "One range of the bytes of a complete recording with format=raw"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of a complete recording"),
    ),
    responses(
        (status = 200, description = "The recording; X-Runcast-State says whether it is live, complete or incomplete", body = String, content_type = "application/x-asciicast"),
        (status = 206, description = "The range of its bytes", body = String, content_type = "application/octet-stream"),
        (status = 304, description = "The client has it"),
        (status = 416, description = "It has no such range", body = schema::ErrorBody),
        (status = 503, description = "Too many recordings are downloaded at once; Retry-After tells when to come again", body = schema::ErrorBody),
    ),
)]
pub(crate) async fn get_cast(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let asked = Asked::of(&api, &caller, &request).await?;
    asked.answer(&api, &caller, &request).await
}

/// What a download would be, without its body.
#[utoipa::path(
    head, path = "/runs/{runId}/terminal/{nodeRef}/cast", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
        ("format" = Option<String>, Query, description = "As for GET"),
        ("version" = Option<u8>, Query, description = "As for GET"),
        ("stream" = Option<String>, Query, description = "As for GET"),
        ("follow" = Option<bool>, Query, description = "As for GET"),
    ),
    responses((status = 200, description = "The headers of GET")),
)]
pub(crate) async fn head_cast(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    get_cast(api, caller, request).await.map(without_body)
}

/// The same headers, the length included; nothing is pulled.
fn without_body(response: HttpResponse) -> HttpResponse {
    response.map_body(|_, body| {
        use actix_web::body::MessageBody as _;
        let nothing = stream::empty::<Result<Bytes, actix_web::Error>>();
        match body.size() {
            BodySize::Sized(length) => SizedStream::new(length, nothing).boxed(),
            BodySize::Stream => actix_web::body::BodyStream::new(nothing).boxed(),
            BodySize::None => body,
        }
    })
}

/// A request for a download.
struct Asked {
    run: RunKey,
    view: RunView,
    node: NodeView,
    streams: Vec<StreamName>,
    format: Format,
    version: CastVersion,
    follow: bool,
    recorded: Recorded,
}

impl Asked {
    async fn of(api: &Api, caller: &Caller, request: &HttpRequest) -> Result<Self, ApiError> {
        caller.require(Scope::RunsRead)?;
        let run = api.key(caller, request)?;
        let node_ref = params::node_ref(request)?;
        let query = Query::of(request, &["version", "format", "follow", "stream"], &[])?;
        let format = query.word("format", "cast, txt, raw")?.unwrap_or_default();
        let version = match query.number("version", &(2..=3))? {
            Some(2) => CastVersion::V2,
            _ => CastVersion::V3,
        };
        let follow = match query.text("follow") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(ApiError::invalid("follow", "allowed: true, false")),
        };
        let asked = match query.text("stream") {
            None | Some("all") => None,
            Some(_) => query.parsed("stream")?,
        };
        let view = api.run(&run).await?.view;
        let node = node_of(&view, &node_ref)?.clone();
        let streams = match asked {
            None => node.terminal.mode.streams().to_vec(),
            Some(_) => vec![stream_of(&node, asked)?],
        };
        let rows = api.history.archive().recordings().recordings(&run).await?;
        let row = |stream: &StreamName| {
            rows.iter().find(|row| row.stream.stream == *stream && row.stream.node_ref == node_ref)
        };
        if streams.iter().filter_map(row).any(|row: &Recording| row.purged_at.is_some()) {
            let message = format!("the recording of `{node_ref}` was removed, as its time is over");
            return Err(ApiError::new(ErrorCode::Gone, message));
        }
        let has_nothing = node.streams.is_empty() && node.status.is_terminal();
        let recorded =
            if has_nothing { Recorded::of([]) } else { Recorded::of(streams.iter().map(row)) };
        Ok(Self { run, view, node, streams, format, version, follow, recorded })
    }

    async fn answer(
        self,
        api: &web::Data<Api>,
        caller: &Caller,
        request: &HttpRequest,
    ) -> Result<HttpResponse, ApiError> {
        let etag = self.recorded.etag(self.format, self.version);
        if let Some(etag) = &etag
            && download::is_known(request, etag)
        {
            return Ok(self.head(StatusCode::NOT_MODIFIED, Some(etag)).finish());
        }
        let Some(etag) = etag else {
            // What a node that has ended still lacks here is on its way from who ran it.
            let is_coming = self.node.status.is_terminal() && !self.node.streams.is_empty();
            let comes = self.follow || is_coming;
            let follow = if comes { Some(self.following(api, caller, request)?) } else { None };
            let mut head = self.head(StatusCode::OK, None);
            let export = self.export(api, StreamPlace::default(), ByteWindow::ALL, follow).await?;
            return Ok(head.streaming(pieces(export)));
        };
        if self.format != Format::Raw {
            let mut head = self.head(StatusCode::OK, Some(&etag));
            let export = self.export(api, StreamPlace::default(), ByteWindow::ALL, None).await?;
            return Ok(head.streaming(pieces(export)));
        }
        self.answer_bytes(api, request, &etag).await
    }

    /// The bytes of a complete recording, or a range of them.
    async fn answer_bytes(
        self,
        api: &web::Data<Api>,
        request: &HttpRequest,
        etag: &EntityTag,
    ) -> Result<HttpResponse, ApiError> {
        let length = self.recorded.bytes;
        // A range is a thing of GET alone (RFC 9110, 14.2).
        let is_get = request.method() == Method::GET;
        let part = if is_get { Part::of(request, etag, length) } else { Part::Whole };
        let (status, first, wanted) = match part {
            Part::Whole => (StatusCode::OK, 0, length),
            Part::Range(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
            Part::Beyond => return Ok(beyond(request, length)),
        };
        let mut head = self.head(status, Some(etag));
        head.insert_header((ACCEPT_RANGES, "bytes"));
        if status == StatusCode::PARTIAL_CONTENT {
            let last = first + wanted - 1;
            head.insert_header((CONTENT_RANGE, format!("bytes {first}-{last}/{length}")));
        }
        let place = self.place_of_byte(api, first).await?;
        let window = ByteWindow { skipped: first - place.bytes, wanted };
        let export = self.export(api, place, window, None).await?;
        Ok(head.body(SizedStream::new(wanted, Box::pin(pieces(export)))))
    }

    /// From where to read for a byte. Places of several streams do not agree, so those are read from the
    /// beginning.
    async fn place_of_byte(&self, api: &Api, byte: u64) -> Result<StreamPlace, ApiError> {
        match self.stream_keys().as_slice() {
            [stream] if byte > 0 => {
                Ok(api.history.nearest(&self.run, stream, Wanted::Byte(byte)).await?)
            }
            _ => Ok(StreamPlace::default()),
        }
    }

    fn stream_keys(&self) -> Vec<StreamKey> {
        let key = |stream: &StreamName| StreamKey {
            node_ref: self.node.node_ref.clone(),
            stream: *stream,
        };
        self.streams.iter().map(key).collect()
    }

    async fn export(
        self,
        api: &web::Data<Api>,
        place: StreamPlace,
        window: ByteWindow,
        follow: Option<Follow>,
    ) -> Result<Export, ApiError> {
        let room = api.download_room()?;
        let until = api.history.tail(&self.run).await?;
        let streams = self.stream_keys();
        let writer = self.writer(window);
        let is_whole = self.recorded.etag(self.format, self.version).is_some();
        let pull = ChunkPull::new(api.history.clone(), self.run, streams, place.after, until);
        let pull = if is_whole { pull.whole() } else { pull };
        Ok(Export::new(pull, writer, follow, room))
    }

    fn writer(&self, window: ByteWindow) -> ExportWriter {
        let size = self.node.terminal.size();
        match self.format {
            Format::Raw => ExportWriter::Raw(window),
            Format::Txt => ExportWriter::Lines(LineExport::new(&self.streams, size)),
            Format::Cast => {
                let format = match self.version {
                    CastVersion::V2 => cast::Format::V2,
                    CastVersion::V3 => cast::Format::V3,
                };
                let streams = match self.streams.as_slice() {
                    [_] => cast::Streams::One,
                    _ => cast::Streams::Merged,
                };
                ExportWriter::Cast(CastExport::new(format, streams, self.header()))
            }
        }
    }

    fn header(&self) -> CastHeader {
        let name = self.node.name.as_deref().unwrap_or(self.node.node_ref.as_str());
        let since = self.node.started_at.unwrap_or(self.view.created_at);
        CastHeader {
            size: self.node.terminal.size(),
            timestamp: u64::try_from(since.0 / 1_000_000).ok(),
            title: Some(format!("{} / {name}", self.run.run)),
            command: Some(self.node.command.join(" ")),
        }
    }

    fn following(
        &self,
        api: &web::Data<Api>,
        caller: &Caller,
        request: &HttpRequest,
    ) -> Result<Follow, ApiError> {
        let streaming = request
            .app_data::<web::Data<Streaming>>()
            .ok_or_else(|| ApiError::internal("nothing tells streams when the service stops"))?;
        let expires_at = caller.expires_at.map(|at| {
            let micros = at.0.saturating_sub(Timestamp::now().0);
            Instant::now() + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        });
        Ok(Follow {
            api: api.clone(),
            run: self.run.clone(),
            node_ref: self.node.node_ref.clone(),
            wake: api.history.follow(&self.run),
            closing: streaming.closing.clone(),
            expires_at,
            looked_at: None,
            end: None,
            moved_at: Instant::now(),
        })
    }

    fn head(&self, status: StatusCode, etag: Option<&EntityTag>) -> HttpResponseBuilder {
        let mut head = HttpResponse::build(status);
        head.insert_header((X_RUNCAST_STATE, self.recorded.state.as_str()));
        match etag {
            Some(etag) => head
                .insert_header((ETAG, etag.to_string()))
                .insert_header((CACHE_CONTROL, IMMUTABLE)),
            None => head
                .insert_header((CACHE_CONTROL, "no-store, no-transform"))
                .insert_header(("X-Accel-Buffering", "no")),
        };
        if status != StatusCode::NOT_MODIFIED {
            head.insert_header((CONTENT_TYPE, self.format.content_type())).insert_header(
                self.format.disposition(&self.run.run, &self.node.node_ref, &self.streams),
            );
        }
        head
    }
}

fn beyond(request: &HttpRequest, length: u64) -> HttpResponse {
    let message = format!("the recording has {length} bytes");
    let id = RequestId::of_request(request);
    let mut response =
        ApiError::invalid("Range", message).respond(id.as_ref().map_or("", RequestId::as_str));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

fn pieces(export: Export) -> impl futures_util::Stream<Item = Result<Bytes, actix_web::Error>> {
    stream::unfold(Some(export), |export| async move {
        let mut export = export?;
        match export.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some(export))),
            Err(error) => {
                tracing::warn!(%error, "a download was cut");
                Some((Err(actix_web::error::ErrorInternalServerError(error)), None))
            }
        }
    })
}

#[cfg(test)]
#[path = "cast_tests.rs"]
mod tests;
