//! The replica of the logs of runs that other instances follow.

use serde::{Deserialize, Serialize};

use super::database::DatabaseUrl;
use super::problems::Rules;

/// `redis.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisSettings {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS; none: no replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<DatabaseUrl>,
    /// What the replica may hold of a run, in bytes, 1 MiB to 1 TiB, and at least four times
    /// `archive.segment_bytes`.
    pub max_bytes_per_run: u64,
    /// What happens to a run of which `max_lag_bytes` are not replicated.
    pub when_full: WhenFull,
    /// How far the replica of a run may be behind, in bytes, 1 MiB to 1 TiB.
    pub max_lag_bytes: u64,
}

/// What happens to a run while the replica is too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// Its terminals pause.
    Pause,
    /// The log runs ahead on the disk, to its own limit.
    Spill,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: None,
            max_bytes_per_run: 64 * 1024 * 1024,
            when_full: WhenFull::Pause,
            max_lag_bytes: 64 * 1024 * 1024,
        }
    }
}

impl RedisSettings {
    /// The least of each bound, in bytes.
    pub(super) const MIN_BYTES: u64 = 1024 * 1024;

    pub(super) fn check(&self, rules: &mut Rules) {
        const MAX_BYTES: u64 = 1024 * 1024 * 1024 * 1024;
        rules.range("redis.max_bytes_per_run", self.max_bytes_per_run, Self::MIN_BYTES, MAX_BYTES);
        rules.range("redis.max_lag_bytes", self.max_lag_bytes, Self::MIN_BYTES, MAX_BYTES);
        let Some(url) = &self.url else { return };
        if !is_address(url.expose()) {
            rules.broken(
                "redis.url",
                format!(
                    "`{url}` is no address of Redis; \
                     allowed: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for TLS"
                ),
            );
        }
    }
}

fn is_address(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let database = url.path().trim_start_matches('/');
    ["redis", "rediss"].contains(&url.scheme())
        && url.host_str().is_some_and(|host| !host.is_empty())
        && (database.is_empty() || database.parse::<u32>().is_ok())
        // Both change what a connection promises: its protocol, and whom it trusts.
        && url.query().is_none()
        && url.fragment().is_none()
}
