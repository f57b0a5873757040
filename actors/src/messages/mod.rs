//! What actors are asked and told, one conversation a file.

pub mod run_control;
