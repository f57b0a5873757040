//! The `runcast` binary.

use runcast::adapters::process_guard::{GUARD_ARGUMENT, guard_main};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(GUARD_ARGUMENT) {
        return guard_main(arguments.next().as_deref());
    }
    Ok(())
}
