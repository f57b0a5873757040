//! What the configuration says of interactive terminals.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::entry::TerminalSize;
use crate::sessions::{Redaction, RingLimits};

/// Limits, times and profiles.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// How many there may be.
    pub limits: SessionLimits,
    /// What each keeps of its output.
    pub ring: RingLimits,
    /// Nobody attached and nothing moved for so long: it is inactive.
    pub inactive_after: Duration,
    /// For so long: it is ended.
    pub idle_timeout: Duration,
    /// How long ended ones are kept.
    pub keep: Duration,
    /// An instance that has not told of itself for so long has no sessions any more.
    pub absent_for: Duration,
    /// Between the request to end and the kill.
    pub kill_grace: Duration,
    /// The size of those that do not say otherwise.
    pub size: TerminalSize,
    /// Directories below which sessions may be opened.
    pub roots: Vec<PathBuf>,
    /// What is hidden of commands that are shown or logged.
    pub redaction: Redaction,
    /// What can be opened, by its name.
    pub profiles: BTreeMap<String, Profile>,
}

impl SessionSettings {
    /// Small limits and one profile, `echo`, beside two that cannot be opened.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_tests() -> Self {
        use crate::testing::terminal_host_echo::{BROKEN_PROGRAM, DIRECTORY, MISSING_PROGRAM};

        let profile = |program: &str| Profile {
            command: vec![program.to_owned()],
            env: vec!["LANG".to_owned()],
            directory: None,
            record: false,
        };
        let profiles = ["echo", MISSING_PROGRAM, BROKEN_PROGRAM]
            .map(|program| (program.to_owned(), profile(program)));
        Self {
            limits: SessionLimits { max_per_project: 3, max_per_user: 4, max_total: 5 },
            ring: RingLimits { max_bytes: 1024 * 1024, max_lines: 1000 },
            inactive_after: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
            keep: Duration::from_secs(3600),
            absent_for: Duration::from_secs(45),
            kill_grace: Duration::from_secs(5),
            size: TerminalSize { cols: 80, rows: 24 },
            roots: vec![PathBuf::from(DIRECTORY)],
            redaction: Redaction::default(),
            profiles: profiles.into(),
        }
    }
}

/// How many sessions live at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// In one project.
    pub max_per_project: usize,
    /// Of one user.
    pub max_per_user: usize,
    /// On this instance.
    pub max_total: usize,
}

/// A kind of session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Names of variables that clients may set; one that ends with `*` stands for all that begin so.
    pub env: Vec<String>,
    /// Where it starts when nobody says; none: the home of the service's user.
    pub directory: Option<PathBuf>,
    /// Whether each of its sessions is recorded.
    pub record: bool,
}

/// A profile as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvailableProfile<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether its program is here.
    pub is_installed: bool,
    /// Whether each of its sessions is recorded.
    pub is_recorded: bool,
}

impl Profile {
    /// The program that it runs.
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// True if clients may set this variable.
    pub fn allows(&self, name: &str) -> bool {
        self.env.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == allowed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_allows_what_it_lists() {
        let env = ["LANG", "LC_*"].map(str::to_owned).to_vec();
        let profile = Profile { env, ..Profile::default() };
        for (name, allowed) in
            [("LANG", true), ("LC_ALL", true), ("LANGUAGE", false), ("PATH", false)]
        {
            assert_eq!(profile.allows(name), allowed, "{name}");
        }
    }
}
