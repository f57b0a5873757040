//! The rows of the database, one table a file, as sea-orm sees them. Times are microseconds since 1970 UTC,
//! documents are JSON; see the crate `runcast-migrations` for keys and indexes.

#![allow(missing_docs, reason = "the columns are named after what they hold")]

pub mod archive_segments;
pub mod nodes;
pub mod run_labels;
pub mod runs;
pub mod tenants;
pub mod workflow_terminal_records;
pub mod workflow_traces;
