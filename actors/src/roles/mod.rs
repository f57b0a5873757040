//! One actor a file. Each file begins with what the actor owns, takes, sends, queues, and how it
//! stops and restarts.

pub mod archivist;
pub mod broker;
pub mod commander;
pub mod lease_keeper;
pub mod lease_watch;
pub mod log_writer;
pub mod memory_governor;
pub mod node;
pub mod owner;
pub mod presence;
pub mod queue_watch;
pub mod reaper;
pub mod recorder;
pub mod replicator;
mod retry;
pub mod run;
pub mod run_manager;
mod screen;
pub mod screens;
pub mod session;
pub mod session_manager;
pub mod trimmer;

#[cfg(test)]
mod tests;
