//! What is wrong with a configuration: every problem with its key, its source and what is allowed.

use std::fmt;

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the configuration cannot be used:")?;
        for problem in &self.problems {
            write!(formatter, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key as it stands in the file: `log.sync_ms`; empty if the file itself cannot be read.
    pub key: String,
    /// Where the value came from.
    pub source: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        write!(formatter, "{} (from {})", self.message, self.source)
    }
}

/// Collects the rules that values break.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Key and message of each.
    pub(super) broken: Vec<(String, String)>,
}

impl Rules {
    pub(super) fn broken(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.broken.push((key.into(), message.into()));
    }

    pub(super) fn range(&mut self, key: &str, value: u64, min: u64, max: u64) {
        if !(min..=max).contains(&value) {
            self.broken(key, format!("{value} is out of range; allowed: {min} to {max}"));
        }
    }
}

/// True for `http(s)://host[:port]` exactly as browsers write an origin.
pub(super) fn is_web_origin(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}
