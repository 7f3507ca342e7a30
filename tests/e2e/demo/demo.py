"""`./run demo`: the life of a virtual NVMe drive, told as it happens, through the very scripts that XAPI calls.

Everything is real but the card: a simulated DPU, the daemon, the plugin scripts, the `vnvme` command, in one private
directory that is removed in the end. As a test (`demo.py --check`) it does the same and says only whether it held.
"""
import os
import shutil
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from stack import Stack, until

GiB = 1 << 30
VM = "3f0c4d8e-0f6b-4c55-9d1e-7a7f5a1b2c3d"
QUIET = "--check" in sys.argv
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def say(text=""):
    if not QUIET:
        width = min(shutil.get_terminal_size((100, 24)).columns, 100)
        line = ""
        for word in text.split(" "):
            if line and len(line) + 1 + len(word) > width - 2:
                print("  " + line)
                line = word
            else:
                line = line + " " + word if line else word
        print("  " + line, flush=True)


def chapter(number, text):
    if not QUIET:
        print("\n" + paint("1;36", f"{number}. {text}"), flush=True)


def ran(what):
    if not QUIET:
        print("  " + paint("2", "$ " + what), flush=True)


def show(text):
    if not QUIET:
        for line in text.rstrip().splitlines():
            print("    " + line, flush=True)


def proved(text, truth):
    if not truth:
        raise AssertionError(text)
    say(paint("32", "✓ ") + text)


def timed(call):
    begin = time.monotonic()
    answer = call()
    return answer, (time.monotonic() - begin) * 1000


def once(s):
    chapter(1, "Once: the DPU takes two real NVMe drives, and they become a storage repository")
    ran("vnvme drives")
    show(s.cli("drives"))
    ran("xe sr-create type=vnvme name-label=fast device-config:dpu=dpu0 device-config:drives=S0001,S0002 "
        "device-config:raid=raid1")
    sr, pbd = s.make_sr(drives="S0001,S0002", raid="raid1")
    stat = s.volume.call("SR.stat", {"sr": sr})
    proved(f"a mirror over both drives, {stat['total_space'] / GiB:.0f} GiB, found again from its PBD alone "
           f"(pool {pbd['pool_uuid'][:8]}…)", stat["health"][0] == "Healthy")
    return sr


def order(s, sr):
    chapter(2, "At any time: order a virtual drive of the size you like")
    ran("xe vdi-create sr-uuid=… name-label=database virtual-size=20GiB")
    disk, ms = timed(lambda: s.volume.call("Volume.create", {
        "sr": sr, "name": "database", "description": "", "size": 20 * GiB, "sharable": False}))
    proved(f"20 GiB in {ms:.0f} ms, from a new process to the printed answer; thin, so nothing is used yet",
           disk["virtual_size"] == 20 * GiB)
    s.write(disk["key"], 0, b"the database, as it is today")
    return disk


def give(s, disk):
    chapter(3, "It is given to a VM as a real PCI device")
    s.start_vm(17, VM)
    ran(f"vnvme reserve {VM}")
    s.cli("reserve", VM)
    ran("xe vbd-create … ; xe vm-start …     (XAPI calls Datapath.attach and activate for domain 17)")
    where = {"uri": disk["uri"][0], "domain": "17"}
    answer = s.volume.call("Datapath.attach", where)
    s.volume.call("Datapath.activate", where)
    extra = answer["implementations"][0][1]["extra"]
    folder = os.path.join(s.directory, "host/sys/bus/pci/devices", extra["vnvme-bdf"])
    proved(f"NVMe function {extra['vnvme-bdf']} appeared in the host, bound to "
           f"{os.path.basename(os.readlink(os.path.join(folder, 'driver')))}, ready to be passed through",
           os.path.isdir(folder))
    proved("the volume is namespace 1 on it, with the VDI's uuid as its NVMe identity",
           s.admin("attachments")[0]["nsid"] == 1)
    ran("vnvme status")
    show(s.cli("status"))
    return where


def agility(s, sr, disk):
    chapter(4, "The agility of a virtual disk: snapshot, clone, grow, while the VM runs")
    of = {"sr": sr, "key": disk["key"]}
    snapshot, ms = timed(lambda: s.volume.call("Volume.snapshot", of))
    proved(f"a snapshot in {ms:.0f} ms", not snapshot["read_write"])
    s.write(disk["key"], 0, b"the database, one day later!")
    clone = s.volume.call("Volume.clone", {"sr": sr, "key": snapshot["key"]})
    proved("a clone of it has yesterday's bytes, the disk has today's",
           s.read(clone["key"], 0, 28) == b"the database, as it is today"
           and s.read(disk["key"], 0, 28) == b"the database, one day later!")
    s.volume.call("Volume.resize", {**of, "new_size": 40 * GiB})
    proved("grown to 40 GiB under the running VM",
           s.volume.call("Volume.stat", of)["virtual_size"] == 40 * GiB)
    return [snapshot, clone]


def trouble(s, sr):
    chapter(5, "Trouble: the daemon is killed with -9 in the middle of a create")
    s.dpu("sim_latency", {"method": "bdev_lvol_create", "ms": 400})
    before = s.lvols()
    answers = []
    call = threading.Thread(target=lambda: answers.append(s.volume.call("Volume.create", {
        "sr": sr, "name": "in the middle", "description": "", "size": 5 * GiB, "sharable": False})))
    call.start()
    until("the create is on its way", lambda: s.admin("status")["intents"] > 0)
    s.kill_daemon()
    say("killed. The plugin process does not give up: it asks again, with the same request id, until its deadline")
    s.dpu("sim_latency", {"method": "bdev_lvol_create", "ms": 0})
    _, ms = timed(s.start_daemon)
    call.join(60)
    proved(f"the new daemon was ready after {ms:.0f} ms, and the very same call was answered", len(answers) == 1)
    s.settle()
    after = set(s.lvols()) - set(before)
    proved("nothing is lost and nothing is left behind: exactly one new volume on the DPU",
           len(after) == 1 and answers[0]["key"].replace("-", "") in after.pop())
    return answers[0]


def end(s, sr, where, keys):
    chapter(6, "The end: the VM goes, the volumes are wiped, the drives are free again")
    s.volume.call("Datapath.deactivate", where)
    s.volume.call("Datapath.detach", where)
    s.end_vm(17)
    until("the function is free", lambda: not s.admin("attachments"))
    for key in keys:
        s.volume.call("Volume.destroy", {"sr": sr, "key": key})
    proved("no volume is left on the DPU", until("all volumes are freed", lambda: not s.lvols(), 60))
    s.cli("unreserve", VM)
    s.volume.call("SR.destroy", {"sr": sr})
    proved("no pool, no exposure, no function of a VM; both drives can be taken again",
           not s.dpu("bdev_lvol_get_lvstores") and not any(d["claimed"] for d in s.admin("drives")))


def main():
    begin = time.monotonic()
    if not QUIET:
        print(paint("1", "vnvme: a DPU's NVMe drives as virtual machine disks"))
        say("The card is simulated; every other program is the real one.")
    with Stack() as s:
        try:
            sr = once(s)
            disk = order(s, sr)
            where = give(s, disk)
            others = agility(s, sr, disk)
            others.append(trouble(s, sr))
            end(s, sr, where, [disk["key"]] + [v["key"] for v in others])
        except BaseException:
            print(paint("31", "\nIt did not hold. The daemon's last words:"))
            print(s.tail("vnvmed.log"))
            raise
    if not QUIET:
        print(paint("1", f"\nThat was all of it, in {time.monotonic() - begin:.1f} s.") +
              " Next: README.md, docs/architecture.md, `./run test`, `./run help`.")


main()
