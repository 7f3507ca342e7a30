"""Holds four truths against each other: XAPI's records, the daemon's store, the DPU, and the host's PCI tree.

    xapi_truth.agree(stack, contents)     waits until all say the same
`stack` is an XapiStack with one DPU. `contents` is {uuid of a VDI: the bytes at its begin}: these VDIs XAPI must have,
and no others. What a VM needs is worked out from XAPI's records alone, by the rules of docs/xcp-ng.md.
"""
import os

import truth
from stack import Timeout, until
from xapi_db import XapiError
from xapi_xenops import PCI_ITEM

VM_KEYS = ("vnvme-host", "vnvme-state", "vnvme-serial", "vnvme-functions")
VDI_KEYS = ("vnvme-state", "vnvme-serial", "vnvme-bdf")
PREFIX = "vnvme:"
SPARES = 2


class Look:
    """One picture of everything but the bytes, and what is wrong in it."""

    def __init__(self, s, contents, keys=True):
        self.s, self.contents, self.with_keys, self.found = s, contents, keys, []
        db = s.api.db
        self.vms, self.vbds, self.vdis = db.all("VM"), db.all("VBD"), db.all("VDI")
        self.srs = {ref: r for ref, r in db.all("SR").items() if r["type"].startswith("vnvme")}
        self.host = db.get("host", s.api.host)["uuid"]
        rows = self.vnvme("functions")
        self.functions = {r["bdf"]: r for r in rows if r["bdf"] and not r["foreign"]}
        self.volumes = {r["volume"]: r for r in self.vnvme("volumes")}
        self.attachments = self.vnvme("attachments")

    def vnvme(self, verb):
        return self.s.admin(verb)  # what `vnvme VERB --json` prints

    def wrong(self, text):
        self.found.append(text)

    def same(self, what, now, wanted):
        if now != wanted:
            self.wrong(f"{what}: {now!r} instead of {wanted!r}")

    def keys(self, what, record, known, wanted):
        if self.with_keys:
            self.same(what + ", keys", {k: v for k, v in record["other_config"].items() if k in known}, wanted)

    def all(self):
        for ref, vm in self.vms.items():
            if not vm["is_control_domain"]:
                self.vm(ref, vm)
        self.disks()
        self.owners()
        self.host_side()
        self.found += truth.differences(self.s)
        return self.found

    # ---- VMs

    def disks_of(self, ref):
        out = []
        for vbd in self.vbds.values():
            vdi = self.vdis.get(vbd["VDI"])
            if vbd["VM"] == ref and vbd["type"] == "Disk" and vdi is not None and vdi["SR"] in self.srs:
                out.append((vbd, vdi))
        return out

    def mine(self, vm):
        return sorted(bdf for bdf, f in self.functions.items() if f["reserved_for"] == vm["uuid"])

    def vm(self, ref, vm):
        name, disks, mine = f"VM {vm['name_label']}", self.disks_of(ref), self.mine(vm)
        can = not vm["is_a_template"] and not vm["is_a_snapshot"]
        self.same(name + ", functions", len(mine), 1 if can and disks else 0)
        items = [PCI_ITEM.match(i) for i in vm["other_config"].get("pci", "").split(",") if i]
        if not all(items):
            self.wrong(f"{name}: the list {vm['other_config']['pci']} cannot be read")
            return
        self.same(name + ", its list", sorted(i.group(2) for i in items if i.group(2) in self.functions), mine)
        if mine:  # XAPI takes equal ones in reverse order
            self.same(name + ", different numbers", len({int(i.group(1)) for i in items}), len(items))
        attached = [d for d in disks if d[0]["currently_attached"]]
        blocked = {op for op, why in vm["blocked_operations"].items() if why.startswith(PREFIX)}
        self.same(name + ", blocked", blocked, ({"suspend", "checkpoint", "pool_migrate"} if mine else set())
                  | ({"migrate_send"} if attached else set()))
        wanted = {}
        if mine:
            wanted = {"vnvme-host": self.host, "vnvme-state": "attached" if attached else "reserved",
                      "vnvme-serial": ",".join(sorted(self.functions[b]["serial"] for b in mine)),
                      "vnvme-functions": ",".join(mine)}
        self.keys(name, vm, VM_KEYS, wanted)
        if vm["power_state"] == "Running":
            given = [b for b in self.s.world.assigned.get(vm["domid"], []) if b in self.functions]
            self.same(name + ", given to its domain", given, mine)
            for bdf in mine:
                self.same(f"{name}, namespaces of {bdf}", self.functions[bdf]["namespaces"], len(attached))
        elif attached:
            self.wrong(f"{name} is halted and has disks attached")

    # ---- disks

    def disks(self):
        ours = {r["uuid"]: (ref, r) for ref, r in self.vdis.items() if r["SR"] in self.srs}
        self.same("VDIs", sorted(ours), sorted(self.contents))
        listed = {key for key, row in self.volumes.items() if row["kind"] != "base"}
        self.same("volumes", sorted(listed), sorted(r["location"] for _, r in ours.values()))
        for ref, vdi in ours.values():
            row = self.volumes.get(vdi["location"])
            if row is not None:
                self.volume(ref, vdi, row)

    def volume(self, ref, vdi, row):
        name = f"VDI {vdi['name_label']} {vdi['uuid'][:8]}"
        self.same(name + ", SR", row["sr"], self.srs[vdi["SR"]]["uuid"])
        self.same(name + ", size", row["size"], vdi["virtual_size"])
        self.same(name + ", label", row["name"], vdi["name_label"])
        self.same(name + ", kind", row["kind"], "snapshot" if vdi["is_a_snapshot"] else "data")
        self.same(name + ", state", (row["state"], row["missing"]), ("ready", False))
        keys = {}
        for vbd in self.vbds.values():
            vm = self.vms.get(vbd["VM"])
            if vbd["VDI"] == ref and vbd["currently_attached"] and vm and not vm["is_control_domain"]:
                keys = {"vnvme-state": "active" if vbd["mode"] == "RW" else "active-read-only",
                        "vnvme-serial": ",".join(self.functions[b]["serial"] for b in self.mine(vm)),
                        "vnvme-bdf": ",".join(self.mine(vm))}
        self.keys(name, vdi, VDI_KEYS, keys)

    def owners(self):
        wanted = []
        for vbd in self.vbds.values():
            vdi = self.vdis.get(vbd["VDI"])
            if vdi is None or vdi["SR"] not in self.srs or not vbd["currently_attached"]:
                continue
            vm = self.vms[vbd["VM"]]
            owner = "dom0" if vm["is_control_domain"] else "vm:" + vm["uuid"]
            mode = "read-write" if vbd["mode"] == "RW" else "read-only"
            wanted.append((vdi["location"], owner, mode, "active"))
        self.same("attachments", sorted((a["volume"], a["owner"], a["mode"], a["state"]) for a in self.attachments),
                  sorted(wanted))

    # ---- the host

    def host_side(self):
        rows = {}
        if os.path.exists(self.s.reservations_file):
            with open(self.s.reservations_file, encoding="ascii") as lines:
                rows = {w[1]: w[2] for w in map(str.split, lines) if w[0] == "function"}
        uuids = {vm["uuid"] for vm in self.vms.values()}
        for bdf, f in self.functions.items():
            owner = f["reserved_for"]
            if owner in uuids or f["spare"]:
                driver = os.path.realpath(os.path.join(self.s.world.device(bdf), "driver"))
                self.same(f"{bdf}, driver", os.path.basename(driver), "pciback")
            if not f["spare"] and owner not in uuids | {"", "dom0"}:
                self.wrong(f"{bdf} is reserved for {owner}, which XAPI does not have")
            self.same(f"{bdf}, for the gate", rows.get(bdf), owner if owner in uuids else "-")
        self.same("spare functions", sum(f["spare"] for f in self.functions.values()), SPARES)
        self.found += self.s.world.look()
        given = [bdf for held in self.s.world.assigned.values() for bdf in held]
        self.same("functions of two domains", len(given), len(set(given)))


def differences(s, contents, keys=True):
    return Look(s, contents, keys).all()


def other_bytes(s, contents):
    """Only when all else is right: who reads a disk keeps a disk that was unplugged from a guest in use."""
    for vdi in s.api.db.all("VDI").values():
        wanted = contents.get(vdi["uuid"])
        if wanted is not None and s.read(vdi["location"], 0, len(wanted)) != wanted:
            yield f"VDI {vdi['name_label']} {vdi['uuid']} does not begin with {wanted!r}"


def agree(s, contents, seconds=60, keys=True):
    """`keys`: those that people see too. They follow a second or ten later (docs/xcp-ng.md)."""
    last = []

    def same():
        try:
            last[:] = differences(s, contents, keys)
        except (OSError, ValueError, RuntimeError, KeyError, XapiError) as e:
            last[:] = [f"{type(e).__name__}: {e}"]  # the daemon is just being started, or something changed under us
        return not last
    try:
        until("XAPI, store, DPU and host agree", same, seconds)
    except Timeout:
        raise AssertionError(f"after {seconds} s they still differ:\n  " + "\n  ".join(last)) from None
    wrong = list(other_bytes(s, contents))
    if wrong:
        raise AssertionError("; ".join(wrong))
