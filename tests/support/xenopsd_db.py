"""xenopsd's database as files, as FileFS of ocaml/xenopsd/lib/xenops_utils.ml keeps it below
/var/run/nonpersistent/xenopsd/classic: VM/UUID/config, PCI/UUID/pci.BDF, each the JSON of a record. The form of the
PCI record is the recorded one (tests/data/hook/pci-record.json)."""
import json
import os

BELOW = "var/run/nonpersistent/xenopsd/classic"


def record(vm, bdf, position=0):
    domain, bus, rest = bdf.split(":")
    dev, fn = rest.split(".")
    return {"address": {"fn": int(fn, 16), "dev": int(dev, 16), "bus": int(bus, 16), "domain": int(domain, 16)},
            "position": position, "id": [vm, bdf]}


class XenopsdDb:
    def __init__(self, root):
        self.base = os.path.join(root, BELOW)

    def path(self, *parts):
        return os.path.join(self.base, *parts)

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)

    def push(self, vm, pcis):
        """VM.import_metadata: the VM, then entries that are gone, then those that are there."""
        self.write(self.path("VM", vm, "config"), json.dumps({"id": vm}, separators=(",", ":")))
        folder = self.path("PCI", vm)
        wanted = {"pci." + bdf for bdf in pcis}
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name not in wanted:
                os.remove(os.path.join(folder, name))
        for position, bdf in enumerate(pcis):
            self.write(os.path.join(folder, "pci." + bdf), json.dumps(record(vm, bdf, position), separators=(",", ":")))
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)  # FileFS.rm takes empty folders along
