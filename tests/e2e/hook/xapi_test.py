"""The gate where it stands: a fake XAPI starts VMs in xenopsd's order, the real daemon writes what the hook reads.

xenopsd's database is laid out as its source and a recording say; the hook is installed by plugins/install-hooks.sh.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from stack import until  # noqa: E402
from xapi_db import XapiError  # noqa: E402
from xapi_stack import XapiStack  # noqa: E402

STRANGER, AWAITED, LACKING = "3", "4", "5"


class Gate(unittest.TestCase):
    def setUp(self):
        self.s = XapiStack(gate=True)
        self.s.__enter__()
        self.addCleanup(self.s.stop)
        self.file, self.world, self.api = self.s.reservations_file, self.s.world, self.s.api
        self.call, self.pci, self.start = self.s.call, self.s.pci, self.s.start

    def uuid(self, vm):
        return self.s.uuid("VM", vm)

    def vm(self, name="vm", pci=None):
        vm = self.call("VM.create", {"name_label": name})
        if pci is not None:
            self.call("VM.add_to_other_config", vm, "pci", pci)
        return vm

    def ready(self, name="vm"):
        vm = self.s.machine(name)
        self.s.ready(vm)
        return vm

    def held(self, vm, code, *words):
        """VM.start fails in the gate, before anything was done for the VM."""
        scripts = len(self.api.scripts)
        with self.assertRaises(XapiError) as caught:
            self.start(vm)
        self.assertEqual(caught.exception.code, "XAPI_HOOK_FAILED")
        script, reason, text, got = caught.exception.params
        self.assertEqual((script, reason, got), ("vm-pre-start/vnvme-vm-pre-start", "none", code), text)
        for word in (self.uuid(vm), *words):
            self.assertIn(word, text)
        self.assertEqual(len(self.api.scripts), scripts, "no script was called")
        self.assertEqual(self.call("VM.get_power_state", vm), "Halted")

    def hook(self, vm):
        """The gate alone, for the VM's list as it is pushed now."""
        self.api.xenops.push(vm)
        try:
            self.api.hooks.run("vm-pre-start", self.uuid(vm), env=self.api.env)
        except XapiError as e:
            return e.params[3]
        self.assertEqual(self.api.hooks.ran[-1][3], 0)
        return "0"

    def rows(self):
        with open(self.file, encoding="ascii") as text:
            return text.read().splitlines()

    # ---- lives

    def test_vms_of_ours_start_as_soon_as_their_list_is_written_and_reboot(self):
        vms = [self.ready(f"vm{n}") for n in range(4)]  # started in the moment in which each list is there
        for vm in vms:
            self.start(vm)
            self.call("VM.clean_reboot", vm)
        self.assertEqual({r[3] for r in self.api.hooks.ran}, {0})
        self.assertEqual(len(self.api.hooks.ran), 8)
        self.assertEqual(len({self.pci(vm) for vm in vms}), 4)
        for vm in vms:
            bdf = self.pci(vm).split("/")[1]
            self.assertTrue(any(r.startswith(f"function {bdf} {self.uuid(vm)} ") for r in self.rows()))

    def test_a_live_function_survives_a_stranger_while_the_daemon_is_down(self):
        vm = self.ready()
        mine = self.pci(vm)
        self.start(vm)
        bdf = mine.split("/")[1]
        before = self.world.resets(bdf)
        self.s.kill_daemon()
        stranger = self.vm("stranger", pci="0/0000:01:00.0,1/" + bdf)
        self.held(stranger, STRANGER, bdf, self.uuid(vm), "would be reset")
        self.assertEqual(self.world.resets(bdf), before)
        self.assertIn([bdf], list(self.world.assigned.values()))
        # The daemon takes it out; then nothing holds the VM.
        self.s.start_daemon()
        until("the list is clean", lambda: self.pci(stranger) == "0/0000:01:00.0")
        self.assertEqual(self.hook(stranger), "0")

    def test_a_list_that_lost_its_function_while_the_daemon_was_down(self):
        vm = self.ready()
        self.s.kill_daemon()
        self.call("VM.remove_from_other_config", vm, "pci")
        self.held(vm, LACKING, "start it again")
        self.s.start_daemon()
        until("the list is whole", lambda: self.pci(vm))
        self.start(vm)

    def test_vms_without_functions_of_ours_never_notice(self):
        vm = self.ready()
        plain = self.vm("plain")
        os.makedirs(self.world.device("0000:01:00.0"))
        foreign = self.vm("foreign", pci="0/0000:01:00.0")
        self.s.kill_daemon()
        with open(self.file, "rb") as text:
            whole = text.read()
        for content in (whole, whole[:-1], b"", b"\0" * 9, whole + b"x", None):
            if content is None:
                os.remove(self.file)
            else:
                with open(self.file, "wb") as out:
                    out.write(content)
            for one in (plain, foreign):
                self.start(one)
                self.call("VM.hard_shutdown", one)
            self.assertEqual(self.hook(vm), "0")
        self.s.start_daemon()
        self.assertTrue(self.rows()[-1].startswith("end "))

    def test_the_last_volume_goes_and_the_vm_starts_without_its_function(self):
        vm = self.ready()
        vbd, = self.call("VM.get_VBDs", vm)
        self.call("VBD.destroy", vbd)
        until("the reservation is gone", lambda: self.uuid(vm) not in "\n".join(self.rows()))
        until("the list is empty", lambda: not self.pci(vm))
        self.start(vm)

    def test_a_dpu_that_is_late_after_a_reboot_of_the_host(self):
        vm = self.ready()
        bdf = self.pci(vm).split("/")[1]
        self.s.kill_daemon()
        self.s.kill_dpu()
        os.remove(os.path.join(self.world.host, "proc/sys/kernel/random/boot_id"))
        self.s.start_daemon(wait=False)
        until("the daemon is up", lambda: f"awaited {self.uuid(vm)} unseen" in "\n".join(self.rows()))
        self.held(vm, AWAITED, "has not shown its functions since this host booted", "vnvme dpu")
        self.start(self.vm("plain"))
        self.s.start_dpu()
        until("the address is known again", lambda: self.hook(vm) == "0")
        self.assertTrue(any(r.startswith(f"function {bdf} {self.uuid(vm)} ") for r in self.rows()))
        until("the daemon serves", lambda: not self.s.admin("status")["intents"])
        self.start(vm)

    def test_a_restarted_daemon_knows_addresses_though_the_dpu_is_down(self):
        vm = self.ready()
        self.s.kill_daemon()
        self.s.kill_dpu()
        before = self.rows()
        self.s.start_daemon(wait=False)
        until("the daemon is up", lambda: os.path.exists(self.s.sockets["admin.sock"]) and self.answers())
        self.assertEqual(self.rows(), before)
        self.assertEqual(self.hook(vm), "0")
        self.assertEqual(self.hook(self.vm("stranger", pci=self.pci(vm))), STRANGER)

    def answers(self):
        try:
            return self.s.admin("status")
        except OSError:
            return None


if __name__ == "__main__":
    unittest.main()
