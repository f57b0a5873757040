#!/usr/bin/env bash
# Runs the tests and closes with one line that sums all test binaries. Arguments go to cargo test.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$#" -eq 0 ]; then set -- --workspace --no-fail-fast; fi
mkdir -p target
log=target/test.log
# A test that hangs must not hang whoever waits for the result; libtest names what is slow.
minutes=${RUNCAST_TEST_MINUTES:-40}
timeout --kill-after=10 "${minutes}m" cargo test "$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
if [ "$code" -eq 124 ]; then echo "the tests did not end within $minutes minutes" >&2; fi

read -r passed failed skipped < <(awk '/^test result:/ { p += $4; f += $6; s += $8 }
  END { print p + 0, f + 0, s + 0 }' "$log")
if [ "$code" -eq 0 ] && [ "$passed" -eq 0 ]; then
  echo "no test was run" >&2
  code=1
fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
exit "$code"
