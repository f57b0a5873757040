//! Reading what was archived: from the rows to the frames, decoded once for all who read.

mod blocks;
mod catalog;
pub mod compaction;
mod damaged_frames;
pub mod left_overs;
mod reader;

pub use blocks::BlockCache;
pub(crate) use reader::is_of;
pub use reader::{Archive, ArchiveError, Archived};
