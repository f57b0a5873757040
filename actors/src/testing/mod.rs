//! What tests of this crate and of adapters share.

#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
#[cfg(any(test, feature = "testing"))]
pub mod instances_conformance;
#[cfg(any(test, feature = "testing"))]
pub mod log_conformance;
pub mod log_memory;
#[cfg(any(test, feature = "testing"))]
pub mod objects_conformance;
pub mod objects_memory;
#[cfg(any(test, feature = "testing"))]
pub mod recordings_conformance;
#[cfg(any(test, feature = "testing"))]
pub mod replica_conformance;
pub mod replica_memory;
#[cfg(test)]
mod replica_memory_tests;
pub mod runner_scripted;
#[cfg(any(test, feature = "testing"))]
pub mod sessions_conformance;
#[cfg(any(test, feature = "testing"))]
pub mod store_conformance;
pub mod store_memory;
pub mod terminal_host_echo;
