//! An interactive terminal as clients see it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::state::{EndReason, SessionState};
use crate::entry::ProcessEnd;
use crate::ids::{InstanceId, InvalidName, ProjectId, RunId, TenantId};
use crate::moment::Timestamp;

/// The id of a session: `session_<unix ms>_<8 of [a-z0-9]>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(Arc<str>);

const ID_RULE: &str = "session_, a number of milliseconds, _ and 8 of a-z 0-9";
const ID_TAIL: usize = 8;

impl SessionId {
    /// True if the run of this id is the recording of a session.
    pub fn is_of_session(run: &RunId) -> bool {
        run.as_str().parse::<Self>().is_ok()
    }

    /// A new id.
    pub fn generate(now: Timestamp) -> Self {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut random = rand::rng();
        let tail =
            (0..ID_TAIL).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]));
        let id = format!("session_{}_{}", now.0 / 1000, tail.collect::<String>());
        Self(Arc::from(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parts = text.strip_prefix("session_").and_then(|rest| rest.split_once('_'));
        let is_id = parts.is_some_and(|(millis, tail)| {
            (1..=15).contains(&millis.len())
                && millis.bytes().all(|byte| byte.is_ascii_digit())
                && tail.len() == ID_TAIL
                && tail.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        if is_id {
            return Ok(Self(Arc::from(text)));
        }
        Err(InvalidName::new("sessionId", text, ID_RULE))
    }
}

impl TryFrom<String> for SessionId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> String {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What makes two requests mean the same session: of those that live there is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// In which project.
    pub project: ProjectId,
    /// The profile, `type` in documents.
    pub profile: String,
    /// The tab of the page it stands in.
    pub tab_name: String,
    /// For whom; none where callers have no names.
    pub user: Option<String>,
}

/// A session as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The project it was opened in.
    pub project_id: ProjectId,
    /// For whom it was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The profile it runs.
    #[serde(rename = "type")]
    pub profile: String,
    /// What its tab is called.
    pub tab_name: String,
    /// What becomes of it.
    pub state: SessionState,
    /// True until it has ended.
    pub active: bool,
    /// Where its program is now; after the end, where it was.
    pub current_path: String,
    /// The directory it was opened for, if one was asked for.
    pub project_path: Option<String>,
    /// Its first process while it lives.
    pub pid: Option<i32>,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When something was typed or written last.
    pub last_activity: Timestamp,
    /// False while its row could not be written.
    pub persisted: bool,
    /// Clients that are attached, those who only read among them.
    pub attached: usize,
    /// The session whose directory it went on in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<SessionId>,
    /// The instance it lives on.
    pub instance: InstanceId,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
    /// What went wrong, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The exit code of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl SessionView {
    /// Takes the next state, and what follows from it for the other members.
    pub fn enter(&mut self, state: SessionState) -> Result<(), super::WrongTransition> {
        self.state = self.state.then(state)?;
        self.active = state.is_live();
        if !self.active {
            self.pid = None;
            self.ended_at = Some(Timestamp::now());
        }
        Ok(())
    }

    /// How its program ended, as far as that is known.
    pub fn end(&self) -> ProcessEnd {
        match (self.exit_code, self.signal) {
            (Some(code), _) => ProcessEnd::Code(code),
            (None, Some(signal)) => ProcessEnd::Signal(signal),
            (None, None) => ProcessEnd::Unknown,
        }
    }

    /// Notes how its program ended.
    pub fn set_end(&mut self, end: ProcessEnd) {
        match end {
            ProcessEnd::Code(code) => self.exit_code = Some(code),
            ProcessEnd::Signal(signal) => self.signal = Some(signal),
            ProcessEnd::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_as_they_are_made() {
        let id = SessionId::generate(Timestamp(1_700_000_000_123_456));
        assert!(id.as_str().starts_with("session_1700000000123_"), "{id}");
        assert_eq!(id.as_str().parse::<SessionId>().unwrap(), id);
        assert_ne!(SessionId::generate(Timestamp(0)), SessionId::generate(Timestamp(0)));
        for wrong in
            ["", "session_1_abc", "session__abcdefgh", "session_1_ABCDEFGH", "run_1_abcdefgh"]
        {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}
