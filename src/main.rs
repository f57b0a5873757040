//! The `runcast` binary.

use std::process::ExitCode;

use runcast::adapters::process_guard_main::{GUARD_ARGUMENT, guard_main};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc when it starts; `_RJEM_MALLOC_CONF` in the environment wins. What a download has used
/// goes back to the system within a second instead of ten, and lies in four arenas instead of four a core:
/// else the memory of the process grows with what went through it lately.
// The name is jemalloc's own, and the type is what it reads there: a pointer to text that ends with NUL.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &std::ffi::CStr =
    c"narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:1000,background_thread:true";

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

#[cfg(test)]
mod tests {
    #[test]
    fn the_allocator_takes_its_settings() {
        assert_eq!(tikv_jemalloc_ctl::opt::narenas::read().expect("it tells"), 4);
        assert!(tikv_jemalloc_ctl::opt::background_thread::read().expect("it tells"));
    }
}
