//! The budget of the process, with a meter that says what it is told.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::session_world::World;
use super::world::SEC;
use crate::ports::{MemoryMeter, ProcessMemory};
use crate::roles::memory_governor::{Account, MemoryGovernor, MemoryLimits};
use crate::roles::session::AttachOptions;
use crate::roles::session_manager::OpenError;
use crate::sessions::{EndReason, SessionState};

/// Memory that falls by what is freed.
#[derive(Default)]
struct Meter {
    rss: AtomicU64,
    /// What giving back brings.
    spare: AtomicU64,
    given_back: AtomicUsize,
}

impl MemoryMeter for Meter {
    fn now(&self) -> ProcessMemory {
        let rss = self.rss.load(Ordering::SeqCst);
        ProcessMemory { rss, heap: rss / 2, external: rss - rss / 2 }
    }

    fn give_back(&self) {
        self.given_back.fetch_add(1, Ordering::SeqCst);
        self.rss.fetch_sub(self.spare.swap(0, Ordering::SeqCst), Ordering::SeqCst);
    }
}

struct Governed {
    world: World,
    meter: Arc<Meter>,
    governor: Arc<MemoryGovernor>,
    /// What was done, in order.
    done: Arc<Mutex<Vec<&'static str>>>,
}

fn governed() -> Governed {
    let world = World::roomy();
    let meter = Arc::new(Meter::default());
    let done = Arc::new(Mutex::new(Vec::new()));
    let (noted, freed) = (done.clone(), meter.clone());
    let cache = Account { name: "cache", bytes: Box::new(|| 300), shrink: None };
    let cache = cache.shrinking(move || {
        noted.lock().expect("not poisoned").push("shrink");
        freed.spare.fetch_add(100, Ordering::SeqCst);
    });
    let fixed = Account { name: "fixed", bytes: Box::new(|| 50), shrink: None };
    let limits = MemoryLimits { soft_bytes: 1000, hard_bytes: 2000, check_every: 30 * SEC };
    let governor =
        MemoryGovernor::new(meter.clone(), vec![cache, fixed], world.manager.clone(), limits);
    Governed { world, meter, governor: Arc::new(governor), done }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn components_and_what_none_accounts_for_make_the_whole() {
    let Governed { meter, governor, .. } = governed();
    meter.rss.store(900, Ordering::SeqCst);
    let sample = governor.sample();
    assert_eq!(sample.components, [("cache", 300), ("fixed", 50), ("unaccounted", 550)]);
    assert_eq!(sample.memory, ProcessMemory { rss: 900, heap: 450, external: 450 });
    let kept =
        tokio::task::spawn_local(governor.clone().keep(crate::kernel::ChildContext::of_test()));
    tokio::time::sleep(95 * SEC).await;
    assert_eq!(governor.history(Duration::from_secs(3600)).len(), 4);
    kept.abort();
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn above_the_soft_limit_pages_go_back_and_nobody_is_refused() {
    let Governed { world, meter, governor, done } = governed();
    meter.rss.store(1500, Ordering::SeqCst);
    meter.spare.store(700, Ordering::SeqCst);
    governor.check();
    assert_eq!((meter.given_back.load(Ordering::SeqCst), meter.now().rss), (1, 800));
    assert!(done.lock().expect("not poisoned").is_empty() && governor.last_cleanup().is_none());
    world.opened("a").await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn above_the_hard_limit_all_is_done_in_order_and_new_sessions_wait_for_room() {
    let Governed { world, meter, governor, done } = governed();
    let mut sessions = Vec::new();
    for tab in ["a", "b", "c"] {
        sessions.push(world.opened(tab).await);
        tokio::time::sleep(SEC).await;
    }
    meter.rss.store(2050, Ordering::SeqCst);
    governor.check();
    // What the component let go was enough.
    let cleanup = governor.last_cleanup().expect("there was one");
    assert_eq!((cleanup.freed_bytes, cleanup.terminated.len()), (100, 0));
    assert_eq!(*done.lock().expect("not poisoned"), ["shrink"]);
    assert_eq!(meter.now().rss, 1950);
    world.opened("a").await;
    meter.rss.store(5000, Ordering::SeqCst);
    governor.check();
    assert_eq!(world.try_open("new", "second").await, Some(OpenError::Memory));
    // Those that are there go on.
    assert!(sessions.iter().all(|session| session.state() == SessionState::Active));
    meter.rss.store(1200, Ordering::SeqCst);
    governor.check();
    assert_eq!(world.try_open("new", "second").await, None);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_clean_up_ends_the_oldest_inactive_sessions_and_spares_five() {
    let Governed { world, governor, .. } = governed();
    let mut sessions = Vec::new();
    for number in 0..9 {
        sessions.push(world.opened(&number.to_string()).await);
        tokio::time::sleep(SEC).await;
    }
    let _attached = sessions[1].attach(AttachOptions::default()).expect("room");
    tokio::time::sleep(70 * SEC).await;
    let cleanup = governor.clean_up();
    let ended: Vec<_> = [0, 2, 3].map(|place: usize| sessions[place].id().clone()).into();
    assert_eq!(cleanup.terminated, ended, "not the one somebody is attached to");
    for (place, session) in sessions.iter().enumerate() {
        if ended.contains(session.id()) {
            assert_eq!(session.gone().await.reason, Some(EndReason::Memory), "{place}");
        } else {
            assert!(session.state().is_live(), "{place}");
        }
    }
}
