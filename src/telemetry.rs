//! Logs and metrics of the process.

use std::io::IsTerminal as _;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetrySettings};
use crate::http::routes::telemetry::UiEventName;

/// Bounds of the buckets of every time, in seconds.
const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    15.0, 60.0,
];
/// How often what was recorded is put into the buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Gives the metrics as Prometheus reads them.
#[derive(Clone)]
pub struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// All metrics of the process.
    pub fn render(&self) -> String {
        if let Ok(epoch) = tikv_jemalloc_ctl::epoch::mib()
            && epoch.advance().is_ok()
        {
            let allocated = tikv_jemalloc_ctl::stats::allocated::read().unwrap_or(0);
            let resident = tikv_jemalloc_ctl::stats::resident::read().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 bytes")]
            {
                metrics::gauge!("runcast_memory_bytes", "component" => "allocated")
                    .set(allocated as f64);
                metrics::gauge!("runcast_memory_bytes", "component" => "resident")
                    .set(resident as f64);
            }
        }
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Counters without labels, which stand at 0 from the start so that their first increase is seen, with what they count.
const COUNTERS: [(&str, &str); 14] = [
    ("runcast_capture_chunks_total", "Chunks read from terminals"),
    ("runcast_capture_bytes_total", "Bytes read from terminals"),
    ("runcast_capture_paused_seconds_total", "Time that terminals waited for room"),
    ("runcast_stream_events_published_total", "Events encoded for viewers, once for all of a run"),
    ("runcast_stream_events_delivered_total", "Events given to viewers"),
    ("runcast_replica_append_failures_total", "Batches that the replica did not take"),
    ("runcast_archive_stored_bytes_total", "Bytes that were written to the archive"),
    ("runcast_log_reopens_total", "How often the log failed and was opened again"),
    ("runcast_archive_failures_total", "Writes that the archive did not take"),
    ("runcast_rows_failures_total", "Writes of rows that the database did not take"),
    ("runcast_sessions_created_total", "Sessions that were opened"),
    ("runcast_session_create_failures_total", "Sessions that could not be opened"),
    ("runcast_ws_failures_total", "Connections to sessions that broke or never came to be"),
    ("runcast_memory_cleanups_total", "Clean-ups of memory"),
];

/// Counters with labels, with what they count.
const LABELLED_COUNTERS: [(&str, &str); 5] = [
    ("runcast_memory_limit_total", "How often a limit of memory was passed, by limit"),
    ("runcast_gaps_total", "Gaps shown live, and incomplete recordings, by reason"),
    ("runcast_trace_events_total", "Trace events, by level"),
    ("runcast_actor_restarts_total", "Restarts of actors after a fault, by actor"),
    ("runcast_ui_events_total", "What pages tell of their use, by name"),
];

/// Gauges, with what they show.
const GAUGES: [(&str, &str); 10] = [
    ("runcast_replica_lag_bytes", "Bytes that the log has and the replica has not"),
    ("runcast_build_info", "1, with the version of the service"),
    ("runcast_memory_limit_bytes", "The limits of memory, by limit"),
    ("runcast_archive_backlog_bytes", "Bytes that the log has and archive or rows have not"),
    ("runcast_replica_lag_seconds", "How long the oldest entry waits for the replica"),
    ("runcast_log_bytes", "Bytes of the log on the disk, about"),
    ("runcast_log_runs", "Runs of which the log holds entries"),
    ("runcast_stream_subscribers_active", "Viewers that are connected"),
    ("runcast_sessions", "Sessions of this instance, by state"),
    ("runcast_memory_bytes", "Memory of the process, by component"),
];

/// Distributions, with what they show.
const HISTOGRAMS: [(&str, &str); 4] = [
    (
        "runcast_log_append_seconds",
        "From the handing over of entries until the log has acknowledged them",
    ),
    (
        "runcast_replica_append_seconds",
        "From the handing over of a batch until the replica has executed it",
    ),
    (
        "runcast_stream_latency_seconds",
        "From the reading of output until it is encoded for viewers",
    ),
    (
        "runcast_http_request_seconds",
        "Time of requests, without streams, by method, route and status",
    ),
];

fn describe() {
    for (name, text) in COUNTERS.into_iter().chain(LABELLED_COUNTERS) {
        metrics::describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        metrics::describe_gauge!(name, text);
    }
    for (name, text) in HISTOGRAMS {
        metrics::describe_histogram!(name, metrics::Unit::Seconds, text);
    }
    for (name, _) in COUNTERS {
        metrics::counter!(name).absolute(0);
    }
    for reason in ["lost", "purged"] {
        metrics::counter!("runcast_gaps_total", "reason" => reason).absolute(0);
    }
    for limit in ["soft", "hard"] {
        metrics::counter!("runcast_memory_limit_total", "limit" => limit).absolute(0);
    }
    metrics::gauge!("runcast_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!("runcast_archive_backlog_bytes").set(0.0);
    for name in UiEventName::ALL {
        metrics::counter!("runcast_ui_events_total", "name" => name.as_str()).absolute(0);
    }
    metrics::gauge!("runcast_stream_subscribers_active").set(0.0);
}

/// Begins to log and to count.
pub fn start(settings: &TelemetrySettings) -> anyhow::Result<Prometheus> {
    let level = settings.log_level.as_str();
    // RUST_LOG is for developers; what else the process links may warn.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,runcast={level},runcast_actors={level}")));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_target(false).init(),
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| anyhow::anyhow!("metrics were started twice"))?;
    describe();
    let upkeep = handle.clone();
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            #[expect(clippy::disallowed_methods, reason = "the thread is its own")]
            std::thread::sleep(UPKEEP_EVERY);
            upkeep.run_upkeep();
        }
    })?;
    Ok(Prometheus(handle))
}
