//! The newest entries of all runs, in memory.
