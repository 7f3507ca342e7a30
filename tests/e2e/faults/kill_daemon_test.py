"""F4: the daemon is killed with -9 at random times under parallel clients; afterwards store, DPU and clients agree.

VNVME_KILLS (10, at night 100), VNVME_CLIENTS (8) and VNVME_SEED change the run; the seed is printed.
"""
import os
import random
import sys
import threading
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
import truth
from stack import Stack, until

KILLS = int(os.environ.get("VNVME_KILLS", "100" if "VNVME_NIGHT" in os.environ else "10"))
CLIENTS = int(os.environ.get("VNVME_CLIENTS", "8"))
SEED = int(os.environ.get("VNVME_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
MiB = 1 << 20
MOST = 6  # volumes a client


class Known:
    """What a client was told about one of its volumes."""

    def __init__(self, answer, mark, writable=True):
        self.key, self.uri = answer["key"], answer["uri"][0]
        self.size, self.mark, self.writable = answer["virtual_size"], mark, writable
        self.keys, self.name = answer["keys"], answer["name"]
        self.domain = None  # who has it attached


class Client(threading.Thread):
    """Has its own volumes, VM and dom0 name, so what it was told must be true in the end."""

    def __init__(self, number, s, sr, ends):
        super().__init__(name=f"client {number}")
        self.random = random.Random(f"{SEED} {number}")
        self.s, self.sr, self.ends = s, sr, ends
        self.domid, self.vm = str(100 + number), str(uuid.UUID(int=self.random.getrandbits(128)))
        self.volumes, self.maybe_gone, self.maybe_made = {}, set(), 0
        self.answers, self.errors, self.broken = 0, [], None

    def run(self):
        try:
            while not self.ends.is_set():
                self.random.choice([self.create, self.create, self.snapshot, self.clone, self.destroy, self.resize,
                                    self.set, self.rename, self.attach, self.attach, self.detach])()
        except Exception as e:  # a thread's exception would be lost otherwise
            self.broken = e

    def call(self, method, **arguments):
        """None: refused; the answer else. A script that breaks its contract ends the test."""
        try:
            answer = self.s.volume.call(method, arguments)
        except broker.BackendError as e:
            self.errors.append(f"{method}: {e}")
            return None
        self.answers += 1
        return True if answer is None else answer

    def one(self, writable=None, attached=False):
        fit = [v for v in self.volumes.values()
               if (writable is None or v.writable == writable) and (v.domain is not None) == attached]
        return self.random.choice(fit) if fit else None

    def made(self, answer, mark, writable=True):
        if answer is None:
            self.maybe_made += 1
            return
        self.volumes[answer["key"]] = Known(answer, mark, writable)

    def create(self):
        if len(self.volumes) >= MOST:
            return self.destroy()
        mark = self.random.getrandbits(128).to_bytes(16, "big")
        answer = self.call("Volume.create", sr=self.sr, name="é" * self.random.randint(0, 60), description="",
                           size=self.random.randint(1, 32) * MiB, sharable=False)
        self.made(answer, mark)
        if answer is not None:
            self.s.write(answer["key"], 0, mark)
        return None

    def snapshot(self):
        v = self.one(writable=True)
        if v is not None and len(self.volumes) < MOST:
            self.made(self.call("Volume.snapshot", sr=self.sr, key=v.key), v.mark, writable=False)

    def clone(self):
        v = self.one()
        if v is not None and len(self.volumes) < MOST:
            self.made(self.call("Volume.clone", sr=self.sr, key=v.key), v.mark)

    def destroy(self):
        v = self.one()
        if v is None:
            return
        if self.call("Volume.destroy", sr=self.sr, key=v.key) is None:
            self.maybe_gone.add(v.key)
        del self.volumes[v.key]

    def resize(self):
        v = self.one(writable=True)
        if v is not None and self.call("Volume.resize", sr=self.sr, key=v.key, new_size=v.size + 5 * MiB):
            v.size += 5 * MiB

    def set(self):
        v = self.one()
        value = str(self.random.getrandbits(32))
        if v is not None and self.call("Volume.set", sr=self.sr, key=v.key, k="k", v=value):
            v.keys = {**v.keys, "k": value}
        elif v is not None:
            v.keys = None  # nobody knows

    def rename(self):
        v = self.one()
        name = f"renamed {self.random.getrandbits(32)}"
        if v is not None:
            v.name = name if self.call("Volume.set_name", sr=self.sr, key=v.key, new_name=name) else None

    def attach(self):
        v = self.one(writable=True)
        if v is None:
            return
        where = {"uri": v.uri, "domain": self.random.choice([self.domid, f"u0_{self.name.replace(' ', '_')}"])}
        if self.call("Datapath.attach", **where) is None or self.call("Datapath.activate", **where) is None:
            self.end(where)
        else:
            v.domain = where["domain"]

    def detach(self):
        v = self.one(attached=True)
        if v is not None:
            self.end({"uri": v.uri, "domain": v.domain})

    def end(self, where):
        """These two may not fail whatever happens. Mostly the VM is shut down, and all that it has goes; unplugging from a
        running one takes seconds without I/O, which kills cut short."""
        domain = where["domain"]
        shut = domain == self.domid and self.random.random() < 0.8
        ends = {where["uri"]} | {v.uri for v in self.volumes.values() if shut and v.domain == domain}
        if shut:
            self.s.end_vm(domain)
        for uri in sorted(ends):
            for method in ("Datapath.deactivate", "Datapath.detach"):
                self.s.volume.call(method, {"uri": uri, "domain": domain})
                self.answers += 1
        for v in self.volumes.values():
            if v.uri in ends and v.domain == domain:
                v.domain = None
        if shut:
            self.domid = str(int(domain) + CLIENTS)
            self.s.start_vm(self.domid, self.vm)


class KillDaemon(unittest.TestCase):
    def test_nothing_is_lost_and_nothing_is_left(self):
        print(f"seed {SEED}, {CLIENTS} clients, {KILLS} kills", flush=True)
        self.random = random.Random(SEED)
        with Stack(dpu_options=("--tick-ms", "4", "--vfs", "8")) as s:
            sr, _ = s.make_sr()
            ends = threading.Event()
            clients = [Client(n, s, sr, ends) for n in range(CLIENTS)]
            for c in clients:
                s.start_vm(c.domid, c.vm)
                s.cli("reserve", c.vm)
            begin = time.monotonic()
            for c in clients:
                c.start()
            try:
                self.kill(s, clients)
            finally:
                ends.set()
                for c in clients:
                    c.join(120)
            self.report(clients, time.monotonic() - begin)
            for c in clients:
                if c.broken is not None:
                    raise c.broken
            truth.agree(s)
            self.check(s, sr, clients)

    def kill(self, s, clients):
        """Between kills some calls get through; some kills come so early that they hit the recovery."""
        moment = threading.Event()
        for number in range(KILLS):
            if number % 4 != 3:
                goal = sum(c.answers for c in clients) + self.random.randint(1, 4 * len(clients))
                until("the clients get answers", lambda goal=goal: sum(c.answers for c in clients) >= goal
                      or any(c.broken for c in clients), 120)
            moment.wait(self.random.uniform(0, 0.05))
            s.kill_daemon()
            s.start_daemon(wait=number % 4 != 2)
        until("vnvmed answers", s._daemon_answers)

    def report(self, clients, seconds):
        errors = [e for c in clients for e in c.errors]
        print(f"{sum(c.answers for c in clients)} answers, {len(errors)} refusals, {seconds:.1f} s", flush=True)
        for e in sorted(errors)[:20]:
            print("  " + e)

    def check(self, s, sr, clients):
        listed = {v["key"]: v for v in s.volume.call("SR.ls", {"sr": sr})}
        told = {key: v for c in clients for key, v in c.volumes.items()}
        lost = set(told) - set(listed)
        self.assertFalse(lost, "volumes that clients were told of are gone")
        extra = set(listed) - set(told) - {k for c in clients for k in c.maybe_gone}
        self.assertLessEqual(len(extra), sum(c.maybe_made for c in clients), f"volumes of nobody: {extra}")
        for key, v in told.items():
            self.assertGreaterEqual(listed[key]["virtual_size"], v.size, key)
            self.assertEqual(listed[key]["read_write"], v.writable)
            if v.keys is not None:
                self.assertEqual(listed[key]["keys"], v.keys)
            if v.name is not None:
                self.assertEqual(listed[key]["name"], v.name)
            self.assertEqual(s.read(key, 0, 16), v.mark, f"the bytes of {key}")
        attached = {(a["volume"], d) for a in s.admin("attachments") for d in a["domains"]}
        self.assertEqual(attached, {(v.key, v.domain) for v in told.values() if v.domain is not None})


if __name__ == "__main__":
    unittest.main()
