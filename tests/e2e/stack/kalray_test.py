"""A life on a card that speaks HTTP and shows a volume by its name: scripts, daemon, simulated Kalray K200LP."""
import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
from stack import Stack, until

MiB, GiB = 1 << 20, 1 << 30
VM, OTHER = "3f0c4d8e-0f6b-4c55-9d1e-7a7f5a1b2c3d", "b4b7a1b0-8d25-4c37-9a52-0a4f3ff4f8aa"
SLOTS = {f"volume_{n:02}": f"0000:04:00.{n - 7}" for n in range(9, 13)}
PASSWORD = "not-in-any-log"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Kalray(unittest.TestCase):
    def setUp(self):
        port = free_port()
        self.s = Stack(drives=("name=Nvme0n1,size=16GiB,serial=S0001,model=WDS500G1X0E",))
        self.addCleanup(self.s.stop)
        self.secret = os.path.join(self.s.directory, "k200.credentials")
        self.set_password(PASSWORD)
        with open(os.path.join(self.s.directory, "card.auth"), "w", encoding="ascii") as out:
            out.write(f"admin:{PASSWORD}\n")
        self.s.dpu_options = ("--profile", "kalray", "--http", f"127.0.0.1:{port}", "--auth-file", out.name)
        self.s.extra = {"dpus": [{"name": "dpu0", "uri": f"kalray:127.0.0.1:{port}", "credentials": self.secret,
                                  "functions": SLOTS}]}
        self.s.start_dpu()

    def set_password(self, password):
        with open(self.secret, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            out.write(f"admin:{password}\n")

    def call(self, method, **arguments):
        return self.s.volume.call(method, arguments)

    def shown(self):
        """Which volume's lvol the card shows on which function, by its own word."""
        return {name: uuid for name, uuid in ((n, l["name"]) for n, l in self.s.lvols().items()) if name in SLOTS}

    def lent(self, vm):
        return [f["bdf"] for f in self.s.admin("functions") if f["reserved_for"] == vm]

    def test_a_life(self):
        self.s.start_daemon()
        sr = self.s.make_sr(force_drives="S0001")[0]
        volume = self.call("Volume.create", sr=sr, name="db", description="", size=GiB, sharable=False)
        self.s.write(volume["key"], 0, b"first")
        snapshot = self.call("Volume.snapshot", sr=sr, key=volume["key"])
        clone = self.call("Volume.clone", sr=sr, key=snapshot["key"])
        self.s.start_vm(17, VM)
        self.s.start_vm(18, OTHER)
        for vm in (VM, OTHER):
            self.s.cli("reserve", vm)
        self.assertNotEqual(self.lent(VM), self.lent(OTHER))
        where = {"uri": volume["uri"][0], "domain": "17"}
        self.call("Datapath.attach", **where)
        self.call("Datapath.activate", **where)
        self.assertEqual(len(self.shown()), 1)
        label = {v["volume"]: v["name"] for v in self.s.admin("volumes")}
        self.assertEqual(label[volume["key"]], "db", "its own name, whatever the card calls it")
        with self.assertRaises(broker.BackendError) as caught:
            self.call("Datapath.attach", uri=clone["uri"][0], domain="17")
        self.assertIn("carries one volume", " ".join(caught.exception.params))
        other = {"uri": clone["uri"][0], "domain": "18"}
        self.call("Datapath.attach", **other)
        self.call("Datapath.activate", **other)
        self.assertEqual(len(set(self.shown().values())), 2)

        self.s.kill_daemon()
        self.s.start_daemon()
        self.assertEqual(len(self.shown()), 2, "a running guest keeps its drive")
        self.call("Volume.stat", sr=sr, key=volume["key"])

        for end in (where, other):
            self.call("Datapath.deactivate", **end)
            self.call("Datapath.detach", **end)
        until("the functions show nothing", lambda: not self.shown())
        self.s.end_vm(17)
        self.s.end_vm(18)
        self.assertEqual(self.s.read(volume["key"], 0, 5), b"first")
        for gone in (clone, snapshot, volume):
            self.call("Volume.destroy", sr=sr, key=gone["key"])
        self.s.settle()
        self.assertEqual(self.s.lvols(), {})

    def test_a_wrong_password_and_an_open_file_are_told(self):
        self.set_password("wrong")
        self.s.start_daemon(wait=False)
        until("the daemon says that the password is refused", lambda: "are refused" in self.trouble(), 60)
        os.chmod(self.secret, 0o644)
        until("the daemon refuses a file that others can read", lambda: "mode 0644" in self.trouble(), 60)
        os.chmod(self.secret, 0o600)
        self.set_password(PASSWORD)
        until("the right one needs no restart", lambda: not self.trouble(), 60)
        for log in ("vnvmed.log", "dpu.log"):
            self.assertNotIn(PASSWORD, self.s.tail(log, 1 << 20))

    def trouble(self):
        try:
            card, = self.s.admin("dpu")
        except OSError:
            return "not started"
        return "" if card["connected"] else card["trouble"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
