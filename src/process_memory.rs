//! What the process takes of memory, as the system and the allocator see it.

use tikv_jemalloc_ctl::{epoch, stats};

/// The memory of this process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// In physical memory, as `/proc/self/statm` tells it.
    pub rss: u64,
    /// What the program has asked the allocator for.
    pub heap: u64,
    /// The rest of `rss`: code, stacks, mapped files, and what the allocator keeps.
    pub external: u64,
}

impl ProcessMemory {
    /// As it is now. What cannot be read is 0.
    pub fn now() -> Self {
        // The figures of the allocator are those of the last call of this.
        let is_fresh = epoch::advance().is_ok();
        let heap = if is_fresh { stats::allocated::read().unwrap_or_default() as u64 } else { 0 };
        let rss = resident();
        Self { rss, heap, external: rss.saturating_sub(heap) }
    }
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_whole() {
        let before = ProcessMemory::now();
        assert!(before.rss > 1024 * 1024, "{before:?}");
        let block = vec![1_u8; 64 * 1024 * 1024];
        let after = ProcessMemory::now();
        assert!(after.rss > before.rss + 32 * 1024 * 1024, "{before:?} {after:?}");
        assert_eq!(after.external, after.rss.saturating_sub(after.heap));
        drop(block);
    }
}
