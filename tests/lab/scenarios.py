"""What the lab shows: each with bytes looked at from both sides, in the guest and on the card."""
import time

from broker import BackendError
from dom0 import GIB, Vm, card_bytes, pattern
from machine import LabError

MIB = 1 << 20


def check(what, fact):
    if not fact:
        raise LabError(what)


def storage(lab):
    """The SR that all scenarios share."""
    if lab.sr is None:
        lab.sr, lab.config = lab.dom0.create_sr()
    return lab.sr


def volume(lab, name, size=GIB):
    made = lab.dom0.create_volume(storage(lab), name, size)
    return made["key"], made


def on_card(lab, key):
    """The bdev of a volume, by the card's own listing."""
    for bdev in lab.card.ask("bdev_get_bdevs"):
        for alias in bdev.get("aliases", []):
            if key.replace("-", "") in alias:
                return bdev["name"]
    raise LabError(f"the card has no bdev for volume {key}")


def holds(lab, key, offset_mib, seed):
    return card_bytes(lab.card, on_card(lab, key), offset_mib * MIB, MIB) == pattern(seed)


def block_device(answer):
    return [one[1]["path"] for one in answer["implementations"] if one[0] == "BlockDevice"][0]


def gone(lab, *vms_and_keys):
    """VMs and volumes that are of no use any more."""
    for one in vms_and_keys:
        if isinstance(one, Vm):
            if one.volumes:
                one.destroy()
            lab.dom0.cli(f"unreserve {one.uuid}")
        else:
            lab.dom0.volume.call("Volume.destroy", {"sr": lab.sr, "key": one})


def running_guest(lab, name, key):
    """A PV guest that has booted and sees its drive."""
    vm = Vm(lab.dom0, name, "pv")
    vm.reserve()
    vm.start((lab.sr, key))
    vm.wait_ready()
    vm.wait_drive()
    return vm


def keep_writing(vm):
    """In the background until there is /tmp/stop: /tmp/count says how often, /tmp/error that one failed."""
    vm.guest("(i=0; while [ ! -e /tmp/stop ]; do "
             "dd if=/dev/zero of=/dev/nvme0n1 bs=4k count=16 seek=$i oflag=direct || touch /tmp/error; "
             "i=$((i + 1)); echo $i >/tmp/count; usleep 20000; done) >/dev/null 2>&1 &")


def life_of_a_guest(lab, kind):
    key, made = volume(lab, f"{kind}-disk", 20 * GIB)
    check("a thin volume uses nothing yet", made["physical_utilisation"] < 64 * MIB)
    vm = Vm(lab.dom0, f"{kind}1", kind)
    vm.reserve()
    check(f"dom0 sees {vm.bdf}", vm.bdf in lab.dom0.functions())
    check("lspci shows it", vm.bdf[5:] in lab.machine.run("lspci"))
    vm.start((lab.sr, key))
    booted = vm.wait_ready()
    vm.wait_drive()
    sectors = int(vm.guest("cat /sys/block/nvme0n1/size"))
    check(f"the guest's drive has {sectors} sectors", sectors * 512 == 20 * GIB)
    digest = vm.write_pattern(5000, f"{kind} was here")
    check("the guest reads what it wrote", vm.read_digest(5000) == digest)
    check("the volume holds what the guest wrote", holds(lab, key, 5000, f"{kind} was here"))
    vm.destroy()
    driver = lab.dom0.functions().get(vm.bdf)
    check(f"the function comes back to pciback, not to \"{driver}\"", driver == "pciback")
    gone(lab, vm, key)
    return f"guest up after {booted:.0f} s"


def three_steps_hvm(lab):
    """Drives claimed, 20 GiB carved, an HVM guest writes and the volume has it."""
    return life_of_a_guest(lab, "hvm")


def three_steps_pv(lab):
    """The same with a PV guest: 20 GiB carved, the guest writes and the volume has it."""
    return life_of_a_guest(lab, "pv")


def two_guests(lab):
    """Two VMs, two volumes, no crossing."""
    vms, keys = [], []
    for n in (1, 2):
        keys.append(volume(lab, f"two-{n}")[0])
        vms.append(Vm(lab.dom0, f"two{n}", "pv"))
        vms[-1].reserve()
    check("two functions", vms[0].bdf != vms[1].bdf)
    for vm, key in zip(vms, keys):
        vm.start((lab.sr, key))
    for n, vm in enumerate(vms):
        vm.wait_ready()
        vm.wait_drive()
        vm.write_pattern(3, f"of guest {n}")
    for n, key in enumerate(keys):
        check(f"volume {n} holds its guest's bytes", holds(lab, key, 3, f"of guest {n}"))
    check("one guest does not see the other's bytes", vms[0].read_digest(3) != vms[1].read_digest(3))
    for vm in vms:
        vm.destroy()
    gone(lab, *vms, *keys)


def snapshot_and_clone(lab):
    """Snapshot while the guest writes, a clone of it, and a second VM reads the snapshot's bytes."""
    key, _ = volume(lab, "source")
    vm = running_guest(lab, "source", key)
    digest = vm.write_pattern(10, "before")
    vm.guest("(while [ ! -e /tmp/stop ]; do dd if=/dev/urandom of=/dev/nvme0n1 bs=64k seek=4096 count=64 oflag=direct; "
             "done) >/dev/null 2>&1 &")
    snapshot = lab.dom0.volume.call("Volume.snapshot", {"sr": lab.sr, "key": key})["key"]
    vm.guest("touch /tmp/stop; sleep 1")
    vm.write_pattern(10, "after")
    clone = lab.dom0.volume.call("Volume.clone", {"sr": lab.sr, "key": snapshot})["key"]
    second = running_guest(lab, "second", clone)
    check("the clone has the bytes from before", second.read_digest(10) == digest)
    second.write_pattern(11, "only in the clone")
    check("the source has the bytes from after", holds(lab, key, 10, "after"))
    check("what the clone writes stays in it", not holds(lab, key, 11, "only in the clone"))
    vm.destroy()
    second.destroy()
    gone(lab, vm, second, clone, snapshot, key)


def backup(lab):
    """dom0 reads a snapshot while the VM goes on, as a backup does; what it reads is the snapshot."""
    key, _ = volume(lab, "backed-up")
    vm = running_guest(lab, "backedup", key)
    digest = vm.write_pattern(10, "before")
    snapshot = lab.dom0.volume.call("Volume.snapshot", {"sr": lab.sr, "key": key})
    vm.write_pattern(10, "after")
    where = {"uri": snapshot["uri"][0], "domain": "u0-backup"}
    path = block_device(lab.dom0.volume.call("Datapath.attach", where))
    lab.dom0.volume.call("Datapath.activate_readonly", where)
    read = lab.machine.run(f"dd if={path} bs=1M skip=10 count=1 iflag=direct 2>/dev/null | sha256sum").split()[0]
    check("dom0 reads the bytes from before", read == digest)
    lab.dom0.volume.call("Datapath.deactivate", where)
    lab.dom0.volume.call("Datapath.detach", where)
    lab.dom0.volume.call("Volume.destroy", {"sr": lab.sr, "key": snapshot["key"]})
    check("the guest has the bytes from after", holds(lab, key, 10, "after"))
    vm.write_pattern(12, "and goes on")
    check("and goes on", holds(lab, key, 12, "and goes on"))
    vm.destroy()
    gone(lab, vm, key)


def grow(lab):
    """Grown while the VM is off; the guest sees the new size and the old bytes."""
    key, _ = volume(lab, "grows")
    vm = running_guest(lab, "grows", key)
    digest = vm.write_pattern(1, "small")
    vm.destroy()
    lab.dom0.volume.call("Volume.resize", {"sr": lab.sr, "key": key, "new_size": 3 * GIB})
    vm.start((lab.sr, key))
    vm.wait_ready()
    vm.wait_drive()
    check("three GiB", int(vm.guest("cat /sys/block/nvme0n1/size")) * 512 == 3 * GIB)
    check("the old bytes", vm.read_digest(1) == digest)
    vm.write_pattern(3000, "beyond")
    check("the new end can be written", holds(lab, key, 3000, "beyond"))
    vm.destroy()
    gone(lab, vm, key)


def dom0_copies(lab):
    """dom0 copies volume to volume through its own function; a guest reads the copy."""
    keys = [volume(lab, name)[0] for name in ("original", "copy")]
    paths, uris = [], []
    for n, key in enumerate(keys):
        uri = lab.dom0.volume.call("Volume.stat", {"sr": lab.sr, "key": key})["uri"][0]
        where = {"uri": uri, "domain": f"u0-lab{n}"}
        answer = lab.dom0.volume.call("Datapath.attach", where)
        lab.dom0.volume.call("Datapath.activate", where)
        path = block_device(answer)
        paths.append(path)
        uris.append(where)
        size = int(lab.machine.run(f"blockdev --getsize64 {path}"))
        check(f"{path} has exactly the volume's size", size == GIB)
    lab.machine.run(f"yes original | head -c 1048576 | dd of={paths[0]} bs=1M seek=9 oflag=direct conv=fsync 2>&1")
    lab.machine.run(f"dd if={paths[0]} of={paths[1]} bs=1M iflag=direct oflag=direct conv=fsync count=64 2>&1", 300)
    for where in uris:
        lab.dom0.volume.call("Datapath.deactivate", where)
        lab.dom0.volume.call("Datapath.detach", where)
    check("the card has the copy", holds(lab, keys[1], 9, "original"))
    vm = running_guest(lab, "reader", keys[1])
    check("a guest reads the copy", lab.machine.run("yes original | head -c 1048576 | sha256sum").split()[0]
          == vm.read_digest(9))
    vm.destroy()
    gone(lab, vm, *keys)


def guest_dies(lab):
    """Crash and xl destroy with I/O in flight: the function comes back clean, the next VM sees no old byte."""
    vm = Vm(lab.dom0, "dies", "pv")
    vm.reserve()
    for how in ("crash", "destroy"):
        key, _ = volume(lab, "of-" + how)
        vm.start((lab.sr, key))
        vm.wait_ready()
        vm.wait_drive()
        zeros = vm.guest("dd if=/dev/nvme0n1 bs=1M count=32 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c")
        check("a new volume reads zeros", int(zeros) == 0)
        vm.write_pattern(20, how)
        vm.guest("(while :; do dd if=/dev/urandom of=/dev/nvme0n1 bs=64k count=64 oflag=direct; done) "
                 ">/dev/null 2>&1 &")
        if how == "crash":
            lab.machine.run_status(f"in-guest {vm.name} 'echo c >/proc/sysrq-trigger' 3")
            lab.machine.wait_for(f"! xl domid {vm.name}", 60)
        vm.destroy()
        check("what it had written is there", holds(lab, key, 20, how))
        check("the function is back", lab.dom0.functions().get(vm.bdf) == "pciback")
        gone(lab, key)
    gone(lab, vm)


def daemon_dies(lab):
    """kill -9 of vnvmed around attach and detach, and while the guest works."""
    key, _ = volume(lab, "steady")
    vm = Vm(lab.dom0, "steady", "pv")
    vm.reserve()
    vm.build()
    lab.dom0.kill_daemon()
    lab.dom0.launch()
    vm.plug_volumes((lab.sr, key))
    lab.dom0.kill_daemon()
    vm.plug_pci()
    vm.run_on()
    lab.dom0.launch()
    vm.wait_ready()
    vm.wait_drive()
    keep_writing(vm)
    before = int(vm.guest("sleep 1; cat /tmp/count"))
    for _ in range(3):
        lab.dom0.kill_daemon()
        time.sleep(0.5)
        lab.dom0.launch()
    after = int(vm.guest("cat /tmp/count"))
    check("the guest's I/O went on", after > before)
    check("no error in the guest", vm.guest("ls /tmp/error 2>/dev/null | wc -l").strip() == "0")
    vm.guest("touch /tmp/stop")
    lab.machine.run_status(f"xl destroy {vm.name}")
    lab.dom0.kill_daemon()
    lab.dom0.launch()
    vm.destroy()
    left = lab.dom0.cli_json("status")["attachments_total"]
    check(f"nothing is left attached, and not {left}", left == 0)
    gone(lab, vm, key)
    return f"{after - before} writes meanwhile"


def card_dies(lab):
    """The card's service is killed and started anew while a guest writes: its I/O waits, and nothing is lost."""
    key, _ = volume(lab, "survives")
    vm = running_guest(lab, "survives", key)
    vm.write_pattern(500, "from before")
    keep_writing(vm)
    vm.guest("sleep 1")
    lab.card.kill()
    time.sleep(3)
    lab.card.start()
    lab.dom0.wait_connected()
    before = int(vm.guest("cat /tmp/count"))
    vm.guest(f"for i in $(seq 600); do [ $(cat /tmp/count) -gt {before} ] && exit 0; usleep 100000; done; exit 1", 120)
    check("no error in the guest", vm.guest("ls /tmp/error 2>/dev/null | wc -l").strip() == "0")
    vm.guest("touch /tmp/stop; sleep 1")
    vm.write_pattern(501, "from after")
    for offset, seed in ((500, "from before"), (501, "from after")):
        check(f"the volume has the bytes {seed}", holds(lab, key, offset, seed))
    vm.destroy()
    gone(lab, vm, key)


def not_yours(lab):
    """A VM without a function of its own, and one that names another's: refused, and the other's drive goes on."""
    mine, yours = volume(lab, "mine")[0], volume(lab, "yours")[0]
    vm = running_guest(lab, "owner", mine)
    keep_writing(vm)
    thief = Vm(lab.dom0, "thief", "pv")
    thief.bdf = vm.bdf
    thief.build()
    try:
        thief.plug_volumes((lab.sr, yours))
        raise LabError("a VM without a function got a volume")
    except BackendError as why:
        check(f"the error says what to do: {why}", "reserve" in str(why))
    status, said = lab.machine.run_status(f"xl pci-attach {thief.name} {vm.bdf}")
    check(f"Xen gives one function to two VMs: {said}", status != 0)
    before = int(vm.guest("cat /tmp/count"))
    check("the owner's I/O goes on", int(vm.guest("sleep 1; cat /tmp/count")) > before)
    check("no error in the guest", vm.guest("ls /tmp/error 2>/dev/null | wc -l").strip() == "0")
    thief.destroy()
    vm.destroy()
    gone(lab, vm, mine, yours)


def power_cut(lab):
    """The server loses its power while a guest writes; the card is late when it boots again; all is there."""
    key, _ = volume(lab, "survivor")
    vm = Vm(lab.dom0, "survivor", "pv")
    reserved = vm.reserve()
    vm.start((lab.sr, key))
    vm.wait_ready()
    vm.wait_drive()
    vm.write_pattern(30, "before the cut")
    snapshot = lab.dom0.volume.call("Volume.snapshot", {"sr": lab.sr, "key": key})["key"]
    before = {v["key"]: v["name"] for v in lab.dom0.volume.call("SR.ls", {"sr": lab.sr})}
    keep_writing(vm)
    lab.cut_power()
    lab.card.kill()
    lab.switch_on(daemon=False)
    lab.dom0.configure()
    lab.dom0.launch(wait=False)
    attached = lab.dom0.volume.call("SR.attach", {"configuration": lab.config})
    check("SR.attach answers without the card", attached == lab.sr)
    time.sleep(20)
    lab.card.start()
    lab.dom0.wait_connected(120)
    after = {v["key"]: v["name"] for v in lab.dom0.volume.call("SR.ls", {"sr": lab.sr})}
    check(f"the volumes are {before}, and not {after}", before == after)
    check("the bytes are there", holds(lab, key, 30, "before the cut"))
    again = Vm(lab.dom0, "survivor", "pv")
    again.uuid = vm.uuid
    check("the VM has its function", again.reserve()["serial"] == reserved["serial"])
    again.start((lab.sr, key))
    again.wait_ready()
    again.wait_drive()
    again.write_pattern(31, "after the cut")
    check("and the VM goes on", holds(lab, key, 31, "after the cut"))
    again.destroy()
    gone(lab, again, snapshot, key)


SCENARIOS = [three_steps_pv, three_steps_hvm, two_guests, snapshot_and_clone, backup, grow, dom0_copies, guest_dies,
             daemon_dies, card_dies, not_yours, power_cut]
