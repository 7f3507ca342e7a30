"""What a daemon with two DPUs answers: the material of the golden outputs."""
GIB = 1 << 30
SR1, SR2 = "5a3f0c1e-1111-4222-8333-000000000001", "5a3f0c1e-1111-4222-8333-000000000002"
POOL1, POOL2 = "8d3c1f9e-7a44-4b6e-9c53-0d4a8f2b6c11", "8d3c1f9e-7a44-4b6e-9c53-0d4a8f2b6c22"
VM = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


def volume(n, name, gib, used, owner="", function="", bdf="", **more):
    return {"sr": SR1, "volume": "c0ffee00-0000-4000-8000-%012d" % n, "name": name, "kind": "data", "state": "ready",
            "size": gib * GIB, "allocated": used, "parent": "", "owner": owner, "function": function, "bdf": bdf,
            "dpu_name": "v-%012d" % n, "read_only": False, **more}


def dpu(name, connected=True, trouble=""):
    return {"dpu": name, "name": "" if name == "dpu0" else "mirror", "connected": connected, "family": "snap", "version": "SNAP 4.8 / SPDK v26.05",
            "trouble": trouble, "generation": 3}


def sr(ident, name, dpu_name, pool, **more):
    return {"sr": ident, "name": name, "type": "vnvme", "state": "ready", "attached": True, "dpu": dpu_name, "pool": pool,
            "health": "healthy", "health_text": "", "total": 931 * GIB, "free": 400 * GIB, "volumes": 5, **more}


def status(dpus, srs, **more):
    return {"version": "0.1.0", "uptime_s": 11520, "ready": True, "dpus": dpus, "srs": srs, "volumes_total": 5,
            "attachments_total": 3, "intents": 0, "queue": 0, "busy": [], "wipes": [], **more}


def pool(dpu_name, ident, name, drive, sr_id, **more):
    return {"dpu": dpu_name, "pool": ident, "name": name, "drive": drive, "raid": "", "raid_state": "",
            "rebuild_percent": None, "total": 931 * GIB, "free": 400 * GIB, "cluster": 1 << 20, "sr": sr_id, "volumes": 5,
            "foreign": False, **more}


def drive(dpu_name, name, claimed, used_by="", takeable=False, reason=""):
    return {"dpu": dpu_name, "name": name, "model": "Example PM9 1TB", "serial": "S6XN" + name.upper(), "size": 1000204886016,
            "claimed": claimed, "used_by": used_by, "takeable": takeable, "reason": reason}


def function(n, reserved="", namespaces=0, **more):
    return {"dpu": "dpu0", "function": "VUID%02d" % n, "bdf": "0000:3b:00.%d" % n, "serial": "VNVME%015d" % n, "kind": "pf",
            "driver": "pciback", "ready": True, "foreign": False, "reserved_for": reserved, "spare": n == 5,
            "namespaces": [{"nsid": i + 1} for i in range(namespaces)], **more}


VOLUMES = [
    volume(1, "web-root", 20, 3 * GIB + (GIB >> 1), "vm:" + VM, "VUID02", "0000:3b:00.2"),
    volume(2, "数据库 データ", 500, 380 * GIB, "vm:" + VM, "VUID02", "0000:3b:00.2"),
    volume(3, "installer image", 8, 2 * GIB, "dom0", "VUID03", "0000:3b:00.3", kind="snapshot", read_only=True),
    volume(4, "Ünïcödé 🚀 a name that is a good deal longer than a column of any table should ever be", 100, 0),
    volume(5, "", 4, GIB, state="trash"),
]
ATTACHMENTS = [
    {"volume": v["volume"], "name": v["name"], "owner": v["owner"], "domains": ["7"] if n < 2 else ["u0_vbd_1"],
     "function": v["function"], "bdf": v["bdf"], "nsid": n + 1 if n < 2 else 1, "mode": "read_write" if n < 2 else "read_only",
     "state": "active", "device": "" if n < 2 else "/dev/nvme3n1"}
    for n, v in enumerate(VOLUMES[:3])
]
FULL = {
    "status": status([dpu("dpu0"), dpu("dpu1")],
                     [sr(SR1, "Fast NVMe", "dpu0", POOL1), sr(SR2, "Mirrored", "dpu1", POOL2, volumes=0, free=20 * GIB,
                                                             health_text="one of two drives is missing since 11:02")],
                     busy=[{"what": "pool load", "object": "vnvme-mirror", "since_ms": 42000}],
                     wipes=[{"volume": VOLUMES[4]["volume"], "done": 3 * GIB, "total": 4 * GIB, "rate": 200 << 20, "eta_s": 5},
                            {"volume": VOLUMES[3]["volume"], "done": None, "total": 100 * GIB, "rate": None, "eta_s": None, "since_ms": 9000}],
                     intents=2, queue=1),
    "dpu": [dpu("dpu0"), dpu("dpu1", False, "no answer from tcp:192.168.100.2:5260 since 12:01:07 (Connection refused)")],
    "drives": [drive("dpu0", "Nvme0n1", True, "pool vnvme-fast"), drive("dpu0", "Nvme1n1", False, takeable=True),
               drive("dpu0", "Nvme2n1", False, reason="holds a GPT partition table"),
               drive("dpu1", "Nvme0n1", True, "raid1 vnvme-mirror")],
    "pools": [pool("dpu0", POOL1, "vnvme-fast", "Nvme0n1", SR1),
              pool("dpu0", "99999999-0000-4000-8000-000000000000", "lvs_other", "Malloc0", "", foreign=True, total=GIB, free=GIB),
              pool("dpu1", POOL2, "vnvme-mirror", "vnvme-r1", SR2, raid="raid1", raid_state="degraded", rebuild_percent=12.5,
                   free=20 * GIB, volumes=0)],
    "volumes": VOLUMES,
    "functions": [function(2, "vm:" + VM, 2), function(3, "", 1), function(4, VM), function(5), function(6, foreign=True, driver="nvme"),
                  {**function(7, driver=""), "serial": "", "ready": False, "bdf": ""}, function(8, ready=False)],
    "attachments": ATTACHMENTS,
    "events": {"next": 3, "events": [
        {"seq": 1, "wall_ms": 1795348800000, "level": "info", "object": "", "text": "vnvmed 0.1.0 is ready"},
        {"seq": 2, "wall_ms": 1795348860123, "level": "warning", "object": "dpu dpu1", "text": "lost: Connection refused"},
        {"seq": 3, "wall_ms": 1795348920456, "level": "error", "object": "volume web-root", "text": "cannot be resized\x1b[31m now"}]},
    "doctor": [
        {"check": "iommu", "state": "ok", "text": "on, with interrupt remapping", "repair": ""},
        {"check": "spare functions", "state": "warning", "text": "dpu0 has 1 of 2", "repair": "vnvme retry"},
        {"check": "dpu dpu1", "state": "problem", "text": "no answer since 12:01", "repair": "ping 192.168.100.2, then look at the DPU"}],
    "reserve": {"function": "VUID04", "bdf": "0000:3b:00.4", "serial": "VNVME000000000000004"},
    "unreserve": {},
    "adopt": [{"sr": SR1, "volumes": 5, "missing_names": 2, "accepted": False}],
}
EMPTY = {**FULL, "status": status([], [], volumes_total=0, attachments_total=0), "dpu": [], "drives": [], "pools": [], "volumes": [],
         "functions": [], "attachments": [], "events": {"next": 0, "events": []},
         "doctor": [{"check": "iommu", "state": "ok", "text": "on", "repair": ""}]}
