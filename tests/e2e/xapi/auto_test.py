"""Nobody reserves anything by hand: the daemon follows XAPI (toolstack xapi), and VMs find their drives.

Fake XAPI, real scripts, real daemon, simulated DPU. Beside the ends, what must hold at each moment is checked by the
fake: a domain is given no function that another one has.
"""
import os
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "simulator", "support"))
import truth
from stack import until
from xapi_stack import XapiStack

STARTS = int(os.environ.get("VNVME_STARTS", "10"))
TOGETHER = int(os.environ.get("VNVME_TOGETHER", "6"))


class Auto(unittest.TestCase):
    def setUp(self):
        self.s = XapiStack()
        self.s.__enter__()
        self.addCleanup(self.s.stop)
        self.world, self.api, self.fake = self.s.world, self.s.api, self.s.fake
        for name in ("call", "uuid", "disk", "plug", "machine", "pci", "ready", "exposed", "xapi_restarts"):
            setattr(self, name, getattr(self.s, name))

    def end(self, *vms):
        """Shuts down and destroys; then nothing may be left anywhere."""
        disks = set()
        for vm in vms:
            if self.call("VM.get_power_state", vm) == "Running":
                self.call("VM.clean_shutdown", vm)
            disks |= self.s.disks(vm)
            self.call("VM.destroy", vm)
        for disk in disks:
            self.call("VDI.destroy", disk)
        until("no function is reserved", lambda: not self.s.reserved())
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

    def test_many_start_at_once(self):
        vms = [self.machine(f"vm{n}", disks=2) for n in range(TOGETHER)]
        for vm in vms:
            self.ready(vm)
        self.assertEqual(len({self.pci(vm) for vm in vms}), TOGETHER, "two VMs have the same function")
        failed = []

        def start(vm):
            try:
                self.call("VM.start", vm, False, False)
            except Exception as e:  # told below
                failed.append(e)
        threads = [threading.Thread(target=start, args=(vm,)) for vm in vms]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual(failed, [])
        self.assertEqual(self.exposed(), 2 * TOGETHER)
        self.end(*vms)

    def test_spares_wait_for_the_next_vm(self):
        def spares():
            return {f["bdf"] for f in self.s.admin("functions") if f["spare"]}
        waiting = until("two spares are ready", lambda: len(spares()) == 2 and spares())
        vm = self.machine()
        self.assertIn(self.ready(vm).split("/")[1], waiting)
        until("there are two again", lambda: len(spares()) == 2)
        self.call("VM.start", vm, False, False)
        self.s.kill_daemon()
        self.s.kill_dpu()
        self.s.start_dpu()
        self.s.start_daemon()
        until("they are back", lambda: len(spares()) == 2 and self.exposed() == 1)
        self.end(vm)

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

    def test_a_full_card_is_told_once(self):
        """The DPU's own error says how long it took, so no two are the same."""
        self.s.stop()
        self.s = XapiStack(dpu_options=("--vfs", "2", "--hotplug", "0"))
        self.s.__enter__()
        self.addCleanup(self.s.stop)
        first, second = self.s.machine("first"), self.s.machine("second")
        until("one has the function", lambda: self.s.pci(first) or self.s.pci(second))
        vm = second if self.s.pci(first) else first

        def tries():
            return self.s.dpu("sim_dump")["counters"]["calls"].get("nvme_function_create", 0)
        before = tries()
        until("it was tried again and again", lambda: tries() > before + 4, 60)
        told = [e["text"] for e in self.s.admin("events", max=1000)["events"] if "no function could" in e["text"]]
        self.assertEqual(len(told), 1, told)
        self.assertIn(self.s.uuid("VM", vm), told[0])

    def test_spares_give_way_to_dom0(self):
        """SR.create looks at the drive through dom0's function, which a card that is full of spares has to make."""
        class Patient(XapiStack):
            def make_xapi_sr(self, *arguments, **options):
                until("the card is full of spares", lambda: sum(f["spare"] for f in self.admin("functions")) == 2)
                return super().make_xapi_sr(*arguments, **options)
        with Patient(dpu_options=("--vfs", "2", "--hotplug", "0")) as s:
            self.assertEqual(sum(f["spare"] for f in s.admin("functions")), 1)

    def test_the_last_vbd_takes_the_function_with_it(self):
        vm = self.machine()
        self.ready(vm)
        vbd, = self.call("VM.get_VBDs", vm)
        vdi = self.call("VBD.get_VDI", vbd)
        self.call("VBD.destroy", vbd)
        until("the list is empty", lambda: self.pci(vm) == "")
        until("the function is free", lambda: not self.s.reserved(vm))
        until("nothing is blocked", lambda: self.call("VM.get_blocked_operations", vm) == {})
        self.plug(vm, vdi)
        self.ready(vm)
        self.end(vm)


if __name__ == "__main__":
    unittest.main()
