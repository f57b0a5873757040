//! The memory of the process: `/proc` for what the system sees, jemalloc for what the program has asked for.

use runcast_actors::ports::{MemoryMeter, ProcessMemory};
use tikv_jemalloc_ctl::{epoch, stats};

/// The meter of a process whose allocator is jemalloc.
#[derive(Debug, Clone, Copy, Default)]
pub struct JemallocMeter;

impl MemoryMeter for JemallocMeter {
    fn now(&self) -> ProcessMemory {
        // The figures of the allocator are those of the last call of this.
        let is_fresh = epoch::advance().is_ok();
        let heap = if is_fresh { stats::allocated::read().unwrap_or_default() as u64 } else { 0 };
        let rss = resident();
        ProcessMemory { rss, heap, external: rss.saturating_sub(heap) }
    }

    #[allow(unsafe_code)]
    fn give_back(&self) {
        // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
        let all_arenas = c"arena.4096.purge";
        let nothing = std::ptr::null_mut();
        // SAFETY: the name ends with NUL, and this control neither reads nor writes a value.
        let refused = unsafe {
            tikv_jemalloc_sys::mallctl(
                all_arenas.as_ptr(),
                nothing,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                0,
            )
        };
        if refused != 0 {
            tracing::warn!(code = refused, "the allocator did not give memory back");
        }
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
        let before = JemallocMeter.now();
        assert!(before.rss > 1024 * 1024, "{before:?}");
        let block = vec![1_u8; 64 * 1024 * 1024];
        let after = JemallocMeter.now();
        assert!(after.rss > before.rss + 32 * 1024 * 1024, "{before:?} {after:?}");
        assert_eq!(after.external, after.rss.saturating_sub(after.heap));
        drop(block);
        JemallocMeter.give_back();
    }
}
