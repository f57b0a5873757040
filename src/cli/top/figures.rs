//! What is read of the answers of the service.

use std::collections::BTreeMap;

use runcast_actors::moment::Timestamp;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Figures {
    pub(super) at: Timestamp,
    pub(super) stats: Stats,
    pub(super) memory: Memory,
    pub(super) sessions: Sessions,
    pub(super) actors: Actors,
    pub(super) streams: Streams,
}

#[derive(Deserialize)]
pub(super) struct Stats {
    pub(super) instance: String,
    pub(super) performance: Performance,
    pub(super) streams: Flow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Performance {
    pub(super) requests: u64,
    pub(super) average_response_time: f64,
    pub(super) p95_response_time: f64,
    pub(super) error_rate: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Flow {
    pub(super) viewers: u64,
    pub(super) chunks_per_second: f64,
    pub(super) bytes_per_second: f64,
    pub(super) archive_backlog_bytes: u64,
    pub(super) replica_lag_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    pub(super) rss: u64,
    pub(super) heap: u64,
    pub(super) limits: Limits,
    pub(super) components: BTreeMap<String, u64>,
    pub(super) run_count: u64,
}

#[derive(Deserialize)]
pub(super) struct Limits {
    pub(super) soft: u64,
    pub(super) hard: u64,
}

#[derive(Deserialize)]
pub(super) struct Sessions {
    pub(super) active: u64,
    pub(super) inactive: u64,
    pub(super) total: u64,
    pub(super) errors: u64,
    pub(super) sessions: Vec<SessionRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionRow {
    pub(super) id: String,
    pub(super) project_id: String,
    #[serde(rename = "type")]
    pub(super) profile: String,
    pub(super) tab_name: String,
    pub(super) state: String,
    pub(super) attached: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) idle_secs: u64,
}

#[derive(Deserialize)]
pub(super) struct Actors {
    pub(super) kinds: Vec<ActorKind>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ActorKind {
    pub(super) kind: String,
    pub(super) instances: u64,
    pub(super) queue_depth: Option<u64>,
    pub(super) messages: u64,
    pub(super) restarts: u64,
    pub(super) last_exit: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Streams {
    pub(super) streams: Vec<StreamRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamRow {
    pub(super) id: u64,
    pub(super) run_id: String,
    pub(super) lag_seq: u64,
    pub(super) lag_bytes: u64,
    pub(super) reads_history: bool,
    pub(super) bytes_sent: u64,
    pub(super) since: Timestamp,
}

impl Figures {
    pub(super) fn of(look: Value) -> serde_json::Result<Self> {
        serde_json::from_value(look)
    }

    /// What an actor kind had handled, for the rate.
    pub(super) fn messages_of(&self, kind: &str) -> Option<u64> {
        self.actors.kinds.iter().find(|row| row.kind == kind).map(|row| row.messages)
    }

    /// What a viewer had been sent.
    pub(super) fn sent_to(&self, id: u64) -> Option<u64> {
        self.streams.streams.iter().find(|row| row.id == id).map(|row| row.bytes_sent)
    }
}
