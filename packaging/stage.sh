#!/bin/sh
# Lays out everything that a package holds: stage.sh ROOT PROGRAMS UNITS
#   ROOT      an empty folder
#   PROGRAMS  folder of the static programs (build/static/bin)
#   UNITS     where the distribution keeps systemd units, such as /usr/lib/systemd/system
# The gate's hook is not among the files: a package manager writes a file under another name first, and xenopsd runs
# whatever it finds in a hook's folder. The package's scripts put it there (plugins/install-hooks.sh).
set -eu

[ $# -eq 3 ] || { echo "usage: stage.sh ROOT PROGRAMS UNITS" >&2; exit 1; }
root=$1 programs=$2 units=$3
source=$(cd "$(dirname "$0")/.." && pwd)
own=$root/usr/libexec/vnvme

put() { install -D -m "$1" "$2" "$3"; }

put 0755 "$programs/vnvmed" "$root/usr/sbin/vnvmed"
put 0755 "$programs/vnvme" "$root/usr/bin/vnvme"
for program in vnvme-plugin vnvme-host-plugin vnvme-vm-pre-start; do
  put 0755 "$programs/$program" "$own/$program"
done
for program in "$root/usr/sbin/vnvmed" "$root/usr/bin/vnvme" "$own"/*; do strip "$program"; done
put 0755 "$source/plugins/install-hooks.sh" "$own/install-hooks.sh"
put 0644 "$source/plugins/hooks.manifest" "$own/hooks.manifest"
put 0755 "$source/packaging/setup.sh" "$own/setup.sh"

"$source/plugins/install.sh" "$root/usr/libexec/xapi-storage-script"
"$source/plugins/install-host.sh" "$root/etc/xapi.d/plugins"

put 0644 "$source/packaging/systemd/vnvmed.service" "$root$units/vnvmed.service"
put 0644 "$source/packaging/systemd/vnvmed.socket" "$root$units/vnvmed.socket"
put 0644 "$source/packaging/systemd/vnvme.tmpfiles.conf" "$root/usr/lib/tmpfiles.d/vnvme.conf"
put 0644 "$source/packaging/vnvme.logrotate" "$root/etc/logrotate.d/vnvme"
put 0600 "$source/packaging/vnvmed.json" "$root/etc/vnvme/vnvmed.json"
mkdir -p "$root/usr/share/bash-completion/completions"
"$programs/vnvme" completion > "$root/usr/share/bash-completion/completions/vnvme"
page() {
  mkdir -p "$root/usr/share/man/man$2"
  "$source/packaging/man.sh" "$programs/$1" "$2" | gzip -9n > "$root/usr/share/man/man$2/$1.$2.gz"
}
page vnvme 1
page vnvmed 8
page vnvme-plugin 8
for document in "$source/README.md" "$source"/docs/*.md; do
  put 0644 "$document" "$root/usr/share/doc/vnvme/$(basename "$document")"
done
