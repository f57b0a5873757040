//! What runs nodes on this instance.

use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `runners.*`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunnersSettings {
    /// Processes of this machine.
    pub local: LocalRunnerSettings,
}

/// `runners.local.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalRunnerSettings {
    /// False: this instance starts no process for a node.
    pub enabled: bool,
    /// Nodes that run at one time, 1 to 100,000.
    pub max_parallel: u32,
    /// Between the request to end and the kill, in seconds, 1 to 3,600.
    pub kill_grace_secs: u64,
    /// How long a silent terminal is still read after the end of its process, in milliseconds,
    /// 1 to 60,000.
    pub drain_ms: u64,
}

impl Default for LocalRunnerSettings {
    fn default() -> Self {
        Self { enabled: true, max_parallel: 128, kill_grace_secs: 5, drain_ms: 500 }
    }
}

impl RunnersSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        let local = &self.local;
        rules.range("runners.local.max_parallel", u64::from(local.max_parallel), 1, 100_000);
        rules.range("runners.local.kill_grace_secs", local.kill_grace_secs, 1, 3_600);
        rules.range("runners.local.drain_ms", local.drain_ms, 1, 60_000);
    }
}
