"""F5 through the whole stack: each thing that a DPU can do wrong, in each call of a create and an attach.

The plugin ends before its deadline with the answer or a complete error, and afterwards store and DPU agree.
"""
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
ACTIONS = ({"action": "error", "code": -32603, "message": "Input/output error"}, {"action": "drop_before"},
           {"action": "drop_after"}, {"action": "never"}, {"action": "late", "delay_ms": 1500}, {"action": "twice"},
           {"action": "two_in_one"}, {"action": "wrong_id"}, {"action": "half_frame"}, {"action": "byte_by_byte"},
           {"action": "garbage"}, {"action": "bad_utf8"}, {"action": "huge"}, {"action": "deep"},
           {"action": "strings_for_numbers"}, {"action": "extra_fields"})
METHODS = ("bdev_lvol_create", "bdev_get_bdevs", "emulation_function_list", "nvme_subsystem_list",
           "nvme_namespace_create", "nvme_controller_attach_ns")
CHANGES = ("bdev_lvol_create", "nvme_namespace_create", "nvme_controller_attach_ns")
DEADLINE = 60


class OneMethod(threading.Thread):
    """A stack of its own, because most of the time is waiting for deadlines."""

    def __init__(self, rpc):
        super().__init__(name=rpc)
        self.rpc, self.problems, self.cases, self.seconds = rpc, [], 0, {}

    def run(self):
        try:
            with Stack() as s:
                sr, _ = s.make_sr()
                for fault in ACTIONS:
                    self.one(s, sr, fault)
                truth.agree(s, 120)
        except Exception as e:  # a thread's exception would be lost otherwise
            self.problems.append(f"{type(e).__name__}: {e}")

    def one(self, s, sr, fault):
        begin = time.monotonic()
        hits = s.dpu("sim_dump")["counters"]["faults_hit"]
        before = {v["key"] for v in self.listed(s, sr)}
        s.dpu("sim_fault_add", {"method": self.rpc, "nth": 1, **fault})
        name = fault["action"]
        volume = self.bounded(s, name, "Volume.create", {"sr": sr, "name": name, "description": "", "size": 8 * MiB,
                                                         "sharable": False})
        if volume is not None:
            where = {"uri": volume["uri"][0], "domain": "u0_f5"}
            self.bounded(s, name, "Datapath.attach", where)
            for method in ("Datapath.deactivate", "Datapath.detach"):
                s.volume.call(method, where)
        s.dpu("sim_fault_clear")
        met = s.dpu("sim_dump")["counters"]["faults_hit"] != hits
        if name in ("never", "wrong_id") and self.rpc in CHANGES:
            # A change that is never answered holds its lane until the session ends, as the real target would
            # crash on overlapping ones.
            s.kill_dpu()
            s.start_dpu()
        if not met:
            self.problems.append(f"{name}: this fault was never met")
        made = {v["key"] for v in self.listed(s, sr)} - before
        told = {volume["key"]} if volume else set()
        if made != told:
            self.problems.append(f"{name}: answered {told}, listed {made}")
        self.cases += 1
        self.seconds[name] = time.monotonic() - begin

    def listed(self, s, sr):
        """A listing may meet the fault's end; it is asked until it is answered."""
        found = []

        def ls():
            try:
                found[:] = [s.volume.call("SR.ls", {"sr": sr})]
            except broker.BackendError:
                return False
            return True
        until("SR.ls is answered", ls, 60)
        return found[0]

    def bounded(self, s, name, method, arguments):
        begin = time.monotonic()
        try:
            answer = s.volume.call(method, arguments)
        except broker.BackendError as e:
            answer = None
            if not e.params or not any(e.params) or "\n" in e.params[-1]:
                self.problems.append(f"{name}: {method}: an error without words: {e}")
        if time.monotonic() - begin > DEADLINE:
            self.problems.append(f"{name}: {method} took {time.monotonic() - begin:.0f} s")
        return answer


class F5(unittest.TestCase):
    def test_every_action_in_every_call(self):
        workers = [OneMethod(rpc) for rpc in METHODS]
        for w in workers:
            w.start()
        for w in workers:
            w.join(280)
        for w in workers:
            slow = {name: round(t, 1) for name, t in w.seconds.items() if t > 5}
            print(f"{w.rpc}: {w.cases} faults in {sum(w.seconds.values()):.0f} s, the slow ones {slow}", flush=True)
        self.assertEqual([f"{w.rpc}: {p}" for w in workers for p in w.problems], [])
        self.assertEqual(sum(w.cases for w in workers), len(METHODS) * len(ACTIONS))


if __name__ == "__main__":
    unittest.main(verbosity=2)
