//! What the actors need of the outside, as traits. Adapters implement them; tests have their own.

mod archive;
mod instances;
mod log;
mod memory;
mod replica;
mod runner;
mod sessions;
mod store;
mod terminal_host;

pub use archive::{
    ArchiveBatch, EncoderStates, IncompleteReason, ObjectError, ObjectKey, ObjectStore,
    ObjectWriter, Recording, RecordingState, RecordingStore, Segment, StoredObject,
};
pub use instances::{Instance, InstanceStore, SeenInstance};
pub use log::{LogError, LogHealth, Page, RunLog, RunReader, Tail, Wake};
pub use memory::{MemoryMeter, ProcessMemory};
pub use replica::{
    CommandFeed, OwnerCommand, Replica, ReplicaBatch, ReplicaHealth, ReplicaScreens,
};
pub use runner::{NodeCommand, NodeProcess, Output, Runner, StartError, Started};
pub use sessions::{SessionClaim, SessionQuery, SessionRow, SessionStore, StoredScreen};
pub use store::{
    Annotation, CancelRequest, Claim, Lease, Purged, RecordBatch, RunCursor, RunList, RunQuery,
    RunStore, Seen, StoreError, StoredRun, Submission, Submitted, TraceQuery,
};
pub use terminal_host::{Input, OpenTerminal, TerminalCommand, TerminalHost};
