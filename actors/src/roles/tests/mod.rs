//! Runs as their owner lives them, with a scripted runner, a log and rows in memory, on a paused clock.

mod archive;
mod bring_over;
mod capture;
mod ending;
mod faults;
mod graph;
mod instances;
mod memory;
mod ownership;
mod presence;
mod reaper;
mod session_world;
mod sessions;
mod takeover;
mod world;
