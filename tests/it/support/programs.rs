//! Runs and programs for nodes: `/bin/sh`, `perl` and `cat`, which every Debian has.

use std::path::Path;

use serde_json::{Value, json};

/// A run of these nodes.
pub(crate) fn run_of(nodes: impl IntoIterator<Item = Value>) -> Value {
    json!({ "nodes": nodes.into_iter().collect::<Vec<_>>() })
}

/// A node under a terminal that runs a shell script.
pub(crate) fn pty(node_ref: &str, script: &str) -> Value {
    json!({ "ref": node_ref, "shell": script })
}

/// A node with two pipes that runs a shell script.
pub(crate) fn pipe(node_ref: &str, script: &str) -> Value {
    json!({ "ref": node_ref, "shell": script, "terminal": { "mode": "pipe" } })
}

/// A node that runs a perl script under a terminal.
pub(crate) fn perl(node_ref: &str, script: &str) -> Value {
    json!({ "ref": node_ref, "command": ["perl", "-e", script] })
}

/// The same node, after others.
pub(crate) fn after(mut node: Value, depends_on: &[&str]) -> Value {
    node["dependsOn"] = json!(depends_on);
    node
}

/// A script that writes a file to a terminal which changes no byte.
pub(crate) fn cat_raw(file: &Path) -> String {
    format!("stty raw -echo && exec cat '{}'", file.display())
}

/// What a terminal as nodes get it passes on of some output: `\n` as `\r\n`.
pub(crate) fn as_terminal_passes(bytes: &[u8]) -> Vec<u8> {
    let mut passed = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if *byte == b'\n' {
            passed.push(b'\r');
        }
        passed.push(*byte);
    }
    passed
}

/// Coloured log lines, about `size` bytes, the same for the same seed.
pub(crate) fn log_lines(size: usize, seed: u64) -> Vec<u8> {
    use std::io::Write as _;

    let levels = ["\x1b[32mINFO\x1b[0m", "\x1b[33mWARN\x1b[0m", "\x1b[31mERROR\x1b[0m"];
    let mut state = seed;
    let mut lines = Vec::with_capacity(size + 256);
    let mut number = 0_u64;
    while lines.len() < size {
        // Steele and Vigna's SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let level = levels[usize::try_from(mixed % 3).expect("below three")];
        number += 1;
        writeln!(
            lines,
            "{number:08} {level} worker={} took={}µs id={mixed:016x} ✓",
            mixed % 17,
            mixed % 9973
        )
        .expect("writing to memory");
    }
    lines
}

/// A script that prints `count` numbered lines with a pause of `pause_ms` after every tenth.
pub(crate) fn ticking(name: &str, count: u32, pause_ms: u32) -> String {
    format!(
        "exec perl -e '$|=1; for $i (1..{count}) {{ print \"{name} $i \\e[3{colour}mok\\e[0m\\n\"; \
         select undef, undef, undef, {pause_ms}/1000 if $i % 10 == 0 }}'",
        colour = name.len() % 8,
    )
}

/// A script that waits until a file is there; it ends by itself after a minute.
pub(crate) fn wait_for_file(file: &Path) -> String {
    let file = file.display();
    format!("for i in $(seq 6000); do test -e '{file}' && break; sleep 0.01; done")
}
