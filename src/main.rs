//! The `runcast` binary.

use std::process::ExitCode;

use runcast::adapters::process_guard_main::{GUARD_ARGUMENT, guard_main};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // The service starts its own binary as the guard of its processes; nobody else does.
    if arguments.next().as_deref() == Some(GUARD_ARGUMENT) {
        return match guard_main(arguments.next().as_deref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    runcast::cli::main()
}
