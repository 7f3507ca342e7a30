#!/usr/bin/env python3
"""The lab: Xen, dom0 and VMs for real, in an emulated server; vnvmed's package in dom0; the simulator as the card.

  lab.py [SCENARIO...]     runs all scenarios, or those named; a line for each
  lab.py --list            what there is
  lab.py --shell           a prompt in dom0 with vnvme running

VNVME_BIN has the static vnvme-dpusim, VNVME_PACKAGES the deb, VNVME_LAB a folder for images (kept) and logs.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from card import Card  # noqa: E402
from dom0 import Dom0, make_state_disk, pack_programs  # noqa: E402
from machine import LabError, Machine  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


class Lab:
    """One server and one card."""

    def __init__(self, folder, image, package, program):
        self.folder, self.image = folder, image
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.programs, self.state = folder + "/programs.tar", folder + "/state.img"
        pack_programs(package, self.programs)
        make_state_disk(self.state)
        self.card = Card(folder + "/card", program)
        self.machine = self.dom0 = None
        self.boots = 0
        self.sr = self.config = None

    def switch_on(self, daemon=True):
        self.boots += 1
        self.machine = Machine(f"{self.folder}/boot{self.boots}", self.image, self.programs, self.state, self.card.port)
        seconds = self.machine.wait_ready()
        self.card.slots.machine_is(self.machine)
        self.dom0 = Dom0(self.machine)
        if daemon:
            self.dom0.start_daemon()
        return seconds

    def cut_power(self):
        if self.machine:
            self.keep_logs()
            self.card.slots.machine_is(None)
            self.machine.stop()
            self.machine = None

    def keep_logs(self):
        """What dom0 knows, beside the console; for whoever looks at a failure."""
        commands = ("cat /var/log/vnvmed.log", "vnvme status", "vnvme events", "dmesg", "xl dmesg", "xl list",
                    "tail -n 100 /root/*.console /var/log/xen/console/guest-*.log /var/log/xen/qemu-dm-*.log")
        with open(f"{self.machine.folder}/dom0.txt", "w", encoding="utf-8") as out:
            for command in commands:
                try:
                    out.write(f"# {command}\n{self.machine.run_status(command, 30)[1]}\n")
                except LabError as why:
                    out.write(f"# {command}\n{why}\n")
                    break

    def stop(self):
        self.cut_power()
        self.card.stop()


def run_all(lab, scenarios):
    failed = []
    for scenario in scenarios:
        began = time.monotonic()
        try:
            told = scenario(lab)
            print(f"ok      {scenario.__name__:24} {time.monotonic() - began:6.1f} s  {told or ''}", flush=True)
        except Exception as why:  # whatever went wrong, the next one is tried
            failed.append(scenario.__name__)
            text = str(why).strip().splitlines() or [repr(why)]
            print(f"FAILED  {scenario.__name__:24} {time.monotonic() - began:6.1f} s  {type(why).__name__}: "
                  f"{text[0][:300]}", flush=True)
            with open(f"{lab.folder}/{scenario.__name__}.txt", "w", encoding="utf-8") as out:
                traceback.print_exc(file=out)
            tidy_up(lab)
    return failed


def tidy_up(lab):
    """After a failure: no VM is left over."""
    try:
        if lab.machine is None or lab.machine.process.poll() is not None:
            lab.cut_power()
            lab.switch_on()
        lab.machine.run_status("for d in $(xl list | awk 'NR > 2 { print $1 }'); do xl destroy $d; done", 120)
    except LabError as why:
        print(f"        the server is of no use any more: {why}", flush=True)
        lab.cut_power()
        lab.switch_on()


def shell(lab):
    lab.switch_on()
    print("This is dom0. Try: vnvme status; vnvme drives --look; xl list. Leave with Ctrl-].", flush=True)
    subprocess.run([sys.executable, HERE + "/terminal.py", lab.machine.folder + "/com1"], check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--shell", action="store_true")
    parser.add_argument("--check", action="store_true", help="only whether this could be run")
    options = parser.parse_args()
    from scenarios import SCENARIOS
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.__name__:24} {scenario.__doc__.strip().splitlines()[0]}")
        return 0
    known = {s.__name__: s for s in SCENARIOS}
    unknown = [name for name in options.scenarios if name not in known]
    if unknown:
        parser.error(f"no scenario {unknown[0]}; there are {', '.join(known)}")
    if options.shell and not sys.stdin.isatty():
        parser.error("the shell needs a terminal")
    if options.check:
        return 0
    missing = [name for name in ("VNVME_LAB", "VNVME_PACKAGES", "VNVME_BIN") if name not in os.environ]
    if missing:
        parser.error(f"{missing[0]} is not set; ./run lab sets it")
    work = os.environ["VNVME_LAB"]
    packages = glob.glob(os.path.join(os.environ["VNVME_PACKAGES"], "vnvme_*.deb"))
    if len(packages) != 1:
        parser.error(f"there should be one deb in {os.environ['VNVME_PACKAGES']}, and there are {len(packages)}")
    began = time.monotonic()
    subprocess.run([HERE + "/image.sh", work + "/image"], check=True)
    print(f"ok      {'images':24} {time.monotonic() - began:6.1f} s", flush=True)
    lab = Lab(work + "/run", work + "/image", packages[0], os.path.join(os.environ["VNVME_BIN"], "vnvme-dpusim"))
    failed = ["boot"]
    try:
        lab.card.start()
        if options.shell:
            shell(lab)
            return 0
        began = time.monotonic()
        lab.switch_on()
        print(f"ok      {'boot':24} {time.monotonic() - began:6.1f} s", flush=True)
        chosen = [known[name] for name in options.scenarios] or SCENARIOS
        failed = run_all(lab, chosen)
        print(f"{len(chosen) - len(failed)} of {len(chosen)} scenarios passed"
              + (f"; what there is to see is in {lab.folder}: {', '.join(failed)}" if failed else ""), flush=True)
    finally:
        lab.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
