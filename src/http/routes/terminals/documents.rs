//! What is sent and answered about interactive terminals.

use std::collections::BTreeMap;

use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::ProjectId;
use runcast_actors::ports::ProcessMemory;
use runcast_actors::roles::session_manager::{AvailableProfile, OpenSession};
use runcast_actors::screen::VirtualTerminal;
use runcast_actors::sessions::{SessionKey, SessionView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::access::Caller;
use crate::http::error::ApiError;
use crate::http::routes::screen::Shown;
use crate::http::schema;

const MAX_TAB_CHARS: usize = 128;
const MAX_PATH_BYTES: usize = 4096;
const MAX_VARIABLES: usize = 64;
const MAX_ENV_BYTES: usize = 64 * 1024;

/// What is to be opened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OpenTerminal {
    /// The project it belongs to.
    pub project_id: String,
    /// The profile it runs.
    #[serde(rename = "type")]
    pub profile: String,
    /// What its tab is called: 1 to 128 characters.
    pub tab_name: String,
    /// The directory it starts in; absolute, below one of `sessions.roots`.
    #[serde(default)]
    pub project_path: Option<String>,
    /// Variables for its program. Those that its profile does not list are left out.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// 1 to 1,000; else the configured width.
    #[serde(default)]
    pub cols: Option<u16>,
    /// 1 to 500; else the configured height.
    #[serde(default)]
    pub rows: Option<u16>,
}

impl OpenTerminal {
    /// The request behind the document, of this caller.
    pub(super) fn checked(self, caller: &Caller) -> Result<OpenSession, ApiError> {
        let project: ProjectId =
            self.project_id.parse().map_err(|error: runcast_actors::ids::InvalidName| {
                ApiError::invalid("projectId", error.to_string())
            })?;
        caller.require_project(&project)?;
        let chars = self.tab_name.chars().count();
        if !(1..=MAX_TAB_CHARS).contains(&chars) || self.tab_name.chars().any(char::is_control) {
            let message = format!("1 to {MAX_TAB_CHARS} characters without controls are allowed");
            return Err(ApiError::invalid("tabName", message));
        }
        let path_bytes = self.project_path.as_ref().map_or(0, String::len);
        if path_bytes > MAX_PATH_BYTES
            || self.project_path.as_ref().is_some_and(|path| path.contains('\0'))
        {
            let message = format!("at most {MAX_PATH_BYTES} bytes without NUL are allowed");
            return Err(ApiError::invalid("projectPath", message));
        }
        check_env(&self.env)?;
        let size = match (self.cols, self.rows) {
            (None, None) => None,
            (Some(cols), Some(rows)) => Some(TerminalSizeBody { cols, rows }.checked()?),
            _ => return Err(ApiError::invalid("cols", "`cols` and `rows` are given together")),
        };
        Ok(OpenSession {
            key: SessionKey {
                tenant: caller.tenant.clone(),
                project,
                profile: self.profile,
                tab_name: self.tab_name,
                user: caller.user.clone(),
            },
            project_path: self.project_path,
            env: self.env,
            size,
        })
    }
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if env.len() > MAX_VARIABLES || bytes > MAX_ENV_BYTES {
        let message = format!(
            "at most {MAX_VARIABLES} variables of together {MAX_ENV_BYTES} bytes are allowed"
        );
        return Err(ApiError::invalid("env", message));
    }
    for (name, value) in env {
        let is_name = !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || value.contains('\0') {
            let field = format!("env.{name}");
            let message = "a name of A-Z a-z 0-9 _ and a value without NUL are allowed";
            return Err(ApiError::invalid(&field, message));
        }
    }
    Ok(())
}

/// The size of a terminal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TerminalSizeBody {
    /// 1 to 1,000.
    pub cols: u16,
    /// 1 to 500.
    pub rows: u16,
}

impl TerminalSizeBody {
    /// The size, if both sides are in range.
    pub(crate) fn checked(&self) -> Result<TerminalSize, ApiError> {
        let size = TerminalSize { cols: self.cols, rows: self.rows };
        if size.is_valid() {
            return Ok(size);
        }
        let field = if (1..=TerminalSize::MAX_COLS).contains(&self.cols) { "rows" } else { "cols" };
        Err(ApiError::invalid(field, "1 to 1000 columns and 1 to 500 rows are allowed"))
    }
}

/// One session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneTerminal {
    pub(super) success: bool,
    #[schema(value_type = schema::TerminalSession)]
    pub(super) session: SessionView,
}

/// A session and how to attach to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenedTerminal {
    pub(super) success: bool,
    #[schema(value_type = schema::TerminalSession)]
    pub(super) session: SessionView,
    /// Where its WebSocket is, on the instance it lives on.
    pub(super) connection_url: String,
}

/// Sessions, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TerminalList {
    success: bool,
    sessions: Vec<ListedTerminal>,
    /// What can be opened on this instance.
    types: Vec<SessionType>,
    memory_usage: MemoryUsage,
}

/// A session of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedTerminal {
    #[serde(flatten)]
    #[schema(value_type = schema::TerminalSession)]
    pub(super) session: SessionView,
    /// Where its WebSocket is; left out if its instance is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection_url: Option<String>,
}

/// A profile of the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionType {
    #[serde(rename = "type")]
    name: String,
    /// True if its program is here.
    installed: bool,
    /// True if each of its sessions is recorded, as a run with the id of the session.
    recorded: bool,
}

impl SessionType {
    pub(super) fn of(profile: AvailableProfile<'_>) -> Self {
        let AvailableProfile { name, is_installed, is_recorded } = profile;
        Self { name: name.to_owned(), installed: is_installed, recorded: is_recorded }
    }
}

/// What this instance takes of memory, in bytes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemoryUsage {
    /// In physical memory.
    rss: u64,
    /// What the program has asked for.
    heap: u64,
    /// The rest: code, stacks, what the allocator keeps.
    external: u64,
    /// Sessions of the list.
    session_count: usize,
}

impl TerminalList {
    pub(super) fn of(
        sessions: Vec<ListedTerminal>,
        types: Vec<SessionType>,
        memory: ProcessMemory,
    ) -> Self {
        let ProcessMemory { rss, heap, external } = memory;
        let memory_usage = MemoryUsage { rss, heap, external, session_count: sessions.len() };
        Self { success: true, sessions, types, memory_usage }
    }
}

/// The sessions of a project that live.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectTerminals {
    success: bool,
    #[schema(value_type = String)]
    project_id: ProjectId,
    #[schema(value_type = Vec<schema::TerminalSession>)]
    terminals: Vec<SessionView>,
    active_count: usize,
}

impl ProjectTerminals {
    pub(super) fn of(project_id: ProjectId, terminals: Vec<SessionView>) -> Self {
        let active_count = terminals.iter().filter(|session| session.active).count();
        Self { success: true, project_id, terminals, active_count }
    }
}

/// The screen of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionScreen {
    #[serde(flatten)]
    shown: Shown,
    /// Output before this offset is on it.
    offset: u64,
}

impl SessionScreen {
    pub(super) fn of(offset: u64, terminal: &VirtualTerminal) -> Self {
        Self { shown: Shown::by(terminal), offset }
    }
}
