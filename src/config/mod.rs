//! The configuration: one struct a concern, all checked before anything starts.
//!
//! A value comes from the first of: a flag of the command line, the environment
//! (`RUNCAST__SECTION__KEY`, then the customary `DATABASE_URL`, `REDIS_URL` and `AWS_*`), the file, the
//! built-in default.
//! `config.toml` at the root of the repository documents every key and holds exactly the defaults.

mod archive;
mod archive_s3;
mod auth;
mod capture;
mod database;
mod layers;
mod lease;
mod log;
mod memory;
mod problems;
mod redis;
mod retention;
mod runners;
mod secret;
mod server;
mod sessions;
mod sse;
mod telemetry;
mod terminal;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use archive::{ArchiveBackend, ArchiveSettings};
pub use archive_s3::S3Settings;
pub use auth::{AuthMode, AuthSettings, AuthToken};
pub use capture::CaptureSettings;
pub use database::{DatabaseSettings, DatabaseUrl};
pub use layers::{Flags, Sources};
pub use lease::LeaseSettings;
pub use log::LogSettings;
pub use memory::MemorySettings;
pub use problems::{ConfigError, Problem};
pub use redis::{RedisSettings, WhenFull};
pub use retention::RetentionSettings;
pub use runners::{LocalRunnerSettings, RunnersSettings};
pub use secret::Secret;
pub use server::{Role, ServerSettings};
pub use sessions::{SessionProfile, SessionStoreKind, SessionsSettings};
pub use sse::SseSettings;
pub use telemetry::{LogFormat, LogLevel, TelemetrySettings};
pub use terminal::TerminalSettings;

use problems::Rules;

/// The whole configuration of an instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it listens and what it is.
    pub server: ServerSettings,
    /// Where runs and recordings are listed.
    pub database: DatabaseSettings,
    /// The log on this instance's disk.
    pub log: LogSettings,
    /// The replica that other instances follow.
    pub redis: RedisSettings,
    /// Where recordings are kept.
    pub archive: ArchiveSettings,
    /// How long output and recordings are kept.
    pub retention: RetentionSettings,
    /// The terminal of nodes that do not say otherwise.
    pub terminal: TerminalSettings,
    /// How output is read.
    pub capture: CaptureSettings,
    /// What runs nodes.
    pub runners: RunnersSettings,
    /// How a run is claimed.
    pub lease: LeaseSettings,
    /// Event streams.
    pub sse: SseSettings,
    /// Interactive terminals.
    pub sessions: SessionsSettings,
    /// Bounds of the process.
    pub memory: MemorySettings,
    /// Who may do what.
    pub auth: AuthSettings,
    /// What it tells of itself.
    pub telemetry: TelemetrySettings,
}

impl Settings {
    /// Reads and checks the configuration; the error lists every problem, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        layers::load(sources)
    }

    /// The file of the embedded database, or the address of the configured one.
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite://{}", self.server.data_dir.join("runcast.db").display()),
        }
    }

    /// Where the log is.
    pub fn log_dir(&self) -> PathBuf {
        self.server.data_dir.join("log")
    }

    /// True if no other machine can use the database.
    fn is_database_own(&self) -> bool {
        self.database_url().starts_with("sqlite:")
    }

    /// Where the objects of the archive are.
    pub fn archive_dir(&self) -> PathBuf {
        match &self.archive.directory {
            Some(directory) if !directory.as_os_str().is_empty() => directory.clone(),
            _ => self.server.data_dir.join("archive"),
        }
    }

    /// The configuration as TOML, secrets as `***`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("tables stand after plain values and keys are strings")
    }

    /// Every rule that values must follow.
    fn check(&self, rules: &mut Rules) {
        self.server.check(rules);
        self.database.check(rules);
        self.log.check(rules);
        self.redis.check(rules);
        self.archive.check(rules);
        self.retention.check(rules);
        self.terminal.check(rules);
        self.capture.check(rules);
        self.runners.check(rules);
        self.lease.check(rules);
        self.sse.check(rules);
        self.sessions.check(rules);
        self.memory.check(rules);
        self.auth.check(rules);
        self.check_combinations(rules);
    }

    fn check_combinations(&self, rules: &mut Rules) {
        let beyond_loopback = !self.server.listen.ip().to_canonical().is_loopback();
        if beyond_loopback && self.auth.mode == AuthMode::None {
            rules.broken(
                "server.listen",
                format!(
                    "`{}` is beyond loopback while auth.mode is `none`; \
                     allowed: 127.0.0.1, [::1], or auth.mode = \"token\"",
                    self.server.listen
                ),
            );
        }
        let role = self.server.role;
        if role != Role::All && (self.redis.url.is_none() || self.is_database_own()) {
            rules.broken(
                "server.role",
                format!(
                    "`{}` needs redis.url and a database.url that instances share; allowed without \
                     them: all",
                    role.as_str()
                ),
            );
        }
        // While segments are written, the run must have room for what comes meanwhile. A limit of the log that
        // is out of its own range is told as that.
        let (segment, limit) = (self.archive.segment_bytes, self.log.max_bytes_per_run);
        if limit >= LogSettings::MIN_BYTES_PER_RUN && segment.saturating_mul(4) > limit {
            rules.broken(
                "archive.segment_bytes",
                format!(
                    "{segment} is more than a quarter of what a run may have in the log; allowed: \
                     at most {} (log.max_bytes_per_run / 4)",
                    limit / 4
                ),
            );
        }
        // Only what is archived may go out of the replica to make room.
        let held = self.redis.max_bytes_per_run;
        let has_replica = self.redis.url.is_some() && held >= RedisSettings::MIN_BYTES;
        if has_replica && segment.saturating_mul(4) > held {
            rules.broken(
                "redis.max_bytes_per_run",
                format!(
                    "{held} is less than four segments of the archive; allowed: at least {} \
                     (4 * archive.segment_bytes)",
                    segment.saturating_mul(4)
                ),
            );
        }
        if self.capture.in_flight_bytes > self.memory.capture_bytes {
            rules.broken(
                "capture.in_flight_bytes",
                format!(
                    "{} is more than the whole process may hold; allowed: at most \
                     memory.capture_bytes ({})",
                    self.capture.in_flight_bytes, self.memory.capture_bytes
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests;
