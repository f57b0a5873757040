//! Recorded sessions: each is a run of one node, whose id is that of the session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use serde_json::Map;

use crate::entry::TerminalSize;
use crate::ids::{InstanceId, RunKey};
use crate::ports::{RunStore, Submission};
use crate::roles::run_manager::{GetRun, OwnRun, RunManager};
use crate::roles::session::{NODE, RecordedTerminals, Recording, SessionHandle, tap};
use crate::run_spec::{NodeSpec, RunSpec, TerminalSpec};
use crate::run_view::{TerminalMode, TerminalView};

/// How long the beginning of a run may take; it has to stand in database and log.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);

/// What makes runs of sessions.
pub struct SessionRecorder {
    /// This instance, which owns them from the beginning.
    pub instance: InstanceId,
    /// Where runs are.
    pub store: Arc<dyn RunStore>,
    /// How long a lease holds.
    pub lease: Duration,
    /// Whoever owns runs.
    pub manager: Addr<RunManager>,
    /// Where their nodes find the sessions.
    pub terminals: Arc<RecordedTerminals>,
}

impl SessionRecorder {
    /// Begins the run of a session and waits until its node is about to start.
    pub(super) async fn begin(
        &self,
        handle: &Arc<SessionHandle>,
        size: TerminalSize,
    ) -> Result<Recording, String> {
        let beginning = tokio::time::timeout(BEGIN_LIMIT, self.begin_unlimited(handle, size));
        beginning.await.unwrap_or_else(|_| {
            Err(format!("its recording has not begun within {} s", BEGIN_LIMIT.as_secs()))
        })
    }

    async fn begin_unlimited(
        &self,
        handle: &Arc<SessionHandle>,
        size: TerminalSize,
    ) -> Result<Recording, String> {
        let submission = submission(handle, size);
        let run = submission.run.clone();
        let claim = self.store.submit_owned(submission, &self.instance, self.lease).await;
        let claim = claim.map_err(|error| format!("it cannot be recorded: {error}"))?;
        let claim = claim.ok_or("it cannot be recorded: there is a run of its id")?;
        let (mut tap, end) = tap(handle.clone(), size);
        let given = self.terminals.give(run.clone(), end);
        let stopping = || "it cannot be recorded: the service is stopping".to_owned();
        self.manager.send(OwnRun(Box::new(claim))).await.map_err(|_| stopping())?;
        if !tap.is_wanted().await {
            return Err("its recording could not begin".to_owned());
        }
        let found = self.manager.send(GetRun(run)).await.map_err(|_| stopping())?;
        let run = found.ok_or("its recording has ended")?;
        Ok(Recording { tap, run, _given: given })
    }
}

fn submission(handle: &SessionHandle, size: TerminalSize) -> Submission {
    let view = handle.view();
    let terminal = TerminalView { mode: TerminalMode::Pty, cols: size.cols, rows: size.rows };
    let labels = [
        ("session", Some("true")),
        ("project", Some(view.project_id.as_str())),
        ("type", Some(view.profile.as_str())),
        ("user", view.user_id.as_deref()),
    ];
    let labels: BTreeMap<String, String> = labels
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let id = view.id.as_str();
    Submission {
        run: RunKey {
            tenant: handle.key().tenant.clone(),
            run: id.parse().expect("the id of a session is an id of a run"),
        },
        spec: RunSpec {
            run_id: None,
            workflow_id: None,
            name: Some(view.tab_name.clone()),
            labels,
            timeout_secs: None,
            inputs: Map::new(),
            metadata: Map::new(),
            links: Vec::new(),
            terminal: None,
            nodes: vec![node(terminal)],
        },
        default_terminal: terminal,
    }
}

/// Without a command: nothing but the session may run as it.
fn node(TerminalView { mode, cols, rows }: TerminalView) -> NodeSpec {
    NodeSpec {
        node_ref: NODE.parse().expect("a name"),
        name: None,
        command: None,
        shell: None,
        env: BTreeMap::new(),
        cwd: None,
        depends_on: Vec::new(),
        retries: 0,
        timeout_secs: None,
        terminal: Some(TerminalSpec { mode: Some(mode), cols: Some(cols), rows: Some(rows) }),
        runner: None,
    }
}
