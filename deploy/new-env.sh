#!/bin/sh
# Makes .env for compose.yaml out of deploy/compose.env.example, with a random value for each secret, and prints
# the tokens, of which only the SHA-256 is kept. Leaves a .env that is there alone.
#
#   deploy/new-env.sh [FILE]
set -eu
example=$(dirname "$0")/compose.env.example
file=${1:-$(dirname "$0")/../.env}

if [ -e "$file" ]; then
  echo "$file is there already; remove it to begin with new secrets" >&2
  exit 1
fi

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
sha256() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

token=$(secret)
metrics=$(secret)
umask 077
sed -e "s/^POSTGRES_PASSWORD=$/&$(secret)/" -e "s/^REDIS_PASSWORD=$/&$(secret)/" \
  -e "s/^S3_SECRET_KEY=$/&$(secret)/" -e "s/^SIGNING_KEY=$/&$(secret)/" \
  -e "s/^TOKEN_SHA256=$/&$(sha256 "$token")/" -e "s/^METRICS_TOKEN_SHA256=$/&$(sha256 "$metrics")/" \
  "$example" > "$file.new"
# Whole or not at all, and never over one that has come meanwhile.
ln "$file.new" "$file"
rm "$file.new"

echo "$file is made; who has it has everything. Keep these, nothing else tells them:"
echo "RUNCAST_TOKEN=$token       (the page, the API, the command line)"
echo "METRICS_TOKEN=$metrics       (only /metrics)"
