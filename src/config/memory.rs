//! Bounds of the whole process.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `memory.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySettings {
    /// Output that was read and is not in the log yet, of all nodes, in bytes, 1 MiB to 64 GiB.
    pub capture_bytes: u64,
    /// Physical memory of the process above which pages that are not used go back to the system, in bytes, 16 MiB to
    /// 1 TiB.
    pub soft_limit_bytes: u64,
    /// Above which inactive sessions are ended, caches shrink and new sessions are refused, in bytes, 16 MiB to
    /// 1 TiB, more than the soft limit.
    pub hard_limit_bytes: u64,
    /// How often it is looked, in seconds, 1 to 3,600.
    pub check_interval_secs: u64,
}

const MIB: u64 = 1024 * 1024;
const TIB: u64 = 1024 * 1024 * MIB;

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            capture_bytes: 128 * MIB,
            soft_limit_bytes: 400 * MIB,
            hard_limit_bytes: 500 * MIB,
            check_interval_secs: 30,
        }
    }
}

impl MemorySettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        rules.range("memory.capture_bytes", self.capture_bytes, MIB, 64 * 1024 * MIB);
        rules.range("memory.soft_limit_bytes", self.soft_limit_bytes, 16 * MIB, TIB);
        rules.range("memory.hard_limit_bytes", self.hard_limit_bytes, 16 * MIB, TIB);
        if self.hard_limit_bytes <= self.soft_limit_bytes {
            let (hard, soft) = (self.hard_limit_bytes, self.soft_limit_bytes);
            rules.broken(
                "memory.hard_limit_bytes",
                format!("{hard} is no more than memory.soft_limit_bytes ({soft}); allowed: more"),
            );
        }
        rules.range("memory.check_interval_secs", self.check_interval_secs, 1, 3_600);
    }
}
