#!/usr/bin/env bash
# Judges the alerts and dashboards of deploy/: promtool takes the rules, their tests and every query of a panel; each
# metric they name is recorded by the service, and each alert has tests, a line in the documents and a runbook.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh alerts
promtool=promtool
if ! command -v promtool > /dev/null; then promtool=target/prometheus/usr/bin/promtool; fi

rules=deploy/alerts.yml
tests=deploy/alerts_test.yml
dashboards=(deploy/grafana/*.json)
failed=0
complain() {
  echo "$*" >&2
  failed=1
}

"$promtool" check rules "$rules"
"$promtool" test rules "$tests"

# Queries of panels are judged as rules, with something for each variable.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jq --slurp '{groups: [{name: "panels", rules: [.[] | .uid as $board | .panels[] | .id as $panel | .targets[] | {
  record: ("\($board):\($panel):\(.refId)" | gsub("-"; "_")),
  expr: (.expr | gsub("\\$__[a-z_]+"; "5m") | gsub("\\$[a-z_]+"; "1"))}]}]}' "${dashboards[@]}" > "$work/panels.yml"
doubled=$(jq --raw-output .uid "${dashboards[@]}" | sort | uniq -d)
if [ -n "$doubled" ]; then complain "several dashboards have the uid $doubled"; fi
"$promtool" check rules "$work/panels.yml"

# What is given a value: lines of descriptions and of the zeros at the start name a metric that may never have one.
recorded=$(grep -rlZ 'metrics::' src actors/src --include='*.rs' | xargs -0 grep -h '"runcast_' |
  grep -vE '^ *\("runcast_|\.absolute\(0\)|\.set\(0\.0\)' | grep -oE '"runcast_[a-z_]+"' | tr -d '"' | sort -u)
for file in "$rules" "$tests" "${dashboards[@]}"; do
  while read -r metric; do
    if ! grep -qxF "$metric" <<< "$recorded"; then complain "$file names $metric, which nothing records"; fi
  done < <(grep -oE 'runcast_[a-z_]+' "$file" | sed -E 's/_(bucket|count|sum)$//' | sort -u)
done

while read -r alert; do
  if ! grep -A2 "alertname: $alert$" "$tests" | grep 'exp_labels:' > /dev/null; then
    complain "$tests lets $alert never fire"
  fi
  if ! grep -qF "\`$alert\`" docs/operations.md; then complain "docs/operations.md has no $alert"; fi
done < <(sed -nE 's/^ *- alert: //p' "$rules")
sections=$(sed -nE 's/^#+ //p' docs/runbooks.md | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 -]//g; s/ /-/g')
while read -r runbook; do
  if ! grep -qx "${runbook#docs/runbooks.md#}" <<< "$sections"; then complain "there is no section $runbook"; fi
done < <(sed -nE 's/^ *runbook: //p' "$rules")
exit "$failed"
