#!/usr/bin/env bash
# Makes the player's types of the API again, from the document of the service as it is in this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh build page
cargo build --quiet
target/debug/runcast openapi > target/openapi.json
OPENAPI=$PWD/target/openapi.json npm run --silent --prefix player types
