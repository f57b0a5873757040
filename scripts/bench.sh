#!/bin/sh
# Measures the service: scripts/bench.sh [SCENARIO…]. FULL=1 takes the large sizes, ROUNDS=N repeats.
# Scenarios: throughput latency join memory crowd recovery size seek many terminals, and with the servers of production
# (scripts/setup.sh servers) remote fair bounded; all without one.
# Prints a table and writes target/bench/stream.json; fails if a check (a hash, a gap) fails.
set -eu
cd "$(dirname "$0")/.."
exec cargo bench --quiet --bench stream -- "$@"
