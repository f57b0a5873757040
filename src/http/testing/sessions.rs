//! Interactive terminals for the tests of this layer.

use std::sync::Arc;
use std::time::Duration;

use runcast_actors::kernel::{ArbiterPool, KillSwitch, Observers};
use runcast_actors::moment::Timestamp;
use runcast_actors::roles::session_manager::{
    SessionManager, SessionParts, SessionRows, SessionSettings,
};
use runcast_actors::sessions::{EndReason, SessionState, SessionView};
use runcast_actors::testing::terminal_host_echo::EchoHost;
use serde_json::Value;

/// Terminals that echo, in memory alone.
pub(super) fn echoing() -> Arc<SessionManager> {
    let rows = SessionRows::new(None, Duration::from_secs(1), Duration::from_secs(1));
    SessionManager::new(SessionParts {
        instance: "instance-1".parse().expect("valid"),
        settings: SessionSettings::for_tests(),
        host: Arc::new(EchoHost::default()),
        rows: Arc::new(rows),
        arbiters: Arc::new(ArbiterPool::new(1, "sessions").expect("a thread")),
        observers: Observers::new(),
        root: KillSwitch::new(),
    })
}

/// A session with every member.
pub(crate) fn full_session() -> Value {
    let text = |text: &str| text.to_owned();
    serde_json::to_value(SessionView {
        id: "session_1_abcdefgh".parse().expect("valid"),
        project_id: "p".parse().expect("valid"),
        user_id: Some(text("u")),
        profile: text("system"),
        tab_name: text("t"),
        state: SessionState::Error,
        active: false,
        current_path: text("/"),
        project_path: Some(text("/")),
        pid: Some(1),
        cols: 80,
        rows: 24,
        created_at: Timestamp(0),
        last_activity: Timestamp(0),
        persisted: true,
        attached: 1,
        restored_from: Some("session_0_abcdefgh".parse().expect("valid")),
        instance: "i".parse().expect("valid"),
        reason: Some(EndReason::Failed),
        message: Some(text("m")),
        exit_code: Some(1),
        signal: Some(9),
        ended_at: Some(Timestamp(0)),
    })
    .expect("JSON")
}
