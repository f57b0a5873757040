//! Runs: submitting, finding, describing, ending and forgetting them.

use actix_web::http::Method;
use actix_web::http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::flow::sequencer::hex;
use runcast_actors::ids::{RunId, RunKey, Seq};
use runcast_actors::ports::{Annotation, RunQuery, Submission, Submitted};
use runcast_actors::run_spec::{RunSpec, check_links, check_metadata, validate};
use runcast_actors::run_view::{Link, RunStatus, RunView};
use runcast_actors::sessions::SessionId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Digest as _;
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::body::JsonBody;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::{self, Query, decode_cursor, encode_cursor};
use crate::http::routes::BASE_PATH;
use crate::http::schema;

const MAX_RUNS: u32 = 1000;
const DEFAULT_RUNS: u32 = 100;
const STATUS_WORDS: &str = "QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, TIMED_OUT";

/// What of a run can be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunChange {
    /// Replaces the metadata, at most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Replaces the links.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schema::Link>>)]
    pub links: Option<Vec<Link>>,
}

/// A page of runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    /// Without their nodes.
    #[schema(value_type = Vec<schema::Run>)]
    pub runs: Vec<RunView>,
    /// For the next page; null if this is the last.
    pub next_cursor: Option<String>,
}

/// That a wish about a run was noted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    /// Which run.
    #[schema(value_type = String)]
    pub run_id: RunId,
}

impl Noted {
    /// The answer 202.
    pub(crate) fn accepted(run: &RunKey) -> HttpResponse {
        HttpResponse::Accepted().json(Self { run_id: run.run.clone() })
    }
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/runs")
            .on(Method::GET, web::to(list_runs))
            .on(Method::POST, web::to(submit_run)),
        Endpoint::at("/runs/{runId}")
            .on(Method::GET, web::to(get_run))
            .on(Method::PATCH, web::to(change_run))
            .on(Method::DELETE, web::to(purge_run)),
        Endpoint::at("/runs/{runId}/status").on(Method::GET, web::to(get_run_status)),
        Endpoint::at("/runs/{runId}/cancel").on(Method::POST, web::to(cancel_run)),
    ]
}

/// Submits a run.
#[utoipa::path(
    post, path = "/runs", tag = "runs",
    request_body = schema::RunSpec,
    responses(
        (status = 201, description = "The run is queued", body = schema::Run,
            headers(("Location" = String, description = "Where the run is"))),
        (status = 200, description = "The same id came with the same document before", body = schema::Run),
    ),
)]
pub(crate) async fn submit_run(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<RunSpec>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsWrite)?;
    Query::none(&request)?;
    let spec = body.0;
    validate(&spec)?;
    if let Some(own) = caller.run.as_ref().filter(|own| spec.run_id.as_ref() != Some(own)) {
        let message = format!("the token is for run `{own}` only");
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    if api.is_draining() {
        return Err(ApiError::new(ErrorCode::Unavailable, "the service is stopping"));
    }
    if spec.run_id.as_ref().is_some_and(SessionId::is_of_session) {
        let message = "ids of this form are those of interactive terminals";
        return Err(ApiError::invalid("runId", message));
    }
    let run_id = spec.run_id.clone().unwrap_or_else(RunId::generate);
    let run = RunKey { tenant: caller.tenant, run: run_id };
    let location = (LOCATION, format!("{BASE_PATH}/runs/{}", run.run));
    let submission = Submission { run: run.clone(), spec, default_terminal: api.default_terminal };
    match api.store.submit(submission).await? {
        Submitted::Created(stored) => {
            api.control.run_submitted();
            Ok(HttpResponse::Created().insert_header(location).json(stored.view))
        }
        Submitted::Existing(stored) => {
            Ok(HttpResponse::Ok().insert_header(location).json(stored.view))
        }
        Submitted::Conflict => {
            let message = format!("the run `{}` exists with another document", run.run);
            Err(ApiError::new(ErrorCode::Conflict, message))
        }
        Submitted::Gone => {
            let message = format!("the id `{}` belonged to a run that was purged", run.run);
            Err(ApiError::new(ErrorCode::Gone, message))
        }
    }
}

/// Lists runs, newest first, without their nodes.
#[utoipa::path(
    get, path = "/runs", tag = "runs",
    params(
        ("status" = Option<String>, Query, description = "Only in these states, separated by commas"),
        ("workflowId" = Option<String>, Query, description = "Only of this workflow"),
        ("label" = Option<Vec<String>>, Query, description = "Only with this label, as `name:value`; may stand there several times"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, else 100"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer"),
    ),
    responses(
        (status = 200, description = "A page of runs, with an `ETag`", body = RunPage),
        (status = 304, description = "The page is as it was"),
    ),
)]
pub(crate) async fn list_runs(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let query = Query::of(&request, &["workflowId", "limit", "cursor"], &["status", "label"])?;
    let status = query
        .all("status")
        .flat_map(|list| list.split(','))
        .map(|text| params::word::<RunStatus>("status", text, STATUS_WORDS))
        .collect::<Result<Vec<_>, _>>()?;
    let labels = query.all("label").map(label_of).collect::<Result<Vec<_>, _>>()?;
    let is_restricted = !caller.projects.is_empty();
    let mut list = api
        .store
        .list(&RunQuery {
            tenant: caller.tenant,
            status,
            workflow_id: query.text("workflowId").map(str::to_owned),
            labels,
            run_id: caller.run,
            limit: query.limit(MAX_RUNS, DEFAULT_RUNS)?,
            cursor: query.text("cursor").map(decode_cursor).transpose()?,
        })
        .await?;
    let next_cursor = list.next.as_ref().map(encode_cursor);
    // For them these runs do not exist.
    list.runs.retain(|view| !(is_restricted && SessionId::is_of_session(&view.run_id)));
    let last_seq = list.runs.iter().map(|view| view.last_seq).max().unwrap_or_default();
    tagged(&request, last_seq, &RunPage { runs: list.runs, next_cursor })
}

fn label_of(text: &str) -> Result<(String, String), ApiError> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ApiError::invalid("label", "a label is given as `name:value`")),
    }
}

/// Tells of a run with its nodes.
#[utoipa::path(
    get, path = "/runs/{runId}", tag = "runs",
    params(
        ("runId" = String, Path, description = "The run"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer"),
    ),
    responses(
        (status = 200, description = "The run; the `ETag` begins with its `lastSeq`", body = schema::Run),
        (status = 304, description = "Nothing has happened since"),
    ),
)]
pub(crate) async fn get_run(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    Query::none(&request)?;
    let view = api.run(&run).await?.view;
    tagged(&request, view.last_seq, &view)
}

/// The document, or that the caller has it.
fn tagged(
    request: &HttpRequest,
    last_seq: Seq,
    document: &impl Serialize,
) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(document).map_err(ApiError::internal)?;
    let tag = etag_of(last_seq, &body);
    if is_known(request, &tag) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header((ETAG, tag)).content_type("application/json").body(body))
}

/// Metadata and the counts of recordings change without an entry, so the `seq` alone is not enough.
fn etag_of(seq: Seq, body: &[u8]) -> String {
    let digest = sha2::Sha256::digest(body);
    format!("\"{seq}-{}\"", hex(&digest[..8]))
}

fn is_known(request: &HttpRequest, tag: &str) -> bool {
    let values = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    values
        .flat_map(|list| list.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == "*" || known == tag)
}

/// Tells of a run without its nodes.
#[utoipa::path(
    get, path = "/runs/{runId}/status", tag = "runs",
    params(("runId" = String, Path, description = "The run")),
    responses((status = 200, description = "The run without its nodes", body = schema::Run)),
)]
pub(crate) async fn get_run_status(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    Query::none(&request)?;
    let mut view = api.run(&run).await?.view;
    view.nodes = None;
    Ok(HttpResponse::Ok().json(view))
}

/// Changes metadata and links of a run.
#[utoipa::path(
    patch, path = "/runs/{runId}", tag = "runs",
    params(("runId" = String, Path, description = "The run")),
    request_body = RunChange,
    responses((status = 200, description = "The run after the change", body = schema::Run)),
)]
pub(crate) async fn change_run(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<RunChange>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let run = api.key(&caller, &request)?;
    Query::none(&request)?;
    let RunChange { metadata, links } = body.0;
    metadata.as_ref().map(check_metadata).transpose()?;
    links.as_deref().map(check_links).transpose()?;
    api.recorded_run(&run).await?;
    let annotation = Annotation { metadata, links };
    if api.store.annotate(&run, annotation.clone()).await? {
        api.control.run_annotated(&run, annotation);
    }
    Ok(HttpResponse::Ok().json(api.run(&run).await?.view))
}

/// Ends a run.
#[utoipa::path(
    post, path = "/runs/{runId}/cancel", tag = "runs",
    params(("runId" = String, Path, description = "The run")),
    responses((status = 202, description = "The wish is noted", body = Noted)),
)]
pub(crate) async fn cancel_run(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let run = api.key(&caller, &request)?;
    Query::none(&request)?;
    api.control.cancel(&run).await?;
    Ok(Noted::accepted(&run))
}

/// Forgets a finished run: its log, its recordings, its rows. Its id stays taken.
#[utoipa::path(
    delete, path = "/runs/{runId}", tag = "runs",
    params(("runId" = String, Path, description = "The run")),
    responses((status = 204, description = "Everything but the id is gone")),
)]
pub(crate) async fn purge_run(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let run = api.key(&caller, &request)?;
    Query::none(&request)?;
    api.control.purge(&run).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_known_tag_is_recognised() {
        for (header, expected) in [
            ("\"42\"", true),
            ("W/\"42\"", true),
            ("\"41\", \"42\"", true),
            ("*", true),
            ("\"421\"", false),
            ("42", false),
            ("", false),
        ] {
            let request = TestRequest::get().insert_header((IF_NONE_MATCH, header));
            assert_eq!(is_known(&request.to_http_request(), "\"42\""), expected, "{header}");
        }
        assert!(!is_known(&TestRequest::get().to_http_request(), "\"42\""));
    }
}
