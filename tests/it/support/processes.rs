//! Processes of nodes, found by a mark in their environment, whatever session or group they are in.

use std::time::Duration;

use super::deadline::wait_for;

/// The variable that carries the mark.
pub(crate) const MARK: &str = "TEST_MARK";

/// Living processes that carry the mark.
pub(crate) fn marked(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK}={mark}");
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let is_marked =
                environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes());
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            // What is dead and not reaped yet has no command line.
            (is_marked && !command.is_empty())
                .then(|| (pid, String::from_utf8_lossy(&command).replace('\0', " ")))
        })
        .collect()
}

/// Waits until no process carries the mark.
pub(crate) async fn wait_gone(mark: &str, within: Duration) {
    let gone = wait_for("no process is left", within + Duration::from_secs(1), async || {
        marked(mark).is_empty().then_some(())
    });
    let is_gone = tokio::time::timeout(within, gone).await.is_ok();
    assert!(is_gone, "left after {within:?}: {:?}", marked(mark));
}

/// Children of this process that have ended and that it has not reaped.
pub(crate) fn zombies_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name stands in parentheses and may hold anything: state and parent come behind the last one.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let is_zombie = fields.next()? == "Z";
            let is_child = fields.next()?.parse::<u32>().ok()? == parent;
            (is_zombie && is_child).then_some(pid)
        })
        .collect()
}
