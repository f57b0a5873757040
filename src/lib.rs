//! Runcast: streams the console of every step of a workflow run, live and byte-exact.
//!
//! This crate is the service: what knows HTTP, a database, a log engine or the command line.
//! The domain and the actors are in `runcast-actors`.

pub mod adapters;
pub mod boot;
pub mod cli;
mod components;
pub mod config;
pub mod data_dir;
pub mod entities;
pub mod http;
pub mod shutdown;
pub mod telemetry;
