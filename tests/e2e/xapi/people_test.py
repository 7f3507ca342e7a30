"""What people see in XAPI while a VM lives: keys of VDI and VM, messages; real scripts, real daemon, simulated DPU."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
sys.path.insert(0, HERE)
from auto_test import Auto as Rig
from stack import until

KEYS = ("vnvme-state", "vnvme-serial", "vnvme-bdf", "vnvme-functions", "vnvme-host")


class People(Rig):
    def shown(self, cls, ref):
        config = self.call(cls + ".get_other_config", ref)
        return {k: v for k, v in config.items() if k in KEYS}

    def messages(self):
        return [r["name"] for r in self.call("message.get_all_records").values()]

    def test_a_drive_is_described_from_plug_to_unplug(self):
        vm = self.machine()
        vbd, = self.call("VM.get_VBDs", vm)
        vdi = self.call("VBD.get_VDI", vbd)
        bdf = self.ready(vm).split("/")[1]
        until("the VM is described", lambda: self.shown("VM", vm).get("vnvme-functions") == bdf)
        self.assertEqual(self.shown("VM", vm)["vnvme-state"], "reserved")
        self.assertEqual(self.shown("VM", vm)["vnvme-host"], self.uuid("host", self.api.host))
        self.assertEqual(self.shown("VDI", vdi), {})
        self.call("VM.start", vm, False, False)
        until("the VDI is described", lambda: self.shown("VDI", vdi).get("vnvme-state") == "active")
        until("one key after the other", lambda: self.shown("VDI", vdi).get("vnvme-bdf") == bdf)
        self.assertEqual(self.shown("VDI", vdi)["vnvme-serial"], self.shown("VM", vm)["vnvme-serial"])
        snapshot = self.call("VM.snapshot", vm, "snap")
        until("a snapshot says nothing", lambda: self.shown("VM", snapshot) == {})
        copy = self.call("VBD.get_VDI", self.call("VM.get_VBDs", snapshot)[0])
        until("nor does its disk", lambda: self.shown("VDI", copy) == {})
        self.call("VM.clean_shutdown", vm)
        until("the VDI is nobody's", lambda: self.shown("VDI", vdi) == {})
        until("the VM keeps its function", lambda: self.shown("VM", vm).get("vnvme-state") == "reserved")
        self.call("VBD.destroy", vbd)
        until("the VM has none", lambda: self.shown("VM", vm) == {})
        self.call("VDI.destroy", vdi)
        self.end(snapshot, vm)
        self.assertEqual(self.messages(), [])

    def test_a_fight_is_told(self):
        vm = self.machine()
        mine = self.ready(vm)

        def fight():
            if self.pci(vm) == mine:
                self.call("VM.remove_from_other_config", vm, "pci")
            return "VNVME_PCI_LIST_REWRITTEN" in self.messages()
        until("the message is there", fight, 90)
        until("the list is right again", lambda: self.pci(vm) == mine)
        record, = self.call("message.get_all_records").values()
        self.assertEqual((record["cls"], record["obj_uuid"]), ("VM", self.uuid("VM", vm)))
        self.assertIn("vnvme events", record["body"])
        until("the list is right again", lambda: self.pci(vm) == mine)
        self.end(vm)


    def test_a_probe_tells_what_there_is_and_why_not(self):
        """xe sr-probe-ext: first the DPUs, then drives and pools; foreign ones are shown and refused."""
        dpu, = self.call("SR.probe_ext", self.api.host, {}, "vnvme", {})
        self.assertEqual((dpu["configuration"], dpu["complete"]), ({"dpu": "dpu0"}, False))
        self.s.dpu("bdev_lvol_create_lvstore", {"bdev_name": "Nvme1n1", "lvs_name": "theirs"})
        self.s.kill_daemon()
        self.s.start_daemon()
        found = self.call("SR.probe_ext", self.api.host, dpu["configuration"], "vnvme", {})
        drives = {p["extra_info"]["serial"]: p for p in found if "serial" in p["extra_info"]}
        self.assertEqual(set(drives), {"S0001", "S0002"})
        for serial, user in (("S0001", "vnvme."), ("S0002", "theirs")):
            info = drives[serial]["extra_info"]
            self.assertFalse(drives[serial]["complete"])
            self.assertEqual((info["takeable"], info["model"], info["size_text"]),
                             ("false", "SIMULATED-NVME", "64.0 GiB"))
            self.assertIn(user, info["reason"])
        pools = {p["extra_info"]["pool"]: p for p in found if "pool" in p["extra_info"]}
        theirs = pools.pop("theirs")
        self.assertEqual((theirs["complete"], theirs["configuration"]), (False, {"dpu": "dpu0"}))
        self.assertIn("not made by vnvme", theirs["extra_info"]["reason"])
        mine, = pools.values()
        self.assertEqual(mine["configuration"]["sr_uuid"], self.uuid("SR", self.s.sr))
        self.assertTrue(mine["complete"])
        self.assertEqual(mine["sr"]["name"], "sr")

# The lives of the base class have their own test.
def load_tests(loader, _tests, _pattern):
    return unittest.TestSuite(map(People, ("test_a_drive_is_described_from_plug_to_unplug",
                                           "test_a_fight_is_told",
                                           "test_a_probe_tells_what_there_is_and_why_not")))


if __name__ == "__main__":
    unittest.main()
