//! The trace of a run: from the rows as far as they were written, then from the log.

use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::entry::{Entry, Level, TraceKind};
use runcast_actors::event_json::write_event_data;
use runcast_actors::history::{Item, Stretch};
use runcast_actors::ids::{RunId, Seq};
use runcast_actors::ports::TraceQuery;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::schema;

const MAX_EVENTS: u32 = 1000;
const DEFAULT_EVENTS: u32 = 100;
/// How much of the history is read at once where the rows are behind, in bytes of memory.
const READ_BYTES: usize = 1024 * 1024;
/// How often; a caller goes on from `nextAfter`.
const MAX_READS: usize = 16;
const LEVEL_WORDS: &str = "debug, info, warn, error";

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::at("/runs/{runId}/trace").on(Method::GET, web::to(get_trace))]
}

/// Tells what happened in a run, in order.
#[utoipa::path(
    get, path = "/runs/{runId}/trace", tag = "runs",
    params(
        ("runId" = String, Path, description = "The run"),
        ("after" = Option<u64>, Query, description = "Only later events: a `seq`, or `nextAfter` of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, else 100"),
        ("level" = Option<schema::Level>, Query, description = "Only of this level and above"),
        ("type" = Option<schema::TraceType>, Query, description = "Only of this type"),
        ("nodeRef" = Option<String>, Query, description = "Only of this node"),
    ),
    responses((status = 200, description = "A page of events", body = schema::TracePage)),
)]
pub(crate) async fn get_trace(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::RunsRead)?;
    let run = api.key(&caller, &request)?;
    let query = trace_query(&request)?;

    let recorded_through = api.recorded_run(&run).await?.view.last_seq;
    let mut page = TracePage::new(&run.run, &query);
    for entry in api.store.traces(&run, &query).await? {
        page.push(&entry);
    }
    page.through = page.through.max(recorded_through);
    for _ in 0..MAX_READS {
        if page.is_full() {
            break;
        }
        let stretch = api.history.read(&run, page.through, READ_BYTES).await?;
        let is_last = stretch.items.is_empty() || stretch.through >= stretch.tail;
        page.push_stretch(&stretch);
        if is_last {
            break;
        }
    }
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(page.finish()))
}

fn trace_query(request: &HttpRequest) -> Result<TraceQuery, ApiError> {
    let query = Query::of(request, &["after", "limit", "level", "type", "nodeRef"], &[])?;
    let last = i64::try_from(Seq::MAX.0).unwrap_or(i64::MAX);
    let after = query.number("after", &(0..=last))?.unwrap_or(0);
    Ok(TraceQuery {
        after: Seq(u64::try_from(after).unwrap_or(0)),
        limit: query.limit(MAX_EVENTS, DEFAULT_EVENTS)?,
        min_level: query.word::<Level>("level", LEVEL_WORDS)?,
        kind: query.word::<TraceKind>("type", "the types of the trace, such as NODE_STARTED")?,
        node_ref: query.parsed("nodeRef")?,
    })
}

struct TracePage<'a> {
    run_id: &'a RunId,
    query: &'a TraceQuery,
    events: Vec<u8>,
    count: u32,
    /// The last event of the page.
    last: Seq,
    /// Everything up to here was looked at.
    through: Seq,
}

impl<'a> TracePage<'a> {
    fn new(run_id: &'a RunId, query: &'a TraceQuery) -> Self {
        let after = query.after;
        Self { run_id, query, events: Vec::new(), count: 0, last: after, through: after }
    }

    fn is_full(&self) -> bool {
        self.count >= self.query.limit
    }

    // Rows may have been written after the checkpoint was read, so the log may show them again.
    fn push(&mut self, entry: &Entry) {
        if self.is_full() || entry.seq <= self.last || !self.query.matches(entry) {
            return;
        }
        if self.count > 0 {
            self.events.push(b',');
        }
        write_event_data(&mut self.events, self.run_id, entry);
        self.count += 1;
        self.last = entry.seq;
    }

    fn push_stretch(&mut self, stretch: &Stretch) {
        for item in &stretch.items {
            if let Item::Entry(entry) = item {
                self.push(entry);
            }
        }
        self.through = self.through.max(stretch.through);
    }

    fn finish(self) -> Vec<u8> {
        let next_after = if self.is_full() { self.last } else { self.through.max(self.last) };
        let mut body = b"{\"events\":[".to_vec();
        body.extend_from_slice(&self.events);
        body.extend_from_slice(format!("],\"nextAfter\":{next_after}}}").as_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use runcast_actors::history::Source;

    use super::*;
    use crate::http::testing::trace_entry;

    fn stretch(seqs: &[u64], through: u64) -> Stretch {
        let items = seqs.iter().map(|seq| Item::Entry(Arc::new(trace_entry(*seq, Level::Info))));
        Stretch {
            items: items.collect(),
            through: Seq(through),
            tail: Seq(through),
            source: Source::Log,
        }
    }

    fn shown(page: TracePage<'_>) -> (Vec<u64>, u64) {
        let body: Value = serde_json::from_slice(&page.finish()).expect("JSON");
        let events = body["events"].as_array().expect("a list").iter();
        let seqs = events.map(|event| event["seq"].as_u64().expect("a number")).collect();
        (seqs, body["nextAfter"].as_u64().expect("a number"))
    }

    #[test]
    fn rows_and_log_are_joined_without_repeats() {
        let run_id: RunId = "r".parse().expect("valid");
        let query = TraceQuery { limit: 10, ..TraceQuery::default() };
        let mut page = TracePage::new(&run_id, &query);
        for seq in [1, 3, 5] {
            page.push(&trace_entry(seq, Level::Info));
        }
        page.push_stretch(&stretch(&[5, 6, 9], 12));
        assert_eq!(shown(page), (vec![1, 3, 5, 6, 9], 12));
    }

    #[test]
    fn a_full_page_goes_on_after_its_last_event() {
        let run_id: RunId = "r".parse().expect("valid");
        let query = TraceQuery { limit: 2, after: Seq(1), ..TraceQuery::default() };
        let mut page = TracePage::new(&run_id, &query);
        page.push_stretch(&stretch(&[1, 2, 3, 4], 4));
        assert_eq!(shown(page), (vec![2, 3], 3));
    }

    #[test]
    fn a_page_without_events_still_goes_on() {
        let run_id: RunId = "r".parse().expect("valid");
        let query = TraceQuery { limit: 2, min_level: Some(Level::Warn), ..TraceQuery::default() };
        let mut page = TracePage::new(&run_id, &query);
        page.push_stretch(&stretch(&[1, 2], 7));
        assert_eq!(shown(page), (vec![], 7));
    }
}
