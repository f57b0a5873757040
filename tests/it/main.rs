//! The service through its public face: the real binary, real processes, real sockets.

mod bad_input;
mod cursor;
mod exact_bytes;
mod faults;
mod faults_children;
mod service_life;
mod support;
