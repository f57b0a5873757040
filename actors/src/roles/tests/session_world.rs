//! Interactive terminals of one instance, on terminals that echo.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::TenantId;
use crate::kernel::{ArbiterPool, KillSwitch, Observers};
use crate::roles::session::{AttachOptions, Attachment, SessionHandle, Told};
use crate::roles::session_manager::{
    OpenError, OpenSession, Opened, SessionLimits, SessionManager, SessionParts, SessionRows,
    SessionSettings,
};
use crate::sessions::{SessionKey, SessionView};
use crate::testing::store_memory::MemoryStore;
use crate::testing::terminal_host_echo::EchoHost;

pub(super) const DB_TIMEOUT: Duration = Duration::from_millis(4100);
/// By a clock that is not paused.
pub(super) const BREAK: Duration = Duration::from_millis(50);

pub(super) struct World {
    pub(super) manager: Arc<SessionManager>,
    pub(super) host: Arc<EchoHost>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) kept: tokio::task::JoinHandle<crate::kernel::ExitStatus>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::of("one", Arc::new(MemoryStore::new()))
    }

    pub(super) fn roomy() -> Self {
        let mut settings = SessionSettings::for_tests();
        settings.limits = SessionLimits { max_per_project: 100, max_per_user: 100, max_total: 100 };
        Self::with("one", Arc::new(MemoryStore::new()), settings)
    }

    pub(super) fn of(instance: &str, store: Arc<MemoryStore>) -> Self {
        Self::with(instance, store, SessionSettings::for_tests())
    }

    pub(super) fn with(instance: &str, store: Arc<MemoryStore>, settings: SessionSettings) -> Self {
        let host = Arc::new(EchoHost::default());
        let manager = SessionManager::new(SessionParts {
            instance: instance.parse().expect("a name"),
            settings,
            host: host.clone(),
            rows: Arc::new(SessionRows::new(Some(store.clone()), DB_TIMEOUT, BREAK)),
            arbiters: Arc::new(ArbiterPool::of_this_thread()),
            observers: Observers::new(),
            root: KillSwitch::new(),
            recorder: None,
        });
        let kept =
            tokio::task::spawn_local(manager.clone().keep(crate::kernel::ChildContext::of_test()));
        Self { manager, host, store, kept }
    }

    /// Opens one in another project; gives why it was refused.
    pub(super) async fn try_open(&self, tab: &str, project: &str) -> Option<OpenError> {
        let mut request = request(tab);
        request.key.project = project.parse().expect("a name");
        self.manager.open(request).await.err()
    }

    pub(super) async fn open(&self, tab: &str) -> SessionView {
        match self.manager.open(request(tab)).await.expect("it opens") {
            Opened::New(view) | Opened::Existing(view) => view,
        }
    }

    pub(super) fn handle(&self, view: &SessionView) -> Arc<SessionHandle> {
        self.manager.find(&TenantId::default_tenant(), &view.id).expect("it is here")
    }

    pub(super) async fn opened(&self, tab: &str) -> Arc<SessionHandle> {
        let view = self.open(tab).await;
        self.handle(&view)
    }
}

pub(super) fn request(tab: &str) -> OpenSession {
    OpenSession {
        key: SessionKey {
            tenant: TenantId::default_tenant(),
            project: "project".parse().expect("a name"),
            profile: "echo".to_owned(),
            tab_name: tab.to_owned(),
            user: None,
        },
        project_path: None,
        env: [("LANG", "C"), ("LD_PRELOAD", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        size: None,
    }
}

pub(super) fn attach(handle: &Arc<SessionHandle>) -> Attachment {
    handle.attach(AttachOptions::default()).expect("there is room")
}

/// Everything until output has this many bytes, or the end.
pub(super) async fn read(attachment: &mut Attachment, bytes: usize) -> (Vec<u8>, Vec<Told>) {
    let (mut output, mut others) = (Vec::new(), Vec::new());
    while output.len() < bytes {
        match attachment.next(1000).await {
            Told::Output { bytes, .. } => output.extend_from_slice(&bytes),
            told @ Told::Ended(_) => {
                others.push(told);
                break;
            }
            told => others.push(told),
        }
    }
    (output, others)
}
