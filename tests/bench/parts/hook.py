"""The vm-pre-start hook, which runs for every VM that starts: as a ratio to starting a static `true`, turn by turn,
with as many functions as four cards of 512 have."""
import os
import statistics
import sys
import tempfile

import place
import children

sys.path.insert(0, os.path.join(place.SOURCE, "tests/support"))
from xenopsd_db import XenopsdDb  # noqa: E402

HOOK = os.path.join(place.BIN, "vnvme-vm-pre-start")
TRUE = os.path.join(place.BIN, "static-true")
VM = "aaaaaaaa-0000-4000-8000-000000000001"
FUNCTIONS, WARM = 2048, 10


def lay_out(root):
    def put(name, text):
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "w", encoding="ascii") as out:
            out.write(text)
    put("proc/sys/kernel/random/boot_id", "boot\n")
    rows = [f"function {n >> 16:04x}:{n >> 8 & 255:02x}:{n >> 3 & 31:02x}.{n & 7} {VM if n == 1000 else '-'} "
            f"tcp:192.168.100.2:5260 MT2328XZ17DFNVMES0D0F0VF{n}" for n in range(FUNCTIONS)]
    put("run/vnvme/reservations", "\n".join(["vnvme-reservations 1", "boot boot", *rows, f"end {len(rows)}", ""]))
    XenopsdDb(root).push(VM, ["0000:03:1d.0"])  # 1000


def measure(report, turns):
    with tempfile.TemporaryDirectory(prefix="vnvme-") as root:
        lay_out(root)
        env = {"PATH": "/usr/bin:/bin", "VNVME_GATE_ROOT": root}
        programs = {"true": [TRUE], "hook": [HOOK, "-vmuuid", VM, "-reason", "none"]}
        took = {n: [] for n in programs}
        for turn in range(turns + WARM):
            for name, argv in programs.items():
                _, seconds, _ = children.run(argv, env, b"", lambda out: out == b"")
                if turn >= WARM:
                    took[name].append(seconds)
    median = {n: statistics.median(v) * 1e3 for n, v in took.items()}
    report.goal(f"the vm-pre-start hook, {FUNCTIONS} functions, CPU", median["hook"], 20, " ms",
                f"{median['hook'] / median['true']:.1f} times a static true; median of {turns}")
