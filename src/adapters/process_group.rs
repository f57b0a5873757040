//! The processes of a node: who they are, and how they end.
//!
//! A node's first process leads a session, and everything it starts is in that session unless it
//! leaves on purpose. A shell with job control makes several process groups in one session, so
//! signals go to every group of the session. A process is named by its number, its start time and
//! the boot: a number that was given to another process meanwhile is never signalled, nor is
//! process 1 or our own session.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use runcast_actors::entry::ProcessIdentity;
use rustix::process::{Pid, Signal, getpid, kill_process_group};
use uuid::Uuid;

/// How often `kill` looks for processes that were started while it killed.
const MAX_KILL_ROUNDS: usize = 16;
/// How long `kill_leftovers` waits until the killed are gone.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(2);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The identity of a process that leads its session. The caller must know that `pid` is alive or
/// not reaped yet.
pub fn identify(pid: i32) -> io::Result<ProcessIdentity> {
    let start_ticks = read_stat(pid)?.start_ticks;
    Ok(ProcessIdentity { pid, start_ticks, boot_id: boot_id()? })
}

/// Sends HUP, TERM and CONT to the whole session. Returns how many processes it had.
pub fn terminate(identity: &ProcessIdentity) -> usize {
    let members = members(identity);
    for signal in [Signal::HUP, Signal::TERM, Signal::CONT] {
        signal_groups(&members, signal);
    }
    members.len()
}

/// Sends KILL to the whole session, also to what it starts meanwhile. Returns how many processes
/// were killed; they may take a moment to be gone.
pub fn kill(identity: &ProcessIdentity) -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..MAX_KILL_ROUNDS {
        let mut found = members(identity);
        found.retain(|member| !killed.contains(&member.pid));
        if found.is_empty() {
            break;
        }
        signal_groups(&found, Signal::KILL);
        killed.extend(found.iter().map(|member| member.pid));
    }
    killed.len()
}

/// Kills what an earlier instance left of a node and waits up to two seconds until it is gone.
/// Returns how many processes were killed. Blocks: not for async threads.
pub fn kill_leftovers(identity: &ProcessIdentity) -> usize {
    let killed = kill(identity);
    if killed > 0 {
        wait_until_gone(std::slice::from_ref(identity), LEFTOVERS_DEADLINE);
    }
    killed
}

/// Waits until nothing of these sessions is alive, or the time is up. Blocks: not for async threads.
pub fn wait_until_gone(identities: &[ProcessIdentity], at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    loop {
        let alive = Processes::read();
        if identities.iter().all(|identity| alive.members(identity).is_empty()) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

/// One look at all processes of the machine, to ask about many sessions at once.
pub struct Processes(HashMap<i32, Stat>);

impl Processes {
    /// Reads `/proc`. What appears or vanishes meanwhile may be missing.
    pub fn read() -> Self {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Self(HashMap::new()) };
        let stats = entries.flatten().filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, read_stat(pid).ok()?))
        });
        Self(stats.collect())
    }

    /// True if anything of the session is alive. What is dead and only waits to be reaped is not.
    pub fn has_members(&self, identity: &ProcessIdentity) -> bool {
        !self.members(identity).is_empty()
    }

    /// True if a process with this number is alive.
    pub fn is_alive(&self, pid: i32) -> bool {
        self.0.get(&pid).is_some_and(|stat| stat.alive)
    }

    fn members(&self, identity: &ProcessIdentity) -> Vec<Member> {
        if !may_signal(identity) {
            return Vec::new();
        }
        let reused = self.0.get(&identity.pid);
        if reused.is_some_and(|stat| stat.start_ticks != identity.start_ticks) {
            return Vec::new();
        }
        let in_session = self.0.iter().filter(|(_, stat)| {
            stat.session == identity.pid && stat.start_ticks >= identity.start_ticks && stat.alive
        });
        in_session.map(|(pid, stat)| Member { pid: *pid, group: stat.group }).collect()
    }
}

struct Member {
    pid: i32,
    group: i32,
}

fn members(identity: &ProcessIdentity) -> Vec<Member> {
    Processes::read().members(identity)
}

/// False for what is never ours to end: another boot, process 1, ourselves and our session.
fn may_signal(identity: &ProcessIdentity) -> bool {
    let own_pid = getpid().as_raw_pid();
    // From /proc: in a process namespace that was entered without a session of its own, this is 0,
    // which getsid(2) of rustix does not allow for.
    let own_session = read_stat(own_pid).map_or(0, |stat| stat.session);
    identity.pid > 1
        && identity.pid != own_session
        && identity.pid != own_pid
        && boot_id().is_ok_and(|boot_id| boot_id == identity.boot_id)
}

fn signal_groups(members: &[Member], signal: Signal) {
    let groups: BTreeSet<i32> = members.iter().map(|member| member.group).collect();
    for group in groups.into_iter().filter(|group| *group > 1).filter_map(Pid::from_raw) {
        // Only fails if the group has gone, or is not ours to signal; neither can be helped.
        let _ = kill_process_group(group, signal);
    }
}

/// What `/proc/PID/stat` tells that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    alive: bool,
    group: i32,
    session: i32,
    start_ticks: u64,
}

fn read_stat(pid: i32) -> io::Result<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&text)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is malformed"))
    })
}

/// Fields as `proc_pid_stat(5)` numbers them. The second one, the program's name, may hold anything,
/// so counting starts behind the last parenthesis.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, behind_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        alive: !matches!(field(3)?, "Z" | "X" | "x"),
        group: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        start_ticks: field(22)?.parse().ok()?,
    })
}

fn boot_id() -> io::Result<Uuid> {
    static BOOT_ID: OnceLock<Uuid> = OnceLock::new();
    if let Some(boot_id) = BOOT_ID.get() {
        return Ok(*boot_id);
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot_id = text.trim().parse().map_err(io::Error::other)?;
    Ok(*BOOT_ID.get_or_init(|| boot_id))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use super::*;
    use crate::adapters::process_spawner::lead_session;

    fn sleeper() -> (Child, ProcessIdentity) {
        let mut command = Command::new("sleep");
        command.arg0("runcast-test-sleep").arg("600");
        lead_session(&mut command);
        let child = command.spawn().unwrap();
        let identity = identify(child.id().cast_signed()).unwrap();
        (child, identity)
    }

    #[test]
    fn the_name_of_a_program_cannot_shift_the_fields() {
        let text = "42 (a) R 1 (b) S 7 40 41 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat, Stat { alive: true, group: 40, session: 41, start_ticks: 9876 });
        assert!(!parse_stat(&text.replace(" S 7", " Z 7")).unwrap().alive);
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }

    #[test]
    fn a_reused_number_is_never_killed() {
        let (mut child, identity) = sleeper();
        let earlier = ProcessIdentity { start_ticks: identity.start_ticks - 1, ..identity };
        let later = ProcessIdentity { start_ticks: identity.start_ticks + 1, ..identity };
        let other_boot = ProcessIdentity { boot_id: Uuid::nil(), ..identity };
        for wrong in [earlier, later, other_boot] {
            assert_eq!(terminate(&wrong), 0);
            assert_eq!(kill_leftovers(&wrong), 0);
        }
        assert!(child.try_wait().unwrap().is_none());
        assert_eq!(kill_leftovers(&identity), 1);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn our_own_session_and_init_are_never_signalled() {
        let own = identify(getpid().as_raw_pid()).unwrap();
        assert_eq!(terminate(&own), 0);
        let session = read_stat(own.pid).unwrap().session;
        // 0 if the one who leads our session is outside of our process namespace.
        if session != 0 {
            assert_eq!(terminate(&identify(session).unwrap()), 0);
        }
        assert_eq!(terminate(&identify(1).unwrap()), 0);
    }

    #[test]
    fn terminate_reaches_a_stopped_process() {
        let (mut child, identity) = sleeper();
        kill_process_group(Pid::from_raw(identity.pid).unwrap(), Signal::STOP).unwrap();
        assert_eq!(terminate(&identity), 1);
        assert_eq!(child.wait().unwrap().signal(), Some(1));
        assert!(wait_until_gone(&[identity], Duration::ZERO));
    }
}
