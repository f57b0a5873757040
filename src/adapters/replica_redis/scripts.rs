//! The scripts that the server runs, each as a whole or not at all.

use std::sync::LazyLock;

use deadpool_redis::redis::{self, Cmd, Script};

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("scripts/common.lua"), include_str!($file)))
        });
    };
}

script!(
    /// Appends a batch.
    APPEND, "scripts/append.lua"
);
script!(
    /// Lets an epoch be the only writer.
    FENCE, "scripts/fence.lua"
);
script!(
    /// Forgets what is recorded.
    TRIM, "scripts/trim.lua"
);
script!(
    /// Sets the time of life of a run.
    EXPIRE, "scripts/expire.lua"
);
script!(
    /// Forgets a run.
    REMOVE, "scripts/remove.lua"
);
script!(
    /// Keeps keyframes.
    SCREENS, "scripts/screens.lua"
);
script!(
    /// Leaves a command for the owner.
    SEND, "scripts/send.lua"
);

/// A call of a script by its hash, to which arguments are added.
pub(super) fn call(script: &Script, keys: &[String]) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(script.get_hash()).arg(keys.len()).arg(keys);
    call
}
