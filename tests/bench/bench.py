#!/usr/bin/env python3
"""`./run bench`: what vnvme costs, as ratios within one run, so that a slow machine does not matter.

    bench.py [--volumes 10000] [--turns 400] [--only frontend|hook|create|daemon|toolstack]

It informs: the exit code is 0 also when a goal is missed. docs/performance.md explains the figures.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "parts"))
import place  # noqa: F401,E402  (first: it makes the rest importable)
import create  # noqa: E402
import daemon  # noqa: E402
import frontend  # noqa: E402
import hook  # noqa: E402
import toolstack  # noqa: E402
from report import Report  # noqa: E402
from stack import Stack  # noqa: E402

# Room for 10,000 volumes: every lvol takes a metadata page, and a store has one a cluster.
DRIVES = ("name=Nvme0n1,size=1TiB,serial=S0001,model=SIMULATED-NVME",)
PYTHON = """
A storage plugin in Python costs 28 to 50 times the CPU of a static true (measured on XCP-ng's own plugins), because
each call starts an interpreter and imports its libraries. To compare with yours: run
    perf stat -r 20 sh -c 'echo "{...}" | /path/to/Volume.stat --json'
for its script and for the one of vnvme, with the same request; "task-clock" is the CPU of one call."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=10000)
    parser.add_argument("--turns", type=int, default=400, help="plugin calls; a quarter as many creates")
    parser.add_argument("--only", choices=("frontend", "hook", "create", "daemon", "toolstack"))
    parser.add_argument("--vms", type=int, default=200, help="started at once, at most 240; as many one by one")
    options = parser.parse_args()
    report = Report()
    if options.only in (None, "frontend"):
        report.progress("plugin calls")
        frontend.measure(report, options.turns)
    if options.only in (None, "hook"):
        report.progress("the vm-pre-start hook")
        hook.measure(report, options.turns)
    if options.only in (None, "create"):
        report.progress("Volume.create")
        with Stack(drives=DRIVES, dpu_options=("--tick-ms", "4")) as stack:
            create.measure(report, stack, stack.make_sr()[0], max(5, options.turns // 4))
    if options.only in (None, "daemon"):
        with Stack(drives=DRIVES) as stack:
            sizes = [max(1, options.volumes // 10), max(2, options.volumes // 2), options.volumes]
            daemon.measure(report, stack, stack.make_sr()[0], sizes)
    if options.only in (None, "toolstack"):
        toolstack.measure(report, options.vms, options.vms)
    report.table()
    print(PYTHON)


if __name__ == "__main__":
    main()
