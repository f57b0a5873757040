#!/usr/bin/env bash
# Everything about the code that can be said without running it.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n── %s\n' "$*"; "$@"; }

step cargo fmt --all -- --check
step scripts/alerts.sh
step cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --quiet --workspace --no-deps --document-private-items
# Advisories come from a database on the web, which a machine that reaches only registries cannot
# fetch; `cargo deny check advisories` asks it where it can be reached.
step cargo deny --log-level error check licenses bans sources
echo
echo "check passed"
