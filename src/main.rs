//! The `runcast` binary.

fn main() {}
