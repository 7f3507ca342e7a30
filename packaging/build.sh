#!/bin/sh
# Makes the rpm and the deb out of static programs: build.sh PROGRAMS OUT [RELEASE]
#   PROGRAMS  build/static/bin
#   OUT       where both packages go
#   RELEASE   what stands after the version (default: the number of commits, so that a later one is an upgrade)
# The same commit gives the same bytes, wherever and whenever it is built.
set -eu

die() { echo "build.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] && [ $# -le 3 ] || die "usage: build.sh PROGRAMS OUT [RELEASE]"
source=$(cd "$(dirname "$0")/.." && pwd)
programs=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=$(sed -n 's/^project(vnvme VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
[ -n "$version" ] || die "CMakeLists.txt does not say the version"
# Sources without their history are no less a version; only upgrades between two such are not told apart.
release=${3:-$(git -C "$source" rev-list --count HEAD 2> /dev/null || echo 1)}
SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct 2> /dev/null || echo 1000000000)
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

documents() { install -D -m 0644 "$source/packaging/$1" "$2/usr/share/doc/vnvme/$1"; }
stage() {
  "$source/packaging/stage.sh" "$1" "$programs" "$2"
  documents LICENSE "$1"
  documents copyright "$1"
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

stage "$work/rpm" /usr/lib/systemd/system
rpmbuild --quiet -bb --target x86_64 --dbpath "$work/rpmdb" \
  --define "_topdir $work/top" --define "_rpmdir $work/out" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
  --define "vnvme_version $version" --define "vnvme_release $release" --define "vnvme_root $work/rpm" \
  --define "_buildhost vnvme" --define "use_source_date_epoch_as_buildtime 1" \
  --define "clamp_mtime_to_source_date_epoch 1" --define "source_date_epoch_from_changelog 0" \
  "$source/packaging/rpm/vnvme.spec" > "$work/rpm.log" 2>&1 || { cat "$work/rpm.log" >&2; die "rpmbuild failed"; }
mv "$work"/out/*.rpm "$out/"

deb=$work/deb
stage "$deb" /lib/systemd/system
mkdir "$deb/DEBIAN"
size=$(du -sk --apparent-size "$deb" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@RELEASE@/$release/; s/@SIZE@/$size/" "$source/packaging/deb/control" > "$deb/DEBIAN/control"
(cd "$deb" && find etc -type f | grep -v '^etc/xapi.d/' | sed 's,^,/,' | LC_ALL=C sort) > "$deb/DEBIAN/conffiles"
(cd "$deb" && find usr lib -type f -exec md5sum {} + | LC_ALL=C sort -k 2) > "$deb/DEBIAN/md5sums"
for script in postinst prerm; do install -m 0755 "$source/packaging/deb/$script" "$deb/DEBIAN/$script"; done
find "$deb/DEBIAN" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$deb" "$out/vnvme_$version-${release}_amd64.deb" > /dev/null

ls -1 "$out"/vnvme[-_]"$version-$release"[._]*
