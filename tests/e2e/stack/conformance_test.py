"""The calls of XAPI in the orders and doubles that it sends them, for both SR types, with bytes looked at."""
import os
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
import truth
from stack import Stack, until

MiB, GiB = 1 << 20, 1 << 30
DRIVES = tuple(f"name=Nvme{n}n1,size=16GiB,serial=S{n}" for n in range(8))
VM, OTHER = "3f0c4d8e-0f6b-4c55-9d1e-7a7f5a1b2c3d", "b4b7a1b0-8d25-4c37-9a52-0a4f3ff4f8aa"


class Session(unittest.TestCase):
    """One stack and one SR a type; a test brings its own volumes. `kind` is the attribute of Stack."""
    kind = None

    @classmethod
    def setUpClass(cls):
        if cls.kind is None:
            raise unittest.SkipTest("the tests of both types; see the classes below")
        cls.s = Stack(drives=DRIVES)
        cls.addClassCleanup(cls.s.stop)
        cls.s.start_dpu()
        cls.s.start_daemon()
        cls.api = getattr(cls.s, cls.kind)
        cls.free = [f"S{n}" for n in range(7, -1, -1)]
        cls.sr, cls.pbd = cls.new_sr()

    @classmethod
    def new_sr(cls, **config):
        return cls.s.make_sr(cls.api, drives=cls.free.pop(), **config)

    def setUp(self):
        self.begin = time.monotonic()

    def tearDown(self):
        print(f"{time.monotonic() - self.begin:.1f} s ", end="", file=sys.stderr)

    def call(self, method, **arguments):
        return self.api.call(method, arguments)

    def create(self, size=GiB, name="disk", sr=None):
        return self.call("Volume.create", sr=sr or self.sr, name=name, description="", size=size, sharable=False)

    def of(self, volume):
        return {"sr": self.sr, "key": volume["key"]}

    def refused(self, method, *words, code=None, **arguments):
        with self.assertRaises(broker.BackendError) as caught:
            self.call(method, **arguments)
        text = " ".join(caught.exception.params)
        for word in words:
            self.assertIn(word, text)
        if code is not None:
            self.assertEqual(caught.exception.code, code)
        return caught.exception


class Srs:
    def test_life_of_an_sr(self):
        name, drive = str(uuid.uuid4()), self.free.pop()
        create = {"uuid": name, "configuration": {"dpu": "dpu0", "drives": drive}, "name": "n", "description": "d"}
        pbd = self.call("SR.create", **create)
        self.assertEqual(self.call("SR.create", **create), pbd, "the same create again is the same SR")
        self.assertEqual(pbd["sr_uuid"], name)
        sr = self.call("SR.attach", configuration=pbd)
        self.assertEqual(self.call("SR.attach", configuration=pbd), sr)
        stat = self.call("SR.stat", sr=sr)
        self.assertEqual((stat["name"], stat["description"], stat["uuid"]), ("n", "d", name))
        self.assertEqual(stat["health"][0], "Healthy")
        self.assertTrue(0 < stat["free_space"] <= stat["total_space"] < 16 * GiB)
        self.assertFalse(stat["clustered"])
        self.assertEqual(self.call("SR.ls", sr=sr), [])
        self.call("SR.set_name", sr=sr, new_name="ünïcode 雪")
        self.call("SR.set_description", sr=sr, new_description="")
        stat = self.call("SR.stat", sr=sr)
        self.assertEqual((stat["name"], stat["description"]), ("ünïcode 雪", ""))
        volume = self.create(sr=sr)
        self.refused("SR.destroy", volume["key"], code="SR_BACKEND_FAILURE_39", sr=sr)
        self.assertEqual([v["key"] for v in self.call("SR.ls", sr=sr)], [volume["key"]])
        self.call("Volume.destroy", sr=sr, key=volume["key"])
        self.assertEqual(self.call("SR.ls", sr=sr), [])
        for _ in range(2):
            self.call("SR.detach", sr=sr)
        self.call("SR.attach", configuration=pbd)
        for _ in range(2):
            self.call("SR.destroy", sr=sr)
        for _ in range(2):
            self.call("SR.detach", sr=sr)
        self.assertEqual(self.refused("SR.ls", sr=sr).params[0], "SR_does_not_exist")
        self.assertEqual(self.refused("SR.stat", sr=sr).params[0], "SR_does_not_exist")
        self.assertFalse([d for d in self.s.admin("drives") if d["serial"] == drive and d["claimed"]])
        again, _ = self.s.make_sr(self.api, drives=drive)  # nothing of it is left that would be in the way
        self.call("SR.destroy", sr=again)

    def test_probe(self):
        (dpu,) = self.call("SR.probe", configuration={})
        self.assertEqual((dpu["configuration"], dpu["complete"]), ({"dpu": "dpu0"}, False))
        found = self.call("SR.probe", configuration=dpu["configuration"])
        mine = [p for p in found if p["configuration"].get("sr_uuid") == self.sr]
        self.assertEqual(len(mine), 1)
        self.assertEqual(mine[0]["configuration"], self.pbd, "what probe says can be given to SR.attach as it is")
        self.assertEqual(mine[0]["sr"]["sr"], self.sr)
        drives = {p["extra_info"]["serial"]: p for p in found if "serial" in p["extra_info"]}
        self.assertEqual(len(drives), len(DRIVES))
        self.assertFalse(drives[self.pbd["serials"]]["complete"])
        self.assertEqual(drives[self.free[0]]["configuration"], {"dpu": "dpu0", "drives": self.free[0]})

    def test_a_drive_in_use_is_not_taken_and_nothing_is_left(self):
        name = str(uuid.uuid4())
        self.refused("SR.create", self.pbd["serials"], uuid=name, name="", description="",
                     configuration={"dpu": "dpu0", "drives": self.pbd["serials"]})
        self.refused("SR.create", "no drive", uuid=name, name="", description="",
                     configuration={"dpu": "dpu0", "drives": "none such"})
        self.refused("SR.create", "device-config:dpu", uuid=name, name="", description="", configuration={})
        self.assertEqual(self.refused("SR.stat", sr=name).params[0], "SR_does_not_exist")

    def test_self_test_of_the_broker(self):
        """What `xapi-storage-script --self-test-only` asks, in its order."""
        query = self.api.call("Plugin.Query")
        self.assertEqual(query["required_api_version"], "5.0")
        self.assertTrue(self.api.call("Plugin.diagnostics"))
        pbd = self.call("SR.create", uuid=str(uuid.uuid4()), name="dummySR", description="",
                        configuration={"dpu": "dpu0", "drives": self.free.pop()})
        self.call("SR.detach", sr=pbd["sr_uuid"])
        sr = self.call("SR.attach", configuration=pbd)
        self.call("SR.stat", sr=sr)
        of = {"sr": sr, "key": self.create(0, "dummyVDI", sr)["key"]}
        self.call("Volume.set", **of, k="vdi-type", v="redolog")
        for _ in range(2):
            stat = self.call("Volume.stat", **of)
            self.assertEqual((stat["virtual_size"], stat["keys"]), (0, {"vdi-type": "redolog"}))
        self.call("Volume.destroy", **of)
        self.call("SR.stat", sr=sr)
        self.assertEqual(self.call("SR.ls", sr=sr), [])
        self.assertIn(sr, [p["configuration"].get("sr_uuid") for p in self.call("SR.probe", configuration=pbd)])


class Volumes:
    def test_names_of_any_text(self):
        texts = ["", "é雪🎈", "a/b\\c\"d", "\x01\n\t\x7f", "x" * 65536, "雪" * 21845, "-n --json", "vnvme-trash."]
        made = {}
        for text in texts:
            volume = self.create(MiB, text)
            self.assertEqual(volume["name"], text)
            self.call("Volume.set_description", **self.of(volume), new_description=text)
            self.call("Volume.set_name", **self.of(volume), new_name=text[::-1])
            made[volume["key"]] = text
        for action in (lambda: None, lambda: (self.s.kill_daemon(), self.s.start_daemon())):
            action()
            listed = {v["key"]: v for v in self.call("SR.ls", sr=self.sr)}
            for key, text in made.items():
                stat = self.call("Volume.stat", sr=self.sr, key=key)
                self.assertEqual((stat["name"], stat["description"]), (text[::-1], text))
                self.assertEqual(listed[key]["name"], text[::-1])
        self.refused("Volume.create", "65536", sr=self.sr, name="x" * 65537, description="", size=MiB, sharable=False)
        self.refused("Volume.set_name", "65536", sr=self.sr, key=next(iter(made)), new_name="雪" * 21846)
        truth.agree(self.s)

    def test_sizes_are_the_dpus_and_never_less_than_asked(self):
        for size in (1, 511, MiB - 1, 4 * MiB, 4 * MiB + 1, 3 * GiB + 7):
            volume = self.create(size)
            self.assertGreaterEqual(volume["virtual_size"], size)
            lvol = self.s.lvols()[next(n for n in self.s.lvols() if volume["key"].replace("-", "") in n)]
            self.assertEqual(volume["virtual_size"], lvol["num_blocks"] * lvol["block_size"])
            self.assertEqual(self.call("Volume.stat", **self.of(volume))["virtual_size"], volume["virtual_size"])

    def test_two_creates_make_two_volumes(self):
        self.assertNotEqual(self.create()["key"], self.create()["key"])

    def test_a_volume_that_is_not_there(self):
        nobody = str(uuid.uuid4())
        self.assertEqual(self.refused("Volume.stat", sr=self.sr, key=nobody).params[0], "Volume_does_not_exist")
        self.assertEqual(self.refused("Volume.set", sr=self.sr, key=nobody, k="a", v="b").params[0],
                         "Volume_does_not_exist")
        self.call("Volume.destroy", sr=self.sr, key=nobody)

    def test_keys(self):
        volume = self.create(MiB)
        for k, v in (("vdi-type", "user"), ("k", ""), ("雪", "x" * 65536)):
            self.call("Volume.set", **self.of(volume), k=k, v=v)
        self.call("Volume.set", **self.of(volume), k="k", v="2")
        for _ in range(2):
            self.call("Volume.unset", **self.of(volume), k="雪")
        self.assertEqual(self.call("Volume.stat", **self.of(volume))["keys"], {"vdi-type": "user", "k": "2"})

    def test_destroy_twice_and_what_comes_next_in_its_place_is_empty(self):
        for provisioning in ("thin", "thick"):
            sr, _ = self.new_sr(provisioning=provisioning)
            volume = self.create(32 * MiB, "secret", sr)
            for cluster in range(8):
                self.s.write(volume["key"], cluster * 4 * MiB + 4096, b"secret" * 100)
            for _ in range(2):
                self.call("Volume.destroy", sr=sr, key=volume["key"])
            self.assertNotIn(volume["key"], [v["key"] for v in self.call("SR.ls", sr=sr)])
            self.assertEqual(self.refused("Volume.stat", sr=sr, key=volume["key"]).params[0], "Volume_does_not_exist")
            truth.agree(self.s)
            fresh = self.create(32 * MiB, "next", sr)
            for cluster in range(8):  # one byte makes a thin volume take the cluster that held the secret
                self.s.write(fresh["key"], cluster * 4 * MiB, b"x" * 512)
                self.assertEqual(self.s.read(fresh["key"], cluster * 4 * MiB + 512, 128 * 1024 - 512),
                                 bytes(128 * 1024 - 512), f"{provisioning}: data of a destroyed volume shows through")

    def test_a_volume_of_nothing(self):
        volume = self.create(0)
        self.assertEqual(volume["virtual_size"], 0)
        self.refused("Datapath.attach", "0 bytes", uri=volume["uri"][0], domain="u0_x")
        for _ in range(2):
            self.call("Volume.destroy", **self.of(volume))
        truth.agree(self.s)


class Datapaths:
    def start(self, domid, vm):
        self.s.start_vm(domid, vm)
        self.s.cli("reserve", vm)

    def gone(self, domid, vm):
        """The domain ends without a word; a destroyed volume brings on the housekeeper's next look."""
        self.s.end_vm(domid)
        self.call("Volume.destroy", **self.of(self.create(MiB)))
        until("the domain's volumes are released", lambda: not self.s.admin("attachments"))
        self.s.cli("unreserve", vm)

    def test_a_guest_each_call_twice(self):
        self.start(17, VM)
        self.start(18, OTHER)
        volume = self.create()
        where = {"uri": volume["uri"][0], "domain": "17"}
        answers = [self.call("Datapath.attach", **where) for _ in range(2)]
        self.assertEqual(answers[0], answers[1])
        kinds = [kind for kind, _ in answers[0]["implementations"]]
        self.assertEqual(kinds, ["XenDisk", "File"])
        self.assertEqual(answers[0]["implementations"][0][1]["backend_type"], "9pfs")
        for _ in range(2):
            self.call("Datapath.activate", **where)
        self.assertEqual(len(self.s.dpu("sim_dump")["snap"]["exposures"]), 1)
        self.refused("Datapath.attach", "attached to", VM, uri=volume["uri"][0], domain="18")
        self.refused("Datapath.attach", "attached to", VM, uri=volume["uri"][0], domain="u0_copy")
        self.refused("Datapath.activate_readonly", "read-only", **where)
        self.refused("Volume.destroy", VM, code="SR_BACKEND_FAILURE_24", **self.of(volume))
        self.refused("SR.detach", volume["key"], sr=self.sr)
        for _ in range(2):
            self.call("Datapath.deactivate", **where)
        for _ in range(2):
            self.call("Datapath.detach", **where)
        until("the namespace is gone", lambda: not self.s.dpu("sim_dump")["snap"]["exposures"])
        other = {"uri": volume["uri"][0], "domain": "18"}  # it is free for the next
        self.call("Datapath.attach", **other)
        self.call("Datapath.activate", **other)
        self.s.end_vm(17)
        self.s.cli("unreserve", VM)
        self.gone(18, OTHER)
        truth.agree(self.s)

    def test_a_guest_without_a_function(self):
        volume = self.create()
        self.refused("Datapath.attach", "no domain 99", uri=volume["uri"][0], domain="99")
        self.s.start_vm(19, OTHER)
        self.refused("Datapath.attach", "vnvme reserve " + OTHER, uri=volume["uri"][0], domain="19")
        self.s.end_vm(19)

    def test_the_end_alone_is_enough(self):
        volume = self.create()
        for domain in ("17", "", "u0_x"):
            self.call("Datapath.deactivate", uri=volume["uri"][0], domain=domain)
            self.call("Datapath.detach", uri=volume["uri"][0], domain=domain)
        nobody = f"vnvme:///{self.sr}/{uuid.uuid4()}"
        self.call("Datapath.detach", uri=nobody, domain="17")
        self.refused("Datapath.attach", uri=nobody, domain="u0_x")

    def test_destroy_right_after_a_detach_waits_for_the_release(self):
        self.start(21, VM)
        volume = self.create()
        where = {"uri": volume["uri"][0], "domain": "21"}
        for method in ("Datapath.attach", "Datapath.activate", "Datapath.deactivate", "Datapath.detach"):
            self.call(method, **where)
        self.call("Volume.destroy", **self.of(volume))
        self.s.end_vm(21)
        self.s.cli("unreserve", VM)
        truth.agree(self.s)

    def test_dom0_has_a_block_device_of_that_size(self):
        volume = self.create(64 * MiB)
        self.s.write(volume["key"], 8 * MiB, b"seen from dom0")
        users = [{"uri": volume["uri"][0], "domain": d} for d in ("u0_vbd_0_xvda", "u0-export")]
        paths = []
        for where in users:
            for _ in range(2):
                ((kind, device),) = self.call("Datapath.attach", **where)["implementations"]
                self.assertEqual(kind, "BlockDevice")
                paths.append(device["path"])
            for _ in range(2):
                self.call("Datapath.activate", **where)
        self.assertEqual(len(set(paths)), 1, "dom0 is one owner with one device")
        self.assertTrue(os.path.exists(paths[0]))
        for where in users:
            self.assertEqual(len(self.s.dpu("sim_dump")["snap"]["exposures"]), 1)
            for _ in range(2):
                self.call("Datapath.deactivate", **where)
            for _ in range(2):
                self.call("Datapath.detach", **where)
        self.assertEqual(self.s.dpu("sim_dump")["snap"]["exposures"], [])
        self.call("Volume.destroy", **self.of(volume))
        truth.agree(self.s)


class PoolType(Srs, Volumes, Datapaths, Session):
    kind = "volume"

    def test_resize(self):
        volume = self.create(GiB)
        before = volume["virtual_size"]
        for _ in range(2):
            self.call("Volume.resize", **self.of(volume), new_size=before + GiB + 1)
        grown = self.call("Volume.stat", **self.of(volume))["virtual_size"]
        self.assertGreater(grown, before + GiB)
        self.call("Volume.resize", **self.of(volume), new_size=grown)
        self.refused("Volume.resize", "shrink", **self.of(volume), new_size=before)
        self.assertEqual(self.call("Volume.stat", **self.of(volume))["virtual_size"], grown)
        nothing = self.create(0)
        self.call("Volume.resize", **self.of(nothing), new_size=8 * MiB)
        self.assertEqual(self.call("Volume.stat", **self.of(nothing))["virtual_size"], 8 * MiB)
        self.assertEqual(self.s.read(nothing["key"], 0, 4096), bytes(4096))
        truth.agree(self.s)

    def test_more_than_there_is(self):
        thick, _ = self.new_sr(provisioning="thick")
        error = self.refused("Volume.create", sr=thick, name="", description="", size=17 * GiB, sharable=False)
        self.assertEqual(error.code, "SR_BACKEND_FAILURE_44")
        volume = self.create(12 * GiB, sr=thick)
        self.refused("Volume.resize", sr=thick, key=volume["key"], new_size=18 * GiB)
        self.refused("Volume.create", sr=thick, name="", description="", size=6 * GiB, sharable=False)
        self.assertEqual(len(self.call("SR.ls", sr=thick)), 1)

    def test_a_clone_has_its_snapshots_bytes_and_a_revert_brings_them_back(self):
        volume = self.create(64 * MiB, "original")
        self.call("Volume.set", **self.of(volume), k="vdi-type", v="user")
        self.s.write(volume["key"], 5 * MiB, b"first")
        snapshot = self.call("Volume.snapshot", **self.of(volume))
        self.assertFalse(snapshot["read_write"])
        self.assertEqual((snapshot["name"], snapshot["virtual_size"]), ("original", volume["virtual_size"]))
        self.s.write(volume["key"], 5 * MiB, b"later")
        clones = [self.call("Volume.clone", **self.of(snapshot)), self.call("Volume.clone", **self.of(volume))]
        self.assertEqual([self.s.read(c["key"], 5 * MiB, 5) for c in clones], [b"first", b"later"])
        self.s.write(clones[0]["key"], 5 * MiB, b"mine!")
        self.s.write(clones[1]["key"], 5 * MiB, b"alone")
        self.assertEqual(self.s.read(snapshot["key"], 5 * MiB, 5), b"first")
        self.assertEqual(self.s.read(volume["key"], 5 * MiB, 5), b"later")
        self.call("Volume.resize", **self.of(volume), new_size=128 * MiB)
        for _ in range(2):
            self.call("Volume.revert", sr=self.sr, snapshot=snapshot["key"], key=volume["key"])
        until("the new storage has the volume's name", lambda: self.s.bdev_of(volume["key"]))
        truth.agree(self.s)
        self.assertEqual(self.s.read(volume["key"], 5 * MiB, 5), b"first")
        stat = self.call("Volume.stat", **self.of(volume))
        self.assertEqual((stat["key"], stat["name"], stat["virtual_size"], stat["uri"]),
                         (volume["key"], "original", 128 * MiB, volume["uri"]))
        self.refused("Volume.revert", "not a snapshot", sr=self.sr, snapshot=clones[0]["key"], key=volume["key"])
        self.refused("Volume.snapshot", "snapshot", **self.of(snapshot))
        self.refused("Volume.resize", "snapshot", **self.of(snapshot), new_size=GiB)
        # its clones live on without it, in whatever order the rest goes
        for gone in (snapshot, volume, clones[1]):
            for _ in range(2):
                self.call("Volume.destroy", **self.of(gone))
            truth.agree(self.s)
            self.assertEqual(self.s.read(clones[0]["key"], 5 * MiB, 5), b"mine!")
        self.call("Volume.destroy", **self.of(clones[0]))
        truth.agree(self.s)

    def test_a_snapshot_is_attached_read_only_and_an_exposed_volume_is_not_reverted(self):
        volume = self.create(64 * MiB)
        snapshot = self.call("Volume.snapshot", **self.of(volume))
        where = {"uri": snapshot["uri"][0], "domain": "u0_backup"}
        self.call("Datapath.attach", **where)
        self.refused("Datapath.activate", "read-only", **where)
        for _ in range(2):
            self.call("Datapath.activate_readonly", **where)
        own = {"uri": volume["uri"][0], "domain": "u0_other"}
        self.call("Datapath.attach", **own)
        self.refused("Volume.revert", "attached", sr=self.sr, snapshot=snapshot["key"], key=volume["key"])
        for w in (own, where):
            self.call("Datapath.deactivate", **w)
            self.call("Datapath.detach", **w)
        truth.agree(self.s)

    def test_a_snapshot_while_the_guest_has_the_volume(self):
        self.start(20, VM)
        volume = self.create(64 * MiB)
        where = {"uri": volume["uri"][0], "domain": "20"}
        self.call("Datapath.attach", **where)
        self.call("Datapath.activate", **where)
        self.s.write(volume["key"], 0, b"live")
        clone = self.call("Volume.clone", **self.of(self.call("Volume.snapshot", **self.of(volume))))
        self.call("Volume.resize", **self.of(volume), new_size=128 * MiB)
        self.assertEqual(self.s.read(clone["key"], 0, 4), b"live")
        self.gone(20, VM)
        truth.agree(self.s)


class RawType(Srs, Volumes, Datapaths, Session):
    kind = "raw"

    def test_it_has_no_scripts_for_what_it_cannot(self):
        volume = self.create(MiB)
        for method in ("Volume.snapshot", "Volume.clone", "Volume.resize", "Volume.revert"):
            with self.assertRaises(broker.ScriptMissing):
                self.call(method, **self.of(volume))


if __name__ == "__main__":
    unittest.main(verbosity=2)
