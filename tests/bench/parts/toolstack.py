"""VMs that start right after their disk was plugged, one by one and all at once, with toolstack xapi.

XAPI is the fake of tests/support: its own time is in the figures, so they are upper bounds.
"""
import statistics
import threading
import time

from stack import until
from xapi_db import XapiError
from xapi_stack import XapiStack

PAUSE = 0.3     # between VBD.create and VM.start, as a tool that does both is seen to take
TICK_MS = 8
DRIVES = ("name=Nvme0n1,size=64GiB,serial=S0001,model=SIMULATED-NVME",)


def _destroy(s, vms):
    for vm in vms:
        if s.call("VM.get_power_state", vm) == "Running":
            s.call("VM.hard_shutdown", vm)
        disks = s.disks(vm)
        s.call("VM.destroy", vm)
        for vdi in disks:
            s.call("VDI.destroy", vdi)


def one_by_one(report, turns):
    times, good = [], 0
    with XapiStack(drives=DRIVES) as s:
        until("the spare functions are there", lambda: sum(f["spare"] for f in s.admin("functions")) == 2)
        for n in range(turns):
            vm = s.call("VM.create", {"name_label": f"vm{n}"})
            disk = s.disk()
            begin = time.monotonic()
            s.plug(vm, disk)
            while not s.pci(vm) and time.monotonic() - begin < PAUSE:
                time.sleep(0.001)
            times.append((time.monotonic() - begin) * 1000)
            time.sleep(max(0, PAUSE - (time.monotonic() - begin)))
            try:
                s.call("VM.start", vm, False, False)
                good += len(s.assigned(vm)) == 1
            except XapiError:
                pass
            _destroy(s, [vm])
    report.at_least(f"VMs of {turns} that start {PAUSE * 1000:.0f} ms after VBD.create, with their drive", good, turns,
                    "", "two spare functions")
    report.goal("from VBD.create to other_config:pci", statistics.median(times), 200, " ms",
                f"median; worst {max(times):.0f} ms of {turns}; VBD.create itself is in it")


def at_once(report, count):
    errors = []

    def start(vm):
        try:
            s.call("VM.start", vm, False, False)
        except Exception as e:  # counted below
            errors.append(e)

    options = ("--tick-ms", str(TICK_MS), "--vfs", str(count + 4))
    with XapiStack(drives=DRIVES, dpu_options=options) as s:
        vms = [s.machine(f"vm{n}", disks=2) for n in range(count)]
        for vm in vms:
            until("the VM has its function", lambda vm=vm: s.pci(vm), 300)
        lists = [s.pci(vm) for vm in vms]
        before = s.dpu("sim_dump")["counters"]["calls"]
        begin = time.monotonic()
        threads = [threading.Thread(target=start, args=(vm,)) for vm in vms]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        took = time.monotonic() - begin
        after = s.dpu("sim_dump")["counters"]["calls"]
        rpcs = sum(n - before.get(m, 0) for m, n in after.items() if not m.startswith("sim_"))
        exposed, given = s.exposed(), [bdf for held in s.world.assigned.values() for bdf in held]
        _destroy(s, vms)
    report.goal(f"failures of {count} VMs with 2 volumes each, started at once", len(errors) + 2 * count - exposed, 0,
                "", str(errors[0]) if errors else f"{exposed} namespaces")
    report.goal("functions that two of them have", 2 * count - len(set(lists)) - len(set(given)), 0, "",
                f"{len(set(lists))} lists, {len(set(given))} functions")
    report.goal(f"their time / that of the DPU's RPCs one after another, {TICK_MS} ms each",
                took / (rpcs * TICK_MS / 1000), 1.3, "", f"{took:.1f} s, {rpcs} RPCs, {rpcs / count / 2:.1f} a volume")


def measure(report, turns, count):
    report.progress("VMs that start")
    one_by_one(report, turns)
    report.progress("VMs that start at once")
    at_once(report, count)
