//! What the tests share: the service as a process, clients of its API, and programs to run.
#![allow(dead_code, reason = "a face for all tests; not each part is used in every state of them")]

pub(crate) mod api;
pub(crate) mod archive;
pub(crate) mod collect;
pub(crate) mod deadline;
pub(crate) mod disk;
pub(crate) mod processes;
pub(crate) mod programs;
pub(crate) mod proxy;
pub(crate) mod servers;
pub(crate) mod service;
pub(crate) mod socket;
pub(crate) mod sse;
