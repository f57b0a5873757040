#!/usr/bin/env bash
# Builds Runcast, serves it on loopback, runs examples/demo.yaml and shows it in the page and in this terminal.
# Goes on serving until Ctrl-C; with CI set it ends by itself, with 0 if the run has completed.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

title "Building"
[ -e target/debug/runcast ] ||
  say "${dim}The first build compiles every dependency: about seven minutes on two cores.${plain}"
cargo build --quiet
runcast=target/debug/runcast

is_taken() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
wanted=${RUNCAST_DEMO_PORT:-7420}
port=$wanted
while is_taken "$port"; do
  port=$((port + 1))
  if [ "$port" -gt $((wanted + 50)) ]; then
    say "no port from $wanted to $((wanted + 50)) is free" >&2
    exit 1
  fi
done
directory=target/demo
[ "$port" -eq "$wanted" ] || directory=target/demo-$port
mkdir -p "$directory"
url=http://127.0.0.1:$port
export RUNCAST_SERVER=$url

title "Starting the service"
[ "$port" -eq "$wanted" ] || say "Port $wanted is taken, so it listens on $port."
# A session of its own: Ctrl-C reaches this script, which then asks the service to stop, once.
setsid "$runcast" serve --listen "127.0.0.1:$port" --data-dir "$directory" \
  > "$directory/serve.log" 2>&1 < /dev/null &
server=$!
stop() {
  trap - EXIT INT TERM HUP
  if kill -TERM "$server" 2> /dev/null; then
    say "stopping the service"
    wait "$server" || true
  fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for _ in $(seq 300); do
  "$runcast" healthcheck > /dev/null 2>&1 && break
  if ! kill -0 "$server" 2> /dev/null; then
    say "the service did not start:" >&2
    tail -n 5 "$directory/serve.log" >&2
    exit 1
  fi
  sleep 0.1
done
"$runcast" healthcheck > /dev/null
say "It is ready; its log is $directory/serve.log."

run=demo-$(date +%Y%m%d-%H%M%S)
title "Open this in a browser now: $url/runs/$run"
cat << EOT
  The run is about to start. You see its seven nodes as a graph with their state, the console of the one
  you click as its terminal shows it, what happens as a trace, and a time axis below: click into it to go
  back while the run goes on. ? shows the keys. Later the same address replays the run; all runs are at
  $url
EOT

title "Running examples/demo.yaml as $run"
say "${dim}Several nodes at once are shown as lines. To see one as its terminal does, meanwhile in"
say "another terminal: RUNCAST_SERVER=$url $PWD/$runcast watch $run screen${plain}"
say
code=0
{ printf 'runId: %s\n' "$run"; cat examples/demo.yaml; } | "$runcast" run - --follow || code=$?

if [ -t 1 ] && [ -z "${CI:-}" ]; then
  replay=("$run" colours --speed 3 --idle-limit 0.5) format=ansi
else
  replay=("$run" tests --stream stdout) format=text
fi
title "Replaying a recording: runcast replay ${replay[*]}"
"$runcast" replay "${replay[@]}" || code=1

title "The screen of the node screen after 6 seconds: curl \"…/terminal/screen/screen?atMs=6000\""
curl --silent --show-error --fail --noproxy '*' \
  "$url/api/v1/runs/$run/terminal/screen/screen?atMs=6000&format=$format" || code=1

title "Is everything there, and right? runcast verify $run"
"$runcast" verify "$run" || code=1

if [ -n "${CI:-}" ]; then
  title "Is the page there? curl $url/runs/$run"
  page=$(curl --silent --show-error --fail --noproxy '*' --header 'Accept: text/html' "$url/runs/$run") || code=1
  script=$(grep --only-matching --max-count=1 '/assets/[^"]*\.js' <<< "$page") || code=1
  curl --silent --show-error --fail --noproxy '*' --output /dev/null \
    --write-out "%{url} %{size_download} B\n" "$url$script" || code=1
fi

title "Where to look"
cat << EOT
  The page:
    $url/runs/$run   this run, and its replay
    $url   all runs
  The command line, in another terminal, in this directory:
    export RUNCAST_SERVER=$url PATH="$PWD/target/debug:\$PATH"
    runcast ls
    runcast show $run
    runcast watch $run build
    runcast replay $run screen --from 6     space pauses, . steps, q ends
    runcast cast $run build -o build.cast   an asciicast for asciinema; build.txt has its lines
    runcast verify build.cast
    runcast run examples/failing.yaml --follow
  The API, here with curl -N:
    $url/api/v1/runs/$run                      the run and its nodes
    $url/api/v1/runs/$run/stream               its Server-Sent Events
    $url/api/v1/runs/$run/stream?format=text   its lines
    $url/api/v1/runs/$run/trace                what happened
    $url/api/v1/runs/$run/recordings           what is archived
    "$url/api/v1/runs/$run/terminal/screen/screen?atMs=3000"    the screen at a time
    "$url/api/v1/runs/$run/terminal/build/lines?q=warning"      lines with a word
    $url/api/v1/openapi.json     every endpoint
    $url/readyz and $url/metrics
EOT

if [ -n "${CI:-}" ]; then exit "$code"; fi
title "The service goes on; Ctrl-C stops it."
wait "$server"
