//! The domain and the actors of Runcast.
//!
//! A run has one owner, which appends to the run's log; everything else follows the log.
//! Nothing here knows HTTP, a database, a broker or an object store: those are adapters behind [`ports`].

pub mod archive;
pub mod bring_over;
pub mod capture;
pub mod cast;
pub mod entry;
pub mod entry_codec;
pub mod event_json;
pub mod fail_point;
pub mod flow;
pub mod history;
pub mod ids;
pub mod instance_run_control;
pub mod kernel;
pub mod live_runs;
pub mod messages;
pub mod moment;
pub mod ports;
pub mod roles;
pub mod run_spec;
pub mod run_view;
pub mod screen;
pub mod seek;
pub mod sessions;
pub mod submission;
pub mod takeover;
pub mod testing;
pub mod verdict;
