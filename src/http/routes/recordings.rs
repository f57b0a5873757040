//! What is kept of a run's streams, and the index of each.

use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::cast::StreamSummary;
use runcast_actors::entry::TerminalSize;
use runcast_actors::event_json::Millis;
use runcast_actors::ids::{ChunkIndex, Epoch, NodeRef, Seq, StreamKey, StreamName};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{IncompleteReason, Recording, RecordingState};
use runcast_actors::seek::StreamIndex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::{self, Query};
use crate::http::routes::screen::gone;
use crate::http::routes::terminal::{node_of, stream_of};
use crate::http::schema;

/// The recordings of a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct Recordings {
    recordings: Vec<RecordingRow>,
}

/// What is kept of a stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordingRow {
    #[schema(value_type = String)]
    node_ref: NodeRef,
    #[schema(value_type = schema::StreamName)]
    stream: StreamName,
    /// `live`, `complete` or `incomplete`.
    #[schema(value_type = String)]
    state: RecordingState,
    /// Why it is incomplete: `lost`, `gap`, `mismatch` or `archive`.
    #[schema(value_type = Option<String>)]
    reason: Option<IncompleteReason>,
    /// The object with the whole stream in the archive; null before there is one.
    file_url: Option<String>,
    #[schema(value_type = Option<u64>)]
    first_chunk_index: Option<ChunkIndex>,
    #[schema(value_type = Option<u64>)]
    last_chunk_index: Option<ChunkIndex>,
    #[schema(value_type = u64)]
    last_seq: Seq,
    chunk_count: u64,
    /// Of all output payloads.
    byte_count: u64,
    /// Of all output payloads, in lower-case hexadecimal; null while it is live.
    sha256: Option<String>,
    gap_count: u64,
    duration_secs: f64,
    cols: u16,
    rows: u16,
    #[schema(value_type = u32)]
    epoch: Epoch,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    /// When retention removed what was kept.
    #[schema(value_type = Option<String>, format = DateTime)]
    purged_at: Option<Timestamp>,
}

impl From<Recording> for RecordingRow {
    fn from(row: Recording) -> Self {
        Self {
            node_ref: row.stream.node_ref,
            stream: row.stream.stream,
            state: row.state,
            reason: row.reason,
            file_url: row.object.map(|object| object.to_string()),
            first_chunk_index: row.first_chunk,
            last_chunk_index: row.last_chunk,
            last_seq: row.last_seq,
            chunk_count: row.chunks,
            byte_count: row.bytes,
            sha256: row.sha256,
            gap_count: row.gaps,
            duration_secs: Millis(row.duration_us).as_f64() / 1000.0,
            cols: row.size.cols,
            rows: row.size.rows,
            epoch: row.epoch,
            created_at: row.created_at,
            updated_at: row.updated_at,
            completed_at: row.completed_at,
            purged_at: row.purged_at,
        }
    }
}

/// What a seek bar needs of a stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    duration_ms: u64,
    chunks: u64,
    /// Of all output payloads.
    bytes: u64,
    /// `live`, `complete` or `incomplete`.
    #[schema(value_type = String)]
    state: RecordingState,
    /// Where a seek costs nothing.
    keyframes: Vec<IndexPlace>,
    /// The first 1,000.
    markers: Vec<IndexMarker>,
    marker_count: u64,
    /// The first 1,000.
    resizes: Vec<IndexResize>,
    resize_count: u64,
    /// Bytes of output in each of 500 equal slices of the duration.
    activity: Vec<u64>,
}

/// A place of a stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexPlace {
    #[schema(value_type = Option<u64>)]
    chunk_index: Option<ChunkIndex>,
    #[schema(value_type = u64)]
    seq: Seq,
    #[schema(value_type = f64)]
    at_ms: Millis,
}

/// A marker of a stream.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexMarker {
    /// The first 200 characters.
    label: String,
    #[serde(flatten)]
    place: IndexPlace,
}

/// A change of a terminal's size.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexResize {
    cols: u16,
    rows: u16,
    #[serde(flatten)]
    place: IndexPlace,
}

impl From<StreamIndex> for Index {
    fn from(index: StreamIndex) -> Self {
        let place = |chunk: ChunkIndex, seq, at_us| IndexPlace {
            chunk_index: Some(chunk),
            seq,
            at_ms: Millis(at_us),
        };
        let keyframes = index.keyframes.iter().map(|keyframe| IndexPlace {
            chunk_index: keyframe.chunk_index,
            seq: keyframe.seq,
            at_ms: Millis(keyframe.at_us),
        });
        let StreamSummary { markers, marker_count, resizes, resize_count, .. } = &index.summary;
        let markers = markers.iter().map(|marker| IndexMarker {
            label: marker.label.clone(),
            place: place(marker.chunk, marker.seq, marker.at_us),
        });
        let resizes = resizes.iter().map(|resize| {
            let TerminalSize { cols, rows } = resize.size;
            IndexResize { cols, rows, place: place(resize.chunk, resize.seq, resize.at_us) }
        });
        let duration_ms = index.summary.duration_us.div_ceil(1000);
        Self {
            duration_ms,
            chunks: index.chunks,
            bytes: index.bytes,
            state: index.state,
            keyframes: keyframes.collect(),
            markers: markers.collect(),
            marker_count: *marker_count,
            resizes: resizes.collect(),
            resize_count: *resize_count,
            activity: index.summary.activity_over(duration_ms),
        }
    }
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/runs/{runId}/recordings").on(Method::GET, web::to(get_recordings)),
        Endpoint::at("/runs/{runId}/terminal/{nodeRef}/index").on(Method::GET, web::to(get_index)),
    ]
}

/// What is kept of each stream of a run.
#[utoipa::path(
    get, path = "/runs/{runId}/recordings", tag = "terminal",
    params(("runId" = String, Path, description = "The run")),
    responses((status = 200, description = "The recordings, by node and stream", body = Recordings)),
)]
pub(crate) async fn get_recordings(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    Query::none(&request)?;
    api.recorded_run(&run).await?;
    let rows = api.history.archive().recordings().recordings(&run).await?;
    let recordings = rows.into_iter().map(RecordingRow::from).collect();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(Recordings { recordings }))
}

/// What a seek bar needs of a stream: its length, where something happens, and where a seek is cheap.
#[utoipa::path(
    get, path = "/runs/{runId}/terminal/{nodeRef}/index", tag = "terminal",
    params(
        ("runId" = String, Path, description = "The run"),
        ("nodeRef" = String, Path, description = "The node"),
        ("stream" = Option<schema::StreamName>, Query, description = "Needed where the node has several"),
    ),
    responses((status = 200, description = "The index", body = Index)),
)]
pub(crate) async fn get_index(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    let node_ref = params::node_ref(&request)?;
    let query = Query::of(&request, &["stream"], &[])?;
    let view = api.run(&run).await?.view;
    let node = node_of(&view, &node_ref)?;
    let stream = stream_of(node, query.parsed("stream")?)?;
    let found = api.seeker.index(&run, &StreamKey { node_ref, stream }).await?;
    let index = match found {
        Some(index) => index,
        // A stream that nobody has written to is empty: yet, or for ever if its node never started.
        None if node.streams.is_empty() || !node.status.is_terminal() => StreamIndex {
            state: RecordingState::Live,
            chunks: 0,
            bytes: 0,
            keyframes: Vec::new(),
            summary: StreamSummary::default(),
        },
        None => return Err(gone()),
    };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Index::from(index)))
}
