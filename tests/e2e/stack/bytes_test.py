"""No volume ever shows a byte that its owner did not write: volumes come and go on a small drive, so that each takes
over the clusters of those before it, and every one is read whenever it changes.

VNVME_STEPS (1,000 in each of the two tests) and VNVME_SEED change the run; the seed is printed.
"""
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from stack import Stack  # noqa: E402

STEPS = int(os.environ.get("VNVME_STEPS", "1000"))
SEED = int(os.environ.get("VNVME_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
MARK = 4096           # bytes at the start of a cluster that are written and read
MOST = 6              # volumes at a time
NOTHING = bytes(MARK)


class Disk:
    """What a volume must hold: a mark a cluster, or zeroes."""

    def __init__(self, answer, marks, source=None):
        self.key, self.marks, self.source = answer["key"], marks, source
        self.writable = source is None  # a snapshot of `source` else


class Bytes(unittest.TestCase):
    def lead(self, **configuration):
        with Stack(drives=("name=Nvme0n1,size=1GiB,serial=S0001",)) as s:
            self.s, self.random, self.count = s, random.Random(SEED), {}
            self.sr, _ = s.make_sr(**configuration)
            self.cluster = s.dpu("bdev_lvol_get_lvstores")[0]["cluster_size"]
            self.disks, self.clusters = [], 0
            begin = time.monotonic()
            for step in range(STEPS):
                choices = [self.write, self.write, self.destroy]
                if len(self.disks) < MOST:
                    choices += [self.create] * 3
                    if not configuration.get("provisioning"):
                        choices += [self.snapshot, self.clone]
                choices += [self.grow]
                if any(d.source in self.disks for d in self.disks):
                    choices += [self.revert]
                if step % 50 == 0:
                    choices = [self.crash]
                action = self.random.choice(choices)
                if not self.disks:
                    action = self.create
                changed = action()
                name = action.__name__
                self.count[name] = self.count.get(name, 0) + 1
                for disk in changed:
                    self.check(disk, f"seed {SEED}, step {step}, {name}")
            for disk in self.disks:
                self.check(disk, f"seed {SEED}, in the end")
            s.settle()
            print(f"{STEPS} steps {self.count}, {self.clusters} clusters read, {time.monotonic() - begin:.0f} s ", end="",
                  file=sys.stderr)
        self.assertGreater(self.count["destroy"], STEPS // 20)
        self.assertGreater(self.count["create"], STEPS // 20)

    def check(self, disk, where):
        for at, mark in enumerate(disk.marks):
            seen = self.s.read(disk.key, at * self.cluster, MARK)
            self.assertEqual(seen[:32], (mark or NOTHING)[:32], f"{where}: cluster {at} of {disk.key}")
            self.assertEqual(seen, mark or NOTHING, where)
            self.clusters += 1

    def call(self, method, **arguments):
        return self.s.volume.call(method, {"sr": self.sr, **arguments})

    def mark(self):
        return self.random.randbytes(32) * (MARK // 32)

    def create(self):
        size = self.random.randint(1, 5)
        answer = self.call("Volume.create", name="d", description="", size=size * self.cluster, sharable=False)
        self.disks.append(Disk(answer, [None] * size))
        return self.disks[-1:]

    def write(self):
        disk = self.random.choice(self.disks)
        if disk.writable:
            at = self.random.randrange(len(disk.marks))
            disk.marks[at] = self.mark()
            self.s.write(disk.key, at * self.cluster, disk.marks[at])
        return [disk]

    def grow(self):
        disk = self.random.choice(self.disks)
        if disk.writable and len(disk.marks) < 8:
            disk.marks = disk.marks + [None] * self.random.randint(1, 2)
            self.call("Volume.resize", key=disk.key, new_size=len(disk.marks) * self.cluster)
        return [disk]

    def snapshot(self):
        disk = self.random.choice(self.disks)
        if disk.writable:
            answer = self.call("Volume.snapshot", key=disk.key)
            self.disks.append(Disk(answer, list(disk.marks), source=disk))
        return [disk, self.disks[-1]]

    def clone(self):
        disk = self.random.choice(self.disks)
        self.disks.append(Disk(self.call("Volume.clone", key=disk.key), list(disk.marks)))
        return [disk, self.disks[-1]]

    def revert(self):
        old = self.random.choice([d for d in self.disks if d.source in self.disks])
        self.call("Volume.revert", snapshot=old.key, key=old.source.key)
        self.s.settle()  # until then the former storage has the volume's name
        old.source.marks = old.marks + [None] * (len(old.source.marks) - len(old.marks))
        return [old, old.source]

    def crash(self):
        self.s.kill_daemon()
        self.s.start_daemon()
        return self.disks

    def destroy(self):
        disk = self.disks.pop(self.random.randrange(len(self.disks)))
        self.call("Volume.destroy", key=disk.key)
        return [self.random.choice(self.disks)] if self.disks else []

    def test_thin(self):
        self.lead()

    def test_thick(self):
        self.lead(provisioning="thick")

    def test_the_eye_is_sharp(self):
        """Where nothing is erased, on purpose, old bytes must be seen."""
        with self.assertRaises(AssertionError) as seen:
            self.lead(provisioning="thick", wipe="none")
        self.assertIn("cluster", str(seen.exception))


if __name__ == "__main__":
    print(f"seed {SEED}", file=sys.stderr)
    unittest.main(verbosity=2)
