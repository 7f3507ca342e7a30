"""F9 with real processes: the disk under the state folder is full. The kernel refuses every write of vnvmed to a file
(a limit on file sizes, set from outside while it runs), as it would on a full disk.

Calls that must record something are refused in clear words and start nothing on the DPU (C1); reads go on; releases
never fail (R3); nothing is lost; and when there is room again it heals by itself.
"""
import os
import resource
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
import truth
from stack import Stack, until

MiB = 1 << 20
CHANGES = ("bdev_lvol_create", "bdev_lvol_snapshot", "bdev_lvol_clone", "bdev_lvol_resize", "bdev_lvol_delete",
           "bdev_lvol_rename", "bdev_lvol_create_lvstore", "nvme_namespace_create", "nvme_controller_attach_ns")


class DiskFull(unittest.TestCase):
    def setUp(self):
        # The limit's signal would end the process; a full disk sends none.
        self.s = Stack(daemon_ignores=("SIGXFSZ",))
        self.addCleanup(self.s.stop)
        self.s.start_dpu()
        self.s.start_daemon()
        self.sr, self.pbd = self.s.make_sr()
        self.volume, self.other = self.create(), self.create()
        self.snapshot = self.call("Volume.snapshot", sr=self.sr, key=self.volume["key"])
        self.where = {"uri": self.volume["uri"][0], "domain": "u0_full"}
        self.call("Datapath.attach", **self.where)
        self.call("Datapath.activate", **self.where)
        self.s.settle()
        self.before = self.listed()

    def call(self, method, **arguments):
        return self.s.volume.call(method, arguments)

    def create(self):
        return self.call("Volume.create", sr=self.sr, name="v", description="", size=8 * MiB, sharable=False)

    def listed(self):
        return {v["key"]: v for v in self.call("SR.ls", sr=self.sr)}

    def full(self, yes):
        resource.prlimit(self.s.daemon.pid, resource.RLIMIT_FSIZE,
                         (0 if yes else resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def changes(self):
        calls = self.s.dpu("sim_dump")["counters"]["calls"]
        return {name: calls.get(name, 0) for name in CHANGES}

    def writes(self):
        """Every call that must record something, as (method, arguments)."""
        sr, key = self.sr, self.volume["key"]
        new = {"name": "n", "description": "", "size": 8 * MiB, "sharable": False}
        return (("Volume.create", {"sr": sr, **new}), ("Volume.snapshot", {"sr": sr, "key": key}),
                ("Volume.clone", {"sr": sr, "key": self.snapshot["key"]}),
                ("Volume.resize", {"sr": sr, "key": key, "new_size": 64 * MiB}),
                ("Volume.destroy", {"sr": sr, "key": self.snapshot["key"]}),
                ("Volume.set_name", {"sr": sr, "key": key, "new_name": "x"}),
                ("Volume.set_description", {"sr": sr, "key": key, "new_description": "x"}),
                ("Volume.set", {"sr": sr, "key": key, "k": "a", "v": "b"}),
                ("SR.set_name", {"sr": sr, "new_name": "x"}),
                ("Datapath.attach", {"uri": self.other["uri"][0], "domain": "u0_full"}))

    def test_writes_are_refused_and_start_nothing_and_reads_go_on(self):
        self.full(True)
        changes = self.changes()
        for method, arguments in self.writes():
            with self.subTest(method):
                with self.assertRaises(broker.BackendError) as caught:
                    self.call(method, **arguments)
                words = " ".join(caught.exception.params)
                self.assertIn("state", words, "it says what could not be written")
        self.assertEqual(self.changes(), changes, "no effect may begin before its intent is durable")
        self.assertEqual(self.listed(), self.before)
        self.assertEqual(self.call("SR.stat", sr=self.sr)["health"][0], "Healthy")
        self.assertEqual(self.call("Volume.stat", sr=self.sr, key=self.volume["key"])["key"], self.volume["key"])
        self.full(False)
        for method, arguments in self.writes():
            self.call(method, **arguments)
        truth.agree(self.s)

    def test_a_release_never_fails_and_is_done_when_there_is_room(self):
        self.full(True)
        for method in ("Datapath.deactivate", "Datapath.detach"):
            self.call(method, **self.where)
        self.full(False)
        until("it is released", lambda: not self.s.admin("attachments"), 60)
        truth.agree(self.s)
        self.assertEqual(self.listed(), self.before)

    def test_killed_while_it_is_full_nothing_is_lost(self):
        self.full(True)
        for method, arguments in self.writes():
            with self.assertRaises(broker.BackendError):
                self.call(method, **arguments)
        self.s.kill_daemon()
        self.s.start_daemon()
        truth.agree(self.s)
        self.assertEqual(self.listed(), self.before)
        self.create()


if __name__ == "__main__":
    unittest.main(verbosity=2)
