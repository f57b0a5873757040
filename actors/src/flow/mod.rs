//! How bytes flow: permits, coalescing, queues, windows. No actor, no I/O.

pub mod tail_cache;
