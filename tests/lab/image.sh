#!/bin/bash
# image.sh FOLDER: makes the lab's dom0 and guests in FOLDER out of Debian packages; what is there is kept.
#
#   xen.elf vmlinuz dom0-initrd.img dom0.ext4   what QEMU boots
#   (in dom0's /boot) vmlinuz vmlinux guest-initrd.img   what xl boots
#
# Nothing is installed on this machine, and no maintainer script runs: the packages are unpacked side by side.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
[[ $# = 1 ]] || { echo "usage: image.sh FOLDER" >&2; exit 2; }
work=$1
xen=4.17
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: linux-image-//p' | head -n 1)
[[ -n $kernel ]] || { echo "image.sh: apt knows no linux-image-amd64; this works on Debian 12" >&2; exit 1; }
wanted=(base-files libc6 bash coreutils util-linux mount sed grep gawk procps kmod pciutils busybox-static
        "linux-image-$kernel" "xen-hypervisor-$xen-amd64" "xen-utils-$xen" xenstore-utils qemu-system-xen)

# What the images are made of; when it is the same as the last time, they are too.
recipe=$( { printf '%s\n' "$kernel" "${wanted[@]}"; cat "${BASH_SOURCE[0]}" "$here"/files/*; } | sha256sum)
if [[ -f $work/recipe && $(<"$work/recipe") = "$recipe" && -f $work/dom0.ext4 ]]; then exit 0; fi
mkdir -p "$work/debs/partial"
cd "$work"
rm -f recipe

# With an empty status file apt thinks that nothing is installed, and names all that these need.
apt-get -y -q --download-only -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Dir::State::Status=/dev/null \
  -o Dir::Cache::archives="$work/debs" install --no-install-recommends "${wanted[@]}" >fetch.log 2>&1 </dev/null ||
  { tail -n 5 fetch.log >&2; echo "image.sh: the packages of dom0 could not be fetched" >&2; exit 1; }

root=$work/root
rm -rf root kernel initrd guest
mkdir -p root/usr/{bin,sbin,lib,lib64} kernel
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "root/$folder"; done
mkdir -p root/{proc,sys,dev,run,tmp,root,mnt,boot,etc/xen} root/var/{lock,run,log/xen/console,lib/xen,lib/xenstored}
# Needed by maintainer scripts or by a real init only.
idle='*/perl*|*/adduser*|*/debconf*|*/dpkg*|*/systemd*|*/udev*|*/initramfs*|*/linux-base*|*/klibc*'
shopt -s extglob
for deb in debs/*.deb; do
  case $deb in
    */linux-image-*) dpkg-deb --fsys-tarfile "$deb" | tar -x -C kernel ;;
    @($idle)) ;;
    # That option keeps /lib a link where a package brings a folder of that name.
    *) dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C root --exclude='./usr/share/doc*' \
         --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --exclude='./usr/share/i18n*' \
         --exclude='./usr/lib/debug*' --exclude='./usr/share/gconv*' ;;
  esac
done
cp "kernel/boot/vmlinuz-$kernel" vmlinuz
# QEMU's multiboot loader does not gunzip, and under emulation xl needs ten seconds to unpack a kernel.
gzip -dc "root/boot/xen-$xen-amd64.gz" >xen.elf
python3 -c 'import lzma, sys
data = open("vmlinuz", "rb").read()
open("vmlinux", "wb").write(lzma.LZMADecompressor().decompress(data[data.find(b"\xfd7zXZ\0"):]))'

# A part of the modules; all of them would be 400 MB.
modules=usr/lib/modules/$kernel
mkdir -p "root/$modules/kernel"
cp "kernel/lib/modules/$kernel"/modules.{builtin,builtin.modinfo,order} "root/$modules/"
(
  cd "kernel/lib/modules/$kernel/kernel"
  find drivers/nvme drivers/xen drivers/block drivers/virtio drivers/net/virtio_net.ko drivers/net/net_failover.ko \
    net/core/failover.ko drivers/net/xen-net* drivers/pci drivers/char/virtio* net/9p fs/9p fs/netfs fs/fscache \
    fs/ext4 fs/jbd2 fs/mbcache.ko fs/configfs lib crypto arch block -name '*.ko' |
    cpio -pdm --quiet "$root/$modules/kernel"
)
depmod -b "$root/usr" "$kernel" 2>/dev/null || depmod -b "$root" "$kernel"

# What maintainer scripts would have done.
ln -sf gawk root/usr/bin/awk
ln -sf bash root/usr/bin/sh
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n' >root/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >root/etc/group
echo dom0 >root/etc/hostname
printf '127.0.0.1 localhost dom0\n' >root/etc/hosts
mkdir -p root/usr/local/bin
for tool in xl xenstored xenconsoled; do  # /usr/sbin/xl is a wrapper that looks for the running version
  program=$(cd root && find "usr/lib/xen-$xen" -name "$tool" -type f | head -n 1)
  ln -sf "/$program" "root/usr/local/bin/$tool"
done
ldconfig -r root
install -m 755 "$here/files/dom0-init" root/init
install -m 755 "$here/files/agent" "$here/files/in-guest" root/usr/local/bin/

# Helpers for the small trees that become initrds.
tree() {
  rm -rf "$1"
  mkdir -p "$1"/{usr/bin,usr/sbin,usr/lib,usr/lib64,proc,sys,dev,run,tmp,mnt,etc,root}
  local folder
  for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$1/$folder"; done
  cp root/usr/bin/busybox "$1/usr/bin/busybox"
  ln -s busybox "$1/usr/bin/sh"
}
programs() {  # TREE PROGRAM...: with their libraries
  local tree=$1 program library
  shift
  for program in "$@"; do
    mkdir -p "$tree$(dirname "$program")"
    cp -L "root$program" "$tree$program"
    chroot root /lib64/ld-linux-x86-64.so.2 --list "$program" 2>/dev/null | grep -o '/[^ ]*' |
      while read -r library; do
        mkdir -p "$tree$(dirname "$library")"
        cp -Ln "root$library" "$tree$library"
      done
  done
}
modules() {  # TREE MODULE...: with what they need
  local tree=$1 module file
  shift
  for module in "$@"; do
    modprobe -d "$root" -S "$kernel" --show-depends "$module" 2>/dev/null | awk '/^insmod/ { print $2 }'
  done | sort -u | while read -r file; do
    file=${file#"$root"/}
    file=usr/${file#usr/}
    mkdir -p "$tree/$(dirname "$file")"
    cp -n "root/$file" "$tree/$file"
  done
  mkdir -p "$tree/usr/lib/modules/$kernel"
  cp "root/usr/lib/modules/$kernel"/modules.{builtin,builtin.modinfo,order} "$tree/usr/lib/modules/$kernel/"
  depmod -b "$tree" "$kernel"
}
pack() { (cd "$1" && find . | cpio -o -H newc --quiet | gzip -1) >"$2"; }

tree initrd
modules initrd virtio_pci virtio_blk ext4 crc32c_generic crc32c-intel
install -m 755 "$here/files/initrd-init" initrd/init
pack initrd dom0-initrd.img

tree guest
programs guest /usr/bin/lspci /usr/bin/bash
modules guest nvme xen-blkfront xen-pcifront 9pnet_xen crc32c_generic crc64-rocksoft crc-t10dif crct10dif_generic \
  crc64_rocksoft_generic
install -m 755 "$here/files/guest-init" guest/init
install -m 755 "$here/files/agent" guest/usr/bin/agent
pack guest guest-initrd.img

rm -rf root/boot/*
cp vmlinuz vmlinux guest-initrd.img root/boot/
rm -f dom0.ext4
mke2fs -q -t ext4 -O '^has_journal,^metadata_csum' -m0 -L dom0 -d root dom0.ext4 "$(($(du -sm root | cut -f1) + 200))M"
rm -rf root kernel initrd guest vmlinux
printf '%s\n' "$recipe" >recipe
