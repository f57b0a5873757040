//! The service through its public face: the real binary, real processes, real sockets.

mod bad_input;
mod command_line;
mod faults;
mod faults_children;
mod faults_stores;
mod service_life;
mod support;
