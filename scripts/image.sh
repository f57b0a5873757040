#!/usr/bin/env bash
# Builds the image runcast:VERSION, also as runcast:latest, with the Docker Engine of this machine. Arguments go to
# docker build.
set -euo pipefail
cd "$(dirname "$0")/.."

docker=docker
# Debian's own client has BuildKit where another one without its builder has not.
if ! docker buildx version > /dev/null 2>&1 && [ -x /usr/bin/docker ]; then docker=/usr/bin/docker; fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
revision=$(git rev-parse --short HEAD 2> /dev/null || echo unknown)
DOCKER_BUILDKIT=1 "$docker" build --file deploy/Dockerfile \
  --build-arg VERSION="$version" --build-arg REVISION="$revision" \
  --tag "runcast:$version" --tag runcast:latest "$@" .
