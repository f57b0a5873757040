//! The service through its public face: the real binary, real processes, real sockets.

mod service_life;
mod support;
