//! Places where a test lets the process die, to prove that what is left behind is mended.

/// Ends the process at once if `RUNCAST_FAIL_POINT` names this place. Nothing in release builds.
pub fn fail_point(name: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;

        static WANTED: OnceLock<Option<String>> = OnceLock::new();
        let wanted = WANTED.get_or_init(|| std::env::var("RUNCAST_FAIL_POINT").ok());
        if wanted.as_deref() == Some(name) {
            // As a kill would: no destructors, no buffers written.
            std::process::abort();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
