#!/bin/sh
# Lays out the hooks that xenopsd runs: install-hooks.sh [--remove] ROOT [PROGRAMS]
#   ROOT      on XCP-ng /etc/xapi.d
#   PROGRAMS  folder of the programs (default /usr/libexec/vnvme)
# xenopsd runs every file of a hook's folder, and one that cannot be run stops the start of every VM. So each program
# is tried first, written beside the folder, and moved into it in one step; --remove takes it away in one step.
set -eu

die() { echo "install-hooks.sh: $*" >&2; exit 1; }

remove=
if [ "${1:-}" = --remove ]; then remove=yes; shift; fi
[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: install-hooks.sh [--remove] ROOT [PROGRAMS]"
root=$1
programs=${2:-/usr/libexec/vnvme}
manifest=$(dirname "$0")/hooks.manifest
[ -r "$manifest" ] || die "no hooks.manifest beside this script"

fresh=$root/.vnvme-hook.$$
trap 'rm -f "$fresh"' EXIT
while read -r hook program; do
  case $hook in '' | '#'*) continue ;; esac
  if [ -n "$remove" ]; then
    rm -f "$root/$hook/$program"
    continue
  fi
  [ -f "$programs/$program" ] || die "there is no $programs/$program"
  mkdir -p "$root/$hook"
  cp "$programs/$program" "$fresh"
  chmod 0755 "$fresh"
  "$fresh" --version > /dev/null || die "$programs/$program does not run on this host; nothing was changed"
  mv -f "$fresh" "$root/$hook/$program"
done < "$manifest"
