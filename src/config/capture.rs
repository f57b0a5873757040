//! How the output of a node is read and cut into chunks.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `capture.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureSettings {
    /// Output of one node that was read and is not in the log yet, in bytes, 4 KiB to 1 GiB.
    pub in_flight_bytes: u64,
    /// How long bytes wait for more under load, in milliseconds, 1 to 1,000.
    pub flush_ms: u64,
    /// The largest chunk, in bytes, 1 KiB to 1 MiB.
    pub max_chunk_bytes: u64,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self { in_flight_bytes: 1024 * 1024, flush_ms: 8, max_chunk_bytes: 32_768 }
    }
}

impl CaptureSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("capture.in_flight_bytes", self.in_flight_bytes, 4 * 1024, 1024 * 1024 * 1024);
        rules.range("capture.flush_ms", self.flush_ms, 1, 1_000);
        rules.range("capture.max_chunk_bytes", self.max_chunk_bytes, 1024, 1024 * 1024);
        if self.max_chunk_bytes > self.in_flight_bytes {
            rules.broken(
                "capture.max_chunk_bytes",
                format!(
                    "{} would never get a permit; allowed: at most capture.in_flight_bytes ({})",
                    self.max_chunk_bytes, self.in_flight_bytes
                ),
            );
        }
    }
}
