//! How bytes flow: permits, coalescing, numbering, queues, windows. No actor, no I/O.

pub mod capture_gate;
pub mod coalescer;
pub mod draft;
pub mod frame;
pub mod inbox;
pub mod permits;
pub mod recent_flow;
pub mod sequencer;
pub mod stretches;
pub mod tail_cache;
pub mod window;
