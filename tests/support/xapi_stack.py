"""A whole vnvme that follows a fake XAPI (toolstack xapi), and what a user does there, in few words.

    with XapiStack() as s:
        vm = s.machine(disks=2)      # VM.create, VDI.create, VBD.create
        s.ready(vm)                  # until vnvmed wrote other_config:pci
        s.call("VM.start", vm, False, False)
"""
import os

from fake_xapi import FakeXapi
from stack import SCRIPTS, Stack, until
from xapi_db import XapiError
from xapi_xenops import World

MiB = 1 << 20


class XapiStack(Stack):
    def __init__(self, config=None, world=World, hooks=None, **stack):
        super().__init__(config={"toolstack": "xapi", **(config or {})}, **stack)
        self.extra["xapi"] = {"uri": "unix:" + os.path.join(self.directory, "xapi")}
        self.world = world(domains=os.path.join(self.directory, "domains"), host=os.path.join(self.directory, "host"))
        self.fake = FakeXapi(unix=os.path.join(self.directory, "xapi"), root=SCRIPTS, env=self.volume.env,
                             world=self.world, hooks=hooks)
        self.api = self.fake.api
        self.session = self.sr = None

    def __enter__(self):
        try:
            self.start_dpu()
            self.fake.__enter__()
            self.session = self.api.login()
            self.start_daemon()
            self.sr = self.call("SR.create", self.api.host, {"dpu": "dpu0", "drives": "S0001"}, 0, "sr", "", "vnvme",
                                "user", False, {})
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        if self.session is not None:
            self.fake.__exit__()
            self.session = None
        super().stop()

    def call(self, method, *params):
        return self.api.call(method, [self.session, *params])

    def uuid(self, cls, ref):
        return self.call(cls + ".get_uuid", ref)

    def disk(self, name="disk", size=64 * MiB):
        return self.call("VDI.create", {"name_label": name, "SR": self.sr, "virtual_size": size, "type": "user"})

    def plug(self, vm, vdi):
        number = next(n for n in self.call("VM.get_allowed_VBD_devices", vm) if int(n) >= 4)
        return self.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": number, "mode": "RW"})

    def machine(self, name="vm", disks=1):
        vm = self.call("VM.create", {"name_label": name})
        for n in range(disks):
            self.plug(vm, self.disk(f"{name} {n}"))
        return vm

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

    def xapi_restarts(self, booting):
        self.fake.restart(booting=booting)

        def answers():
            try:
                self.session = self.api.login()
                return self.call("pool.get_all")
            except XapiError:
                return None
        until("XAPI answers again", answers)
