#!/usr/bin/env bash
# The tests of the player: types, lint and unit tests, the types of the API against the service's own
# document, and the page in a real browser against the real service.
set -uo pipefail
cd "$(dirname "$0")/.."

export NO_COLOR=1
unset FORCE_COLOR
failures=0
step() { printf '\n── %s\n' "$*"; "$@" || { echo "failed: $*" >&2; failures=$((failures + 1)); }; }

# The types are made again from what the service says, and must come out as they are committed.
types_are_current() {
  local schema=player/packages/react/src/api/schema.ts
  target/debug/runcast openapi > target/openapi.json || return 1
  player/node_modules/.bin/openapi-typescript target/openapi.json -o target/schema.ts > /dev/null || return 1
  if ! diff -u "$schema" target/schema.ts; then
    echo "the API has changed: scripts/types.sh makes $schema again" >&2
    return 1
  fi
}

export RUNCAST_BIN=$PWD/target/debug/runcast
step cargo build --quiet
step npm run --silent --prefix player check
step types_are_current
step npm run --silent --prefix player e2e
exit $((failures > 0))
