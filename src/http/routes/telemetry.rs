//! What pages tell of their use. They are counted, and nothing else is kept of them.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::access::Caller;
use crate::http::body::JsonBody;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::Query;

/// How many kinds of events one request may tell of.
const MAX_EVENTS: usize = 100;
/// How often each may have happened since the last request.
const MAX_COUNT: u64 = 1_000_000;

/// What can happen in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UiEventName {
    /// Somebody has opened a console.
    TerminalViewed,
    /// Somebody has downloaded a recording.
    CastDownloaded,
    /// A viewer was told of a gap.
    GapSeen,
    /// A viewer has come back after a cut.
    Reconnected,
    /// The page has failed.
    PlayerError,
}

impl UiEventName {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::TerminalViewed,
        Self::CastDownloaded,
        Self::GapSeen,
        Self::Reconnected,
        Self::PlayerError,
    ];

    /// The name as it stands in requests and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TerminalViewed => "terminal_viewed",
            Self::CastDownloaded => "cast_downloaded",
            Self::GapSeen => "gap_seen",
            Self::Reconnected => "reconnected",
            Self::PlayerError => "player_error",
        }
    }
}

/// Something that has happened, and how often.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UiEvent {
    /// What it was.
    pub name: UiEventName,
    /// How often, since it was last told of.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: u64,
}

/// What a page tells.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// What has happened.
    #[schema(min_items = 1, max_items = 100)]
    pub events: Vec<UiEvent>,
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::at("/telemetry").on(Method::POST, web::to(count_events))]
}

/// Counts what a page tells of its use, in the metric `runcast_ui_events_total`.
#[utoipa::path(
    post, path = "/telemetry", tag = "health",
    request_body = Telemetry,
    responses((status = 202, description = "It was counted")),
)]
pub(crate) async fn count_events(
    _: Caller,
    request: HttpRequest,
    body: JsonBody<Telemetry>,
) -> Result<HttpResponse, ApiError> {
    Query::none(&request)?;
    let events = body.0.events;
    check(&events)?;
    for event in events {
        metrics::counter!("runcast_ui_events_total", "name" => event.name.as_str())
            .increment(event.count);
    }
    Ok(HttpResponse::Accepted().finish())
}

// All or nothing: a page that repeats a refused request would count some of it twice.
fn check(events: &[UiEvent]) -> Result<(), ApiError> {
    if !(1..=MAX_EVENTS).contains(&events.len()) {
        let message = format!("{} events; allowed: 1 to {MAX_EVENTS}", events.len());
        return Err(ApiError::invalid("events", message));
    }
    let wrong = events.iter().position(|event| !(1..=MAX_COUNT).contains(&event.count));
    wrong.map_or(Ok(()), |place| {
        let message = format!("{}; allowed: 1 to {MAX_COUNT}", events[place].count);
        Err(ApiError::invalid(&format!("events[{place}].count"), message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_they_are_read() {
        for name in UiEventName::ALL {
            let told = serde_json::to_value(name).expect("JSON");
            assert_eq!(told, name.as_str());
        }
    }
}
