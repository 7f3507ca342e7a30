"""F2 and F3 with real processes: vnvmed dies of kill -9 at every message that it exchanges in a call, and comes back.

Afterwards the call has got its answer (the front-end asks again with the same id), store and DPU say the same, no
intent is open, nothing is left behind, and everything that a client was ever told is true, bytes included (C1 to C4).

VNVME_CASES (160; 0: all) is how many of the cases run, chosen by VNVME_SEED; VNVME_TWICE (20; 0: all) is how many
are killed a second time, inside their recovery. VNVME_WORKERS (10; 4 under sanitizers, for a call has its deadline) stacks run them. VNVME_ONLY names one scenario.
"""
import os
import queue
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker
import crash_scenarios
import truth
from crash_proxy import CrashPoints, DpuRelay, SmapiRelay
from stack import SCRIPTS, Stack, until

CASES = int(os.environ.get("VNVME_CASES", "160"))
TWICE = int(os.environ.get("VNVME_TWICE", "20"))
WORKERS = int(os.environ.get("VNVME_WORKERS", "4" if "VNVME_SLOW" in os.environ else "10"))
ONLY = os.environ.get("VNVME_ONLY", "")
SEED = int(os.environ.get("VNVME_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
RECOVERY = 30  # requests of a recovery among which the second kill is chosen


class Caller(threading.Thread):
    def __init__(self, w, method, arguments):
        super().__init__(daemon=True)
        self.w, self.method, self.arguments = w, method, arguments
        self.answer = self.error = None
        self.start()

    def run(self):
        try:
            self.answer = self.w.s.volume.call(self.method, self.arguments)
        except Exception as e:  # pylint: disable=broad-except  # a thread's exception would be lost otherwise
            self.error = e


class Bench:
    """A stack with relays, and a world in it."""

    def __init__(self):
        self.s = Stack(dpu_options=("--vfs", "8"))
        for name in ("relay-dpu.sock", "relay-smapi.sock"):
            self.s.sockets[name] = os.path.join(self.s.directory, name)
        self.s.extra = {"dpus": [{"name": "dpu0", "uri": "unix:" + self.s.sockets["relay-dpu.sock"]}]}
        self.points = CrashPoints(lambda: self.s.daemon.kill())
        self.relays = [DpuRelay(self.s.sockets["relay-dpu.sock"], self.s.sockets["dpu.sock"], self.points),
                       SmapiRelay(self.s.sockets["relay-smapi.sock"], self.s.sockets["smapi.sock"], self.points)]
        env = dict(os.environ, VNVME_SMAPI_SOCKET=self.s.sockets["relay-smapi.sock"])
        self.s.volume = broker.Broker(SCRIPTS, "vnvme", env=env)
        self.s.start_dpu()
        self.s.start_daemon()
        self.w = crash_scenarios.World(self.s, *self.s.make_sr())
        self.s.cli("reserve", crash_scenarios.VM)

    def close(self):
        self.s.stop()
        for relay in self.relays:
            relay.close()

    def restart(self, second):
        """The daemon is dead. Answers when it was started again, and again after the second point."""
        self.s.daemon.wait()
        self.points.arm(second)
        self.s.start_daemon(wait=False)
        if second is None:
            return
        until("the recovery is over, or was killed", lambda: self.points.fired.is_set() or self.quiet(), 60)
        if self.points.disarm():
            self.restart(None)

    def quiet(self):
        try:
            s = self.s.admin("status")
        except (OSError, ValueError):
            return False
        return s["ready"] and not s["intents"] and not s["queue"] and not s["trash"] and self.w.over()

    def run(self, scenario, point, second=None):
        """Answers (what passed, seconds from the restart until all agreed; None: the point was not met)."""
        self.w.over = lambda: True
        case = scenario(self.w)
        method, arguments = next(case)
        self.s.settle()
        self.points.arm(point)
        caller = Caller(self.w, method, arguments)
        until("the point, or the end", lambda: self.points.fired.is_set()
              or (not caller.is_alive() and self.quiet()), 120)
        fired = self.points.disarm()
        passed = list(self.points.requests), dict(self.points.frames)
        begin = time.monotonic()
        if fired:
            self.restart(second)
        caller.join(130)
        if caller.error is not None:
            raise caller.error
        truth.agree(self.s, 60)
        seconds = time.monotonic() - begin
        mid = self.resume(lambda: case.send(caller.answer))
        self.look()
        if mid:
            self.resume(lambda: next(case))
            truth.agree(self.s, 60)
            self.look()
        return passed, seconds if fired else None

    @staticmethod
    def resume(step):
        try:
            step()
        except StopIteration:
            return False
        return True

    def look(self):
        problems = self.w.problems()
        assert not problems, "; ".join(problems)


class Worker(threading.Thread):
    def __init__(self, jobs, done):
        super().__init__(daemon=True)
        self.jobs, self.done = jobs, done

    def run(self):
        bench = None
        while True:
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                break
            try:
                bench = bench or Bench()
                self.done.append((job, *bench.run(*job), None))
            except Exception as e:  # pylint: disable=broad-except
                log = bench.s.tail("vnvmed.log", 3000) if bench else ""
                self.done.append((job, None, None, f"{type(e).__name__}: {e}\n{log}"))
                if bench:
                    bench.close()  # what a failed case left is no ground for the next
                bench = None
        if bench:
            bench.close()


def work(jobs):
    waiting, done = queue.Queue(), []
    for job in jobs:
        waiting.put(job)
    workers = [Worker(waiting, done) for _ in range(min(WORKERS, len(jobs)))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return done


def name(job):
    return f"{job[0].__name__} killed at {job[1]}" + (f", then at {job[2]}" if job[2] else "")


class F2(unittest.TestCase):
    cases = []

    @classmethod
    def setUpClass(cls):
        """Each call once without a kill: that is where its points come from."""
        scenarios = [s for s in crash_scenarios.SCENARIOS if ONLY in ("", s.__name__)]
        sunny = work([(s, None, None) for s in scenarios])
        failed = [f"{name(job)}: {e}" for job, _, _, e in sunny if e]
        if failed:
            raise AssertionError("\n".join(failed))
        requests = 0
        for (scenario, _, _), (passed, kinds), _, _ in sunny:
            requests += len(passed)
            cls.cases += [(scenario, ("dpu", n, side)) for n in range(len(passed)) for side in ("before", "after")]
            cls.cases += [(scenario, ("smapi", kind, n + 1)) for kind, count in kinds.items() for n in range(count)]
        print(f"seed {SEED}: {len(scenarios)} calls, {requests} requests to the DPU, {len(cls.cases)} points, "
              f"{WORKERS} stacks", flush=True)

    def test_killed_at_every_point(self):
        self.kill(CASES, lambda rand: None)

    def test_killed_again_inside_the_recovery(self):
        self.kill(TWICE, lambda rand: ("dpu", rand.randrange(RECOVERY), rand.choice(("before", "after"))))

    def kill(self, most, second):
        begin, rand = time.monotonic(), random.Random(SEED)
        chosen = [(*case, second(rand)) for case in rand.sample(self.cases, len(self.cases))][:most or None]
        done = work(chosen)
        met = [seconds for _, _, seconds, _ in done if seconds is not None]
        print(f"{len(chosen)} cases, {len(met)} met; from restart to agreement at most {max(met, default=0):.1f} s, on "
              f"average {sum(met) / max(1, len(met)):.1f} s; {time.monotonic() - begin:.0f} s in all", flush=True)
        failed = [f"{name(job)}: {e}" for job, _, _, e in done if e]
        if failed:
            self.fail(f"seed {SEED}, {len(failed)} failed:\n" + "\n".join(failed))
        self.assertEqual(len(done), len(chosen))
        self.assertGreaterEqual(len(met), len(chosen) * 9 // 10, "points that were not met prove nothing")


if __name__ == "__main__":
    unittest.main(verbosity=2)
