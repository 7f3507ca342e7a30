#!/bin/sh
# Lays out the host plugins: install-host.sh FOLDER [PROGRAMS]
#   FOLDER    on XCP-ng /etc/xapi.d/plugins; what is not ours there stays
#   PROGRAMS  folder of vnvme's programs (default /usr/libexec/vnvme)
set -eu

die() { echo "install-host.sh: $*" >&2; exit 1; }

[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: install-host.sh FOLDER [PROGRAMS]"
folder=$1
programs=${2:-/usr/libexec/vnvme}
manifest=$(dirname "$0")/manifest.host
[ -r "$manifest" ] || die "no manifest.host beside this script"
# It stands in a #! line (Linux before 5.1 cuts it at 127 bytes).
case $programs in /*) ;; *) die "'$programs' is no absolute path" ;; esac
case $programs in *[!A-Za-z0-9/._+-]*) die "'$programs' has characters that a #! line cannot hold" ;; esac

mkdir -p "$folder"
while read -r name program; do
  case $name in '' | '#'*) continue ;; esac
  [ "$(printf '#!%s/%s' "$programs" "$program" | wc -c)" -le 126 ] || die "'$programs' is too long for a #! line"
  # XAPI runs the file itself, with its one argument; the kernel puts the file's path before that.
  printf '#!%s/%s\n' "$programs" "$program" > "$folder/.$name.new"
  chmod 0755 "$folder/.$name.new"
  mv -f "$folder/.$name.new" "$folder/$name"
done < "$manifest"
