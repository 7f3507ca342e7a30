#!/bin/sh
# What both packages do besides laying out files, so that rpm and dpkg do the same: setup.sh STEP
#   installed  after the first installation
#   upgraded   after another version was laid out
#   unused     before the removal; refused while an SR is attached
#   removed    before the files go, once that was allowed
# Nothing is started on the first installation: somebody has to say first which DPUs there are.
set -eu

own=/usr/libexec/vnvme
hooks=/etc/xapi.d
units="vnvmed.socket vnvmed.service"

# In a chroot (an image that is being built) there is no systemd to tell.
systemd() { if command -v systemctl > /dev/null 2>&1; then systemctl "$@" || :; fi; }

case ${1:-} in
  installed)
    if command -v systemd-tmpfiles > /dev/null 2>&1; then systemd-tmpfiles --create vnvme.conf || :; fi
    "$own/install-hooks.sh" "$hooks" "$own"
    systemd daemon-reload
    # shellcheck disable=SC2086  # two words
    systemd enable $units
    ;;
  upgraded)
    "$own/install-hooks.sh" "$hooks" "$own"
    systemd daemon-reload
    # Calls that arrive meanwhile wait in the socket, which stays.
    systemd try-restart vnvmed.service
    ;;
  unused)
    /usr/sbin/vnvmed --check-unused > /dev/null
    ;;
  removed)
    # First what runs at the start of every VM, also of those that have nothing to do with vnvme.
    "$own/install-hooks.sh" --remove "$hooks"
    # shellcheck disable=SC2086
    systemd --no-reload disable $units
    # shellcheck disable=SC2086
    systemd stop $units
    rm -rf /run/vnvme
    ;;
  *)
    echo "usage: setup.sh installed|upgraded|unused|removed" >&2
    exit 1
    ;;
esac
