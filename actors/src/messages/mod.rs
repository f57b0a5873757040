//! What actors are asked and told, one conversation a file.

pub mod node_events;
pub mod run_commands;
pub mod run_control;
