//! The log on the disk of this instance.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `log.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// How much of a run may wait for the archive or the database before its terminals pause, in bytes,
    /// 1 MiB to 1 TiB, and at least four times `archive.segment_bytes`.
    pub max_bytes_per_run: u64,
    /// How often the log is synced to the disk, in milliseconds, 1 to 60,000.
    pub sync_ms: u64,
    /// The newest entries of all runs that stay in memory, in bytes, 1 MiB to 16 GiB.
    pub tail_bytes: u64,
    /// Terminals are not read while less than this is free on the disk, in bytes, 1 MiB to 1 TiB.
    pub min_free_bytes: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            max_bytes_per_run: 1024 * 1024 * 1024,
            sync_ms: 200,
            tail_bytes: 32 * 1024 * 1024,
            min_free_bytes: 256 * 1024 * 1024,
        }
    }
}

impl LogSettings {
    /// The least that a run may have in the log, in bytes.
    pub(super) const MIN_BYTES_PER_RUN: u64 = 1024 * 1024;

    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range(
            "log.max_bytes_per_run",
            self.max_bytes_per_run,
            Self::MIN_BYTES_PER_RUN,
            1024 * 1024 * 1024 * 1024,
        );
        rules.range("log.sync_ms", self.sync_ms, 1, 60_000);
        rules.range("log.tail_bytes", self.tail_bytes, 1024 * 1024, 16 * 1024 * 1024 * 1024);
        rules.range(
            "log.min_free_bytes",
            self.min_free_bytes,
            1024 * 1024,
            1024 * 1024 * 1024 * 1024,
        );
    }
}
