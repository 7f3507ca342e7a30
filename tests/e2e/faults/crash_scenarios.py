"""The calls whose every point is killed (f2_test.py): what must be there before, the call, what must hold after.

A scenario is a generator: it prepares, yields the call, gets its answer, and checks. What it makes stays in the
world, which is compared as a whole after each case.
"""
import os
import uuid

from stack import until

MiB = 1 << 20
VM = "5b0c6c0e-1df0-4a52-8d4f-0f4d2b1a7c11"


class World:
    """One stack with one SR, and what the calls so far must have left behind."""

    def __init__(self, stack, sr, pbd):
        self.s, self.sr, self.pbd = stack, sr, pbd
        self.volumes = {}  # key -> the fields that SR.ls must show
        self.marks = {}    # key -> bytes at its beginning
        self.attached = set()
        self.domid = 0
        self.over = lambda: True  # for what goes on after the call and no list of open things shows

    def call(self, method, **arguments):
        return self.s.volume.call(method, arguments)

    def note(self, answer, **changed):
        self.volumes[answer["key"]] = {**{f: answer[f] for f in ("name", "description", "virtual_size", "read_write",
                                                                 "keys")}, **changed}
        return answer

    def volume(self, mark=True):
        v = self.note(self.call("Volume.create", sr=self.sr, name="v", description="", size=8 * MiB, sharable=False))
        if mark:
            self.marks[v["key"]] = os.urandom(16)
            self.s.write(v["key"], 0, self.marks[v["key"]])
        return v

    def snapshot(self, v):
        made = self.note(self.call("Volume.snapshot", sr=self.sr, key=v["key"]))
        self.marks[made["key"]] = self.marks[v["key"]]
        return made

    def guest(self):
        self.domid += 1
        self.s.start_vm(self.domid, VM)
        return str(self.domid)

    def attach(self, v, domain):
        where = {"uri": v["uri"][0], "domain": domain}
        self.call("Datapath.attach", **where)
        self.attached.add((v["key"], domain))
        return where

    def release(self, v, where):
        self.s.end_vm(where["domain"])
        self.call("Datapath.deactivate", **where)
        self.call("Datapath.detach", **where)
        self.attached.discard((v["key"], where["domain"]))

    def problems(self):
        """What differs from what clients were told."""
        listed = {v["key"]: v for v in self.call("SR.ls", sr=self.sr)}
        found = [f"{k} is listed, nobody was told" for k in listed.keys() - self.volumes.keys()]
        found += [f"{k} was told, is not listed" for k in self.volumes.keys() - listed.keys()]
        for key in listed.keys() & self.volumes.keys():
            found += [f"{key}: {field} is {listed[key][field]!r}, should be {value!r}"
                      for field, value in self.volumes[key].items() if listed[key][field] != value]
            if key in self.marks and self.s.read(key, 0, 16) != self.marks[key]:
                found.append(f"{key} has other bytes")
        attached = {(a["volume"], d) for a in self.s.admin("attachments") for d in a["domains"]}
        return found + [f"attachments differ: {attached ^ self.attached}"] * (attached != self.attached)


def sr_create(w):
    sr = str(uuid.uuid4())
    pbd = yield "SR.create", {"uuid": sr, "configuration": {"dpu": "dpu0", "drives": "S0002"}, "name": "second",
                              "description": ""}
    w.call("SR.attach", configuration=pbd)
    assert w.call("SR.ls", sr=sr) == []
    w.call("SR.destroy", sr=sr)


def sr_destroy(w):
    sr, _ = w.s.make_sr(drives="S0002")
    yield "SR.destroy", {"sr": sr}
    assert len(w.s.dpu("sim_dump")["stores"]) == 1, "the pool is still there"
    w.call("SR.destroy", sr=sr)


def sr_attach(w):
    w.call("SR.detach", sr=w.sr)
    assert (yield "SR.attach", {"configuration": w.pbd}) == w.sr


def sr_detach(w):
    yield "SR.detach", {"sr": w.sr}
    w.call("SR.attach", configuration=w.pbd)


def sr_set_name(w):
    yield "SR.set_name", {"sr": w.sr, "new_name": "é"}
    assert w.call("SR.stat", sr=w.sr)["name"] == "é"


def sr_set_description(w):
    yield "SR.set_description", {"sr": w.sr, "new_description": "d"}
    assert w.call("SR.stat", sr=w.sr)["description"] == "d"


def volume_create(w):
    v = w.note((yield "Volume.create", {"sr": w.sr, "name": "new", "description": "d", "size": 9 * MiB,
                                        "sharable": False}))
    assert v["virtual_size"] >= 9 * MiB and v["name"] == "new"


def volume_create_empty(w):
    w.note((yield "Volume.create", {"sr": w.sr, "name": "", "description": "", "size": 0, "sharable": False}))


def volume_snapshot(w):
    v = w.volume()
    made = w.note((yield "Volume.snapshot", {"sr": w.sr, "key": v["key"]}))
    w.marks[made["key"]] = w.marks[v["key"]]


def clone(w, v):
    made = w.note((yield "Volume.clone", {"sr": w.sr, "key": v["key"]}))
    w.marks[made["key"]] = w.marks[v["key"]]


def volume_clone(w):
    yield from clone(w, w.volume())


def volume_clone_of_snapshot(w):
    yield from clone(w, w.snapshot(w.volume()))


def volume_resize(w):
    v = w.volume()
    yield "Volume.resize", {"sr": w.sr, "key": v["key"], "new_size": 20 * MiB}
    w.volumes[v["key"]]["virtual_size"] = 20 * MiB


def volume_resize_empty(w):
    v = w.note(w.call("Volume.create", sr=w.sr, name="", description="", size=0, sharable=False))
    yield "Volume.resize", {"sr": w.sr, "key": v["key"], "new_size": 8 * MiB}
    w.volumes[v["key"]]["virtual_size"] = 8 * MiB


def volume_revert(w):
    v = w.volume()
    s = w.snapshot(v)
    w.s.write(v["key"], 0, b"written later...")
    w.over = lambda: not any(name.startswith("vnvme-new.") for name in w.s.lvols())  # it has the volume's name
    yield "Volume.revert", {"sr": w.sr, "snapshot": s["key"], "key": v["key"]}
    until("its lvol has the volume's name", w.over)


def destroy(w, v):
    w.volumes.pop(v["key"])
    w.marks.pop(v["key"], None)
    yield "Volume.destroy", {"sr": w.sr, "key": v["key"]}
    assert w.s.bdev_of(v["key"]) is None, "its space is not free"
    w.call("Volume.destroy", sr=w.sr, key=v["key"])


def volume_destroy(w):
    yield from destroy(w, w.volume())


def volume_destroy_with_clone(w):
    """A snapshot with one clone: freeing it is SPDK's merge."""
    s = w.snapshot(w.volume())
    yield from destroy(w, s)


def volume_set_name(w):
    v = w.volume()
    w.over = lambda: any(name.endswith(v["key"][:8]) for name in w.s.lvols())  # its lvol has the new label
    yield "Volume.set_name", {"sr": w.sr, "key": v["key"], "new_name": v["key"][:8]}
    w.volumes[v["key"]]["name"] = v["key"][:8]
    until("its lvol has the new label", w.over)


def volume_set_description(w):
    v = w.volume()
    yield "Volume.set_description", {"sr": w.sr, "key": v["key"], "new_description": "other"}
    w.volumes[v["key"]]["description"] = "other"


def volume_set(w):
    v = w.volume()
    yield "Volume.set", {"sr": w.sr, "key": v["key"], "k": "a", "v": "b"}
    w.volumes[v["key"]]["keys"] = {**v["keys"], "a": "b"}


def volume_unset(w):
    v = w.volume()
    w.call("Volume.set", sr=w.sr, key=v["key"], k="a", v="b")
    yield "Volume.unset", {"sr": w.sr, "key": v["key"], "k": "a"}


def attach(w, domain):
    v = w.volume()
    where = {"uri": v["uri"][0], "domain": domain}
    w.attached.add((v["key"], domain))
    answer = yield "Datapath.attach", where
    yield None  # the world is looked at while it is attached
    kinds = [name for name, _ in answer["implementations"]]
    assert kinds == (["XenDisk", "File"] if domain.isdigit() else ["BlockDevice"]), kinds
    w.call("Datapath.activate", **where)
    w.release(v, where)


def datapath_attach(w):
    yield from attach(w, w.guest())


def datapath_attach_dom0(w):
    yield from attach(w, "u0_f2")


def activate(w, method, v, domain):
    where = w.attach(v, domain)
    yield "Datapath." + method, where
    yield None
    modes = [a["mode"] for a in w.s.admin("attachments") if a["volume"] == v["key"]]
    assert modes == ["read-only" if method.endswith("readonly") else "read-write"], modes
    w.release(v, where)


def datapath_activate(w):
    yield from activate(w, "activate", w.volume(), w.guest())


def datapath_activate_alone(w):
    """Without an attach before it: then it is one."""
    v = w.volume()
    where = {"uri": v["uri"][0], "domain": "u0_f2"}
    w.attached.add((v["key"], "u0_f2"))
    yield "Datapath.activate", where
    yield None
    w.release(v, where)


def datapath_activate_readonly(w):
    yield from activate(w, "activate_readonly", w.snapshot(w.volume()), "u0_f2")


def release(w, method, domain):
    v = w.volume()
    where = w.attach(v, domain)
    w.call("Datapath.activate", **where)
    w.s.end_vm(domain)
    w.attached.clear()
    yield "Datapath." + method, where
    assert not w.s.dpu("sim_dump")["snap"]["exposures"], "its namespace is still there"


def datapath_deactivate(w):
    yield from release(w, "deactivate", "u0_f2")


def datapath_deactivate_guest(w):
    yield from release(w, "deactivate", w.guest())


def datapath_detach(w):
    yield from release(w, "detach", "u0_f2")


SCENARIOS = [sr_create, sr_destroy, sr_attach, sr_detach, sr_set_name, sr_set_description, volume_create,
             volume_create_empty, volume_snapshot, volume_clone, volume_clone_of_snapshot, volume_resize,
             volume_resize_empty, volume_revert, volume_destroy, volume_destroy_with_clone, volume_set_name,
             volume_set_description, volume_set, volume_unset, datapath_attach, datapath_attach_dom0,
             datapath_activate, datapath_activate_alone, datapath_activate_readonly, datapath_deactivate,
             datapath_deactivate_guest, datapath_detach]
