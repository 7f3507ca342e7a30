"""Nobody reserves anything by hand: the daemon follows XAPI (toolstack xapi), and VMs find their drives.

Fake XAPI, real scripts, real daemon, simulated DPU. Beside the ends, what must hold at each moment is checked by the
fake: a domain is given no function that another one has.
"""
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "simulator", "support"))
import truth
from fake_xapi import FakeXapi
from stack import SCRIPTS, Stack, until
from xapi_db import XapiError
from xapi_xenops import World

MiB = 1 << 20
STARTS = int(os.environ.get("VNVME_STARTS", "10"))


class Auto(unittest.TestCase):
    def setUp(self):
        self.s = Stack(config={"toolstack": "xapi"})
        self.addCleanup(self.s.stop)
        self.s.extra["xapi"] = {"uri": "unix:" + os.path.join(self.s.directory, "xapi")}
        self.s.start_dpu()
        self.world = World(domains=os.path.join(self.s.directory, "domains"),
                           host=os.path.join(self.s.directory, "host"))
        self.fake = FakeXapi(unix=os.path.join(self.s.directory, "xapi"), root=SCRIPTS, env=self.s.volume.env,
                             world=self.world)
        self.fake.__enter__()
        self.addCleanup(self.fake.__exit__)
        self.api = self.fake.api
        self.session = self.api.login()
        self.s.start_daemon()
        self.sr = self.call("SR.create", self.api.host, {"dpu": "dpu0", "drives": "S0001"}, 0, "sr", "", "vnvme",
                            "user", False, {})

    def call(self, method, *params):
        return self.api.call(method, [self.session, *params])

    def uuid(self, cls, ref):
        return self.call(cls + ".get_uuid", ref)

    def disk(self, name="disk"):
        return self.call("VDI.create", {"name_label": name, "SR": self.sr, "virtual_size": 64 * MiB, "type": "user"})

    def plug(self, vm, vdi):
        number = next(n for n in self.call("VM.get_allowed_VBD_devices", vm) if int(n) >= 4)
        return self.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": number, "mode": "RW"})

    def machine(self, name="vm", disks=1):
        vm = self.call("VM.create", {"name_label": name})
        for n in range(disks):
            self.plug(vm, self.disk(f"{name} {n}"))
        return vm

    def xapi_restarts(self, booting):
        self.fake.restart(booting=booting)

        def answers():
            try:
                self.session = self.api.login()
                return self.call("pool.get_all")
            except XapiError:
                return None
        until("XAPI answers again", answers)

    def pci(self, vm):
        return self.call("VM.get_other_config", vm).get("pci", "")

    def ready(self, vm):
        return until("the VM has its function", lambda: self.pci(vm))

    def functions(self, vm):
        uuid = self.uuid("VM", vm)
        return [f for f in self.s.admin("functions") if f["reserved_for"] == uuid]

    def exposed(self):
        return len(self.s.dpu("sim_dump")["snap"]["exposures"])

    def end(self, *vms):
        """Shuts down and destroys; then nothing may be left anywhere."""
        disks = set()
        for vm in vms:
            if self.call("VM.get_power_state", vm) == "Running":
                self.call("VM.clean_shutdown", vm)
            disks |= {self.call("VBD.get_VDI", v) for v in self.call("VM.get_VBDs", vm)}
            self.call("VM.destroy", vm)
        for disk in disks:
            self.call("VDI.destroy", disk)
        until("no function is reserved", lambda: not any(
            f["reserved_for"] not in ("", "dom0") for f in self.s.admin("functions")))
        self.s.settle()
        truth.agree(self.s)
        self.assertEqual(self.api.swallowed, [])
        self.assertEqual(self.fake.errors, [])

    # ---- lives

    def test_create_plug_start(self):
        times = []
        for n in range(STARTS):
            vm = self.machine(f"vm{n}")
            begin = time.monotonic()
            self.ready(vm)
            times.append(time.monotonic() - begin)
            self.call("VM.start", vm, False, False)
            self.assertEqual(len(self.world.assigned[self.call("VM.get_domid", vm)]), 1)
            self.assertEqual(self.exposed(), 1)
            self.call("VM.hard_shutdown", vm)
            until("no namespace is left", lambda: self.exposed() == 0)
            self.end(vm)
        times.sort()
        print(f"VBD.create to other_config:pci: median {times[len(times) // 2] * 1000:.0f} ms, worst "
              f"{times[-1] * 1000:.0f} ms of {len(times)}")

    def test_a_whole_life(self):
        vm = self.machine(disks=2)
        self.ready(vm)
        until("what it cannot do is blocked", lambda: {"suspend", "checkpoint", "pool_migrate"} <= set(
            self.call("VM.get_blocked_operations", vm)))
        self.call("VM.start", vm, False, False)
        self.assertEqual(self.exposed(), 2)
        self.call("VM.clean_reboot", vm)
        self.assertEqual(self.exposed(), 2)
        third = self.plug(vm, self.disk("third"))
        self.call("VBD.plug", third)
        self.assertEqual(self.exposed(), 3)
        self.call("VBD.unplug", third)
        until("the namespace is gone", lambda: self.exposed() == 2)
        self.end(vm)

    def test_clones_snapshots_and_copies_never_have_the_function_of_their_source(self):
        vm = self.machine()
        mine = self.ready(vm)
        snapshot = self.call("VM.snapshot", vm, "snap")
        clone = self.call("VM.clone", vm, "clone")
        until("the snapshot's list is empty", lambda: self.pci(snapshot) == "")
        until("the clone has a function of its own", lambda: self.pci(clone) not in ("", mine))
        self.assertEqual(self.pci(vm), mine)
        self.call("VM.start", vm, False, False)
        self.call("VM.start", clone, False, False)
        self.assertEqual(self.exposed(), 2)
        self.end(clone, vm, snapshot)

    def test_other_tools_write_the_list(self):
        vm = self.machine()
        mine = self.ready(vm)
        bdf = mine.split("/")[1]
        self.call("VM.remove_from_other_config", vm, "pci")
        until("it is there again", lambda: self.pci(vm) == mine)
        self.call("VM.remove_from_other_config", vm, "pci")
        self.call("VM.add_to_other_config", vm, "pci", f"0/0000:01:00.0,0/{bdf}")
        until("it is numbered", lambda: self.pci(vm) == f"0/0000:01:00.0,1/{bdf}")
        stranger = self.call("VM.create", {"name_label": "stranger"})
        self.call("VM.add_to_other_config", stranger, "pci", mine)
        until("it is taken out", lambda: self.pci(stranger) == "")
        self.call("VM.destroy", stranger)
        self.end(vm)

    def test_daemon_and_xapi_die_in_between(self):
        vm = self.machine()
        self.s.kill_daemon()
        self.s.start_daemon()
        self.ready(vm)
        self.xapi_restarts(booting=2)
        other = self.machine("other")
        self.ready(other)
        self.s.kill_daemon()
        self.s.start_daemon()
        clone = self.call("VM.clone", vm, "clone")
        self.xapi_restarts(booting=1)
        until("the clone has its own", lambda: self.pci(clone) not in ("", self.pci(vm), self.pci(other)))
        for one in (vm, other, clone):
            self.call("VM.start", one, False, False)
        self.assertEqual(self.exposed(), 3)
        self.end(clone, vm, other)

    def test_a_vbd_below_4_is_moved(self):
        vm = self.call("VM.create", {"name_label": "vm"})
        vbd = self.call("VBD.create", {"VM": vm, "VDI": self.disk(), "userdevice": "0", "mode": "RW"})
        until("it is moved", lambda: int(self.call("VBD.get_userdevice", vbd)) >= 4)
        self.ready(vm)
        self.call("VM.start", vm, False, False)
        self.assertEqual(self.api.trapped, [])
        self.end(vm)

    def test_the_last_vbd_takes_the_function_with_it(self):
        vm = self.machine()
        self.ready(vm)
        vbd, = self.call("VM.get_VBDs", vm)
        vdi = self.call("VBD.get_VDI", vbd)
        self.call("VBD.destroy", vbd)
        until("the list is empty", lambda: self.pci(vm) == "")
        until("the function is free", lambda: not self.functions(vm))
        until("nothing is blocked", lambda: self.call("VM.get_blocked_operations", vm) == {})
        self.plug(vm, vdi)
        self.ready(vm)
        self.end(vm)


if __name__ == "__main__":
    unittest.main()
