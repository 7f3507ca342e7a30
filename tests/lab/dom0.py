"""What runs in dom0: vnvmed and its scripts, called as xapi-storage-script calls them, and VMs, started and stopped in
the order of the real xenopsd (build paused; stat attach stat activate; plug the PCI functions; unpause)."""
import base64
import hashlib
import json
import os
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import broker  # noqa: E402
from machine import CARD_ADDRESS, LabError  # noqa: E402

SCRIPTS = "/usr/libexec/xapi-storage-script"
GIB = 1 << 30


def pack_programs(package, tar):
    """What the package holds, as the tar that dom0 unpacks when it boots."""
    with open(tar, "wb") as out:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=out, check=True)
    with open(tar, "ab") as out:  # a disk has whole sectors
        out.truncate((out.tell() + 511) // 512 * 512)


def make_state_disk(path):
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as out:
        out.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", path], check=True)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


class LabBroker(broker.Broker):
    """The broker, whose scripts run in dom0."""

    def __init__(self, machine, sr_type="vnvme"):
        super().__init__(SCRIPTS, sr_type)
        self.machine = machine

    def script(self, method, folder=None):
        path = os.path.join(folder or self.folder(method), method)
        if self.machine.run_status(f"test -x {path}")[0]:
            raise broker.ScriptMissing(path)
        return path

    def run(self, script, stdin, **_):
        text = base64.b64encode(stdin).decode()
        status, output = self.machine.run_status(
            f"base64 -d <<<{text} | {script} --json 2>/tmp/stderr; s=$?; echo; base64 -w0 /tmp/stderr; exit $s", 120)
        out, _, err = output.rpartition("\n")
        return status, out.encode(), base64.b64decode(err)


class Dom0:
    def __init__(self, machine):
        self.machine, self.run = machine, machine.run
        self.volume, self.raw = LabBroker(machine), LabBroker(machine, "vnvme-raw")

    # ---- the daemon

    def start_daemon(self):
        self.configure()
        self.launch()

    def configure(self):
        text = json.dumps({"dpus": [{"name": "dpu0", "uri": "tcp:" + CARD_ADDRESS}]})
        self.run(f"echo {quoted(text)} >/etc/vnvme/vnvmed.json; vnvmed --check-config")

    def launch(self, wait=True):
        self.run("mkdir -p /run/vnvme; setsid vnvmed >>/var/log/vnvmed.log 2>&1 </dev/null & echo $! >/run/vnvmed.lab")
        self.machine.wait_for("[ -S /run/vnvme/smapi.sock ]")
        if wait:
            self.wait_connected()

    def wait_connected(self, limit=60):
        self.machine.wait_for("vnvme status --json | grep -q '\"connected\":true'", limit)

    def kill_daemon(self):
        self.run("p=$(cat /run/vnvmed.lab); kill -9 $p; while kill -0 $p 2>/dev/null; do sleep 0.05; done")

    def cli(self, command):
        return self.run("vnvme " + command)

    def cli_json(self, command):
        return json.loads(self.run(f"vnvme {command} --json"))

    # ---- storage

    def create_sr(self, serial="LAB0001", **more):
        sr = str(uuid.uuid4())
        config = self.volume.call("SR.create", {
            "uuid": sr, "configuration": {"dpu": "dpu0", "drives": serial, **more}, "name": "lab", "description": ""})
        return self.volume.call("SR.attach", {"configuration": config}), config

    def create_volume(self, sr, name, size):
        return self.volume.call("Volume.create", {"sr": sr, "name": name, "description": "", "size": size,
                                                  "sharable": False})

    # ---- PCI

    def functions(self):
        """NVMe controllers in dom0: address -> driver."""
        text = self.run("for d in /sys/bus/pci/devices/*; do [ $(cat $d/class) = 0x010802 ] || continue; "
                        "echo $(basename $d) $(basename $(readlink $d/driver) 2>/dev/null); done")
        return {line.split()[0]: (line.split() + [""])[1] for line in text.splitlines()}


class Vm:
    """One VM of dom0's xl, with its vNVMe drives. kind: "hvm" or "pv"."""

    def __init__(self, dom0, name, kind="hvm", memory=384):
        self.dom0, self.machine, self.name, self.kind, self.memory = dom0, dom0.machine, name, kind, memory
        self.uuid = str(uuid.uuid4())
        self.bdf = self.domid = None
        self.volumes = []  # (sr, key)

    def reserve(self):
        answer = self.dom0.cli_json(f"reserve {self.uuid}")
        self.bdf = answer["bdf"]
        return answer

    def start(self, *volumes):
        self.build()
        self.plug_volumes(*volumes)
        self.plug_pci()
        self.run_on()

    def build(self):
        common = [f'name="{self.name}"', f'uuid="{self.uuid}"', 'ramdisk="/boot/guest-initrd.img"',
                  f"memory={self.memory}", "vcpus=1", 'passthrough="enabled"', 'on_crash="destroy"',
                  'on_reboot="destroy"', 'on_poweroff="destroy"']
        own = {"hvm": ['type="hvm"', 'kernel="/boot/vmlinuz"', 'extra="console=ttyS0 loglevel=4"', 'serial="pty"',
                       'tsc_mode="native"', 'vga="none"', "vnc=0"],
               "pv": ['type="pv"', 'kernel="/boot/vmlinux"', 'extra="console=hvc0 loglevel=4"']}[self.kind]
        text = base64.b64encode("\n".join(common + own + [""]).encode()).decode()
        self.machine.run(f"base64 -d <<<{text} >/root/{self.name}.cfg; xl create -p /root/{self.name}.cfg", 300)
        self.domid = self.machine.run(f"xl domid {self.name}").strip()
        if self.kind == "hvm":
            # xenconsoled logs no emulated serial port.
            self.machine.run(f"T=$(xenstore-read /local/domain/{self.domid}/serial/0/tty); stty -F $T raw -echo; "
                             f"setsid cat $T >/root/{self.name}.console 2>/dev/null </dev/null & "
                             f"echo $! >/root/{self.name}.cat")

    def plug_volumes(self, *volumes):
        for volume in volumes:
            sr, key = volume
            stat = self.dom0.volume.call("Volume.stat", {"sr": sr, "key": key})
            where = {"uri": stat["uri"][0], "domain": self.domid}
            self.dom0.volume.call("Datapath.attach", where)
            self.dom0.volume.call("Volume.stat", {"sr": sr, "key": key})
            self.dom0.volume.call("Datapath.activate", where)
            self.volumes.append((sr, key, stat["uri"][0]))

    def plug_pci(self):
        self.machine.run(f"xl pci-attach {self.name} {self.bdf}")

    def run_on(self):
        self.machine.run(f"xl unpause {self.name}")

    def log(self):
        return f"/root/{self.name}.console" if self.kind == "hvm" else f"/var/log/xen/console/guest-{self.name}.log"

    def wait_ready(self, limit=400):
        seconds = self.machine.wait_for(f"grep -q GUEST-READY {self.log()}", limit, 0.5)
        if self.kind == "hvm":
            self.machine.run(f"kill $(cat /root/{self.name}.cat)")
        return seconds

    def guest(self, command, limit=120):
        return self.machine.run(f"in-guest {self.name} {quoted(command)} {limit}", limit + 60)

    def wait_drive(self, device="/dev/nvme0n1"):
        return self.guest(f"for i in $(seq 600); do [ -b {device} ] && exit 0; sleep 0.1; done; exit 1", 200)

    def write_pattern(self, offset_mib, seed, device="/dev/nvme0n1"):
        """A MiB that only this seed makes; its SHA-256."""
        data = pattern(seed)
        self.guest(f"yes {quoted(seed)} | head -c 1048576 >/tmp/p; "
                   f"dd if=/tmp/p of={device} bs=1M seek={offset_mib} oflag=direct conv=fsync 2>&1")
        return hashlib.sha256(data).hexdigest()

    def read_digest(self, offset_mib, device="/dev/nvme0n1", mib=1):
        return self.guest(f"dd if={device} bs=1M skip={offset_mib} count={mib} iflag=direct 2>/dev/null | sha256sum"
                          ).split()[0]

    def destroy(self):
        """As xenopsd after the domain has ended, however it ended."""
        self.machine.run_status(f"xl destroy {self.name}")
        self.machine.wait_for(f"! xl domid {self.name}", 60)
        self.unplug_volumes()

    def unplug_volumes(self):
        for sr, key, uri in self.volumes:
            where = {"uri": uri, "domain": self.domid}
            self.dom0.volume.call("Volume.stat", {"sr": sr, "key": key})
            self.dom0.volume.call("Datapath.deactivate", where)
            self.dom0.volume.call("Datapath.detach", where)
        self.volumes.clear()


def pattern(seed):
    line = (seed + "\n").encode()
    return (line * ((1 << 20) // len(line) + 1))[:1 << 20]


def card_bytes(card, bdev, offset, length):
    """What the drive holds, past everything that is under test."""
    out = b""
    while len(out) < length:
        piece = min(128 << 10, length - len(out))
        out += base64.b64decode(card.ask("sim_read", bdev=bdev, offset=offset + len(out), length=piece))
    return out
