"""Volume.create by the real script, against what it cannot do without: a process, the DPU's RPCs, fsyncs.

The simulated DPU answers only every 4 ms, as SPDK does. Turn by turn: one Volume.create from fork to exit; then its
parts in the order in which it has them: one static true, an append as long as a commit's and its fsync, in the same
folder, the RPCs that it was seen to send, one after another over one connection, and the other fsyncs. So what else
disk and machine do hits both alike: also how long ago the disk's journal was last emptied, which an fsync pays for.
"""
import os
import statistics
import sqlite3
import time

import children
from calls import Rpc
from frontend import TRUE
from process import Fsyncs

import broker

SIZE = 1 << 30
COUNTED = 20  # creates that are counted and not timed


class Creates:
    def __init__(self, stack, sr):
        self.stack, self.sr, self.made = stack, sr, 0
        self.script = stack.volume.script("Volume.create")

    def one(self):
        self.made += 1
        request = broker.request_bytes("Volume.create", {
            "sr": self.sr, "name": f"bench {self.made}", "description": "", "size": SIZE, "sharable": False}, "bench")
        seconds, _, _ = children.run([self.script, "--json"], self.stack.volume.env, request)
        return seconds


def _rpcs(stack):
    calls = stack.dpu("sim_dump")["counters"]["calls"]
    return {m: n for m, n in calls.items() if not m.startswith("sim_")}


def _commits(stack):
    db = sqlite3.connect(f"file:{stack.directory}/state.db?mode=ro", uri=True, timeout=10)
    try:
        return db.execute("SELECT commits FROM store_meta").fetchone()[0]
    finally:
        db.close()


def _wal_bytes(stack):
    return os.path.getsize(os.path.join(stack.directory, "state.db-wal"))


def count(stack, creates):
    """RPCs a create by method; commits, fsyncs (nothing without strace) and WAL bytes a commit."""
    creates.one()
    rpcs, commits, wal = _rpcs(stack), _commits(stack), _wal_bytes(stack)
    with Fsyncs(stack.daemon.pid, stack.directory) as syncs:
        for _ in range(COUNTED):
            creates.one()
    commits, wal = _commits(stack) - commits, _wal_bytes(stack) - wal
    rpcs = {m: (n - rpcs.get(m, 0)) / COUNTED for m, n in _rpcs(stack).items() if n != rpcs.get(m, 0)}
    fsyncs = syncs.by_file().get("state.db-wal", 0) / COUNTED if syncs.available else None
    return rpcs, commits / COUNTED, fsyncs, max(4096, wal // max(1, commits))


def _timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


class Reference:
    """The parts of a create, each measured by itself."""

    def __init__(self, stack, rpcs, fsyncs, size):
        self.rpc, self.store = Rpc(stack.sockets["dpu.sock"]), stack.dpu("bdev_lvol_get_lvstores")[0]
        self.methods = [m for m, n in rpcs.items() for _ in range(round(n))]
        # The order of a create: it is made first, then looked at.
        self.methods.sort(key=lambda m: m != "bdev_lvol_create")
        self.fsyncs, self.block = fsyncs, b"\0" * size
        self.file = os.open(os.path.join(stack.directory, "append"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self.made = 0

    def process(self):
        children.run([TRUE], {}, b"")

    def send(self):
        self.made += 1
        name = f"reference-{self.made}"
        params = {"bdev_lvol_create": {"uuid": self.store["uuid"], "lvol_name": name, "size_in_mib": SIZE >> 20,
                                       "thin_provision": True},
                  "bdev_get_bdevs": {"name": f"{self.store['name']}/{name}"},
                  "bdev_lvol_get_lvols": {"lvs_name": self.store["name"]}}
        for method in self.methods:
            self.rpc.call(method, params.get(method))

    def sync(self, times):
        for _ in range(times):
            os.write(self.file, self.block)
            os.fdatasync(self.file)

    def once(self):
        """Seconds of each part."""
        first = min(1, self.fsyncs)
        process, before = _timed(self.process), _timed(lambda: self.sync(first))
        rpcs, after = _timed(self.send), _timed(lambda: self.sync(self.fsyncs - first))
        return {"process": process, "rpcs": rpcs, "fsyncs": before + after}

    def close(self):
        os.close(self.file)
        self.rpc.close()


def measure(report, stack, sr, turns):
    creates = Creates(stack, sr)
    rpcs, commits, fsyncs, size = count(stack, creates)
    n = round(fsyncs if fsyncs is not None else commits)
    listed = ", ".join(f"{k:g} x {m}" for m, k in sorted(rpcs.items()))
    reference = Reference(stack, rpcs, n, size)
    seen = {"create": [], "parts": [], "process": [], "rpcs": [], "fsyncs": []}
    try:
        for turn in range(turns + 2):
            one = {"create": creates.one(), **reference.once()}
            one["parts"] = one["process"] + one["rpcs"] + one["fsyncs"]
            for what, seconds in one.items():
                if turn >= 2:
                    seen[what].append(seconds * 1000)
    finally:
        reference.close()
    ms = {k: statistics.median(v) for k, v in seen.items()}
    report.goal("Volume.create / its parts, time", ms["create"] / ms["parts"], 1.3, "",
                f"{ms['create']:.1f} ms / {ms['parts']:.1f} ms (fork+exec {ms['process']:.1f}, RPCs {ms['rpcs']:.1f}, {n} "
                f"fsyncs {ms['fsyncs']:.1f}); medians of {turns}")
    report.goal("fsyncs a Volume.create", fsyncs if fsyncs is not None else commits, 3, "",
                f"of the write-ahead log, by {'strace' if fsyncs is not None else 'commits (no strace here)'}; "
                f"{commits:g} commits of {size} bytes")
    report.note("RPCs a Volume.create", sum(rpcs.values()), "", listed)
