"""A whole vnvme that follows a fake XAPI (toolstack xapi), and what a user does there, in few words.

    with XapiStack() as s:
        vm = s.machine(disks=2)      # VM.create, VDI.create, VBD.create
        s.ready(vm)                  # until vnvmed wrote other_config:pci
        s.call("VM.start", vm, False, False)
"""
import os
import subprocess
import sys
import threading

SOURCE = os.environ.get("VNVME_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(SOURCE, "tests/simulator/support"))
from fake_xapi import FakeXapi  # noqa: E402
from nbd import Nbd  # noqa: E402
from stack import BIN, SCRIPTS, Stack, until  # noqa: E402
from xapi_db import XapiError  # noqa: E402
from xapi_xenops import PIECE, World, pci_list  # noqa: E402
from xenopsd_db import XenopsdDb  # noqa: E402

MiB = 1 << 20


class StackWorld(World):
    """dom0's block devices are links to NBD sockets (src/host/fake_pci.hpp), and every reset of a function is looked
    at: a domain's function is reset by its own start and end, and by nothing else."""

    def __init__(self, reservations=None, **world):
        super().__init__(**world)
        self.reservations, self.vms, self.live, self.wrong = reservations, {}, {}, []
        self.lock = threading.RLock()

    # ---- functions

    def resets(self, bdf):
        path = os.path.join(self.device(bdf), "resets")
        if not os.path.exists(path):
            return 0
        with open(path, encoding="ascii") as count:
            return int(count.read() or 0)

    def owner(self, bdf):
        """By the file that the gate answers from. None: no function of vnvme."""
        if not os.path.exists(self.reservations):
            return None
        with open(self.reservations, encoding="ascii") as lines:
            rows = [line.split() for line in lines]
        return next((r[2] for r in rows if r[0] == "function" and r[1] == bdf), None)

    def domain_created(self, domid, vm):
        self.vms[domid] = vm
        super().domain_created(domid, vm)

    def pci_plug(self, domid, bdf):
        with self.lock:
            if self.owner(bdf) not in (None, self.vms[domid]):
                self.wrong.append(f"{bdf} of {self.owner(bdf)} was given to a domain of {self.vms[domid]}")
            if bdf in self.live:
                self.wrong.append(f"{bdf} was reset by a start of {self.vms[domid]} while a domain had it")
            super().pci_plug(domid, bdf)
            self.live[bdf] = self.resets(bdf)

    def look(self):
        with self.lock:
            for bdf, count in self.live.items():
                if self.resets(bdf) != count:
                    self.wrong.append(f"{bdf} was reset while a domain had it")
            return list(self.wrong)

    def domain_destroyed(self, domid):
        with self.lock:
            self.look()
            for bdf in self.assigned.get(domid, []):
                self.live.pop(bdf, None)
            super().domain_destroyed(domid)

    # ---- dom0

    def load(self, path, size):
        source = Nbd(os.path.realpath(path))
        pieces = {offset: source.read(offset, min(PIECE, size - offset)) for offset in range(0, size, PIECE)}
        source.close()
        return {offset: data for offset, data in pieces.items() if any(data)}

    def store(self, path, pieces):
        target = Nbd(os.path.realpath(path))
        for offset, data in pieces.items():
            target.write(offset, data)
        target.close()


class XapiStack(Stack):
    """`gate`: the hook vm-pre-start is installed, with what it reads. `drive`: of the SR that is made first."""

    def __init__(self, config=None, world=StackWorld, gate=False, drive="S0001", **stack):
        super().__init__(config={"toolstack": "xapi", **(config or {})}, **stack)
        self.extra["xapi"] = {"uri": "unix:" + os.path.join(self.directory, "xapi")}
        host, hooks = os.path.join(self.directory, "host"), None
        self.reservations_file = os.path.join(self.directory, "reservations")
        env = dict(self.volume.env)
        if gate:
            hooks = os.path.join(self.directory, "xapi.d")
            os.mkdir(hooks)
            subprocess.run(["/bin/sh", os.path.join(SOURCE, "plugins/install-hooks.sh"), hooks, BIN], check=True,
                           timeout=60)
            env.update(VNVME_GATE_ROOT=host, VNVME_RESERVATIONS=self.reservations_file)
        self.world = world(reservations=self.reservations_file, domains=os.path.join(self.directory, "domains"),
                           host=host, db=XenopsdDb(host) if gate else None)
        self.fake = FakeXapi(unix=os.path.join(self.directory, "xapi"), root=SCRIPTS, env=env, world=self.world,
                             hooks=hooks)
        self.api, self.drive = self.fake.api, drive
        self.session = self.sr = None
        self.crash_lock = threading.Lock()

    def __enter__(self):
        try:
            self.start_dpu()
            self.fake.__enter__()
            self.session = self.api.login()
            self.start_daemon()
            self.sr = self.make_xapi_sr("sr", self.drive)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        with self.crash_lock:
            if self.session is not None:
                self.fake.__exit__()
                self.session = None
            super().stop()

    def call(self, method, *params):
        return self.api.call(method, [self.session, *params])

    def uuid(self, cls, ref):
        return self.call(cls + ".get_uuid", ref)

    def make_xapi_sr(self, name, drive):
        return self.call("SR.create", self.api.host, {"dpu": "dpu0", "drives": drive}, 0, name, "", "vnvme", "user",
                         False, {})

    def disk(self, name="disk", size=64 * MiB, sr=None):
        return self.call("VDI.create", {"name_label": name, "SR": sr or self.sr, "virtual_size": size, "type": "user"})

    def plug(self, vm, vdi, mode="RW"):
        number = next(n for n in self.call("VM.get_allowed_VBD_devices", vm) if int(n) >= 4)
        return self.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": number, "mode": mode})

    def machine(self, name="vm", disks=1):
        vm = self.call("VM.create", {"name_label": name})
        for n in range(disks):
            self.plug(vm, self.disk(f"{name} {n}"))
        return vm

    def start(self, vm):
        self.call("VM.start", vm, False, False)

    def disks(self, vm):
        return {self.call("VBD.get_VDI", v) for v in self.call("VM.get_VBDs", vm)}

    def pci(self, vm):
        return self.call("VM.get_other_config", vm).get("pci", "")

    def ready(self, vm):
        return until("the VM has its function", lambda: self.pci(vm))

    def assigned(self, vm):
        return self.world.assigned.get(self.call("VM.get_domid", vm), [])

    def reserved(self, vm=None):
        """Functions that are reserved for that VM, or for any."""
        uuid = vm and self.uuid("VM", vm)
        return [f for f in self.admin("functions")
                if f["reserved_for"] == uuid or (vm is None and f["reserved_for"] not in ("", "dom0"))]

    def exposed(self):
        return len(self.dpu("sim_dump")["snap"]["exposures"])

    # ---- what goes wrong

    def crash(self, wait=False):
        """kill -9, and it is started again as systemd does. From any thread."""
        with self.crash_lock:
            if self.session is not None:
                self.kill_daemon()
                self.start_daemon(wait=wait)

    def xapi_restarts(self, booting):
        self.fake.restart(booting=booting)

        def answers():
            try:
                self.session = self.api.login()
                return self.call("pool.get_all")
            except XapiError:
                return None
        until("XAPI answers again", answers)

    def listed(self, vm):
        """The addresses in the VM's list, in the order in which XAPI takes them."""
        return pci_list(self.pci(vm))
