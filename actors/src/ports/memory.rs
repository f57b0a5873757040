//! What the process takes of memory, as the system and the allocator see it.

use serde::Serialize;

/// The memory of this process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ProcessMemory {
    /// In physical memory.
    pub rss: u64,
    /// What the program has asked the allocator for.
    pub heap: u64,
    /// The rest of `rss`: code, stacks, mapped files, and what the allocator keeps.
    pub external: u64,
}

/// Measures it, and gives back what is not used.
pub trait MemoryMeter: Send + Sync {
    /// As it is now. What cannot be read is 0.
    fn now(&self) -> ProcessMemory;

    /// Gives pages that the allocator keeps back to the system. May take some milliseconds.
    fn give_back(&self);
}
