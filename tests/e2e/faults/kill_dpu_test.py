"""F6: the DPU dies and comes back, between and during calls; is slow; is not there when the daemon starts."""
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
import truth
from stack import Stack, until

MiB = 1 << 20
VM = "3f0c4d8e-0f6b-4c55-9d1e-7a7f5a1b2c3d"
DRIVES = tuple(f"name=Nvme{n}n1,size=8GiB,serial=S{n}" for n in range(3))


class KillDpu(unittest.TestCase):
    def setUp(self):
        self.s = Stack(drives=DRIVES)
        self.addCleanup(self.s.stop)
        self.s.start_dpu()
        self.s.start_daemon()

    def call(self, method, **arguments):
        return self.s.volume.call(method, arguments)

    def create(self, sr, name="disk"):
        return self.call("Volume.create", sr=sr, name=name, description="", size=64 * MiB, sharable=False)

    def refused(self, method, **arguments):
        with self.assertRaises(broker.BackendError) as caught:
            self.call(method, **arguments)
        return " ".join(caught.exception.params)

    def start_daemon_alone(self):
        """It answers although its DPU does not; `ready` would wait for that."""
        self.s.start_daemon(wait=False)
        until("the daemon answers", self.answers)

    def answers(self):
        try:
            return self.s.admin("status")
        except OSError:
            return None

    def seen(self, up):
        until("the daemon knows", lambda: self.s.admin("status")["dpus"][0]["ready"] == up)

    def test_srs_raid_exposures_and_bytes_come_back(self):
        sr, _ = self.s.make_sr(drives="S0")
        mirror, _ = self.s.make_sr(drives="S1,S2", raid="raid1")
        plain, mirrored = self.create(sr), self.create(mirror)
        self.s.start_vm(5, VM)
        self.s.cli("reserve", VM)
        users = [{"uri": plain["uri"][0], "domain": "5"}, {"uri": mirrored["uri"][0], "domain": "u0_x"}]
        for where in users:
            self.call("Datapath.attach", **where)
            self.call("Datapath.activate", **where)
        for volume in (plain, mirrored):
            self.s.write(volume["key"], 0, b"still here")
        before = {(e["bdev"], e["nsid"], e["uuid"], e["vuid"]) for e in self.s.dpu("sim_dump")["snap"]["exposures"]}
        self.assertEqual(len(before), 2)
        for _ in range(3):
            self.s.kill_dpu()
            self.s.start_dpu()
            until("the exposures are back", lambda: before == {
                (e["bdev"], e["nsid"], e["uuid"], e["vuid"]) for e in self.s.dpu("sim_dump")["snap"]["exposures"]})
        truth.agree(self.s)
        for volume, of in ((plain, sr), (mirrored, mirror)):
            self.assertEqual(self.s.read(volume["key"], 0, 10), b"still here")
            self.assertEqual([v["key"] for v in self.call("SR.ls", sr=of)], [volume["key"]])
            self.assertEqual(self.call("SR.stat", sr=of)["health"][0], "Healthy")
        for where in users:
            self.call("Datapath.attach", **where)
            self.call("Datapath.deactivate", **where)
            self.call("Datapath.detach", **where)
        truth.agree(self.s)

    def test_while_it_is_away(self):
        sr, pbd = self.s.make_sr(drives="S0")
        volume = self.create(sr)
        where = {"uri": volume["uri"][0], "domain": "u0_x"}
        self.call("Datapath.attach", **where)
        self.s.kill_dpu()
        self.seen(False)
        for restart in (False, True):
            if restart:
                self.s.kill_daemon()
                self.start_daemon_alone()
            begin = time.monotonic()
            self.assertEqual(self.call("SR.attach", configuration=pbd), sr)
            self.assertLess(time.monotonic() - begin, 1, "SR.attach waits for nobody")
            stat = self.call("SR.stat", sr=sr)
            self.assertEqual(stat["health"][0], "Unreachable")
            self.assertIn("dpu.sock", stat["health"][1])
            self.assertGreater(stat["total_space"], 0, "the last known size")
            self.assertEqual(self.call("Volume.stat", sr=sr, key=volume["key"])["virtual_size"], 64 * MiB)
        self.call("Datapath.deactivate", **where)
        self.call("Datapath.detach", **where)
        other = self.create_late(sr)
        self.s.start_dpu()
        other.join(60)
        self.assertEqual(len(self.late), 1, "a create that waited for the DPU is answered when it is back")
        truth.agree(self.s)
        self.assertEqual(len(self.call("SR.ls", sr=sr)), 2)
        self.assertEqual(self.s.dpu("sim_dump")["snap"]["exposures"], [])

    def create_late(self, sr):
        self.late = []
        thread = threading.Thread(target=lambda: self.late.append(self.create(sr, "late")))
        thread.start()
        return thread

    def test_a_listing_is_an_error_and_never_empty(self):
        sr, _ = self.s.make_sr(drives="S0")
        self.create(sr)
        self.s.kill_dpu()
        with self.assertRaises(broker.BackendError) as caught:  # after its whole deadline, a minute
            self.call("SR.ls", sr=sr)
        self.assertIn("dpu.sock", " ".join(caught.exception.params))

    def test_killed_in_the_middle_of_each_kind_of_change(self):
        sr, _ = self.s.make_sr(drives="S0")
        base = self.create(sr, "base")
        self.s.write(base["key"], 0, b"base")
        of = {"sr": sr, "key": base["key"]}
        snapshot = self.call("Volume.snapshot", **of)
        cases = [("bdev_lvol_create", "Volume.create", {"sr": sr, "name": "x", "description": "", "size": 8 * MiB,
                                                        "sharable": False}),
                 ("bdev_lvol_snapshot", "Volume.snapshot", of),
                 ("bdev_lvol_clone", "Volume.clone", {"sr": sr, "key": snapshot["key"]}),
                 ("bdev_lvol_resize", "Volume.resize", {**of, "new_size": 128 * MiB}),
                 ("bdev_lvol_clone", "Volume.revert", {"sr": sr, "key": base["key"], "snapshot": snapshot["key"]}),
                 ("nvme_controller_attach_ns", "Datapath.attach", {"uri": base["uri"][0], "domain": "u0_x"})]
        for action in ("kill_before", "kill_after"):
            for rpc, method, arguments in cases:
                with self.subTest(action=action, method=method):
                    self.one_kill(action, rpc, method, arguments)
                    truth.agree(self.s)
                    until("a reverted volume's storage has its name", lambda: self.s.bdev_of(base["key"]))
                    self.assertEqual(self.s.read(base["key"], 0, 4), b"base")
                    if method == "Datapath.attach":
                        self.call("Datapath.detach", **arguments)

    def one_kill(self, action, rpc, method, arguments):
        self.s.dpu("sim_fault_add", {"method": rpc, "action": action})
        before = {v["key"] for v in self.call("SR.ls", sr=arguments["sr"])} if "sr" in arguments else set()
        told = []

        def call():
            try:
                told.append(self.call(method, **arguments))
            except broker.BackendError as e:
                told.append(e)
        thread = threading.Thread(target=call)
        thread.start()
        until("the DPU died of it", lambda: self.s.dpu_process.poll() is not None or not thread.is_alive())
        self.assertEqual(self.s.dpu_process.wait(30), 137, told)
        self.s.start_dpu()
        thread.join(70)
        self.assertEqual(len(told), 1)
        if "sr" not in arguments:
            return
        made = {v["key"] for v in self.call("SR.ls", sr=arguments["sr"])} - before
        answered = {told[0]["key"]} if isinstance(told[0], dict) else set()
        self.assertEqual(made, answered, "what was answered is there, and nothing else")

    def test_the_daemon_starts_first(self):
        sr, _ = self.s.make_sr(drives="S0")
        volume = self.create(sr)
        self.s.kill_daemon()
        self.s.kill_dpu()
        self.start_daemon_alone()
        self.assertFalse(self.s.admin("status")["dpus"][0]["ready"])
        self.s.start_dpu()
        self.seen(True)
        self.assertEqual([v["key"] for v in self.call("SR.ls", sr=sr)], [volume["key"]])

    def test_a_slow_dpu_makes_others_wait_and_says_who_holds_it(self):
        sr, _ = self.s.make_sr(drives="S0")
        other, _ = self.s.make_sr(drives="S1")
        volume = self.create(sr)
        self.s.dpu("sim_latency", {"method": "bdev_lvol_create", "ms": 3000})
        made = []
        callers = [threading.Thread(target=lambda: made.append(self.create(sr))) for _ in range(3)]
        for c in callers:
            c.start()
        until("one of them holds the lane", lambda: "create of volume" in str(self.s.admin("status")["busy"]))
        begin = time.monotonic()
        self.call("Volume.stat", sr=sr, key=volume["key"])
        self.call("SR.ls", sr=sr)
        self.call("Volume.snapshot", sr=other, key=self.call_other(other)["key"])
        self.assertLess(time.monotonic() - begin, 2.9 * 3, "reads and other pools do not queue behind it")
        self.s.dpu("sim_latency", {"method": "bdev_lvol_create", "ms": 0})
        for c in callers:
            c.join(60)
        self.assertEqual(len({v["key"] for v in made}), 3)
        truth.agree(self.s)

    def call_other(self, sr):
        self.s.dpu("sim_latency", {"method": "bdev_lvol_create", "ms": 0})
        return self.create(sr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
