"""Revert, export and import of the fake XAPI (ocaml/xapi/xapi_vm_snapshot.ml, export.ml, import.ml)."""
import copy
import json

import xapi_objects as objects
from xapi_db import NULL, XapiError

# What a revert leaves as it is (xapi_vm_snapshot.ml, do_not_copy); all else comes back as it was, `pci` too.
KEPT = {"uuid", "power_state", "parent", "current_operations", "allowed_operations", "resident_on", "domid",
        "snapshots", "tags", "affinity", "VBDs", "VIFs", "attached_PCIs"}


class Copies:
    def __init__(self, api):
        self.api, self.db, self.storage, self.vms = api, api.db, api.storage, api.vms

    # ---- revert

    def revert(self, snapshot):
        source = self.vms.expect(snapshot, "revert")
        vm = source["snapshot_of"]
        self.vms.expect(vm, "reverting")
        with self.vms.during(snapshot, "revert"), self.vms.during(vm, "reverting"):
            if self.vms.record(vm)["power_state"] != "Halted":
                self.vms.xenops.stop(vm, "hard-shutdown")
                self.vms.halted(vm)
            fields = json.loads(source["snapshot_metadata"])
            self.db.set("VM", vm, **{k: v for k, v in fields.items() if k not in KEPT})
            self.revert_disks(vm, source)

    def disks(self, record):
        vbds = [(v, self.db.get("VBD", v)) for v in record["VBDs"]]
        return [(v, r) for v, r in vbds if r["type"] == "Disk" and not r["empty"]]

    def revert_disks(self, vm, source):
        """Disks that the SR can revert stay. The others are destroyed, and then the snapshot's are cloned; disks that
        the snapshot lacks are left without a VM."""
        snapped = self.disks(source)
        of = {self.db.get("VDI", r["VDI"])["snapshot_of"] for _, r in snapped}
        reverted = {r["VDI"] for _, r in snapped if self.reverted(r["VDI"])}
        done = {self.db.get("VDI", vdi)["snapshot_of"] for vdi in reverted}
        old = [(v, r) for v, r in self.disks(self.vms.record(vm)) if r["VDI"] not in done]
        for vbd, _ in old:
            self.vms.destroy_vbd(vbd)
        for _, record in old:
            if record["VDI"] in of:
                self.storage.vdi_destroy(record["VDI"])
        for _, record in snapped:
            if record["VDI"] in reverted:
                continue
            before = self.db.get("VDI", record["VDI"])["snapshot_of"]
            new = self.storage.vdi_clone(record["VDI"])
            for one in self.db.where("VDI", snapshot_of=before):
                self.db.set("VDI", one, snapshot_of=new)
            self.vms.new_vbd({**record, "VM": vm, "VDI": new, "device": "", "currently_attached": False})

    def reverted(self, snapshot):
        if not self.api.vdi_revert:
            return False
        try:
            self.storage.vdi_revert(snapshot)
            return True
        except XapiError as e:
            if e.code in ("SR_OPERATION_NOT_SUPPORTED", "UNIMPLEMENTED_IN_SM_BACKEND"):
                return False
            raise

    # ---- export and import: PUT and GET of XAPI's HTTP server, not calls

    def export(self, vm):
        """The records, and what dom0 read from the disks."""
        record = self.vms.expect(vm, "export", "Halted")
        disks = []
        for _, vbd in self.disks(record):
            vdi = self.db.get("VDI", vbd["VDI"])
            with self.storage.in_dom0(vbd["VDI"], "RO") as path:
                disks.append((copy.deepcopy(vbd), copy.deepcopy(vdi),
                              self.api.world.load(path, vdi["virtual_size"])))
        return copy.deepcopy(record), disks

    def import_vm(self, exported, sr):
        """Disks, VM, VBDs in this order, the contents last; other_config as it was exported."""
        record, disks = exported
        new = [self.storage.vdi_create({**vdi, "SR": sr}) for _, vdi, _ in disks]
        kept = {k: v for k, v in record.items() if k in objects.vm() and k not in ("VBDs", "snapshots")}
        vm = self.db.add("VM", objects.vm(**{**kept, "resident_on": NULL, "affinity": NULL, "domid": -1,
                                             "current_operations": {"OpaqueRef:import": "import"}}))
        for (vbd, _, _), vdi in zip(disks, new):
            self.vms.new_vbd({**vbd, "VM": vm, "VDI": vdi, "device": "", "currently_attached": False})
        for (_, _, data), vdi in zip(disks, new):
            with self.storage.in_dom0(vdi, "RW") as path:
                self.api.world.store(path, data)
        self.db.set("VM", vm, current_operations={})
        return vm
