#!/usr/bin/env bash
# Runs the tests and closes with one line that sums all test binaries. Arguments go to cargo test.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$#" -eq 0 ]; then set -- --workspace --no-fail-fast; fi
mkdir -p target
log=target/test.log
cargo test "$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}

read -r passed failed skipped < <(awk '/^test result:/ { p += $4; f += $6; s += $8 }
  END { print p + 0, f + 0, s + 0 }' "$log")
if [ "$code" -eq 0 ] && [ "$passed" -eq 0 ]; then
  echo "no test was run" >&2
  code=1
fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
exit "$code"
