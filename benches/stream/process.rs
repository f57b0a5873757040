//! What the kernel says of a process: its memory and its time on the processor.

use std::time::Duration;

use anyhow::Context as _;

/// A process, by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Resident memory now and its peak, in KiB.
    pub(crate) fn memory_kib(self) -> anyhow::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line =
                status.lines().find(|line| line.starts_with(name)).context("no such line")?;
            let number = line.split_whitespace().nth(1).context("no number")?;
            Ok(number.parse()?)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// By how many KiB the resident memory is above now's at its peak during `work`.
    pub(crate) fn growth_kib<T>(
        self,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, u64)> {
        // Forgets the peak so far; see proc_pid_clear_refs(5).
        std::fs::write(format!("/proc/{}/clear_refs", self.0), "5")?;
        let (before, _) = self.memory_kib()?;
        let done = work()?;
        let (_, peak) = self.memory_kib()?;
        Ok((done, peak.saturating_sub(before)))
    }

    /// Time on the processor of the threads that are there and whose name begins so.
    pub(crate) fn cpu(self, thread_name: &str) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0))? {
            let path = task?.path();
            // A thread may end while it is looked at.
            let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
            let Ok(times) = std::fs::read_to_string(path.join("schedstat")) else { continue };
            if name.starts_with(thread_name) {
                let first = times.split_whitespace().next().context("no time")?;
                nanoseconds += first.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}
