//! Places where a test lets the process die, to prove that what is left behind is mended.

/// Ends the process at once if `RUNCAST_FAIL_POINT` names this place: `NAME`, or `NAME:3` for the third time
/// that it is passed. Nothing in release builds.
pub fn fail_point(name: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicU32, Ordering};

        static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
        let wanted = WANTED.get_or_init(|| {
            let wanted = std::env::var("RUNCAST_FAIL_POINT").ok()?;
            let (name, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
            let time = time.parse().expect("RUNCAST_FAIL_POINT is NAME or NAME:TIME");
            Some((name.to_owned(), AtomicU32::new(time)))
        });
        if let Some((wanted, left)) = wanted
            && wanted == name
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            // As a kill would: no destructors, no buffers written.
            std::process::abort();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
