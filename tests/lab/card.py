"""The card: vnvme-dpusim owns the drives, and QEMU shows its functions to dom0 as NVMe controllers.

The daemon's connections pass through here. The answer to a call that changes what the host sees is held back until QEMU
shows it. QEMU 7.2 gives a controller its namespaces only before its driver has started it (it dies at the first read of
one that came later) and never takes one away, so a function whose namespaces change leaves the host and comes back.
"""
import json
import os
import re
import socket
import socketserver
import subprocess
import threading
import time

from machine import LabError, SLOTS

# After these the host may see something else.
CHANGES = {"nvme_controller_hotplug", "nvme_controller_hotunplug", "nvme_controller_attach_ns",
           "nvme_controller_detach_ns", "nvme_controller_resume", "nvme_controller_destroy",
           "nvme_namespace_destroy", "bdev_lvol_delete", "bdev_lvol_resize"}
# Before these QEMU lets go of what the card is about to take away; its driver would wait for it in vain.
TAKE_AWAY = {"nvme_controller_hotunplug", "nvme_controller_detach_ns", "nvme_controller_destroy"}
# The simulator's first bus behind its own functions, when it has no virtual functions.
FIRST_BUS = 0x27


def slot_of(bdf):
    return int(bdf.split(":")[-2], 16) - FIRST_BUS


def host_bdf(slot):
    return f"{slot + 1:02x}:00.0"


def to_host(text):
    """The addresses in an answer, as dom0 numbers them."""
    return re.sub(rb'"([0-9a-f]{2}):00\.0"', lambda m: b'"%s"' % host_bdf(int(m[1], 16) - FIRST_BUS).encode()
                  if FIRST_BUS <= int(m[1], 16) < FIRST_BUS + SLOTS else m[0], text)


def to_card(text):
    return re.sub(rb'"([0-9a-f]{2}):00\.0"', lambda m: b'"%02x:00.0"' % (int(m[1], 16) - 1 + FIRST_BUS)
                  if 1 <= int(m[1], 16) <= SLOTS else m[0], text)


class Slots:
    """What QEMU shows, made the same as the simulator's tree says."""

    def __init__(self, tree, log):
        self.tree, self.log = tree, log
        self.lock = threading.Lock()
        self.shown = {}  # slot: (serial, {nsid: content}, id of the device, its block nodes)
        self.made = 0
        self.qmp = None

    def wanted(self):
        """slot: (serial, {nsid: (uuid, NBD socket)})"""
        devices = os.path.join(self.tree, "sys/bus/pci/devices")
        out = {}
        for name in sorted(os.listdir(devices)) if os.path.isdir(devices) else []:
            slot = slot_of(name)
            folder = os.path.join(devices, name)
            if not 0 <= slot < SLOTS:
                continue
            try:
                with open(os.path.join(folder, "serial"), encoding="utf-8") as text:
                    serial = text.read().strip()
                namespaces = {}
                for one in sorted(os.listdir(os.path.join(folder, "namespaces"))):
                    with open(os.path.join(folder, "namespaces", one), encoding="utf-8") as text:
                        content = json.load(text)
                    namespaces[content["nsid"]] = (content["uuid"], content["nbd"], content["size"])
            except FileNotFoundError:
                continue
            out[slot] = (serial, namespaces)
        return out

    def machine_is(self, machine):
        """A host was switched on; nothing is plugged into it yet."""
        with self.lock:
            self.shown.clear()
            self.qmp = machine.card_qmp() if machine else None
        if machine:
            self.sync()

    def sync(self):
        with self.lock:
            if self.qmp is None:
                return
            wanted = self.wanted()
            for slot in sorted(self.shown):
                if slot not in wanted or self.is_different(self.shown[slot], *wanted[slot]):
                    self.take_out(slot)
            for slot, (serial, namespaces) in sorted(wanted.items()):
                if slot in self.shown:
                    continue
                try:
                    self.put_in(slot, serial, namespaces)
                except LabError as why:  # the others are shown all the same
                    self.log(f"the host cannot see {host_bdf(slot)}: {why}")

    @staticmethod
    def is_different(shown, serial, namespaces):
        """A card whose service was restarted shows its functions as before, until it is told anew what is on them; so
        what is missing is no difference. What is taken away on purpose has left the host before (TAKE_AWAY)."""
        return (serial and serial != shown[0]) or any(shown[1].get(nsid) != one for nsid, one in namespaces.items())

    def let_go(self, slot):
        with self.lock:
            if self.qmp is not None and slot in self.shown and self.shown[slot][1]:
                self.take_out(slot)

    def put_in(self, slot, serial, namespaces):
        began = time.monotonic()
        self.made += 1
        device, nodes = f"f{slot}g{self.made}", []
        try:  # the data first: a controller must not stand there alone when it cannot be had
            for nsid in sorted(namespaces):
                nodes.append(self.open_data(f"{device}n{nsid}", namespaces[nsid][1]))
        except LabError:
            self.close_data(nodes)
            raise
        self.qmp.run("device_add", driver="nvme", id=device, bus=f"port{slot}", serial=serial or "none")
        self.shown[slot] = (serial, namespaces, device, nodes)
        # By itself the controller's bus takes no devices after the start; what says so is an object that can be set.
        self.qmp.run("qom-set", path=f"/machine/peripheral/{device}/{device}", property="hotplug-handler",
                     value="/machine")
        for node, nsid in zip(nodes, sorted(namespaces)):
            # QEMU counts to 256 only; whoever looks for a namespace goes by its UUID.
            self.qmp.run("device_add", driver="nvme-ns", id="d" + node, bus=device, drive=node,
                         uuid=namespaces[nsid][0], nsid=min(nsid, 256))
        seen = self.wait_enumerated(device)
        self.log(f"plugged {host_bdf(slot)} serial {serial} namespaces "
                 f"{[(n, c[0], c[2]) for n, c in sorted(namespaces.items())]} in {time.monotonic() - began:.2f} s"
                 f"{'' if seen else '; the host has not taken it yet'}")

    def open_data(self, node, path):
        options = {"driver": "nbd", "node-name": node, "reconnect-delay": 60,
                   "server": {"type": "unix", "path": path}}
        try:
            self.qmp.run("blockdev-add", **options)
        except LabError:  # of a snapshot
            self.qmp.run("blockdev-add", **options, **{"read-only": True})
        return node

    def close_data(self, nodes):
        for node in nodes:
            self.qmp.run("blockdev-del", **{"node-name": node})

    def wait_enumerated(self, device, limit=20):
        """Until the host gave the function its addresses."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            for bus in self.qmp.run("query-pci"):
                for bridge in bus["devices"]:
                    for one in bridge.get("pci_bridge", {}).get("devices", []):
                        if one["qdev_id"] == device and any(r["address"] > 0 for r in one["regions"]):
                            return True
            time.sleep(0.05)
        return False

    def take_out(self, slot):
        began = time.monotonic()
        _, _, device, nodes = self.shown[slot]
        self.qmp.run("device_del", id=device)
        if not self.qmp.wait_event("DEVICE_DELETED", device, 60):
            raise LabError(f"the host does not let go of {host_bdf(slot)}")
        del self.shown[slot]
        self.close_data(nodes)
        self.log(f"took out {host_bdf(slot)} in {time.monotonic() - began:.2f} s")


class Frames:
    """JSON values out of a stream."""

    def __init__(self):
        self.text = ""
        self.decoder = json.JSONDecoder()

    def feed(self, data):
        self.text += data.decode("utf-8")
        while True:
            self.text = self.text.lstrip()
            try:
                value, end = self.decoder.raw_decode(self.text)
            except json.JSONDecodeError:
                return
            raw, self.text = self.text[:end], self.text[end:]
            yield value, raw.encode()


class Relay(socketserver.BaseRequestHandler):
    def handle(self):
        card = self.server.card
        upper, changes, lock = self.request, set(), threading.Lock()
        lower = socket.socket(socket.AF_UNIX)
        try:
            lower.connect(card.socket)
        except OSError:
            return  # as a card whose service is down: the connection ends

        def requests():
            try:
                frames = Frames()
                while data := upper.recv(65536):
                    for value, raw in frames.feed(data):
                        if value.get("method") in CHANGES:
                            with lock:
                                changes.add(value["id"])
                        if value.get("method") in TAKE_AWAY:
                            card.let_go(value["params"].get("ctrl_id"))
                        lower.sendall(to_card(raw))
            except OSError:
                pass
            lower.close()

        threading.Thread(target=requests, daemon=True).start()
        try:
            frames = Frames()
            while data := lower.recv(1 << 20):
                for value, raw in frames.feed(data):
                    with lock:
                        changed = value.get("id") in changes
                        changes.discard(value.get("id"))
                    if changed:
                        card.sync()
                    upper.sendall(to_host(raw))
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class Card:
    def __init__(self, folder, program, drives=("name=Nvme0n1,size=8GiB,serial=LAB0001,unmap=zeroes",)):
        self.folder, self.program, self.drives = str(folder), program, drives
        os.makedirs(self.folder + "/nbd", exist_ok=True)
        self.socket = self.folder + "/rpc.sock"
        self.process = None
        self.log_file = open(self.folder + "/card.log", "a", encoding="utf-8", buffering=1)
        self.slots = Slots(self.folder + "/tree", self.log)
        self.server = Server(("127.0.0.1", 0), Relay)
        self.server.card = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def log(self, text):
        self.log_file.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def start(self):
        argv = [self.program, "--state", self.folder + "/state", "--listen", "unix:" + self.socket, "--vfs", "0",
                "--hotplug", str(SLOTS), "--sysfs", self.folder + "/tree", "--nbd-dir", self.folder + "/nbd"]
        for drive in self.drives:
            argv += ["--drive", drive]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log_file,
                                        text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            raise LabError("the simulator does not start; see " + self.folder + "/card.log")

    def sync(self):
        try:
            self.slots.sync()
        except LabError as why:
            self.log(f"the host does not show what it should: {why}")

    def let_go(self, controller):
        try:
            for function in self.ask("emulation_function_list", all=True):
                if function.get("ctrl_id") == controller:
                    self.slots.let_go(slot_of("0000:" + function["pci_bdf"]))
        except LabError as why:
            self.log(f"the host does not let go of a function: {why}")

    def ask(self, method, **params):
        """A control call of the simulator, past the relay."""
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(60)
            one.connect(self.socket)
            one.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
            frames = Frames()
            while data := one.recv(1 << 20):
                for value, _ in frames.feed(data):
                    if "error" in value:
                        raise LabError(f"{method}: {value['error']}")
                    return value["result"]
        raise LabError(f"the simulator did not answer {method}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
            self.process.stdout.close()

    def stop(self):
        self.kill()
        self.server.shutdown()
        self.server.server_close()
        self.log_file.close()
