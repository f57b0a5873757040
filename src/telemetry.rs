//! Logs and metrics of the process.

use std::io::IsTerminal as _;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetrySettings};

/// Bounds of the buckets of every time, in seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
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
    let upkeep = handle.clone();
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP_EVERY);
            upkeep.run_upkeep();
        }
    })?;
    Ok(Prometheus(handle))
}
