//! What a caller submits, and the rules it must follow.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::entry::{RunnerKind, TerminalSize};
use crate::ids::{NodeRef, RunId};
use crate::run_view::{Link, TerminalMode, TerminalView};

/// The most nodes a run may have.
pub const MAX_NODES: usize = 1000;
/// The most retries a node may ask for.
pub const MAX_RETRIES: u32 = 10;
/// The longest timeout: 30 days, in seconds.
pub const MAX_TIMEOUT_SECS: u64 = 30 * 24 * 3600;
/// The largest `inputs`, in bytes of JSON.
pub const MAX_INPUTS_BYTES: usize = 64 * 1024;
/// The largest `metadata`, in bytes of JSON.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;
/// The most labels, and the most links.
pub const MAX_LABELS: usize = 64;
/// The longest name, label, link or workflow id, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// A submitted run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSpec {
    /// The id the caller wants; else one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The workflow it is an execution of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it can be found by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How long the whole run may take, in seconds, 1 to 30 days; no limit without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
    /// What every node gets as the file named by `RUNCAST_INPUTS`; at most 64 KiB.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
    /// What is shown with the run; at most 16 KiB.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Where else to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The terminal of nodes that do not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSpec>,
    /// The steps.
    pub nodes: Vec<NodeSpec>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// Its name in the run.
    #[serde(rename = "ref")]
    pub node_ref: NodeRef,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Program and arguments, run without a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// A line for `/bin/sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Variables added to its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where it runs: absolute, or below the run's own directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The nodes that must complete before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<NodeRef>,
    /// How often it is tried again after a failure, 0 to 10.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// How long one attempt may take, in seconds, 1 to 30 days; no limit without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
    /// Its terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSpec>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerSpec>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl NodeSpec {
    /// The command line as it is executed.
    pub fn argv(&self) -> Vec<String> {
        match (&self.command, &self.shell) {
            (Some(command), _) => command.clone(),
            (None, Some(line)) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
            (None, None) => Vec::new(),
        }
    }

    /// What runs it.
    pub fn runner_kind(&self) -> RunnerKind {
        self.runner.as_ref().map(|runner| runner.kind).unwrap_or_default()
    }
}

/// What a submission says of terminals; what it leaves out comes from the level above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TerminalSpec {
    /// With or without a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TerminalMode>,
    /// Columns, 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cols: Option<u16>,
    /// Rows, 1 to 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u16>,
}

impl TerminalSpec {
    /// The terminal of a node: its own words, then the run's, then the configuration's.
    pub fn resolve(node: Option<Self>, run: Option<Self>, default: TerminalView) -> TerminalView {
        let (node, run) = (node.unwrap_or_default(), run.unwrap_or_default());
        TerminalView {
            mode: node.mode.or(run.mode).unwrap_or(default.mode),
            cols: node.cols.or(run.cols).unwrap_or(default.cols),
            rows: node.rows.or(run.rows).unwrap_or(default.rows),
        }
    }
}

/// What runs a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunnerSpec {
    /// Which runner.
    pub kind: RunnerKind,
}

/// A rule that a submission breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSpec {
    /// Where, as a path into the document: `nodes[2].dependsOn`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

fn invalid(field: impl Into<String>, message: impl Into<String>) -> InvalidSpec {
    InvalidSpec { field: field.into(), message: message.into() }
}

/// Checks every rule; the first that is broken is named.
pub fn validate(spec: &RunSpec) -> Result<(), InvalidSpec> {
    if spec.nodes.is_empty() {
        return Err(invalid("nodes", "a run needs at least one node"));
    }
    if spec.nodes.len() > MAX_NODES {
        let count = spec.nodes.len();
        return Err(invalid("nodes", format!("{count} nodes; at most {MAX_NODES} are allowed")));
    }
    check_text("workflowId", spec.workflow_id.as_deref())?;
    check_text("name", spec.name.as_deref())?;
    check_labels(&spec.labels)?;
    check_timeout("timeoutSecs", spec.timeout_secs)?;
    check_json_size("inputs", &spec.inputs, MAX_INPUTS_BYTES)?;
    check_metadata(&spec.metadata)?;
    check_links(&spec.links)?;
    check_terminal("terminal", spec.terminal)?;
    for (index, node) in spec.nodes.iter().enumerate() {
        check_node(index, node)?;
    }
    check_graph(&spec.nodes)
}

/// The rule of `metadata`, which can also be changed later.
pub fn check_metadata(metadata: &Map<String, Value>) -> Result<(), InvalidSpec> {
    check_json_size("metadata", metadata, MAX_METADATA_BYTES)
}

/// The rule of `links`, which can also be changed later.
pub fn check_links(links: &[Link]) -> Result<(), InvalidSpec> {
    if links.len() > MAX_LABELS {
        return Err(invalid("links", format!("at most {MAX_LABELS} links are allowed")));
    }
    for (index, link) in links.iter().enumerate() {
        for (name, text) in [("rel", &link.rel), ("label", &link.label), ("url", &link.url)] {
            let field = format!("links[{index}].{name}");
            check_text(&field, Some(text))?;
            if text.is_empty() {
                return Err(invalid(field, "must not be empty"));
            }
        }
        let is_web = link.url.starts_with("https://") || link.url.starts_with("http://");
        if !is_web || link.url.chars().any(|character| character.is_control() || character == ' ') {
            let message = format!("`{}` is no http or https address", link.url);
            return Err(invalid(format!("links[{index}].url"), message));
        }
    }
    Ok(())
}

fn check_node(index: usize, node: &NodeSpec) -> Result<(), InvalidSpec> {
    let at = |name: &str| format!("nodes[{index}].{name}");
    check_text(&at("name"), node.name.as_deref())?;
    match node.runner_kind() {
        RunnerKind::Local => {}
        other => {
            let message =
                format!("runner `{}` is not available here; allowed: local", other.as_str());
            return Err(invalid(at("runner.kind"), message));
        }
    }
    match (&node.command, &node.shell) {
        (Some(_), Some(_)) | (None, None) => {
            let message =
                format!("node `{}` needs exactly one of command and shell", node.node_ref);
            return Err(invalid(format!("nodes[{index}]"), message));
        }
        (Some(command), None) => {
            if command.first().is_none_or(String::is_empty) {
                return Err(invalid(at("command"), "must name a program"));
            }
            for (place, argument) in command.iter().enumerate() {
                check_nul(&format!("nodes[{index}].command[{place}]"), argument)?;
            }
        }
        (None, Some(line)) => {
            check_nul(&at("shell"), line)?;
            if line.trim().is_empty() {
                return Err(invalid(at("shell"), "must not be empty"));
            }
        }
    }
    for (key, value) in &node.env {
        if key.is_empty() || key.contains('=') || key.contains('\0') {
            return Err(invalid(at("env"), format!("`{key}` is no name of a variable")));
        }
        check_nul(&format!("nodes[{index}].env.{key}"), value)?;
    }
    if let Some(cwd) = &node.cwd {
        check_nul(&at("cwd"), cwd)?;
        if cwd.is_empty() || cwd.split('/').any(|part| part == "..") {
            let message =
                format!("`{cwd}` must be absolute or below the run's directory, without `..`");
            return Err(invalid(at("cwd"), message));
        }
    }
    if node.retries > MAX_RETRIES {
        let message = format!("{}; allowed: 0 to {MAX_RETRIES}", node.retries);
        return Err(invalid(at("retries"), message));
    }
    check_timeout(&at("timeoutSecs"), node.timeout_secs)?;
    check_terminal(&at("terminal"), node.terminal)
}

fn check_graph(nodes: &[NodeSpec]) -> Result<(), InvalidSpec> {
    let mut place = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if place.insert(&node.node_ref, index).is_some() {
            let message =
                format!("`{}` is used twice; each node needs its own name", node.node_ref);
            return Err(invalid(format!("nodes[{index}].ref"), message));
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        let mut seen = HashSet::new();
        for dependency in &node.depends_on {
            let field = format!("nodes[{index}].dependsOn");
            if !place.contains_key(dependency) {
                let message =
                    format!("`{}` depends on `{dependency}`, which does not exist", node.node_ref);
                return Err(invalid(field, message));
            }
            if !seen.insert(dependency) {
                return Err(invalid(field, format!("`{dependency}` stands there twice")));
            }
        }
    }
    match find_cycle(nodes, &place) {
        None => Ok(()),
        Some(cycle) => {
            let names: Vec<&str> =
                cycle.iter().map(|index| nodes[*index].node_ref.as_str()).collect();
            let message = format!("the nodes wait for each other: {}", names.join(" → "));
            Err(invalid(format!("nodes[{}].dependsOn", cycle[0]), message))
        }
    }
}

/// One cycle of the graph, first node repeated at the end.
fn find_cycle(nodes: &[NodeSpec], place: &HashMap<&NodeRef, usize>) -> Option<Vec<usize>> {
    let mut waiting: Vec<usize> = nodes.iter().map(|node| node.depends_on.len()).collect();
    let mut dependents = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for dependency in &node.depends_on {
            dependents[place[dependency]].push(index);
        }
    }
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|index| waiting[*index] == 0).collect();
    while let Some(done) = ready.pop() {
        for dependent in &dependents[done] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                ready.push(*dependent);
            }
        }
    }
    // Every node that is left waits for another one that is left, so this walk must come back.
    let start = waiting.iter().position(|count| *count > 0)?;
    let mut path = vec![start];
    loop {
        let last = path[path.len() - 1];
        let next = nodes[last]
            .depends_on
            .iter()
            .map(|dependency| place[dependency])
            .find(|index| waiting[*index] > 0)?;
        if let Some(first) = path.iter().position(|index| *index == next) {
            path.drain(..first);
            path.push(next);
            return Some(path);
        }
        path.push(next);
    }
}

fn check_nul(field: &str, text: &str) -> Result<(), InvalidSpec> {
    if text.contains('\0') {
        return Err(invalid(field, "must not contain a NUL character"));
    }
    Ok(())
}

fn check_text(field: &str, text: Option<&str>) -> Result<(), InvalidSpec> {
    let Some(text) = text else { return Ok(()) };
    check_nul(field, text)?;
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("{} bytes; at most {MAX_TEXT_BYTES} are allowed", text.len());
        return Err(invalid(field, message));
    }
    Ok(())
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), InvalidSpec> {
    if labels.len() > MAX_LABELS {
        return Err(invalid("labels", format!("at most {MAX_LABELS} labels are allowed")));
    }
    for (key, value) in labels {
        let field = format!("labels.{key}");
        check_text(&field, Some(value))?;
        if key.is_empty() || key.len() > 128 || key.contains([':', '\0']) {
            return Err(invalid(field, "a label's name has 1 to 128 characters and no colon"));
        }
    }
    Ok(())
}

fn check_timeout(field: &str, timeout_secs: Option<u64>) -> Result<(), InvalidSpec> {
    match timeout_secs {
        Some(secs) if !(1..=MAX_TIMEOUT_SECS).contains(&secs) => {
            Err(invalid(field, format!("{secs}; allowed: 1 to {MAX_TIMEOUT_SECS} (30 days)")))
        }
        _ => Ok(()),
    }
}

fn check_json_size(field: &str, value: &Map<String, Value>, max: usize) -> Result<(), InvalidSpec> {
    let size = serde_json::to_vec(value).map_or(usize::MAX, |json| json.len());
    if size > max {
        return Err(invalid(field, format!("{size} bytes of JSON; at most {max} are allowed")));
    }
    Ok(())
}

fn check_terminal(field: &str, terminal: Option<TerminalSpec>) -> Result<(), InvalidSpec> {
    let Some(terminal) = terminal else { return Ok(()) };
    let (max_cols, max_rows) = (TerminalSize::MAX_COLS, TerminalSize::MAX_ROWS);
    if let Some(cols) = terminal.cols.filter(|cols| !(1..=max_cols).contains(cols)) {
        return Err(invalid(format!("{field}.cols"), format!("{cols}; allowed: 1 to {max_cols}")));
    }
    if let Some(rows) = terminal.rows.filter(|rows| !(1..=max_rows).contains(rows)) {
        return Err(invalid(format!("{field}.rows"), format!("{rows}; allowed: 1 to {max_rows}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(document: Value) -> RunSpec {
        serde_json::from_value(document).expect("the document parses")
    }

    fn broken(document: Value) -> InvalidSpec {
        validate(&spec(document)).expect_err("a rule is broken")
    }

    #[test]
    fn a_full_document_is_valid() {
        let document = json!({
            "runId": "nightly-42", "workflowId": "nightly", "name": "Nightly scan",
            "labels": {"team": "sec"}, "timeoutSecs": 3600, "inputs": {"target": "x"},
            "metadata": {"branch": "main"},
            "links": [{"rel": "change", "label": "!42", "url": "https://example.org/42"}],
            "terminal": {"mode": "pty", "cols": 120, "rows": 30},
            "nodes": [
                {"ref": "fetch", "command": ["true"], "env": {"A": "b"}, "cwd": "work", "timeoutSecs": 60},
                {"ref": "scan", "shell": "true", "dependsOn": ["fetch"], "retries": 1,
                 "terminal": {"mode": "pipe"}, "runner": {"kind": "local"}}
            ]
        });
        assert_eq!(validate(&spec(document)), Ok(()));
    }

    #[test]
    fn the_culprit_of_a_broken_graph_is_named() {
        let cycle = broken(json!({"nodes": [
            {"ref": "a", "shell": "true"},
            {"ref": "b", "shell": "true", "dependsOn": ["a", "d"]},
            {"ref": "c", "shell": "true", "dependsOn": ["b"]},
            {"ref": "d", "shell": "true", "dependsOn": ["c"]}]}));
        assert_eq!(cycle.message, "the nodes wait for each other: b → d → c → b");
        let unknown = broken(json!({"nodes": [{"ref": "a", "shell": "true", "dependsOn": ["z"]}]}));
        assert_eq!(
            unknown.to_string(),
            "nodes[0].dependsOn: `a` depends on `z`, which does not exist"
        );
        let twice = broken(
            json!({"nodes": [{"ref": "a", "shell": "true"}, {"ref": "a", "shell": "true"}]}),
        );
        assert_eq!(twice.field, "nodes[1].ref");
        let own = broken(json!({"nodes": [{"ref": "a", "shell": "true", "dependsOn": ["a"]}]}));
        assert_eq!(own.message, "the nodes wait for each other: a → a");
    }

    #[test]
    fn each_rule_names_its_field() {
        let node = |extra: Value| {
            let mut node = json!({"ref": "a", "shell": "true"});
            node.as_object_mut()
                .expect("an object")
                .extend(extra.as_object().expect("an object").clone());
            json!({ "nodes": [node] })
        };
        let cases = [
            (json!({"nodes": []}), "nodes"),
            (node(json!({"command": ["true"]})), "nodes[0]"),
            (json!({"nodes": [{"ref": "a"}]}), "nodes[0]"),
            (json!({"nodes": [{"ref": "a", "command": []}]}), "nodes[0].command"),
            (json!({"nodes": [{"ref": "a", "shell": "a\u{0}b"}]}), "nodes[0].shell"),
            (node(json!({"retries": 11})), "nodes[0].retries"),
            (node(json!({"timeoutSecs": 0})), "nodes[0].timeoutSecs"),
            (node(json!({"terminal": {"cols": 0}})), "nodes[0].terminal.cols"),
            (node(json!({"terminal": {"rows": 501}})), "nodes[0].terminal.rows"),
            (node(json!({"cwd": "../up"})), "nodes[0].cwd"),
            (node(json!({"env": {"A=B": "c"}})), "nodes[0].env"),
            (node(json!({"runner": {"kind": "docker"}})), "nodes[0].runner.kind"),
            (
                json!({"nodes": [{"ref": "a", "shell": "true"}], "inputs": {"x": "y".repeat(70_000)}}),
                "inputs",
            ),
            (
                json!({"nodes": [{"ref": "a", "shell": "true"}],
                    "links": [{"rel": "a", "label": "b", "url": "javascript:alert(1)"}]}),
                "links[0].url",
            ),
        ];
        for (document, field) in cases {
            assert_eq!(broken(document).field, field);
        }
        let many: Vec<Value> =
            (0..1001).map(|index| json!({"ref": format!("n{index}"), "shell": "true"})).collect();
        assert_eq!(
            broken(json!({ "nodes": many })).message,
            "1001 nodes; at most 1000 are allowed"
        );
    }
}
