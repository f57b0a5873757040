#!/usr/bin/env bash
# Writes a small root file system to standard output, as tar: this machine's own copies of some Debian packages and
# of what they need. `docker import` makes a base image of it where none can be pulled.
#
#   scripts/debian-root.sh [PACKAGE…] | docker import - small
set -euo pipefail

# About what a slim image of Debian has, and what deploy/Dockerfile adds to one.
packages=(base-files bash ca-certificates coreutils dash grep libc-bin login passwd procps sed tini)

# Every package once, and after it what of its dependencies is installed.
declare -A taken=()
queue=("${packages[@]}" "$@")
while [ "${#queue[@]}" -gt 0 ]; do
  package=${queue[0]}
  queue=("${queue[@]:1}")
  if [ -n "${taken[$package]:-}" ]; then continue; fi
  format='${db:Status-Status},${Pre-Depends},${Depends}'
  fields=$(dpkg-query --show --showformat "$format" "$package" 2> /dev/null) || continue
  if [[ "$fields" != installed,* ]]; then continue; fi
  taken[$package]=yes
  mapfile -t needs < <(tr ',|' '\n' <<< "${fields#installed,}" | grep -oE '^ *[a-z0-9][a-z0-9+.-]+' | tr -d ' ')
  queue+=("${needs[@]}")
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
  # What packages call /bin/… is in /usr/bin.
  dpkg-query --listfiles "${!taken[@]}" | sed -nE 's#^/((s?bin|lib(32|64|x32)?)/)#/usr/\1#; s#^/(.+)#\1#p' |
    grep -vE '^(s?bin|lib(32|64|x32)?|tmp|usr/share/(doc|info|locale|man)/.*)$'
  # Made when the packages were installed, so none of them lists it.
  echo etc/ssl/certs/ca-certificates.crt
  for link in bin sbin lib lib64; do if [ -L "/$link" ]; then echo "$link"; fi; done
} | sort -u > "$work/all"
# A package may list what its own scripts remove again.
while read -r path; do
  if [ -e "/$path" ] || [ -L "/$path" ]; then printf '%s\n' "$path"; fi
done < "$work/all" > "$work/there"

# Users and groups are those of a fresh system and not of this machine.
mkdir -p "$work/root/etc" "$work/root/tmp"
chmod 1777 "$work/root/tmp"
cp /usr/share/base-passwd/passwd.master "$work/root/etc/passwd"
cp /usr/share/base-passwd/group.master "$work/root/etc/group"

owner=(--numeric-owner --owner 0 --group 0)
tar --create --file "$work/tar" "${owner[@]}" --directory / --no-recursion --files-from "$work/there"
tar --append --file "$work/tar" "${owner[@]}" --directory "$work/root" etc/passwd etc/group tmp
cat "$work/tar"
