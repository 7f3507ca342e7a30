"""The whole life of life_steps.py once as it should be, and once more, shorter, with a trouble drawn at each call.

VNVME_SEED repeats the second. The night runs the whole table under each trouble alone: whole_night_test.py.
"""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import life_steps
import xapi_trouble
from life_steps import Life
from xapi_stack import XapiStack

DRIVES = tuple(f"name=Nvme{n}n1,size=16GiB,serial=S000{n + 1},model=SIMULATED-NVME" for n in range(3))
SEED = int(os.environ.get("VNVME_SEED", "0")) or int.from_bytes(os.urandom(4), "big")


class Whole(unittest.TestCase):
    keys = False  # what people see in XAPI is compared after each step

    def lead(self, trouble, only=None):
        begin = time.monotonic()
        with XapiStack(gate=True, drives=DRIVES, dpu_options=("--vfs", "10")) as s:
            life = Life(s, trouble)
            try:
                steps = life_steps.lead(life, only, self.keys)
            except Exception:
                print(f"seed {SEED}; the daemon's log:\n" + s.tail("vnvmed.log", 6000), file=sys.stderr)
                raise
            finally:
                trouble.end()
            messages = sorted({r["name"] for r in s.call("message.get_all_records").values()})
            swallowed = s.api.swallowed
        print(f"{trouble.name}: {steps} steps, {life.calls} calls, trouble {trouble.hits} times, {life.late} starts "
              f"before the list was there, {life.again} held by the gate; {time.monotonic() - begin:.0f} s", flush=True)
        return life, messages, swallowed

    def test_as_it_should_be(self):
        life, messages, swallowed = self.lead(xapi_trouble.Trouble())
        self.assertEqual(messages, [], "nothing happened that people must know")
        self.assertEqual(swallowed, [], "something failed in a release")
        self.assertEqual(life.again, 0)

    def test_with_a_trouble_at_each_call(self):
        trouble = xapi_trouble.Mixed(SEED)
        print(f"seed {SEED}", flush=True)
        self.lead(trouble, life_steps.SHORT)
        self.assertGreater(trouble.hits, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
