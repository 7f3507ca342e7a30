"""Every line that XAPI was recorded to send, against the whole stack instead of a daemon in memory, for both types."""
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "frontend"))
import replay
import truth
from stack import SCRIPTS, Stack

VMS = {7: "3f0c4d8e-0f6b-4c55-9d1e-7a7f5a1b2c3d", 8: "b4b7a1b0-8d25-4c37-9a52-0a4f3ff4f8aa"}  # its domains
# A VM's read-only disk over a writable volume: a passed-through function cannot do that, so it is refused.
REFUSED = ("Datapath.activate_readonly",)
# What comes after a snapshot that the raw type cannot make has nothing to be about.
WITHOUT_SNAPSHOTS = ("Volume.set", "Volume.stat", "Datapath.attach") + REFUSED


class Replay(replay.Replay):
    """The recorded session left disks attached that a plugin without data did not mind: they are ended before
    the next call that needs them free, and its volumes are destroyed before its SR."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.attached_disks = []

    def line(self, call):
        method = os.path.basename(call["argv"][0])
        if method in ("Volume.revert", "Volume.destroy", "SR.destroy"):
            for where in self.attached_disks:
                self.broker.call("Datapath.deactivate", where)
                self.broker.call("Datapath.detach", where)
            self.attached_disks.clear()
        if method == "SR.destroy":
            for volume in self.broker.call("SR.ls", {"sr": self.sr}):
                self.broker.call("Volume.destroy", {"sr": self.sr, "key": volume["key"]})
        if method == "Datapath.attach":
            arguments = self.substitute(method, json.loads(call["stdin"]))
            self.attached_disks.append({"uri": arguments["uri"], "domain": arguments["domain"]})
        return super().line(call)


class Recorded(unittest.TestCase):
    def replayed(self, sr_type, may_fail):
        with Stack() as s:
            for domid, vm in VMS.items():
                s.start_vm(domid, vm)
                s.cli("reserve", vm)
            run = Replay(SCRIPTS, s.sockets["smapi.sock"], {"dpu": "dpu0", "drives": "S0001"}, sr_type, may_fail)
            run.run()
            truth.agree(s)
            self.assertEqual(s.admin("volumes"), [])
            self.assertEqual(s.admin("attachments"), [])
        self.assertEqual(run.problems, [])
        return run.counts

    def test_vnvme(self):
        self.assertEqual(self.replayed("vnvme", REFUSED), {"result": 104, "error": 4, "missing": 9})

    def test_vnvme_raw(self):
        counts = self.replayed("vnvme-raw", WITHOUT_SNAPSHOTS)
        self.assertEqual(sum(counts.values()), 117)
        self.assertGreater(counts["result"], 80)


if __name__ == "__main__":
    unittest.main(verbosity=2)
