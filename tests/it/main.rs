//! The service through its public face: the real binary, real processes, real sockets.

mod cursor;
mod exact_bytes;
mod service_life;
mod support;
