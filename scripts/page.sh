#!/usr/bin/env bash
# Builds the page into player/app/dist, from where the next build of the service takes it.
# Does nothing while it is newer than its sources.
set -euo pipefail
cd "$(dirname "$0")/.."

built=player/app/dist/index.html
stamp=target/page-built
is_current() {
  # A page that was built by hand is not compressed.
  [ -e "$built" ] && [ -e "$stamp" ] && [ ! "$built" -nt "$stamp" ] || return 1
  local newer
  newer=$(find player scripts/page.sh scripts/compress-page.mjs \
    \( -name node_modules -o -name dist -o -path player/e2e \) -prune -o -type f -newer "$stamp" -print -quit)
  [ -z "$newer" ]
}

if is_current; then exit 0; fi
echo "building the page"
npm run --silent --prefix player --workspace app build -- --logLevel error
node scripts/compress-page.mjs player/app/dist
mkdir -p target
touch "$stamp"
