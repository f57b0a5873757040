//! Bounds of the whole process.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `memory.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySettings {
    /// Output that was read and is not in the log yet, of all nodes, in bytes, 1 MiB to 64 GiB.
    pub capture_bytes: u64,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { capture_bytes: 128 * 1024 * 1024 }
    }
}

impl MemorySettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range(
            "memory.capture_bytes",
            self.capture_bytes,
            1024 * 1024,
            64 * 1024 * 1024 * 1024,
        );
    }
}
