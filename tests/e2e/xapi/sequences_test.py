"""The fake XAPI's life of a VM makes, call for call, the plugin calls that a real xenopsd made.

Of disks that xenopsd handles at the same time only the order within each disk is compared: between them it is chance.
"""
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
import broker
import xapi_objects as objects
from xapi_api import Api
from xapi_db import NULL, XapiError

DATA = os.path.join(HERE, "..", "..", "data", "xenopsd")


def recorded(name, first=0, last=None):
    """[(method, domain, volume)], domains counted from 1 in the order of their first call."""
    out, domains = [], {}
    with open(os.path.join(DATA, name + ".jsonl"), encoding="utf-8") as lines:
        for line in lines:
            call = json.loads(line)
            stdin = call["stdin"]
            domain = stdin.get("domain")
            volume = stdin.get("key") or stdin["uri"].rsplit("/", 1)[1]
            if domain is not None:
                domain = domains.setdefault(domain, len(domains) + 1)
            out.append((call["method"], domain, volume))
    return out[first:last]


class Plugin:
    """Stands for the broker: every call succeeds, save those that a test forbids."""

    def __init__(self):
        self.calls, self.fails = [], set()

    def call(self, method, arguments):
        volume = arguments.get("key") or arguments.get("uri", "/").rsplit("/", 1)[1]
        if method != "Plugin.Query":
            self.calls.append((method, arguments.get("domain"), volume))
        if method in self.fails:
            raise broker.BackendError("SR_BACKEND_FAILURE", ["Test_failure", method], {})
        if method == "Plugin.Query":
            return {"features": ["VDI_ACTIVATE_READONLY"]}
        if method == "Volume.stat":
            return {"uri": ["recdp://sr1/" + volume]}
        if method == "Datapath.attach":
            return {"implementations": [["XenDisk", {"params": "", "extra": {}, "backend_type": "9pfs"}],
                                        ["File", {"path": "/marker"}]]}
        return None

    def take(self):
        """The calls since the last time, domains counted from 1 in the order of their first call."""
        out, domains = [], {}
        for method, domain, volume in self.calls:
            if domain is not None:
                domain = domains.setdefault(domain, len(domains) + 1)
            out.append((method, domain, volume))
        self.calls = []
        return out


class Sequences(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.api = Api()
        self.plugin = self.api.brokers["rec"] = Plugin()
        self.api.storage.attached["sr1"] = "sr1"
        self.sr = self.api.db.add("SR", objects.sr(uuid="sr1", type="rec"))
        self.session = self.api.login()
        self.vm = self.call("VM.create", {"name_label": "vm"})

    def call(self, method, *params):
        return self.api.call(method, [self.session, *params])

    def disk(self, volume, mode="RW"):
        vdi = self.api.db.add("VDI", objects.vdi(SR=self.sr, location=volume))
        number = 4 + len(self.api.db.get("VM", self.vm)["VBDs"])
        return self.call("VBD.create", {"VM": self.vm, "VDI": vdi, "userdevice": str(number), "mode": mode})

    def same(self, wanted, parallel=False):
        made = self.plugin.take()
        if not parallel:
            self.assertEqual(made, wanted)
            return
        for volume in {v for _, _, v in wanted} | {v for _, _, v in made}:
            self.assertEqual([c for c in made if c[2] == volume], [c for c in wanted if c[2] == volume])

    def test_start_unplug_and_hard_shutdown(self):
        vbd = self.disk("vol2")
        self.call("VM.start", self.vm, False, False)
        self.call("VBD.unplug", vbd)
        self.call("VM.hard_shutdown", self.vm)
        self.same(recorded("start-unplug-after-birth-hard-shutdown"))

    def test_clean_shutdown(self):
        self.disk("vol1")
        self.call("VM.start", self.vm, False, False)
        self.plugin.take()
        self.call("VM.clean_shutdown", self.vm)
        self.same(recorded("clean-shutdown"))

    def test_reboot_gets_a_new_domain(self):
        self.disk("vol1")
        self.call("VM.start", self.vm, False, False)
        self.plugin.take()
        before = self.call("VM.get_domid", self.vm)
        self.call("VM.clean_reboot", self.vm)
        self.same(recorded("reboot"))
        self.assertNotEqual(self.call("VM.get_domid", self.vm), before)

    def test_a_guest_that_crashes(self):
        self.disk("vol1")
        self.call("VM.start", self.vm, False, False)
        self.api.vms.crash(self.vm)
        self.same(recorded("run-l3-start-then-guest-crash"))

    def test_two_disks_in_split_mode_release_twice(self):
        self.api.xenops.split = True
        self.disk("vol1")
        self.disk("vol6")
        self.call("VM.start", self.vm, False, False)
        self.call("VM.clean_shutdown", self.vm)
        self.same(recorded("start-shutdown-two-vbds-split-mode"), parallel=True)

    def test_unplug_plug_hot_add_forced_unplug(self):
        first = self.disk("vol1")
        self.call("VM.start", self.vm, False, False)
        self.plugin.take()
        self.call("VBD.unplug", first)
        self.call("VBD.plug", first)
        second = self.disk("vol5")
        self.call("VBD.plug", second)
        self.call("VBD.unplug_force", second)
        self.same(recorded("unplug-plug-hotadd-forceunplug"))

    def test_failures(self):
        """attach fails; activate fails; detach fails at an unplug and again at the shutdown; deactivate likewise."""
        vbd = self.disk("vol2")
        self.plugin.fails = {"Datapath.attach"}
        with self.assertRaises(XapiError) as caught:
            self.call("VM.start", self.vm, False, False)
        self.assertEqual(caught.exception.as_list(), ["SR_BACKEND_FAILURE", "Test_failure", "Datapath.attach"])
        self.assertEqual(self.call("VM.get_power_state", self.vm), "Halted")
        self.plugin.fails = {"Datapath.activate"}
        with self.assertRaises(XapiError):
            self.call("VM.start", self.vm, False, False)
        for failing in ("Datapath.detach", "Datapath.deactivate"):
            self.plugin.fails = set()
            self.call("VM.start", self.vm, False, False)
            self.plugin.fails = {failing}
            self.call("VBD.unplug", vbd)
            self.call("VM.hard_shutdown", self.vm)
        self.assertFalse(self.call("VBD.get_currently_attached", vbd))
        self.same(recorded("failures"))

    def test_read_only_disks_come_last_and_are_activated_read_only(self):
        self.disk("vol1", "RO")
        self.disk("vol2", "RW")
        self.call("VM.start", self.vm, False, False)
        self.assertEqual([c[::2] for c in self.plugin.take()], [
            ("Volume.stat", "vol2"), ("Volume.stat", "vol2"), ("Datapath.attach", "vol2"), ("Volume.stat", "vol2"),
            ("Datapath.activate", "vol2"), ("Volume.stat", "vol1"), ("Volume.stat", "vol1"),
            ("Datapath.attach", "vol1"), ("Volume.stat", "vol1"), ("Datapath.activate_readonly", "vol1")])

    def test_the_trap_of_the_low_numbers_is_seen(self):
        vdi = self.api.db.add("VDI", objects.vdi(SR=self.sr, location="vol1"))
        vbd = self.call("VBD.create", {"VM": self.vm, "VDI": vdi, "userdevice": "autodetect"})
        self.assertEqual(self.call("VBD.get_userdevice", vbd), "0")
        self.call("VM.start", self.vm, False, False)
        self.assertEqual(self.api.trapped, [vbd])
        self.assertNotEqual(self.call("VM.get_resident_on", self.vm), NULL)


if __name__ == "__main__":
    unittest.main()
