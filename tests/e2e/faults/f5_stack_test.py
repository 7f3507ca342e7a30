"""F5 through the whole stack: each thing that a DPU can do wrong, in each request on the way of a create, a reservation
and an attach.

What must hold is decided beforehand (must_work): an answer that says the same in another form, or late, is as good as
any; a change that was done counts as done although its answer got lost, because it is looked for; a refusal stands.
After each case the same call works, and in the end store and DPU agree. The DPU is never restarted to help.
"""
import os
import sys
import threading
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
import truth
from stack import Stack, until

MiB = 1 << 20
HARMLESS = ({"action": "late", "delay_ms": 1500}, {"action": "twice"}, {"action": "two_in_one"},
            {"action": "byte_by_byte"}, {"action": "strings_for_numbers"}, {"action": "extra_fields"})
REFUSED = ({"action": "error", "code": -32603, "message": "Input/output error"},)
NOT_DONE = ({"action": "drop_before"},)
# The DPU did it; its answer is no answer.
UNREAD = ({"action": "drop_after"}, {"action": "never"}, {"action": "wrong_id"}, {"action": "half_frame"},
          {"action": "garbage"}, {"action": "bad_utf8"}, {"action": "huge"}, {"action": "deep"})
ACTIONS = HARMLESS + REFUSED + NOT_DONE + UNREAD
DEADLINE = 60
HEALED = 30


class Path(threading.Thread):
    """One request of one call, on a stack of its own, because most of the time is waiting for deadlines."""

    def __init__(self, rpc, needs=None):
        super().__init__(name=f"{type(self).__name__} {rpc}", daemon=True)
        self.rpc, self.needs, self.problems, self.cases, self.seconds, self.s = rpc, needs, [], 0, {}, None

    def run(self):
        try:
            with Stack(dpu_options=("--vfs", "30")) as s:
                self.s = s
                self.sr, _ = s.make_sr()
                self.prepare()
                for fault in ACTIONS + (({"action": "missing_field", "field": self.needs},) if self.needs else ()):
                    self.one(fault)
                truth.agree(s, 120)
        except Exception as e:  # pylint: disable=broad-except  # a thread's exception would be lost otherwise
            self.problems.append(f"{type(e).__name__}: {e}\n{self.s.tail('vnvmed.log', 1500) if self.s else ''}")

    def one(self, fault):
        begin, name = time.monotonic(), fault["action"]
        hits = self.s.dpu("sim_dump")["counters"]["faults_hit"]
        what = self.before()
        self.s.dpu("sim_fault_add", {"method": self.rpc, "nth": 1, **fault})
        why = self.attempt(name, what)
        self.s.dpu("sim_fault_clear")
        if self.s.dpu("sim_dump")["counters"]["faults_hit"] == hits:
            self.problems.append(f"{name}: this fault was never met")
        if (why is None) != self.must_work(fault):
            self.problems.append(f"{name}: {'it worked' if why is None else why}")
        if why is not None:
            self.heal(name, what)
        self.after(what)
        self.cases += 1
        self.seconds[name] = time.monotonic() - begin

    def heal(self, name, what):
        """Without the fault the same call works, as soon as there is a session again."""
        end, why = time.monotonic() + HEALED, "it was not tried"
        while why is not None and time.monotonic() < end:
            why = self.attempt(name, what)
        if why is not None:
            self.problems.append(f"{name}: still not after {HEALED} s without any fault: {why}")

    def attempt(self, name, what):
        """None: it worked; the words of the refusal else."""
        begin = time.monotonic()
        try:
            self.act(what)
            why = None
        except (broker.BackendError, RuntimeError) as e:
            words = e.params[-2] if isinstance(e, broker.BackendError) and len(e.params) > 1 else str(e)
            why = words or "an error without words"
            if not words:
                self.problems.append(f"{name}: {why}")
        if time.monotonic() - begin > DEADLINE:
            self.problems.append(f"{name}: it took {time.monotonic() - begin:.0f} s")
        return why

    def call(self, method, **arguments):
        return self.s.volume.call(method, arguments)

    def volume(self):
        return self.call("Volume.create", sr=self.sr, name="v", description="", size=8 * MiB, sharable=False)

    def prepare(self):
        pass

    def before(self):
        return None

    def after(self, what):
        pass


class Create(Path):
    CHANGE = "bdev_lvol_create"

    def must_work(self, fault):
        # The reads are the look at what became of the change: they are repeated until they say something.
        return fault in HARMLESS or fault in UNREAD or self.rpc != self.CHANGE

    def before(self):
        self.told = None
        return {v["key"] for v in self.call("SR.ls", sr=self.sr)}

    def act(self, _):
        self.told = self.volume()["key"]

    def after(self, before):
        made = {v["key"] for v in self.call("SR.ls", sr=self.sr)} - before
        if made != {self.told}:
            self.problems.append(f"answered {self.told}, listed {made}")


class Attach(Path):
    """A guest's. Its function was reserved before."""
    CHANGES = ("nvme_namespace_create", "nvme_controller_attach_ns")

    def prepare(self):
        self.vm, self.domid = str(uuid.uuid4()), 0
        self.s.cli("reserve", self.vm)
        self.uri = self.volume()["uri"][0]

    def must_work(self, fault):
        if self.rpc == self.CHANGES[0]:
            return fault not in REFUSED  # nothing was done before: the DPU's no is the answer
        # After the first step the goal is half reached: it is looked at again, and finished.
        return fault in HARMLESS or self.rpc == self.CHANGES[1]

    def before(self):
        self.domid += 1
        self.s.start_vm(self.domid, self.vm)
        return {"uri": self.uri, "domain": str(self.domid)}

    def act(self, where):
        self.call("Datapath.attach", **where)
        self.call("Datapath.activate", **where)

    def after(self, where):
        there = truth.differences(self.s)
        if there:
            self.problems.append(f"while attached: {there}")
        self.s.end_vm(where["domain"])
        for method in ("Datapath.deactivate", "Datapath.detach"):
            self.call(method, **where)
        self.s.settle()


class AttachDom0(Attach):
    def before(self):
        return {"uri": self.uri, "domain": "u0_f5"}


class Reserve(Path):
    """A function for a VM: subsystem, controller, and it appears on the host."""

    def must_work(self, fault):
        # What an unreadable answer of a step did is seen in the list. After a lost one it is the caller who asks again.
        return fault in HARMLESS or fault["action"] == "bad_utf8"

    def before(self):
        return str(uuid.uuid4())

    def act(self, vm):
        self.s.cli("reserve", vm)

    def after(self, vm):
        self.s.cli("unreserve", vm)


PATHS = (lambda: Create("bdev_lvol_create"), lambda: Create("bdev_get_bdevs", "num_blocks"),
         lambda: Create("bdev_lvol_get_lvstores", "uuid"),
         lambda: Attach("emulation_function_list", "vuid"), lambda: Attach("nvme_subsystem_list", "nqn"),
         lambda: Attach("nvme_namespace_create"), lambda: Attach("nvme_controller_attach_ns"),
         lambda: AttachDom0("nvme_namespace_create"), lambda: AttachDom0("nvme_controller_attach_ns"),
         lambda: Reserve("nvme_subsystem_create"), lambda: Reserve("nvme_controller_create"),
         lambda: Reserve("nvme_controller_resume"))


class F5(unittest.TestCase):
    def test_every_action_in_every_request(self):
        begin = time.monotonic()
        only = os.environ.get("VNVME_ONLY", "")
        workers = [w for w in (path() for path in PATHS) if only in w.name]
        for w in workers:
            w.start()
        for w in workers:
            w.join(500)
        for w in workers:
            slow = {name: round(t, 1) for name, t in w.seconds.items() if t > 5}
            print(f"{w.name}: {w.cases} faults in {sum(w.seconds.values()):.0f} s, the slow ones {slow}", flush=True)
        print(f"{sum(w.cases for w in workers)} cases in {time.monotonic() - begin:.0f} s", flush=True)
        problems = [f"{w.name}: {p}" for w in workers for p in w.problems]
        if problems:
            self.fail("\n".join(problems))
        self.assertEqual(sum(w.cases for w in workers), sum(len(ACTIONS) + bool(w.needs) for w in workers))


if __name__ == "__main__":
    unittest.main(verbosity=2)
