//! Interactive terminals.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runcast_actors::sessions::Redaction;
use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `sessions.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsSettings {
    /// Sessions of one project that live at one time, 1 to 10,000.
    pub max_per_project: u32,
    /// Sessions of one user that live at one time, 1 to 10,000.
    pub max_per_user: u32,
    /// Sessions of this instance that live at one time, 1 to 10,000.
    pub max_total: u32,
    /// Clients that are attached at one time, 1 to 100,000.
    pub max_connections: u32,
    /// A session that nobody is attached to and in which nothing moves is ended after this time, in seconds, 1 to
    /// 2,592,000 (30 days).
    pub idle_timeout_secs: u64,
    /// It counts as inactive after this time, in seconds, 1 to 2,592,000.
    pub inactive_after_secs: u64,
    /// How long sessions that have ended are listed, in seconds, 0 to 31,536,000 (a year).
    pub keep_secs: u64,
    /// Output that each keeps for those who come back, in bytes, 512 KiB to 64 MiB.
    pub buffer_bytes: u64,
    /// The same in lines, 1 to 1,000,000.
    pub buffer_lines: u64,
    /// How long the database is waited for, in milliseconds, 100 to 60,000.
    pub db_timeout_ms: u64,
    /// Directories below which sessions may be opened by `projectPath`; absolute.
    pub roots: Vec<PathBuf>,
    /// What is hidden of commands that are listed or logged: at most 64 regular expressions of at most 1,024 bytes.
    /// What one matches is shown as `***`, or of it only the group `secret`, where there is one.
    pub redact_patterns: Vec<String>,
    /// Where their rows are.
    pub store: SessionStoreKind,
    /// What can be opened, by the name that stands in `type`.
    pub profiles: BTreeMap<String, SessionProfile>,
}

/// Where the rows of sessions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionStoreKind {
    /// In the database.
    Database,
    /// In memory: they end with the process.
    Memory,
}

/// `sessions.profiles.NAME`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionProfile {
    /// Program and arguments; none: the login shell of the service's user.
    pub command: Vec<String>,
    /// Variables that clients may set; one that ends with `*` stands for all that begin so.
    pub env: Vec<String>,
    /// Where it starts without `projectPath`; none: the home of the service's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Whether each session is recorded, as a run of one node whose id is that of the session. Output and sizes
    /// are; what is typed is not, but where the terminal shows it.
    pub record: bool,
}

/// What an attached client may lag must fit beside what is kept.
const MIN_BUFFER: u64 = 512 * 1024;
/// Options that name a secret, what stands behind `Bearer`, passwords in addresses, and tokens that can be told by
/// their beginning.
const REDACTED: [&str; 4] = [
    r#"(?i)(?:token|passw(?:or)?d|passphrase|secret|api[_-]?key|credentials?)[=: ]+(?P<secret>"[^"]*"|\S+)"#,
    r"(?i)bearer +(?P<secret>\S+)",
    r"://[^/\s:@]*:(?P<secret>[^/\s@]+)@",
    r"\b(?:gh[a-z]_|github_pat_|glpat-|sk-|xox[a-z]-|AKIA|eyJ)[A-Za-z0-9_.-]{12,}",
];
/// So many patterns, and bytes of each, at most.
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN_BYTES: usize = 1024;
const MONTH_SECS: u64 = 30 * 24 * 60 * 60;

impl Default for SessionsSettings {
    fn default() -> Self {
        let profile = |command: &[&str], env: &[&str]| SessionProfile {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: env.iter().map(|&name| name.to_owned()).collect(),
            directory: None,
            record: false,
        };
        let claude = ["LANG", "LC_*", "TZ", "NO_COLOR", "ANTHROPIC_*", "CLAUDE_*"];
        Self {
            max_per_project: 10,
            max_per_user: 20,
            max_total: 100,
            max_connections: 1000,
            idle_timeout_secs: 1800,
            inactive_after_secs: 300,
            keep_secs: 86_400,
            buffer_bytes: 1024 * 1024,
            buffer_lines: 1000,
            db_timeout_ms: 4100,
            roots: Vec::new(),
            redact_patterns: REDACTED.map(str::to_owned).into(),
            store: SessionStoreKind::Database,
            profiles: BTreeMap::from([
                ("system".to_owned(), profile(&[], &["LANG", "LC_*", "TZ", "NO_COLOR"])),
                ("claude".to_owned(), profile(&["claude"], &claude)),
            ]),
        }
    }
}

impl SessionsSettings {
    pub(super) fn check(&self, rules: &mut Rules) {
        for (key, value, max) in [
            ("sessions.max_per_project", self.max_per_project, 10_000),
            ("sessions.max_per_user", self.max_per_user, 10_000),
            ("sessions.max_total", self.max_total, 10_000),
            ("sessions.max_connections", self.max_connections, 100_000),
        ] {
            rules.range(key, u64::from(value), 1, max);
        }
        rules.range("sessions.idle_timeout_secs", self.idle_timeout_secs, 1, MONTH_SECS);
        rules.range("sessions.inactive_after_secs", self.inactive_after_secs, 1, MONTH_SECS);
        rules.range("sessions.keep_secs", self.keep_secs, 0, 365 * 24 * 60 * 60);
        rules.range("sessions.buffer_bytes", self.buffer_bytes, MIN_BUFFER, 64 * 1024 * 1024);
        rules.range("sessions.buffer_lines", self.buffer_lines, 1, 1_000_000);
        rules.range("sessions.db_timeout_ms", self.db_timeout_ms, 100, 60_000);
        for root in self.roots.iter().filter(|root| !root.is_absolute()) {
            let message = format!("`{}` is not absolute; allowed: absolute paths", root.display());
            rules.broken("sessions.roots", message);
        }
        self.check_patterns(rules);
        for (name, profile) in &self.profiles {
            profile.check(name, rules);
        }
    }
}

impl SessionsSettings {
    fn check_patterns(&self, rules: &mut Rules) {
        let key = "sessions.redact_patterns";
        if self.redact_patterns.len() > MAX_PATTERNS {
            let count = self.redact_patterns.len();
            rules.broken(key, format!("has {count} patterns; allowed: at most {MAX_PATTERNS}"));
        }
        for pattern in &self.redact_patterns {
            if pattern.len() > MAX_PATTERN_BYTES {
                let shown: String = pattern.chars().take(64).collect();
                let message =
                    format!("`{shown}…` is too long; allowed: at most {MAX_PATTERN_BYTES} bytes");
                rules.broken(key, message);
            } else if let Err(error) = Redaction::new([pattern]) {
                let message =
                    format!("`{pattern}` is no pattern; allowed: regular expressions: {error}");
                rules.broken(key, message);
            }
        }
    }
}

impl SessionProfile {
    fn check(&self, name: &str, rules: &mut Rules) {
        let key = |member: &str| format!("sessions.profiles.{name}{member}");
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            });
        if !is_name {
            rules.broken(key(""), "is no name; allowed: 1 to 64 characters of a-z 0-9 - _");
        }
        if self.command.iter().any(|word| word.contains('\0'))
            || self.command.first().is_some_and(String::is_empty)
        {
            rules.broken(key(".command"), "names no program; allowed: a program and its arguments");
        }
        for pattern in &self.env {
            let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
            let is_variable =
                beginning.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if beginning.is_empty() || !is_variable {
                let message = format!("`{pattern}` is no variable; allowed: NAME or BEGINNING*");
                rules.broken(key(".env"), message);
            }
        }
        if let Some(directory) = self.directory.as_ref().filter(|path| !path.is_absolute()) {
            let message = format!("`{}`; allowed: an absolute path", directory.display());
            rules.broken(key(".directory"), message);
        }
    }
}
