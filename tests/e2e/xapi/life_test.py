"""The life of SRs, disks and VMs as XAPI leads it: fake XAPI, real scripts, real daemon, simulated DPU.

Functions are reserved by hand here (`vnvme reserve` and other_config:pci); all else is what XAPI and xenopsd do.
After each test store and DPU must agree, and no function was reset but those that a domain had.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import truth
from stack import until
from xapi_db import NULL, XapiError
from xapi_stack import XapiStack

MiB, GiB = 1 << 20, 1 << 30
DRIVES = tuple(f"name=Nvme{n}n1,size=16GiB,serial=S{n}" for n in range(3))


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = XapiStack(drives=DRIVES, drive="S0", config={"toolstack": "none"})
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.stop)
        cls.world, cls.fake, cls.api, cls.sr = cls.s.world, cls.s.fake, cls.s.api, cls.s.sr

    def setUp(self):
        for name in ("call", "uuid", "disk", "plug", "start", "exposed", "assigned"):
            setattr(self, name, getattr(self.s, name))

    def sr_create(self, serial):
        return self.s.make_xapi_sr("sr " + serial, serial)

    def tearDown(self):
        for vm in self.api.db.where("VM", power_state="Running", is_control_domain=False):
            self.call("VM.hard_shutdown", vm)
            self.call("VM.destroy", vm)
        truth.agree(self.s)
        self.assertEqual(self.fake.errors, [])
        self.assertEqual(self.api.swallowed, [], "something failed in a release")
        self.assertEqual(self.api.trapped, [], "a guest got the marker as a disk")
        self.assertEqual(self.world.look(), [], "resets")
        self.assertEqual(self.s.dpu("sim_dump")["snap"]["exposures"], [])

    # ---- the usual pieces

    def machine(self, name, *vdis):
        vm = self.call("VM.create", {"name_label": name})
        for vdi in vdis:
            self.plug(vm, vdi)
        return vm

    def reserve(self, vm):
        uuid = self.uuid("VM", vm)
        self.s.cli("reserve", uuid)
        self.addCleanup(self.s.cli, "unreserve", uuid, check=False)
        mine = [f for f in self.s.admin("functions") if f["reserved_for"] == uuid]
        self.assertEqual(len(mine), 1)
        self.call("VM.remove_from_other_config", vm, "pci")
        self.call("VM.add_to_other_config", vm, "pci", "0/" + mine[0]["bdf"])
        return mine[0]["bdf"]

    def refused(self, code, method, *params):
        with self.assertRaises(XapiError) as caught:
            self.call(method, *params)
        self.assertEqual(caught.exception.code, code)
        return " ".join(caught.exception.params)

    # ---- lives

    def test_a_whole_life(self):
        vdi = self.disk("first")
        vm = self.machine("vm", vdi)
        bdf = self.reserve(vm)
        self.start(vm)
        self.assertEqual((self.exposed(), self.assigned(vm)), (1, [bdf]))
        domid = self.call("VM.get_domid", vm)
        self.call("VM.clean_reboot", vm)
        self.assertNotEqual(self.call("VM.get_domid", vm), domid)
        self.assertEqual((self.exposed(), self.assigned(vm)), (1, [bdf]))
        second = self.plug(vm, self.disk("second"))
        self.call("VBD.plug", second)
        self.assertEqual(self.exposed(), 2)
        self.call("VBD.unplug", second)
        until("the namespace is gone", lambda: self.exposed() == 1)
        self.call("VBD.plug", second)
        self.call("VBD.unplug_force", second)
        until("the namespace is gone", lambda: self.exposed() == 1)
        self.call("VM.clean_shutdown", vm)
        until("no namespace is left", lambda: self.exposed() == 0)
        self.assertEqual(self.call("VM.get_power_state", vm), "Halted")
        held = self.call("VBD.get_VDI", second)
        self.call("VM.destroy", vm)
        self.call("VDI.destroy", held)
        self.call("VDI.destroy", vdi)
        self.refused("HANDLE_INVALID", "VDI.get_record", vdi)

    def test_snapshot_clone_and_revert_keep_their_bytes(self):
        vdi = self.disk()
        self.s.write(self.uuid("VDI", vdi), 0, b"before")
        vm = self.machine("vm", vdi)
        self.reserve(vm)
        self.start(vm)
        snapshot = self.call("VM.snapshot", vm, "snap")
        self.s.write(self.uuid("VDI", vdi), 0, b"after ")
        self.assertTrue(self.call("VM.get_is_a_snapshot", snapshot))
        copied = self.call("VM.get_other_config", snapshot)["pci"]
        self.assertEqual(copied, self.call("VM.get_other_config", vm)["pci"], "XAPI copies the key: it must be stripped")
        self.call("VM.clean_shutdown", vm)
        self.call("VM.revert", snapshot)
        vbd, = self.call("VM.get_VBDs", vm)
        new = self.call("VBD.get_VDI", vbd)
        self.assertEqual(self.s.read(self.uuid("VDI", new), 0, 6), b"before")
        for one in (vm, snapshot):
            disks = [self.call("VBD.get_VDI", v) for v in self.call("VM.get_VBDs", one)]
            self.call("VM.destroy", one)
            for disk in disks:
                self.call("VDI.destroy", disk)

    def test_a_clone_starts_while_its_source_is_off_and_a_copy_goes_to_another_sr(self):
        vdi = self.disk()
        self.s.write(self.uuid("VDI", vdi), 3 * MiB, b"content")
        source = self.machine("source", vdi)
        clone = self.call("VM.clone", source, "clone")
        self.reserve(clone)
        self.start(clone)
        self.assertEqual(self.exposed(), 1)
        self.call("VM.hard_shutdown", clone)
        other = self.sr_create("S1")
        copy = self.call("VM.copy", source, "copy", other)
        new = self.call("VBD.get_VDI", self.call("VM.get_VBDs", copy)[0])
        self.assertEqual(self.call("VDI.get_SR", new), other)
        self.assertEqual(self.s.read(self.uuid("VDI", new), 3 * MiB, 7), b"content")
        for vm in (source, clone, copy):
            disks = [self.call("VBD.get_VDI", v) for v in self.call("VM.get_VBDs", vm)]
            self.call("VM.destroy", vm)
            for disk in disks:
                self.call("VDI.destroy", disk)
        pbd, = self.call("SR.get_PBDs", other)
        self.s.settle()
        self.call("PBD.unplug", pbd)
        self.call("SR.destroy", other)
        self.refused("HANDLE_INVALID", "SR.get_record", other)

    def test_forget_introduce_and_plug(self):
        sr = self.sr_create("S2")
        vdi = self.disk("kept", sr=sr)
        uuid, config = self.uuid("SR", sr), self.call("PBD.get_device_config", self.call("SR.get_PBDs", sr)[0])
        key = self.call("VDI.get_location", vdi)
        self.refused("SR_HAS_PBD", "SR.forget", sr)
        self.call("PBD.unplug", self.call("SR.get_PBDs", sr)[0])
        self.call("SR.forget", sr)
        again = self.call("SR.introduce", uuid, "again", "", "vnvme", "user", False, {})
        pbd = self.call("PBD.create", {"host": self.api.host, "SR": again, "device_config": config})
        self.call("PBD.plug", pbd)
        self.call("SR.scan", again)
        found, = self.api.db.where("VDI", SR=again)
        self.assertEqual(self.call("VDI.get_location", found), key)
        self.assertEqual(self.call("VDI.get_name_label", found), "kept")
        self.call("VDI.destroy", found)
        self.s.settle()
        self.call("PBD.unplug", pbd)
        self.call("SR.destroy", again)

    def test_a_start_without_a_reservation_fails_clean(self):
        vdi = self.disk()
        vm = self.machine("vm", vdi)
        with self.assertRaises(XapiError) as caught:
            self.start(vm)
        self.assertIn(self.uuid("VM", vm), " ".join(caught.exception.params))
        self.assertEqual(self.call("VM.get_power_state", vm), "Halted")
        self.assertEqual(self.world.assigned, {})
        self.call("VM.destroy", vm)
        self.call("VDI.destroy", vdi)

    def test_names_sizes_and_scans(self):
        vdi = self.disk("old name")
        self.call("VDI.set_name_label", vdi, "new \u00fc name")
        self.call("VDI.resize", vdi, 128 * MiB)
        self.call("SR.scan", self.sr)
        record = self.call("VDI.get_record", vdi)
        self.assertEqual((record["name_label"], record["virtual_size"]), ("new \u00fc name", 128 * MiB))
        self.refused("SR_OPERATION_NOT_SUPPORTED", "VDI.resize", vdi, 64 * MiB)
        probed = self.call("SR.probe_ext", self.api.host, {"dpu": "dpu0"}, "vnvme", {})
        self.assertTrue(any(one["complete"] for one in probed))
        self.call("VDI.destroy", vdi)

    def test_a_killed_daemon_between_the_steps(self):
        vdi = self.disk()
        vm = self.machine("vm", vdi)
        self.reserve(vm)
        for step in (lambda: self.start(vm), lambda: self.call("VM.clean_reboot", vm),
                     lambda: self.call("VM.clean_shutdown", vm), lambda: self.call("VM.destroy", vm),
                     lambda: self.call("VDI.destroy", vdi)):
            self.s.kill_daemon()
            self.s.start_daemon()
            step()
        self.assertEqual(self.call("SR.get_PBDs", self.sr) and NULL, NULL)


if __name__ == "__main__":
    unittest.main()
