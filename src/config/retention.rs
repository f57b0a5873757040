//! How long output and recordings are kept.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `retention.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// How long output stays in the log after it was archived, in seconds, 0 to 2,592,000 (30 days).
    pub hot_min_secs: u64,
    /// How long the replica keeps a run after everything of it is recorded, in seconds, 0 to 2,592,000 (30 days).
    pub hot_ttl_secs: u64,
    /// How long recordings are kept after their end, in days, 1 to 36,500; 0: for ever.
    pub recordings_days: u64,
    /// How long the directory in which the nodes of a run worked is kept after its end, in days, 1 to 36,500; 0: for
    /// ever.
    pub work_days: u64,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { hot_min_secs: 300, hot_ttl_secs: 300, recordings_days: 0, work_days: 7 }
    }
}

impl RetentionSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("retention.hot_min_secs", self.hot_min_secs, 0, 30 * 24 * 3600);
        rules.range("retention.hot_ttl_secs", self.hot_ttl_secs, 0, 30 * 24 * 3600);
        rules.range("retention.recordings_days", self.recordings_days, 0, 36_500);
        rules.range("retention.work_days", self.work_days, 0, 36_500);
    }
}
