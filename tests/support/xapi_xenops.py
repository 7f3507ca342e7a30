"""xenopsd as a plugin and a host meet it: the order of its atoms for start, shutdown, reboot, plug and unplug
(ocaml/xenopsd/lib/xenops_server.ml, and what the real one was seen to do)."""
import os
import re
import subprocess
import threading

from xapi_db import XapiError

PIECE = 1 << 20
PCI_ITEM = re.compile(r"^(\d+)/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$")


def pci_list(text):
    """other_config:pci as ocaml/xapi/pciops.ml reads it: what cannot be parsed is ignored, order by the number, and
    items of one number come out in reverse."""
    found = [PCI_ITEM.match(item.strip()) for item in text.split(",")]
    items = [(int(m.group(1)), m.group(2)) for m in found if m]
    return [bdf for _, bdf in sorted(reversed(items), key=lambda item: item[0])]


def together(jobs):
    """All at once, as xenopsd does with the VBDs of one VM; the first error is raised when all have ended."""
    errors = []

    def run(job):
        try:
            job()
        except Exception as e:  # handed to the caller below
            errors.append(e)
    if len(jobs) < 2:
        for job in jobs:
            job()
        return
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if errors:
        raise errors[0]


class World:
    """Domains and PCI functions where a test can see them: a tree as xenstore, and a sysfs as the simulator makes it
    (src/host/fake_pci.hpp). Without folders it only remembers. `db` is xenopsd's database (xenopsd_db.py)."""

    def __init__(self, domains=None, host=None, db=None):
        self.domains, self.host, self.db, self.assigned = domains, host, db, {}

    def domain_created(self, domid, vm):
        if self.domains:
            folder = os.path.join(self.domains, "local/domain", str(domid))
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, "vm"), "w", encoding="ascii") as out:
                out.write("/vm/" + vm)

    def domain_destroyed(self, domid):
        for bdf in self.assigned.pop(domid, []):
            self.reset(bdf)
        if self.domains:
            folder = os.path.join(self.domains, "local/domain", str(domid))
            if os.path.exists(os.path.join(folder, "vm")):
                os.remove(os.path.join(folder, "vm"))
                os.rmdir(folder)

    def device(self, bdf):
        return os.path.join(self.host, "sys/bus/pci/devices", bdf)

    def pci_plug(self, domid, bdf):
        if self.host:
            if not os.path.isdir(self.device(bdf)):
                raise XapiError("INTERNAL_ERROR", f"no such PCI device: {bdf}")
            link = os.path.join(self.device(bdf), "driver")
            if os.path.basename(os.path.realpath(link)) != "pciback":
                if os.path.islink(link):
                    os.remove(link)
                os.makedirs(os.path.join(self.host, "sys/bus/pci/drivers/pciback"), exist_ok=True)
                os.symlink("../../drivers/pciback", link)
        if any(bdf in held for held in self.assigned.values()):
            raise XapiError("INTERNAL_ERROR", f"{bdf} is assigned to another domain")
        self.reset(bdf)
        self.assigned.setdefault(domid, []).append(bdf)

    def reset(self, bdf):
        if not self.host or not os.path.isdir(self.device(bdf)):
            return
        path = os.path.join(self.device(bdf), "resets")
        count = 0
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                count = int(file.read() or 0)
        with open(path, "w", encoding="ascii") as out:
            out.write(str(count + 1))

    # ---- what dom0 reads and writes: {offset: bytes} without the holes

    def load(self, path, size):
        with open(path, "rb") as source:
            pieces = {offset: source.read(PIECE) for offset in range(0, size, PIECE)}
        return {offset: data for offset, data in pieces.items() if any(data)}

    def store(self, path, pieces):
        with open(path, "r+b") as target:
            for offset, data in pieces.items():
                target.seek(offset)
                target.write(data)

    def copy(self, source, target, size):
        self.store(target, self.load(source, size))


class Hooks:
    """/etc/xapi.d/NAME/*: sorted; exit 1 is only logged, any other failure aborts."""

    def __init__(self, folder=None):
        self.folder, self.ran = folder, []

    def run(self, name, vm, reason="none", env=None):
        folder = os.path.join(self.folder or "", name)
        scripts = sorted(os.listdir(folder)) if self.folder and os.path.isdir(folder) else []
        for script in scripts:
            done = subprocess.run([os.path.join(folder, script), "-vmuuid", vm, "-reason", reason],
                                  capture_output=True, text=True, env=env, check=False)
            self.ran.append((name, script, vm, done.returncode))
            if done.returncode not in (0, 1):
                raise XapiError("XAPI_HOOK_FAILED", f"{name}/{script}", reason, done.stdout, done.returncode)


class Xenops:
    def __init__(self, api, split=False):
        self.api, self.db, self.storage, self.split = api, api.db, api.storage, split
        self.next_domid = 0
        self.pushed = {}       # VM uuid -> PCI list, as it was when the start began
        self.datapaths = set()  # (domid, vbd): registered from attach until a detach went through

    def push(self, vm):
        record = self.db.get("VM", vm)
        # xenopsd keeps them by address: one that is named twice is one
        self.pushed[record["uuid"]] = list(dict.fromkeys(pci_list(record["other_config"].get("pci", ""))))
        if self.api.world.db:
            self.api.world.db.push(record["uuid"], self.pushed[record["uuid"]])

    def disks(self, vm):
        records = [(v, self.db.get("VBD", v)) for v in self.db.get("VM", vm)["VBDs"]]
        return [(v, r) for v, r in records if r["type"] == "Disk" and not r["empty"]]

    def start(self, vm):
        record = self.db.get("VM", vm)
        pcis = list(self.pushed[record["uuid"]])
        self.api.hooks.run("vm-pre-start", record["uuid"], env=self.api.env)
        self.next_domid += 1
        domid = self.next_domid
        self.api.world.domain_created(domid, record["uuid"])
        disks = self.disks(vm)
        try:
            for mode in ("RW", "RO"):
                together([lambda v=v, r=r: self.start_disk(domid, v, r) for v, r in disks if r["mode"] == mode])
            for bdf in pcis:
                self.api.world.pci_plug(domid, bdf)
        except XapiError:
            together([lambda v=v, r=r: self.release(domid, v, r) for v, r in disks])
            self.api.world.domain_destroyed(domid)
            raise
        return domid

    def start_disk(self, domid, vbd, record):
        self.storage.uri(record["VDI"])  # epoch_begin
        self.plug(domid, vbd, record)

    def plug(self, domid, vbd, record):
        self.datapaths.add((domid, vbd))
        answer = self.storage.datapath(record["VDI"], "attach", str(domid))
        self.storage.activate(record["VDI"], record["mode"], str(domid))
        kinds = {kind for kind, _ in answer["implementations"]}
        if "XenDisk" not in kinds:
            raise XapiError("INTERNAL_ERROR", "Could not find XenDisk implementation")
        if int(record["userdevice"]) < 4 and record["mode"] == "RW":
            # QEMU would get the marker as a disk
            if not kinds & {"File", "BlockDevice", "Nbd"}:
                raise XapiError("INTERNAL_ERROR", "Could not find BlockDevice, File, or Nbd implementation")
            self.api.trapped.append(vbd)

    def release(self, domid, vbd, record, split=False):
        """What fails here is swallowed; after a failed deactivate there is no detach, and the datapath stays."""
        if (domid, vbd) not in self.datapaths or not self.db.exists(record["VDI"]):
            return
        try:
            if split:
                self.storage.datapath(record["VDI"], "deactivate", str(domid))
            uri = self.storage.uri(record["VDI"])
            sr = self.db.get("VDI", record["VDI"])["SR"]
            self.storage.run(sr, "Datapath.deactivate", uri=uri, domain=str(domid))
            self.storage.run(sr, "Datapath.detach", uri=uri, domain=str(domid))
            self.datapaths.discard((domid, vbd))
        except XapiError as e:
            self.api.swallowed.append(e)

    def stop(self, vm, reason="none", by_itself=False):
        """Datapaths that are still registered are released, also of a VBD whose detach failed earlier. epoch_end
        comes for every disk, but not when the guest went by itself."""
        record = self.db.get("VM", vm)
        domid, disks = record["domid"], self.disks(vm)
        together([lambda v=v, r=r: self.release(domid, v, r, self.split) for v, r in disks])
        self.api.world.domain_destroyed(domid)
        if not by_itself:
            together([lambda r=r: self.epoch_end(r) for _, r in disks])
        self.datapaths = {(d, v) for d, v in self.datapaths if d != domid}
        self.api.hooks.run("vm-post-destroy", record["uuid"], reason, env=self.api.env)

    def epoch_end(self, record):
        try:
            self.storage.uri(record["VDI"])
        except XapiError as e:
            self.api.swallowed.append(e)
