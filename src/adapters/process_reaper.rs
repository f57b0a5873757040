//! The thread that ends processes: it signals sessions, waits for the dead and reaps them.
//!
//! Finding the processes of a session reads all of `/proc`, which is too slow for threads that serve
//! terminals. Orders are carried out in the order they were given. A child is reaped only when its
//! session is empty: until then its number cannot be given to another process.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use runcast_actors::entry::ProcessIdentity;

use super::process_group::{self, Processes};
use super::process_guard::ProcessGuard;

/// Orders that wait; the next caller waits for room, which takes one look at `/proc`.
const QUEUE_LEN: usize = 1024;
/// How often the killed are looked at until they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// After this a dead child is reaped although a process of its session, stuck in the kernel, lives.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// The pause after a panic, so that one that repeats does not fill a core and the service's log.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// A handle of the thread. The thread ends when all handles are dropped and all children reaped.
#[derive(Clone)]
pub struct ProcessReaper {
    orders: SyncSender<Order>,
}

enum Order {
    Terminate(ProcessIdentity),
    Kill(ProcessIdentity),
    Bury(Child, ProcessIdentity),
}

impl ProcessReaper {
    /// Starts the thread. It tells `guard` of every session that is gone.
    pub fn start(guard: ProcessGuard) -> io::Result<Self> {
        let (orders, queue) = sync_channel(QUEUE_LEN);
        thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(move || Graves { guard, dying: Vec::new() }.work(&queue))?;
        Ok(Self { orders })
    }

    /// Asks every process of the session to end.
    pub fn terminate(&self, identity: ProcessIdentity) {
        self.order(Order::Terminate(identity));
    }

    /// Kills every process of the session.
    pub fn kill(&self, identity: ProcessIdentity) {
        self.order(Order::Kill(identity));
    }

    /// Kills every process of the session and reaps its leader.
    pub fn bury(&self, child: Child, identity: ProcessIdentity) {
        self.order(Order::Bury(child, identity));
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("the thread that ends processes is gone");
        }
    }
}

struct Dying {
    child: Child,
    identity: ProcessIdentity,
    since: Instant,
}

struct Graves {
    guard: ProcessGuard,
    dying: Vec<Dying>,
}

impl Graves {
    fn work(mut self, orders: &Receiver<Order>) {
        loop {
            let order = if self.dying.is_empty() {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                orders.recv_timeout(LOOK_EVERY)
            };
            match order {
                Err(RecvTimeoutError::Disconnected) if self.dying.is_empty() => return,
                Err(RecvTimeoutError::Disconnected) => thread::park_timeout(LOOK_EVERY),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            // Whatever goes wrong with one order: without this thread nothing would ever end.
            let turn = AssertUnwindSafe(|| self.turn(order.ok(), orders));
            if catch_unwind(turn).is_err() {
                tracing::error!("the thread that ends processes panicked and goes on");
                thread::park_timeout(AFTER_PANIC);
            }
        }
    }

    fn turn(&mut self, order: Option<Order>, orders: &Receiver<Order>) {
        // What came together is looked at together.
        for order in order.into_iter().chain(orders.try_iter()) {
            self.carry_out(order);
        }
        self.reap();
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Terminate(identity) => {
                process_group::terminate(&identity);
            }
            Order::Kill(identity) => {
                process_group::kill(&identity);
            }
            Order::Bury(child, identity) => {
                self.dying.push(Dying { child, identity, since: Instant::now() });
            }
        }
    }

    fn reap(&mut self) {
        if self.dying.is_empty() {
            return;
        }
        let processes = Processes::read();
        let guard = &self.guard;
        self.dying.retain_mut(|dying| {
            if processes.has_members(&dying.identity) {
                // Again each time: a process may have been started since.
                process_group::kill(&dying.identity);
                let is_stuck = dying.since.elapsed() >= STUCK_AFTER;
                if !is_stuck || processes.is_alive(dying.identity.pid) {
                    return true;
                }
            }
            // Before the number is free: the guard knows sessions by their numbers.
            guard.unregister(dying.identity);
            matches!(dying.child.try_wait(), Ok(None))
        });
    }
}
