"""The server: QEMU with Xen and Debian's dom0 in it, without KVM.

    with Machine(folder, image, programs=tar, state=disk, card_port=port) as machine:
        machine.wait_ready()
        machine.run("xl info")

Functions of the card are hot-plugged behind root ports of their own: port N is bus N+1 in dom0.
"""
import base64
import json
import os
import re
import select
import socket
import subprocess
import time

SLOTS = 8
# The address of the card's management port, as dom0 sees it.
CARD_ADDRESS = "10.0.2.100:7000"


class LabError(Exception):
    pass


def connect(path, process, limit=60):
    """A socket that QEMU opens after it started."""
    end = time.monotonic() + limit
    while True:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(path)
            return one
        except OSError as why:
            one.close()
            if time.monotonic() > end or process.poll() is not None:
                raise LabError(f"QEMU does not open {path}: {why}") from None
            time.sleep(0.05)


class Qmp:
    """One session of QEMU's control protocol; for one thread at a time."""

    def __init__(self, path, process):
        self.socket = connect(path, process)
        self.text = b""
        self.events = []
        self.next(60)
        self.run("qmp_capabilities")

    def next(self, limit):
        """The next line; None when there is none in time."""
        end = time.monotonic() + limit
        while b"\n" not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            data = self.socket.recv(65536)
            if not data:
                raise LabError("QEMU is gone")
            self.text += data
        line, _, self.text = self.text.partition(b"\n")
        return json.loads(line)

    def run(self, command, **arguments):
        self.events.clear()
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.next(60)
            if answer is None:
                raise LabError(f"QEMU does not answer {command}")
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise LabError(f"{command}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def wait_event(self, name, device, limit):
        """Since the last command; was there such an event?"""
        end = time.monotonic() + limit
        while True:
            for event in self.events:
                if event["event"] == name and event["data"].get("device") == device:
                    return True
            event = self.next(end - time.monotonic())
            if event is None:
                return False
            self.events.append(event)

    def close(self):
        self.socket.close()


def command_line(folder, image, programs, state, card_port, memory, dom0_memory):
    path = lambda name: os.path.join(folder, name)
    argv = [
        "qemu-system-x86_64", "-M", "q35,kernel-irqchip=split", "-accel", "tcg,thread=multi,tb-size=256",
        # Without these flags dom0 or a guest crashes, sooner or later: see docs/lab.md.
        "-cpu", "max,smap=off,rdtscp=off,xsave=off", "-smp", "1", "-m", str(memory),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-qmp", f"unix:{path('qmp')},server=on,wait=off", "-qmp", f"unix:{path('qmp-card')},server=on,wait=off",
        "-chardev", f"socket,id=c0,path={path('com1')},server=on,wait=off,logfile={path('console.log')}",
        "-serial", "chardev:c0",
        "-chardev", f"socket,id=c1,path={path('agent')},server=on,wait=off",
        "-device", "virtio-serial-pci,bus=pcie.0,addr=7", "-device", "virtserialport,chardev=c1,nr=1",
        "-drive", f"file={image}/dom0.ext4,format=raw,if=none,id=root,snapshot=on",
        "-device", "virtio-blk-pci,drive=root,bus=pcie.0,addr=3",
        "-drive", f"file={programs},format=raw,if=none,id=programs,readonly=on",
        "-device", "virtio-blk-pci,drive=programs,bus=pcie.0,addr=5",
        "-drive", f"file={state},format=raw,if=none,id=state,cache=directsync",
        "-device", "virtio-blk-pci,drive=state,bus=pcie.0,addr=6",
        # dom0 reaches the card and nothing else; a process for each connection, so either end may restart.
        "-netdev", f"user,id=n0,restrict=on,guestfwd=tcp:{CARD_ADDRESS}-cmd:busybox nc 127.0.0.1 {card_port}",
        "-device", "virtio-net-pci,netdev=n0,bus=pcie.0,addr=4,romfile=",
        "-device", "intel-iommu,intremap=on"]
    for slot in range(SLOTS):
        argv += ["-device",
                 f"pcie-root-port,id=port{slot},bus=pcie.0,chassis={slot + 1},slot={slot + 1},addr={0x10 + slot:#x}"]
    return argv + [
        "-kernel", f"{image}/xen.elf",
        "-append", f"console=com1 com1=115200,8n1 dom0_mem={dom0_memory}M,max:{dom0_memory}M dom0_max_vcpus=1 "
                   "loglvl=info guest_loglvl=info sync_console=0 noreboot iommu=verbose,no-sharept",
        "-initrd", f"{image}/vmlinuz console=hvc0 loglevel=4 ,{image}/dom0-initrd.img"]


class Machine:
    def __init__(self, folder, image, programs, state, card_port, memory=2560, dom0_memory=896):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.seq, self.said, self.qmp, self.agent = 0, b"", None, None
        self.started = time.monotonic()
        self.console = os.path.join(self.folder, "console.log")
        argv = command_line(self.folder, image, programs, state, card_port, memory, dom0_memory)
        with open(os.path.join(self.folder, "argv"), "w", encoding="utf-8") as out:
            out.write("\n".join(argv) + "\n")
        with open(os.path.join(self.folder, "qemu.log"), "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            self.qmp = Qmp(os.path.join(self.folder, "qmp"), self.process)
            self.agent = connect(os.path.join(self.folder, "agent"), self.process)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def card_qmp(self):
        return Qmp(os.path.join(self.folder, "qmp-card"), self.process)

    def said_on_console(self):
        try:
            with open(self.console, errors="replace", encoding="utf-8") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def wait_ready(self, limit=300):
        """Seconds from the start of QEMU until dom0 was up."""
        end = time.monotonic() + limit
        while time.monotonic() < end and self.process.poll() is None:
            said = self.said_on_console()
            if "LAB-FAILED" in said or "Kernel panic" in said or "Hardware Dom0 crashed" in said:
                break
            if "DOM0-READY" in said:
                return time.monotonic() - self.started
            time.sleep(0.2)
        raise LabError("dom0 does not come up; its console ends with\n" + self.said_on_console()[-2000:])

    def run_status(self, command, limit=120):
        """(exit status, output) of a shell command in dom0."""
        self.seq += 1
        seq = str(self.seq).encode()
        self.agent.sendall(b"\n@" + seq + b" " + base64.b64encode(command.encode()) + b"\n")
        pattern = re.compile(rb"\n<" + seq + rb"\r?\n([A-Za-z0-9+/=]*)\r?\n>" + seq + rb" (\d+)\r?\n")
        end = time.monotonic() + limit
        while True:
            done = pattern.search(self.said)
            if done:
                self.said = self.said[done.end():]
                return int(done[2]), base64.b64decode(done[1]).decode(errors="replace")
            left = end - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                raise LabError(f"dom0 gives no end of `{command[:200]}` in {limit:.0f} s; it said {self.said[-300:]!r}")
            if select.select([self.agent], [], [], min(left, 1))[0]:
                got = self.agent.recv(65536)
                if not got:
                    raise LabError("dom0's line is closed")
                self.said += got

    def run(self, command, limit=120):
        """The output of a command that must succeed."""
        status, output = self.run_status(command, limit)
        if status:
            raise LabError(f"dom0: `{command[:300]}` ended with {status}: {output.strip()[-1500:]}")
        return output

    def wait_for(self, command, limit=60, every=0.25):
        """Seconds until a command succeeds in dom0."""
        began = time.monotonic()
        count = max(1, int(limit / every))
        status, output = self.run_status(f"for i in $(seq {count}); do {{ {command}; }} >/tmp/wait 2>&1 && exit 0; "
                                         f"sleep {every}; done; cat /tmp/wait; exit 1", limit * 3 + 60)
        if status:
            raise LabError(f"in {limit} s this did not come true in dom0: {command}\n{output[-500:]}")
        return time.monotonic() - began

    def stop(self):
        """A power cut."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for one in (self.agent, self.qmp):
            if one:
                one.close()
