#!/usr/bin/env bash
# Makes the pictures of docs/images from real runs, in Debian's Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet
RUNCAST_BIN=$PWD/target/debug/runcast npm run --silent --prefix player --workspace runcast-e2e images
ls -l docs/images
