//! How long a claim of a run lasts.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `lease.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseSettings {
    /// After how long without renewal a run may be taken over, in seconds, 1 to 3,600.
    pub ttl_secs: u64,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { ttl_secs: 15 }
    }
}

impl LeaseSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("lease.ttl_secs", self.ttl_secs, 1, 3_600);
    }
}
