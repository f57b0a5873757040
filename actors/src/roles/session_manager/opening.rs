//! What is asked for a session, and what is answered.

use std::collections::BTreeMap;

use crate::entry::TerminalSize;
use crate::sessions::{SessionKey, SessionView};

/// What somebody wants to be opened.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Which session it is to be.
    pub key: SessionKey,
    /// Where it begins.
    pub project_path: Option<String>,
    /// Variables for its program; those that the profile does not list are left out.
    pub env: BTreeMap<String, String>,
    /// Its size; none: the configured one.
    pub size: Option<TerminalSize>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// A new session.
    New(SessionView),
    /// There is one; it may live on another instance.
    Existing(SessionView),
}

/// Why nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No such type.
    #[error("`{profile}` is no type of session; allowed: {}", allowed.join(", "))]
    UnknownProfile {
        /// What was asked for.
        profile: String,
        /// What there is.
        allowed: Vec<String>,
    },
    /// The program of the profile is not here.
    #[error("the program `{program}` of the type `{profile}` is not installed here")]
    NotInstalled {
        /// The profile.
        profile: String,
        /// Its program.
        program: String,
    },
    /// The directory may not be used.
    #[error("`{path}` {problem}")]
    BadPath {
        /// What was asked for.
        path: String,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
    /// There are as many as there may be.
    #[error("there are {max} sessions {scope}, as many as there may be")]
    Limit {
        /// Of whom.
        scope: &'static str,
        /// How many.
        max: usize,
    },
    /// The service has used its memory up.
    #[error("the service has no memory for another session")]
    Memory,
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
    /// The program could not be started.
    #[error("the session could not be started: {0}")]
    Failed(String),
}
