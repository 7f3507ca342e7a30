"""VM and VBD of the fake XAPI: records, guards and life-cycle (ocaml/xapi/xapi_vm*.ml, xapi_vbd*.ml)."""
import copy
import json

import xapi_objects as objects
from xapi_db import NULL, XapiError


class Vms:
    def __init__(self, api):
        self.api, self.db, self.storage, self.xenops = api, api.db, api.storage, api.xenops
        self.dom0 = {}  # VBD of the control domain -> (domain, path), while it is plugged

    # ---- guards

    def record(self, vm):
        return self.db.get("VM", vm)

    def expect(self, vm, operation, *states):
        record = self.record(vm)
        if operation in record["blocked_operations"]:
            raise XapiError("OPERATION_BLOCKED", vm, record["blocked_operations"][operation])
        if record["is_a_snapshot"]:
            if operation not in ("revert", "clone", "copy", "export", "destroy"):
                raise XapiError("VM_IS_SNAPSHOT", vm, operation)
        elif record["is_a_template"] and operation not in ("clone", "copy", "export", "provision", "destroy",
                                                           "migrate_send"):
            raise XapiError("VM_IS_TEMPLATE", vm, operation)
        if states and record["power_state"] not in states:
            raise XapiError("VM_BAD_POWER_STATE", vm, states[0].lower(), record["power_state"].lower())
        if record["current_operations"]:
            raise XapiError("OTHER_OPERATION_IN_PROGRESS", "VM", vm)
        return record

    def during(self, vm, operation):
        return Operation(self.db, vm, operation)

    # ---- records

    def create(self, record):
        known = objects.vm()
        return self.db.add("VM", objects.vm(**{k: v for k, v in record.items() if k in known}))

    def destroy(self, vm):
        self.expect(vm, "destroy", "Halted")
        for vbd in list(self.record(vm)["VBDs"]):
            self.drop_vbd(vbd)
        self.db.remove("VM", vm)

    def duplicate(self, vm, name, disk, **fields):
        """clone, copy and snapshot: disks first, then the record, then its VBDs; every field goes along,
        other_config with `pci` too (xapi_vm_clone.ml)."""
        source = self.record(vm)
        fresh = copy.deepcopy({k: v for k, v in source.items() if k not in ("uuid", "VBDs", "snapshots")})
        fresh.update(name_label=name, power_state="Halted", domid=-1, resident_on=NULL, VBDs=[], snapshots=[],
                     current_operations=source["current_operations"], blocked_operations={}, is_default_template=False,
                     **fields)
        made = []
        try:
            for vbd in source["VBDs"]:
                old = self.db.get("VBD", vbd)
                made.append((old, disk(old["VDI"]) if old["type"] == "Disk" and not old["empty"] else NULL))
        except XapiError:
            for _, vdi in made:
                if vdi != NULL:
                    self.storage.vdi_destroy(vdi)
            raise
        ref = self.db.add("VM", fresh)
        for old, vdi in made:
            self.new_vbd({**old, "VM": ref, "VDI": vdi, "device": "", "currently_attached": False})
        self.db.set("VM", ref, current_operations={})
        return ref

    def clone(self, vm, name):
        self.expect(vm, "clone", "Halted")
        with self.during(vm, "clone"):
            return self.duplicate(vm, name, self.storage.vdi_clone, is_a_snapshot=False, snapshot_of=NULL,
                                  snapshot_metadata="")

    def copy(self, vm, name, sr=NULL):
        self.expect(vm, "copy", "Halted")
        with self.during(vm, "copy"):
            return self.duplicate(vm, name, lambda vdi: self.storage.vdi_copy(
                vdi, self.db.get("VDI", vdi)["SR"] if sr == NULL else sr), is_a_snapshot=False, snapshot_of=NULL,
                snapshot_metadata="")

    def snapshot(self, vm, name, *_):
        metadata = json.dumps(self.expect(vm, "snapshot"))
        with self.during(vm, "snapshot"):
            ref = self.duplicate(vm, name, self.storage.vdi_snapshot, is_a_snapshot=True, is_a_template=True,
                                 snapshot_of=vm, snapshot_metadata=metadata)
        self.db.set("VM", vm, snapshots=self.record(vm)["snapshots"] + [ref])
        return ref

    def provision(self, vm):
        """What `xe vm-install` and Xen Orchestra do with a clone of a template."""
        self.expect(vm, "provision", "Halted")
        self.db.set("VM", vm, is_a_template=False)

    # ---- VBDs

    def free_devices(self, vm):
        taken = {self.db.get("VBD", v)["userdevice"] for v in self.record(vm)["VBDs"]}
        return [str(n) for n in range(16) if str(n) not in taken]

    def new_vbd(self, record):
        known = objects.vbd()
        ref = self.db.add("VBD", objects.vbd(**{k: v for k, v in record.items() if k in known}))
        vm = self.record(record["VM"])
        self.db.set("VM", record["VM"], VBDs=vm["VBDs"] + [ref])
        if record["VDI"] != NULL:
            vdi = self.db.get("VDI", record["VDI"])
            self.db.set("VDI", record["VDI"], VBDs=vdi["VBDs"] + [ref])
        return ref

    def create_vbd(self, record):
        with self.db.lock:
            free = self.free_devices(record["VM"])
            wanted = record.get("userdevice", "autodetect")
            if wanted in ("autodetect", ""):
                wanted = free[0]
            if wanted not in free:
                raise XapiError("DEVICE_ALREADY_EXISTS", wanted)
            return self.new_vbd({**record, "userdevice": wanted, "VDI": record.get("VDI", NULL)})

    def drop_vbd(self, vbd):
        record = self.db.get("VBD", vbd)
        if self.db.exists(record["VM"]):
            vm = self.record(record["VM"])
            self.db.set("VM", record["VM"], VBDs=[v for v in vm["VBDs"] if v != vbd])
        if self.db.exists(record["VDI"]):
            vdi = self.db.get("VDI", record["VDI"])
            self.db.set("VDI", record["VDI"], VBDs=[v for v in vdi["VBDs"] if v != vbd])
        self.db.remove("VBD", vbd)

    def destroy_vbd(self, vbd):
        if self.db.get("VBD", vbd)["currently_attached"]:
            raise XapiError("OPERATION_NOT_ALLOWED", f"VBD '{vbd}' still attached")
        self.drop_vbd(vbd)

    def set_userdevice(self, vbd, number):
        record = self.db.get("VBD", vbd)
        if number != record["userdevice"] and number not in self.free_devices(record["VM"]):
            raise XapiError("DEVICE_ALREADY_EXISTS", number)
        self.db.set("VBD", vbd, userdevice=number)

    def device_name(self, record):
        return "xvd" + chr(ord("a") + int(record["userdevice"]))

    def plug(self, vbd):
        record = self.db.get("VBD", vbd)
        vm = self.record(record["VM"])
        if vm["power_state"] != "Running":
            raise XapiError("VM_BAD_POWER_STATE", record["VM"], "running", vm["power_state"].lower())
        if record["currently_attached"]:
            raise XapiError("DEVICE_ALREADY_ATTACHED", vbd)
        if vm["is_control_domain"]:
            self.dom0[vbd] = self.storage.plug_dom0(record["VDI"], record["mode"], self.device_name(record))
            self.db.set("VBD", vbd, currently_attached=True, device=self.device_name(record))
            return
        try:
            self.xenops.plug(vm["domid"], vbd, record)
        except XapiError:
            self.xenops.release(vm["domid"], vbd, record)
            raise
        self.db.set("VBD", vbd, currently_attached=True, device=self.device_name(record))

    def unplug(self, vbd):
        record = self.db.get("VBD", vbd)
        if not record["currently_attached"]:
            raise XapiError("DEVICE_ALREADY_DETACHED", vbd)
        if vbd in self.dom0:
            self.storage.unplug_dom0(record["VDI"], self.dom0.pop(vbd)[0])
            self.db.set("VBD", vbd, currently_attached=False, device="")
            return
        # XAPI is told by xenopsd that the device is gone, whatever the plugin said about it
        self.xenops.release(self.record(record["VM"])["domid"], vbd, record)
        self.db.set("VBD", vbd, currently_attached=False, device="")

    # ---- life

    def start(self, vm, paused=False, force=False):
        record = self.expect(vm, "start", "Halted")
        with self.during(vm, "start"):
            disks = [v for v, _ in self.xenops.disks(vm)]
            for vbd in disks:
                self.db.set("VBD", vbd, currently_attached=True)
            self.xenops.push(vm)
            try:
                domid = self.xenops.start(vm)
            except XapiError:
                for vbd in disks:
                    self.db.set("VBD", vbd, currently_attached=False)
                raise
            self.running(vm, domid, "Paused" if paused else "Running")
            for vbd in disks:
                self.db.set("VBD", vbd, device=self.device_name(self.db.get("VBD", vbd)))
        self.api.log("VM.start", record["uuid"])

    def running(self, vm, domid, state):
        self.db.set("VM", vm, power_state=state, domid=domid, resident_on=self.api.host)

    def halted(self, vm):
        for vbd in self.record(vm)["VBDs"]:
            self.db.set("VBD", vbd, currently_attached=False, device="")
        self.db.set("VM", vm, power_state="Halted", domid=-1, resident_on=NULL)

    def shutdown(self, vm, operation):
        self.expect(vm, operation, "Running", "Paused")
        with self.during(vm, operation):
            self.xenops.stop(vm, operation.replace("_", "-"))
            self.halted(vm)

    def reboot(self, vm, operation):
        self.expect(vm, operation, "Running")
        with self.during(vm, operation):
            self.xenops.stop(vm, operation.replace("_", "-"))
            # XAPI pushed the record again at each of its events while the VM ran
            self.xenops.push(vm)
            try:
                domid = self.xenops.start(vm)
            except XapiError:
                self.halted(vm)
                raise
            self.running(vm, domid, "Running")

    def crash(self, vm):
        """The guest powers off by itself: no operation, xenopsd sees the domain end."""
        self.xenops.stop(vm, by_itself=True)
        self.halted(vm)

    def refuse(self, vm, operation):
        record = self.expect(vm, operation)
        if record["attached_PCIs"]:
            raise XapiError("VM_HAS_PCI_ATTACHED", vm)
        raise XapiError("NOT_IMPLEMENTED", operation)

    def migrate_send(self, vm, _dest, _live, vdi_map, *_):
        """Disks that change their SR are mirrored, of halted VMs too: both SRs must be able to."""
        record = self.expect(vm, "migrate_send")
        if record["power_state"] != "Halted" and record["attached_PCIs"]:
            raise XapiError("VM_HAS_PCI_ATTACHED", vm)
        for vbd in record["VBDs"]:
            vdi = self.db.get("VBD", vbd)["VDI"]
            if vdi != NULL and vdi not in vdi_map:
                raise XapiError("VDI_NOT_IN_MAP", vdi)
        for vdi, sr in vdi_map.items():
            self.storage.assert_movable(vdi, sr)
        return vm


class Operation:
    def __init__(self, db, vm, operation):
        self.db, self.vm, self.operation = db, vm, operation

    def __enter__(self):
        self.db.set("VM", self.vm, current_operations={"OpaqueRef:operation": self.operation})

    def __exit__(self, *_):
        self.db.set("VM", self.vm, current_operations={})
