//! Interactive terminals for the tests of this layer.

use std::sync::Arc;
use std::time::Duration;

use runcast_actors::kernel::{ArbiterPool, KillSwitch, Observers};
use runcast_actors::moment::Timestamp;
use runcast_actors::roles::memory_governor::{Account, MemoryGovernor, MemoryLimits};
use runcast_actors::roles::session_manager::{
    SessionManager, SessionParts, SessionRows, SessionSettings,
};
use runcast_actors::sessions::{EndReason, SessionState, SessionView};
use runcast_actors::testing::terminal_host_echo::EchoHost;
use serde_json::Value;

use crate::adapters::memory_jemalloc::JemallocMeter;

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
        recorder: None,
    })
}

/// Of a process that takes next to nothing.
pub(super) fn governor(sessions: &Arc<SessionManager>) -> Arc<MemoryGovernor> {
    let limits = MemoryLimits {
        soft_bytes: u64::MAX - 1,
        hard_bytes: u64::MAX,
        check_every: Duration::from_secs(30),
    };
    let account = Account { name: "sessions", bytes: Box::new(|| 7), shrink: None };
    let meter = Arc::new(JemallocMeter);
    Arc::new(MemoryGovernor::new(meter, vec![account], sessions.clone(), limits))
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
