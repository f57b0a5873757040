//! The guard process: ends what the service has left when it died. See [`process_guard`](super::process_guard).
//!
//! It reads lines until the input ends: `+PID START_TICKS` and `+PID` (a session lives), `-PID` (it is
//! gone). Then it sends HUP and TERM, waits a short grace, kills every session it holds, and exits.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::time::Duration;

use runcast_actors::entry::ProcessIdentity;

use super::process_group::{self, Processes};

/// The first argument that makes the binary a guard.
pub const GUARD_ARGUMENT: &str = "guard";
/// Between HUP and TERM, and KILL.
pub const DEFAULT_GRACE: Duration = Duration::from_millis(200);

/// Sessions that are held before it is looked which of them are gone.
const MAX_LIVE: usize = 4096;
/// How long it waits for what it has killed, in rounds.
const LAST_ROUNDS: usize = 10;
const LAST_ROUND: Duration = Duration::from_millis(200);

/// What the guard process does: `grace` is its argument in milliseconds, if there is one.
pub fn guard_main(grace: Option<&str>) -> io::Result<()> {
    let grace = match grace {
        None => DEFAULT_GRACE,
        Some(text) => Duration::from_millis(text.parse().map_err(|_| {
            let message = format!("`{text}` is no grace in milliseconds");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?),
    };
    rustix::process::setsid()?;
    ignore_signals();
    run_guard(io::stdin().lock(), grace)
}

/// Follows what lives until the input ends, then ends it.
pub fn run_guard(input: impl Read, grace: Duration) -> io::Result<()> {
    let boot_id = process_group::identify(rustix::process::getpid().as_raw_pid())?.boot_id;
    let mut live = HashMap::new();
    for line in BufReader::new(input).split(b'\n') {
        // An input that cannot be read any more is as much the end as one that is closed.
        let Ok(line) = line else { break };
        match parse_line(&String::from_utf8_lossy(&line)) {
            Some(Line::Lives { pid, start_ticks }) => {
                live.insert(pid, ProcessIdentity { pid, start_ticks, boot_id });
            }
            Some(Line::Begins { pid }) => {
                if let Ok(identity) = process_group::identify(pid) {
                    live.insert(pid, identity);
                }
                if live.len() > MAX_LIVE {
                    // Programs that could not be started have announced themselves, and nobody else does.
                    let processes = Processes::read();
                    live.retain(|_, identity| processes.has_members(identity));
                }
            }
            Some(Line::Gone { pid }) => {
                live.remove(&pid);
            }
            None => {}
        }
    }
    let live: Vec<ProcessIdentity> = live.into_values().collect();
    let asked: usize = live.iter().map(process_group::terminate).sum();
    if asked == 0 || process_group::wait_until_gone(&live, grace) {
        return Ok(());
    }
    for _ in 0..LAST_ROUNDS {
        for identity in &live {
            process_group::kill(identity);
        }
        if process_group::wait_until_gone(&live, LAST_ROUND) {
            break;
        }
    }
    Ok(())
}

enum Line {
    Begins { pid: i32 },
    Lives { pid: i32, start_ticks: u64 },
    Gone { pid: i32 },
}

fn parse_line(line: &str) -> Option<Line> {
    if let Some(pid) = line.strip_prefix('-') {
        return Some(Line::Gone { pid: pid.parse().ok()? });
    }
    let lives = line.strip_prefix('+')?;
    let Some((pid, start_ticks)) = lives.split_once(' ') else {
        return Some(Line::Begins { pid: lives.parse().ok()? });
    };
    Some(Line::Lives { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? })
}

/// Writes `+PID` and a line end to the end of `line`, and tells where it begins. Allocates nothing.
pub(super) fn write_announcement(pid: i32, line: &mut [u8; 16]) -> usize {
    let mut start = line.len() - 1;
    line[start] = b'\n';
    let mut rest = pid.unsigned_abs();
    loop {
        start -= 1;
        line[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    start -= 1;
    line[start] = b'+';
    start
}

/// What ends the service must not end the guard first.
#[allow(unsafe_code)]
fn ignore_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: sets a disposition of this process; no handler runs any code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::adapters::process_spawner::lead_session;

    /// A session that ends only by KILL, once it has said that it is ready.
    fn stubborn() -> (Child, ProcessIdentity) {
        let line = "trap '' HUP TERM; echo ready; while :; do sleep 0.05; done";
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdout(Stdio::piped());
        lead_session(&mut command);
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let identity = process_group::identify(child.id().cast_signed()).unwrap();
        (child, identity)
    }

    #[test]
    fn the_end_of_the_input_kills_what_is_registered_and_nothing_else() {
        let (mut held, held_identity) = stubborn();
        let (mut gone, gone_identity) = stubborn();
        let (mut reused, reused_identity) = stubborn();
        let input = format!(
            "+{} {}\n+{} {}\nnoise\n+{} {}\n-{}\n",
            held_identity.pid,
            held_identity.start_ticks,
            gone_identity.pid,
            gone_identity.start_ticks,
            reused_identity.pid,
            reused_identity.start_ticks + 1,
            gone_identity.pid,
        );
        run_guard(input.as_bytes(), Duration::from_millis(20)).unwrap();
        assert_eq!(held.wait().unwrap().signal(), Some(9));
        for (child, identity) in [(&mut gone, gone_identity), (&mut reused, reused_identity)] {
            assert!(child.try_wait().unwrap().is_none());
            process_group::kill(&identity);
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_child_announces_its_number() {
        for pid in [1, 42, 4_194_304, i32::MAX] {
            let mut line = [0; 16];
            let start = write_announcement(pid, &mut line);
            let text = std::str::from_utf8(&line[start..]).expect("digits");
            assert_eq!(text, format!("+{pid}\n"));
            assert!(
                matches!(parse_line(text.trim_end()), Some(Line::Begins { pid: told }) if told == pid)
            );
        }
    }
}
