"""The life of SRs, disks and VMs as a table: what a user or Xen Orchestra calls, in order, one step a row.

The daemon reserves functions by itself; nobody here writes other_config:pci. After each step xapi_truth compares
XAPI, store, DPU and host. Steps name things ("vm", "disk"); `Life` knows which object that is now, and which bytes
each disk must hold.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import xapi_truth  # noqa: E402
from stack import until  # noqa: E402
from xapi_db import XapiError  # noqa: E402

MiB = 1 << 20
SIZE = 4 * MiB
TELL = bool(os.environ.get("VNVME_STEPS"))  # each step's time
PAUSE = 0.3  # between VBD.create and VM.start, as a tool that does both is seen to take


class Life:
    def __init__(self, s, trouble):
        self.s, self.trouble, self.names, self.contents = s, trouble, {}, {}
        self.late, self.again, self.calls = 0, 0, 0
        # Somebody else's VM, running all the time: nothing here may touch it.
        self.neighbour = s.machine("neighbour", disks=0)
        self.names["neighbour disk"] = vdi = s.disk("neighbour disk", SIZE)
        s.plug(self.neighbour, vdi)
        self.set_bytes("neighbour disk", b"the neighbour's bytes")
        self.until_listed(self.neighbour)
        s.start(self.neighbour)
        trouble.begin(s)

    def __getitem__(self, name):
        return self.names[name]

    def uuid(self, cls, name):
        return self.s.uuid(cls, self[name])

    def vms(self):
        """Those of the table that are there; the neighbour is not in it."""
        known = self.s.api.db.all("VM")
        return [ref for ref in self.names.values() if ref in known]

    # ---- one call of the user

    def call(self, method, *params):
        self.calls += 1
        self.trouble.before(self, method)
        answer = self.s.call(method, *params)
        self.trouble.after(self, method)
        return answer

    def make(self, name, method, *params):
        self.names[name] = self.call(method, *params)

    def refused(self, code, method, *params):
        try:
            self.call(method, *params)
        except XapiError as e:
            assert e.code == code, f"{method}: {e.code} {e.params} instead of {code}"
            self.trouble.after(self, method)
            return e.params
        raise AssertionError(f"{method} was not refused")

    def agree(self, keys=True):
        xapi_truth.agree(self.s, self.contents, 120, keys)
        assert self.s.api.trapped == [], "a guest got the marker as a disk"
        assert self.s.fake.errors == [], self.s.fake.errors

    # ---- bytes

    def set_bytes(self, disk, data):
        uuid = self.uuid("VDI", disk)
        self.contents[uuid] = data
        self.s.write(self.s.call("VDI.get_location", self[disk]), 0, data)

    def same_bytes(self, disk, source):
        self.contents[self.uuid("VDI", disk)] = self.contents[self.uuid("VDI", source)]

    def same_disks(self, vm, source, prefix):
        """Names the disks of a copy "PREFIX 4", by their userdevice, and says what they hold."""
        of = {self.s.call("VBD.get_userdevice", v): self.s.call("VBD.get_VDI", v)
              for v in self.s.call("VM.get_VBDs", self[source])}
        for vbd in self.s.call("VM.get_VBDs", self[vm]):
            number, vdi = self.s.call("VBD.get_userdevice", vbd), self.s.call("VBD.get_VDI", vbd)
            self.names[f"{prefix} {number}"] = vdi
            self.contents[self.s.uuid("VDI", vdi)] = self.contents[self.s.uuid("VDI", of[number])]

    # ---- SRs and disks

    def make_sr(self, name, drive):
        self.make(name, "SR.create", self.s.api.host, {"dpu": "dpu0", "drives": drive}, 0, name, "", "vnvme", "user",
                  False, {})

    def destroy_sr(self, name):
        self.s.settle()
        self.call("PBD.unplug", self.s.call("SR.get_PBDs", self[name])[0])
        self.call("SR.destroy", self[name])

    def make_disk(self, name, sr, data):
        self.make(name, "VDI.create", {"name_label": name, "SR": self[sr], "virtual_size": SIZE, "type": "user"})
        self.set_bytes(name, data)

    def destroy_disk(self, name):
        uuid = self.uuid("VDI", name)
        self.call("VDI.destroy", self.names.pop(name))
        del self.contents[uuid]

    def plug_in(self, vbd, vm, disk):
        free = self.s.call("VM.get_allowed_VBD_devices", self[vm])
        number = next(n for n in free if int(n) >= 4)
        self.make(vbd, "VBD.create", {"VM": self[vm], "VDI": self[disk], "userdevice": number, "mode": "RW",
                                      "type": "Disk"})

    # ---- VMs

    def until_listed(self, vm):
        def right():
            try:
                mine = [f["bdf"] for f in self.s.reserved(vm)]
            except (OSError, ValueError):
                return False
            return mine and [b for b in self.s.listed(vm) if b in mine] == mine
        until("the VM has its function", right, 60)

    def start_soon(self, vm):
        time.sleep(PAUSE)
        self.late += not self.s.listed(self[vm])
        self.start(vm)

    def start(self, vm, method="VM.start"):
        """Where another tool writes into the list it may be wrong in this moment; then the gate stops the start, as
        it shall, and a user starts again."""
        self.until_listed(self[vm])
        try:
            self.call(method, self[vm], *((False, False) if method == "VM.start" else ()))
        except XapiError as e:
            assert e.code == "XAPI_HOOK_FAILED" and self.trouble.writes_lists, (e.code, e.params)
            assert self.s.call("VM.get_power_state", self[vm]) == "Halted"
            self.again += 1
            self.until_listed(self[vm])
            self.s.start(self[vm])

    def reboot(self, vm):
        before = self.s.call("VM.get_domid", self[vm])
        self.start(vm, "VM.clean_reboot")
        assert self.s.call("VM.get_domid", self[vm]) != before

    def unplug(self, vbd, method):
        self.call(method, self[vbd])
        assert not self.s.call("VBD.get_currently_attached", self[vbd])

    def destroy_vm(self, vm, *disks):
        self.call("VM.destroy", self.names.pop(vm))
        for disk in disks:
            self.destroy_disk(disk)

    def copied(self, vm, source, prefix, method, *params):
        self.make(vm, method, self[source], vm, *params)
        self.same_disks(vm, source, prefix)

    def own_function(self, vm, other):
        self.until_listed(self[vm])
        assert not set(self.s.listed(self[vm])) & set(self.s.listed(self[other])), "two VMs have one function"

    # ---- what takes several calls

    def backup(self, snapshot):
        """Xen Orchestra's: a snapshot of the VM, its disk in dom0, read, out of dom0, the snapshot destroyed."""
        self.copied(snapshot, "vm", snapshot, "VM.snapshot")
        disk = f"{snapshot} 4"
        dom0, = self.s.api.db.where("VM", is_control_domain=True)
        self.make("dom0 vbd", "VBD.create", {"VM": dom0, "VDI": self[disk], "userdevice": "autodetect", "mode": "RO",
                                             "type": "Disk"})
        self.call("VBD.plug", self["dom0 vbd"])
        self.agree(keys=False)
        path = self.s.api.vms.dom0[self["dom0 vbd"]][1]
        wanted = self.contents[self.uuid("VDI", disk)]
        read = self.s.world.load(path, SIZE)[0]
        assert read[:len(wanted)] == wanted, "the backup read other bytes than the VM wrote"
        self.call("VBD.unplug", self["dom0 vbd"])
        self.call("VBD.destroy", self.names.pop("dom0 vbd"))
        self.destroy_vm(snapshot, disk)

    def revert(self, snapshot, in_place):
        """With VDI_REVERT the disk stays; XCP-ng 8.3 destroys it and clones the snapshot's."""
        self.s.api.vdi_revert = in_place
        old, before = self["disk"], self.uuid("VDI", "disk")
        self.call("VM.revert", self[snapshot])
        vbd, = self.s.call("VM.get_VBDs", self["vm"])
        self.names["vbd"], self.names["disk"] = vbd, self.s.call("VBD.get_VDI", vbd)
        assert (self["disk"] == old) == in_place
        del self.contents[before]
        self.same_bytes("disk", f"{snapshot} 4")

    def import_again(self, vm):
        exported = self.s.api.copies.export(self[vm])
        assert "pci" in exported[0]["other_config"], "the export of a VM has its list"
        self.names["imported"] = self.s.api.copies.import_vm(exported, self["other"])
        self.same_disks("imported", vm, "imported")

    def move(self):
        """The VM is off: a copy on the other SR takes the disk's place."""
        self.make("moved", "VDI.copy", self["disk"], self["other"])
        self.same_bytes("moved", "disk")
        self.call("VBD.destroy", self.names.pop("vbd"))
        self.plug_in("vbd", "vm", "moved")
        self.destroy_disk("disk")
        self.names["disk"] = self.names.pop("moved")

    def forget_and_introduce(self, sr):
        uuid = self.uuid("SR", sr)
        pbd, = self.s.call("SR.get_PBDs", self[sr])
        config = self.s.call("PBD.get_device_config", pbd)
        disk = self.uuid("VDI", "disk")
        self.call("PBD.unplug", pbd)
        self.call("SR.forget", self[sr])
        self.make(sr, "SR.introduce", uuid, sr, "", "vnvme", "user", False, {})
        self.make("pbd", "PBD.create", {"host": self.s.api.host, "SR": self[sr], "device_config": config})
        self.call("PBD.plug", self.names.pop("pbd"))
        self.call("SR.scan", self[sr])
        self.names["disk"] = self.s.call("VDI.get_by_uuid", disk)


def cannot_while_it_runs(l):
    for method in ("VM.suspend", "VM.pool_migrate"):
        assert "vnvme:" in l.refused("OPERATION_BLOCKED", method, l["vm"])[1]
    assert "vnvme:" in l.refused("OPERATION_BLOCKED", "VM.checkpoint", l["vm"], "checkpoint")[1]
    assert "vnvme:" in l.refused("OPERATION_BLOCKED", "VM.migrate_send", l["vm"], {}, True, {})[1]
    assert "vnvme:" in l.refused("OPERATION_BLOCKED", "VDI.pool_migrate", l["disk"], l["other"], {})[1]


def cannot_change_its_sr_by_migration(l):
    missing = l.refused("SR_DOES_NOT_SUPPORT_MIGRATION", "VM.migrate_send", l["vm"], {}, True,
                        {l["disk"]: l["other"]})
    assert missing == [l["sr"], "VDI_MIRROR"], missing
    l.refused("SR_DOES_NOT_SUPPORT_MIGRATION", "VDI.pool_migrate", l["disk"], l["other"], {})
    # Its disk stays where it is: nothing is in the way.
    l.call("VM.migrate_send", l["vm"], {}, True, {l["disk"]: l["sr"]})


STEPS = (
    ("sr-create", lambda l: l.make_sr("sr", "S0002")),
    ("sr-create, another", lambda l: l.make_sr("other", "S0003")),
    ("vdi-create", lambda l: l.make_disk("disk", "sr", b"before")),
    ("vm-create", lambda l: l.make("vm", "VM.create", {"name_label": "vm"})),
    ("vbd-create", lambda l: l.plug_in("vbd", "vm", "disk")),
    ("vm-start right after it", lambda l: l.start_soon("vm")),
    ("vm-reboot", lambda l: l.reboot("vm")),
    ("what cannot be while it runs", cannot_while_it_runs),
    ("a second disk", lambda l: l.make_disk("second", "sr", b"second")),
    ("vbd-create, the VM runs", lambda l: l.plug_in("vbd 2", "vm", "second")),
    ("hot plug", lambda l: l.call("VBD.plug", l["vbd 2"])),
    ("clean unplug", lambda l: l.unplug("vbd 2", "VBD.unplug")),
    ("plug again", lambda l: l.call("VBD.plug", l["vbd 2"])),
    ("forced unplug", lambda l: l.unplug("vbd 2", "VBD.unplug_force")),
    ("vbd-destroy, the VM runs", lambda l: l.call("VBD.destroy", l.names.pop("vbd 2"))),
    ("vdi-destroy, the VM runs", lambda l: l.destroy_disk("second")),
    ("snapshot of the running VM", lambda l: l.copied("snap", "vm", "snap", "VM.snapshot")),
    ("the guest writes", lambda l: l.set_bytes("disk", b"after!")),
    ("clone of the snapshot", lambda l: l.copied("clone", "snap", "clone", "VM.clone")),
    ("the clone becomes a VM", lambda l: l.call("VM.set_is_a_template", l["clone"], False)),
    ("the clone starts, its source runs", lambda l: l.start("clone")),
    ("they have different functions", lambda l: l.own_function("clone", "vm")),
    ("hard shutdown of the clone", lambda l: l.call("VM.hard_shutdown", l["clone"])),
    ("the clone is destroyed", lambda l: l.destroy_vm("clone", "clone 4")),
    ("backup", lambda l: l.backup("backup 1")),
    ("the guest writes more", lambda l: l.set_bytes("disk", b"even later")),
    ("the next backup", lambda l: l.backup("backup 2")),
    ("vm-shutdown", lambda l: l.call("VM.clean_shutdown", l["vm"])),
    ("full copy to another SR", lambda l: l.copied("copy", "vm", "copy", "VM.copy", l["other"])),
    ("the copy starts", lambda l: l.start("copy")),
    ("the copy is shut down", lambda l: l.call("VM.clean_shutdown", l["copy"])),
    ("the copy is destroyed", lambda l: l.destroy_vm("copy", "copy 4")),
    ("revert with VDI_REVERT", lambda l: l.revert("snap", True)),
    ("start after the revert", lambda l: l.start("vm")),
    ("the guest writes again", lambda l: l.set_bytes("disk", b"again!")),
    ("revert of the running VM as on 8.3", lambda l: l.revert("snap", False)),
    ("start after that revert", lambda l: l.start("vm")),
    ("shutdown", lambda l: l.call("VM.hard_shutdown", l["vm"])),
    ("clone of the halted VM", lambda l: l.copied("template", "vm", "template", "VM.clone")),
    ("the clone has its own function", lambda l: l.own_function("template", "vm")),
    ("it becomes a template", lambda l: l.call("VM.set_is_a_template", l["template"], True)),
    ("a VM from the template", lambda l: l.copied("from template", "template", "from template", "VM.clone")),
    ("vm-install", lambda l: l.call("VM.provision", l["from template"])),
    ("the VM from the template starts", lambda l: l.start("from template")),
    ("it is shut down", lambda l: l.call("VM.clean_shutdown", l["from template"])),
    ("it is destroyed", lambda l: l.destroy_vm("from template", "from template 4")),
    ("the template is destroyed", lambda l: l.destroy_vm("template", "template 4")),
    ("export and import", lambda l: l.import_again("vm")),
    ("the imported VM has its own function", lambda l: l.own_function("imported", "vm")),
    ("the imported VM starts", lambda l: l.start("imported")),
    ("the imported VM is shut down", lambda l: l.call("VM.clean_shutdown", l["imported"])),
    ("the imported VM is destroyed", lambda l: l.destroy_vm("imported", "imported 4")),
    ("the snapshot is destroyed", lambda l: l.destroy_vm("snap", "snap 4")),
    ("a halted VM and migration", cannot_change_its_sr_by_migration),
    ("halted move", lambda l: l.move()),
    ("start from the other SR", lambda l: l.start("vm")),
    ("shutdown again", lambda l: l.call("VM.clean_shutdown", l["vm"])),
    ("forget, introduce, plug", lambda l: l.forget_and_introduce("other")),
    ("the disk again", lambda l: l.plug_in("vbd", "vm", "disk")),
    ("start after the introduction", lambda l: l.start("vm")),
    ("the last shutdown", lambda l: l.call("VM.clean_shutdown", l["vm"])),
    ("vbd-destroy", lambda l: l.call("VBD.destroy", l.names.pop("vbd"))),
    ("vdi-destroy", lambda l: l.destroy_disk("disk")),
    ("vm-destroy", lambda l: l.destroy_vm("vm")),
    ("sr-destroy", lambda l: l.destroy_sr("sr")),
    ("sr-destroy, the other", lambda l: l.destroy_sr("other")),
)
# What a VM with one disk meets: for lives in which everything goes wrong, when there is little time.
SHORT = {name for name, _ in STEPS[:8]} | {
    "a second disk", "vbd-create, the VM runs", "hot plug", "forced unplug", "vbd-destroy, the VM runs",
    "vdi-destroy, the VM runs", "snapshot of the running VM", "the guest writes", "vm-shutdown",
    "revert of the running VM as on 8.3", "the snapshot is destroyed", "vbd-destroy", "vdi-destroy", "vm-destroy",
    "sr-destroy", "sr-destroy, the other"}


# What people see in XAPI is compared after these steps; at night after each.
WITH_KEYS = {"vm-start right after it", "vm-shutdown", "it becomes a template", "vbd-destroy"}


def lead(life, only=None, keys=False):
    """Through the table; answers how many steps. An error says at which step."""
    done = 0
    for name, step in STEPS:
        if only is not None and name not in only:
            continue
        begin = time.monotonic()
        try:
            step(life)
            called = time.monotonic()
            life.agree(keys or name in WITH_KEYS)
        except Exception as e:
            e.args = (f"step '{name}', {life.trouble.name}: {type(e).__name__}: {e}",)
            raise
        done += 1
        if TELL:
            end = time.monotonic()
            print(f"{called - begin:6.2f} s, and {end - called:5.2f} s until all agreed: {name}", flush=True)
    return done
