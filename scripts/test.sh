#!/usr/bin/env bash
# Runs the tests and closes with one line that sums them all. With arguments: only the service's, and the
# arguments go to cargo test.
set -uo pipefail
cd "$(dirname "$0")/.."

mkdir -p target
log=target/test.log
player_log=target/test-player.log
player_code=0
code=0
: > "$player_log"
: > "$log"
# A test that hangs must not hang whoever waits for the result; libtest names what is slow.
minutes=${RUNCAST_TEST_MINUTES:-40}
# Runs a part of the tests; the first part that fails gives the code.
part() {
  timeout --kill-after=10 "${minutes}m" "$@" 2>&1 | tee -a "$log"
  local ended=${PIPESTATUS[0]}
  if [ "$ended" -eq 124 ]; then echo "the tests did not end within $minutes minutes" >&2; fi
  if [ "$code" -eq 0 ]; then code=$ended; fi
}
if [ "$#" -gt 0 ]; then
  part cargo test "$@"
else
  scripts/test-player.sh 2>&1 | tee "$player_log"
  player_code=${PIPESTATUS[0]}
  of_service=(cargo test --workspace --test it --no-fail-fast --)
  # What loads the machine most goes alone: other tests are promised times.
  part cargo test --workspace --no-fail-fast -- --skip chaos::
  part "${of_service[@]}" chaos::
  # What the API promises is asked once more of an instance that owns no run, over Redis, PostgreSQL and S3.
  part env RUNCAST_TEST_ELSEWHERE=1 "${of_service[@]}" bad_input:: command_line:: cold:: cursor:: exact_bytes:: \
    exports:: formats:: seek:: service_life:: slow_viewer:: snapshot:: stock_tools::
fi

read -r passed failed skipped < <(awk '/^test result:/ { p += $4; f += $6; s += $8 }
  END { print p + 0, f + 0, s + 0 }' "$log")
# Vitest: "Tests  1 failed | 20 passed | 2 skipped (23)"; Playwright: "  1 failed" … "  20 passed (3.1m)".
read -r player_passed player_failed player_skipped < <(sed 's/\x1b\[[0-9;]*m//g' "$player_log" |
  awk '/^ *Tests  .*\([0-9]+\)$/ || /^  [0-9]+ (passed|failed|skipped|flaky)( \(.*\))?$/ {
    for (i = 1; i < NF; i++) sum[$(i + 1)] += $i ~ /^[0-9]+$/ ? $i : 0 }
  END { print sum["passed"] + sum["flaky"], sum["failed"] + 0, sum["skipped"] + 0 }')
passed=$((passed + player_passed)) failed=$((failed + player_failed)) skipped=$((skipped + player_skipped))
if [ "$code" -eq 0 ]; then code=$player_code; fi
if [ "$code" -eq 0 ] && [ "$passed" -eq 0 ]; then
  echo "no test was run" >&2
  code=1
fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
exit "$code"
