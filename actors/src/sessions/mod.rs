//! Interactive terminals as values: their states, what is kept of their output, and who answers for them.
//!
//! Nothing here has a thread, does I/O or is an actor. [`view`] is what clients see, [`output_ring`] what the
//! terminal has written of late, [`queries`] what a program asks its terminal and whose answer counts.

pub mod output_ring;
pub mod queries;
pub mod redaction;
mod sequences;
pub mod state;
pub mod view;

pub use output_ring::{OutputRing, Repaint, RingLimits, RingRead};
pub use queries::Queries;
pub use redaction::Redaction;
pub use state::{EndReason, SessionState, WrongTransition};
pub use view::{SessionId, SessionKey, SessionView};
