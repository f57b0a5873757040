//! The environment of a node: nothing of the service's own but what programs need to be at home.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use runcast_actors::ports::NodeCommand;
use runcast_actors::run_view::TerminalMode;

use super::runner_directory::NodeFiles;

const ALLOWED: [&str; 8] = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR"];
const ALLOWED_PREFIX: &str = "LC_";
/// What the virtual terminals and the player understand.
pub(super) const TERMINAL_TYPE: &str = "xterm-256color";

/// What of the service's environment every node gets.
pub fn allowed(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let is_allowed = |name: &OsStr| {
        name.to_str()
            .is_some_and(|name| ALLOWED.contains(&name) || name.starts_with(ALLOWED_PREFIX))
    };
    variables.into_iter().filter(|(name, _)| is_allowed(name)).collect()
}

/// The whole environment of a node: `base`, then ours, then its own, the later ones winning.
pub(super) fn of_node(
    base: &BTreeMap<OsString, OsString>,
    command: &NodeCommand,
    files: &NodeFiles,
) -> BTreeMap<OsString, OsString> {
    let mut variables = base.clone();
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    if command.terminal.mode == TerminalMode::Pty {
        set("TERM", TERMINAL_TYPE.into());
    }
    set("RUNCAST_RUN_ID", command.run.run.as_str().into());
    set("RUNCAST_NODE_REF", command.node_ref.as_str().into());
    set("RUNCAST_ATTEMPT", command.attempt.to_string().into());
    set("RUNCAST_INPUTS", files.inputs.clone().into());
    set("RUNCAST_EVENTS", files.events.clone().into());
    for (name, value) in &command.env {
        set(name, value.into());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_list_passes() {
        let service = ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "RUNCAST_TOKEN", "PATHOLOGY"];
        let variables = service.map(|name| (OsString::from(name), OsString::from("x")));
        let names: Vec<OsString> = allowed(variables).into_keys().collect();
        assert_eq!(names, ["LC_ALL", "PATH"]);
    }
}
