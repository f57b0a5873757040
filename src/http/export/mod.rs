//! Recordings as downloads: what is pulled from history, how it is written, what the headers promise.

pub mod body;
pub mod download;
pub mod pull;
pub mod writer;
