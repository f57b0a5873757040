//! Streams of events to viewers.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `sse.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SseSettings {
    /// A comment is sent after this much silence, in seconds, 1 to 30: proxies cut at 60.
    pub keep_alive_secs: u64,
    /// A stream ends after this time and the viewer resumes, in seconds, 1 to 86,400.
    pub max_duration_secs: u64,
    /// Streams open at one time, 1 to 1,000,000.
    pub max_viewers: u32,
    /// Encoded events that the viewers of a run share, in bytes, 64 KiB to 1 GiB.
    pub window_bytes: u64,
}

impl Default for SseSettings {
    fn default() -> Self {
        Self {
            keep_alive_secs: 15,
            max_duration_secs: 3_600,
            max_viewers: 10_000,
            window_bytes: 1024 * 1024,
        }
    }
}

impl SseSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("sse.keep_alive_secs", self.keep_alive_secs, 1, 30);
        rules.range("sse.max_duration_secs", self.max_duration_secs, 1, 86_400);
        rules.range("sse.max_viewers", u64::from(self.max_viewers), 1, 1_000_000);
        rules.range("sse.window_bytes", self.window_bytes, 64 * 1024, 1024 * 1024 * 1024);
    }
}
