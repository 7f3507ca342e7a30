#!/bin/sh
# Lays out the scripts that XAPI calls: install.sh ROOT [PROGRAM]
#   ROOT     on XCP-ng /usr/libexec/xapi-storage-script
#   PROGRAM  absolute path of vnvme-plugin (default /usr/libexec/vnvme/vnvme-plugin)
# May be run again over an older layout: scripts that the manifest no longer
# has are removed, everything else is replaced in one step each.
set -eu

die() { echo "install.sh: $*" >&2; exit 1; }

[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: install.sh ROOT [PROGRAM]"
root=$1
program=${2:-/usr/libexec/vnvme/vnvme-plugin}
manifest=$(dirname "$0")/manifest
[ -r "$manifest" ] || die "no manifest beside this script"

# It stands in a #! line (Linux before 5.1 cuts it at 127 bytes) and in a Python string.
case $program in /*) ;; *) die "'$program' is no absolute path" ;; esac
[ "$(printf '#!%s' "$program" | wc -c)" -le 126 ] || die "'$program' is too long for a #! line"
case $program in *[!A-Za-z0-9/._+-]*) die "'$program' has characters that a #! line or a Python string cannot hold" ;; esac

# The kernel runs PROGRAM with the script's path as its first argument. XAPI
# with tracing on has Python run the same file instead: the body leads there too.
write_script() {
  cat > "$1.new" <<SCRIPT
#!$program
# One call of XAPI's storage interface; the name of this file says which.
# Valid as Python too: XAPI runs it through Python while tracing is on.
import os, sys
os.execv("$program", ["vnvme-plugin"] + sys.argv)
SCRIPT
  chmod 0755 "$1.new"
  mv -f "$1.new" "$1"
}

# install_column FOLDER COLUMN
install_column() {
  mkdir -p "$root/$1"
  wanted=" "
  while read -r method vnvme raw datapath; do
    case $method in '' | '#'*) continue ;; esac
    case $2 in 1) mark=$vnvme ;; 2) mark=$raw ;; 3) mark=$datapath ;; esac
    case $mark in
      x) ;;
      -) continue ;;
      *) die "manifest: '$method' has '$mark' where x or - is wanted" ;;
    esac
    write_script "$root/$1/$method"
    wanted="$wanted$method "
  done < "$manifest"
  for script in "$root/$1"/*; do
    case $wanted in *" ${script##*/} "*) ;; *) rm -f "$script" ;; esac
  done
}

install_column volume/org.xen.xapi.storage.vnvme 1
install_column volume/org.xen.xapi.storage.vnvme-raw 2
install_column datapath/vnvme 3
