"""SR, PBD and VDI of the fake XAPI: the plugin's scripts in the order in which the real one has them run
(facts: SMAPIv2 to SMAPIv3, ocaml/xapi-storage-script/main.ml; ocaml/xapi/xapi_sr.ml, xapi_vdi.ml)."""
import uuid

import broker
import xapi_objects as objects
from xapi_db import NULL, XapiError


class Storage:
    """`api` is the whole fake: its db, its host, and call(type, method, arguments), which runs a script."""

    def __init__(self, api):
        self.api, self.db = api, api.db
        self.attached = {}  # SR uuid -> what SR.attach answered: the broker's state.db

    # ---- the plugin

    def run(self, sr, method, /, **arguments):
        """A script of the SR's type; its error object becomes XAPI's error, code and parameters verbatim."""
        try:
            return self.api.script(self.db.get("SR", sr)["type"], method, arguments)
        except broker.BackendError as e:
            raise XapiError(e.code, *e.params) from None
        except broker.ScriptMissing as e:
            raise XapiError("SCRIPT_MISSING", str(e)) from None
        except broker.ScriptFailed as e:
            raise XapiError("SCRIPT_FAILED", str(e)) from None

    def handle(self, sr):
        record = self.db.get("SR", sr)
        if record["uuid"] not in self.attached:
            raise XapiError("SR_NOT_ATTACHED", record["uuid"])
        return self.attached[record["uuid"]]

    def features(self, kind):
        return set(self.api.script(kind, "Plugin.Query", {})["features"])

    # ---- SR and PBD

    def sr_create(self, host, device_config, size, name, description, kind, content_type, shared, sm_config=None):
        if not self.api.has_type(kind):
            raise XapiError("SR_UNKNOWN_DRIVER", kind)
        ref = self.db.add("SR", objects.sr(name_label=name, name_description=description, type=kind,
                                           content_type=content_type, shared=bool(shared)))
        record = self.db.get("SR", ref)
        pbd = None
        try:
            config = self.run(ref, "SR.create", uuid=record["uuid"], configuration=device_config, name=name,
                              description=description)
            pbd = self.pbd_create({"host": host, "SR": ref, "device_config": config, "other_config": {}})
            self.pbd_plug(pbd)
        except XapiError:
            if pbd is not None:
                self.db.remove("PBD", pbd)
            self.db.remove("SR", ref)
            raise
        self.sr_scan(ref)
        return ref

    def sr_introduce(self, wanted, name, description, kind, content_type, shared, sm_config=None):
        if not self.api.has_type(kind):
            raise XapiError("SR_UNKNOWN_DRIVER", kind)
        return self.db.add("SR", objects.sr(uuid=wanted, name_label=name, name_description=description, type=kind,
                                            content_type=content_type, shared=bool(shared)))

    def sr_probe_ext(self, host, device_config, kind, sm_config=None):
        try:
            return self.api.script(kind, "SR.probe", {"configuration": device_config})
        except broker.BackendError as e:
            raise XapiError(e.code, *e.params) from None

    def sr_scan(self, ref):
        handle = self.handle(ref)
        stat = self.run(ref, "SR.stat", sr=handle)
        if stat["health"][0] != "Healthy":
            raise XapiError("SR_UNHEALTHY", ref, stat["health"][0], stat["health"][1])
        volumes = self.run(ref, "SR.ls", sr=handle)
        known = {r["location"]: v for v, r in self.db.all("VDI").items() if r["SR"] == ref}
        listed = {volume["key"] for volume in volumes}
        for key, vdi in known.items():
            if key not in listed:
                self.forget_vdi(vdi)  # as the real one: what a listing lacks is gone
        for volume in volumes:
            if volume["key"] not in known:
                known[volume["key"]] = self.add_vdi(ref, volume)
        for volume in volumes:  # the new ones too: they may be snapshots of each other
            self.update_vdi(known[volume["key"]], volume)
        used = sum(volume["physical_utilisation"] for volume in volumes)
        self.db.set("SR", ref, physical_size=stat["total_space"], name_label=stat["name"],
                    name_description=stat["description"], virtual_allocation=sum(v["virtual_size"] for v in volumes),
                    physical_utilisation=stat["total_space"] - stat["free_space"] or used)

    def sr_forget(self, ref):
        self.no_plugged_pbd(ref)
        for vdi in self.db.where("VDI", SR=ref):
            self.forget_vdi(vdi)
        for pbd in self.db.where("PBD", SR=ref):
            self.db.remove("PBD", pbd)
        self.db.remove("SR", ref)

    def sr_destroy(self, ref):
        self.no_plugged_pbd(ref)
        record = self.db.get("SR", ref)
        pbd = self.db.where("PBD", SR=ref)
        if not pbd:
            raise XapiError("SR_HAS_NO_PBDS", ref)
        handle = self.run(ref, "SR.attach", configuration=self.db.get("PBD", pbd[0])["device_config"])
        self.run(ref, "SR.stat", sr=handle)
        self.run(ref, "SR.destroy", sr=handle)
        self.attached.pop(record["uuid"], None)
        self.sr_forget(ref)

    def no_plugged_pbd(self, ref):
        self.db.get("SR", ref)
        if any(self.db.get("PBD", p)["currently_attached"] for p in self.db.where("PBD", SR=ref)):
            raise XapiError("SR_HAS_PBD", ref)

    def sr_set_name(self, ref, name, field, method):
        argument = "new_name" if field == "name_label" else "new_description"
        self.run(ref, method, sr=self.handle(ref), **{argument: name})
        self.db.set("SR", ref, **{field: name})

    def pbd_create(self, record):
        ref = self.db.add("PBD", objects.pbd(**record))
        sr = self.db.get("SR", record["SR"])
        self.db.set("SR", record["SR"], PBDs=sr["PBDs"] + [ref])
        return ref

    def pbd_plug(self, ref):
        record = self.db.get("PBD", ref)
        if record["currently_attached"]:
            return
        handle = self.run(record["SR"], "SR.attach", configuration=record["device_config"])
        self.run(record["SR"], "SR.stat", sr=handle)
        self.attached[self.db.get("SR", record["SR"])["uuid"]] = handle
        self.db.set("PBD", ref, currently_attached=True)

    def pbd_unplug(self, ref):
        record = self.db.get("PBD", ref)
        if not record["currently_attached"]:
            return
        for vdi in self.db.where("VDI", SR=record["SR"]):
            if any(self.db.get("VBD", b)["currently_attached"] for b in self.db.where("VBD", VDI=vdi)):
                raise XapiError("VDI_IN_USE", vdi, "detach")
        self.run(record["SR"], "SR.detach", sr=self.handle(record["SR"]))
        self.attached.pop(self.db.get("SR", record["SR"])["uuid"])
        self.db.set("PBD", ref, currently_attached=False)

    # ---- VDI

    def place(self, vdi):
        record = self.db.get("VDI", vdi)
        return {"sr": self.handle(record["SR"]), "key": record["location"]}

    def on(self, vdi, method, **more):
        return self.run(self.db.get("VDI", vdi)["SR"], method, **self.place(vdi), **more)

    def described(self, sr, volume):
        """What a VDI's record takes from the plugin (main.ml, vdi_of_volume; xapi_sr.ml, update_vdis)."""
        keys = volume["keys"]
        of = [v for v, r in self.db.all("VDI").items()
              if r["SR"] == sr and keys.get("snapshot_of") and r["location"] == keys["snapshot_of"]]
        return {"name_label": volume["name"], "name_description": volume["description"],
                "virtual_size": volume["virtual_size"], "physical_utilisation": volume["physical_utilisation"],
                "read_only": not volume["read_write"], "type": keys.get("vdi-type", "user"),
                "is_a_snapshot": keys.get("is_a_snapshot") == "true", "snapshot_of": of[0] if of else NULL}

    def add_vdi(self, sr, volume, **fields):
        return self.db.add("VDI", objects.vdi(
            uuid=volume.get("uuid", str(uuid.uuid4())), SR=sr, location=volume["key"], sharable=volume["sharable"],
            **{**self.described(sr, volume), **fields}))

    def update_vdi(self, ref, volume):
        self.db.set("VDI", ref, **self.described(self.db.get("VDI", ref)["SR"], volume))

    def forget_vdi(self, ref):
        for vbd in self.db.where("VBD", VDI=ref):
            self.api.vms.drop_vbd(vbd)
        self.db.remove("VDI", ref)

    def vdi_create(self, record):
        sr, kind = record["SR"], record.get("type", "user")
        volume = self.run(sr, "Volume.create", sr=self.handle(sr), name=record.get("name_label", ""),
                          description=record.get("name_description", ""), size=int(record["virtual_size"]),
                          sharable=bool(record.get("sharable", False)))
        if kind:
            self.run(sr, "Volume.set", sr=self.handle(sr), key=volume["key"], k="vdi-type", v=kind)
        # sm_config is dropped on the way; other_config is XAPI's own
        return self.add_vdi(sr, volume, type=kind, other_config=record.get("other_config", {}))

    def vdi_destroy(self, ref):
        if any(self.db.get("VBD", b)["currently_attached"] for b in self.db.where("VBD", VDI=ref)):
            raise XapiError("VDI_IN_USE", ref, "destroy")
        self.on(ref, "Volume.stat")
        self.on(ref, "Volume.destroy")
        self.forget_vdi(ref)

    def vdi_snapshot(self, ref, driver_params=None):
        source = self.db.get("VDI", ref)
        volume = self.on(ref, "Volume.snapshot")
        handle = self.handle(source["SR"])
        for k, v in (("snapshot_time", "20250101T00:00:00Z"), ("is_a_snapshot", "true"),
                     ("snapshot_of", source["location"]), ("content_id", str(uuid.uuid4())),
                     ("vdi-type", source["type"])):
            self.run(source["SR"], "Volume.set", sr=handle, key=volume["key"], k=k, v=v)
        return self.add_vdi(source["SR"], volume, other_config=dict(source["other_config"]), type=source["type"],
                            is_a_snapshot=True, snapshot_of=ref)

    def vdi_revert(self, snapshot):
        """Not there on XCP-ng 8.3 (Api.vdi_revert). The record stays as it is."""
        record = self.db.get("VDI", snapshot)
        if not record["is_a_snapshot"]:
            raise XapiError("ONLY_REVERT_SNAPSHOT")
        self.assert_not_attached(record["snapshot_of"], "revert_from")
        key = self.db.get("VDI", record["snapshot_of"])["location"]
        self.run(record["SR"], "Volume.revert", sr=self.handle(record["SR"]), snapshot=record["location"], key=key)

    def assert_not_attached(self, ref, operation):
        if any(self.db.get("VBD", b)["currently_attached"] and self.db.get("VBD", b)["mode"] == "RW"
               for b in self.db.where("VBD", VDI=ref)):
            raise XapiError("VDI_IN_USE", ref, operation)

    def vdi_clone(self, ref, driver_params=None):
        self.assert_not_attached(ref, "clone")
        source = self.db.get("VDI", ref)
        volume = self.on(ref, "Volume.clone")
        return self.add_vdi(source["SR"], volume, other_config=dict(source["other_config"]))

    def vdi_copy(self, ref, sr, *_):
        """Both in dom0, then the bytes: the real one runs sparse_dd between the two devices."""
        self.assert_not_attached(ref, "copy")
        source = self.db.get("VDI", ref)
        new = self.vdi_create({"SR": sr, "name_label": source["name_label"], "virtual_size": source["virtual_size"],
                               "type": source["type"], "other_config": dict(source["other_config"])})
        try:
            with self.in_dom0(ref, "RO") as one, self.in_dom0(new, "RW") as other:
                self.api.world.copy(one, other, source["virtual_size"])
        except Exception:
            self.vdi_destroy(new)
            raise
        return new

    def vdi_resize(self, ref, size):
        self.on(ref, "Volume.resize", new_size=int(size))
        self.update_vdi(ref, self.on(ref, "Volume.stat"))

    def vdi_set_name(self, ref, name, field, method):
        self.on(ref, method, **{"new_name" if field == "name_label" else "new_description": name})
        self.db.set("VDI", ref, **{field: name})

    # ---- the data path

    def uri(self, vdi):
        return self.on(vdi, "Volume.stat")["uri"][0]

    def datapath(self, vdi, method, domain):
        """Each call that touches a datapath asks for the uri first (main.ml: Volume.stat)."""
        uri = self.uri(vdi)
        return self.run(self.db.get("VDI", vdi)["SR"], "Datapath." + method, uri=uri, domain=domain)

    def activate(self, vdi, mode, domain):
        read_only = mode == "RO" and "VDI_ACTIVATE_READONLY" in self.features(
            self.db.get("SR", self.db.get("VDI", vdi)["SR"])["type"])
        return self.datapath(vdi, "activate_readonly" if read_only else "activate", domain)

    def in_dom0(self, vdi, mode):
        return Dom0Attachment(self.api, vdi, mode)

    def plug_dom0(self, vdi, mode, device):
        """Answers (domain, path): a BlockDevice or File must come (storage_access.ml, attach_and_activate)."""
        domain = f"u0_vbd_0_{device}"
        answer = self.datapath(vdi, "attach", domain)
        try:
            self.activate(vdi, mode, domain)
            for kind, value in answer["implementations"]:
                if kind in ("BlockDevice", "File"):
                    return domain, value["path"]
            raise XapiError("INTERNAL_ERROR", "No File, BlockDevice or Nbd implementation in Datapath.attach response")
        except XapiError:
            self.unplug_dom0(vdi, domain)
            raise

    def unplug_dom0(self, vdi, domain):
        uri, sr = self.uri(vdi), self.db.get("VDI", vdi)["SR"]
        self.run(sr, "Datapath.deactivate", uri=uri, domain=domain)
        self.run(sr, "Datapath.detach", uri=uri, domain=domain)

    # ---- moving

    def assert_movable(self, vdi, to):
        """xapi_vm_migrate.ml, assert_sr_support_operations: by the features of both SRs' types."""
        source = self.db.get("VDI", vdi)["SR"]
        if source == to:
            return
        for sr, wanted in ((source, ("VDI_SNAPSHOT", "VDI_MIRROR")), (to, ("VDI_SNAPSHOT", "VDI_MIRROR_IN"))):
            has = self.features(self.db.get("SR", sr)["type"])
            missing = [one for one in wanted if one not in has]
            if missing:
                raise XapiError("SR_DOES_NOT_SUPPORT_MIGRATION", sr, ";".join(missing))

    def vdi_pool_migrate(self, vdi, to, _options):
        vbds = self.db.where("VBD", VDI=vdi)
        if not vbds:
            raise XapiError("VDI_NEEDS_VM_FOR_MIGRATE", vdi)
        self.api.vms.expect(self.db.get("VBD", vbds[0])["VM"], "migrate_send")
        self.assert_movable(vdi, to)
        raise XapiError("NOT_IMPLEMENTED", "VDI.pool_migrate")


class Dom0Attachment:
    """What copies, exports and imports do: a VBD of the control domain, plugged, used, unplugged, destroyed
    (attach_helpers.ml, with_vbds)."""

    def __init__(self, api, vdi, mode):
        self.api, self.vdi, self.mode = api, vdi, mode

    def __enter__(self):
        dom0, = self.api.db.where("VM", is_control_domain=True)
        self.vbd = self.api.vms.create_vbd({"VM": dom0, "VDI": self.vdi, "mode": self.mode, "type": "Disk"})
        try:
            self.api.vms.plug(self.vbd)
        except XapiError:
            self.api.vms.destroy_vbd(self.vbd)
            raise
        return self.api.vms.dom0[self.vbd][1]

    def __exit__(self, *_):
        self.api.vms.unplug(self.vbd)
        self.api.vms.destroy_vbd(self.vbd)
