"""The calls of the fake XAPI: names, parameters and errors as its datamodel has them.

    api = Api(root=SCRIPTS, env=env, world=World(...))
    session = api.login()
    api.call("VM.start", [session, vm, False, False])   # raises XapiError
Every class has the derived calls too: get_all, get_record, get_FIELD, set_FIELD, add_to_FIELD, remove_from_FIELD.
"""
import inspect
import os
import re
import subprocess
import threading
import xmlrpc.client

import broker
import xapi_objects as objects
from xapi_copies import Copies
from xapi_db import Database, XapiError
from xapi_storage import Storage
from xapi_vms import Vms
from xapi_xenops import Hooks, World, Xenops

CONDITION = re.compile(r'\s*field\s+"(\w+)"\s*=\s*(?:"([^"]*)"|(true|false))\s*')
# What needs no session.
OPEN = {"session.login_with_password", "system.listMethods"}


class Api:
    def __init__(self, root=None, types=("vnvme", "vnvme-raw"), env=None, world=None, hooks=None, plugins=None,
                 split=False, password="vnvme"):
        self.db = Database(objects.CLASSES)
        self.env, self.world, self.hooks, self.plugins = env, world or World(), Hooks(hooks), plugins
        self.brokers = {t: broker.Broker(root, t, env=env, dbg="fake-xapi") for t in types} if root else {}
        self.password, self.user = password, "root"
        self.calls, self.scripts, self.swallowed, self.trapped = [], [], [], []
        self.script_lock = threading.Lock()
        self.before_script = lambda method: None  # for tests that kill something there
        self.booting = 0
        self.storage = Storage(self)
        self.xenops = Xenops(self, split)
        self.vms, self.vdi_revert = Vms(self), False  # XCP-ng 8.3 has no VDI.revert
        self.copies = Copies(self)
        self.host = self.db.add("host", objects.host())
        self.pool = self.db.add("pool", objects.pool(self.host))
        self.db.add("VM", objects.vm(name_label="Control domain", is_control_domain=True, power_state="Running",
                                     domid=0, resident_on=self.host))
        self.handlers = self.table()

    # ---- scripts

    def has_type(self, kind):
        return kind in self.brokers

    def script(self, kind, method, arguments):
        if kind not in self.brokers:
            raise XapiError("SR_UNKNOWN_DRIVER", kind)
        with self.script_lock:
            entry = [method, dict(arguments), None]
            self.scripts.append(entry)
        self.before_script(method)
        try:
            answer = self.brokers[kind].call(method, arguments)
            entry[2] = "ok"
            return answer
        except Exception as e:
            entry[2] = repr(e)
            raise

    def log(self, *words):
        self.calls.append(words)

    # ---- sessions

    def login(self, user="root", password="", trusted=True, originator=""):
        if not trusted and (user, password) != (self.user, self.password):
            raise XapiError("SESSION_AUTHENTICATION_FAILED", user, "Authentication failure")
        return self.db.add("session", {"originator": originator, "is_local_superuser": True, "other_config": {}})

    def logged_in(self, session):
        row = self.db.rows.get(session)
        return row is not None and row.cls == "session"

    def restart(self, booting=0):
        """What a restart of the toolstack loses: sessions, tasks, the list of deletions. The rest is on disk."""
        with self.db.lock:
            for ref in list(self.db.rows):
                if self.db.rows[ref].cls in ("session", "task"):
                    del self.db.rows[ref]
            self.db.forget_deletions()
            self.booting = booting
            self.db.lock.notify_all()

    # ---- dispatch

    def call(self, method, params, trusted=True):
        if self.booting > 0 and method != "system.listMethods":
            self.booting -= 1
            raise XapiError("HOST_STILL_BOOTING")
        if method.startswith("Async."):
            return self.later(method[6:], params)
        if method == "session.login_with_password":
            if len(params) < 2:
                raise XapiError("MESSAGE_PARAMETER_COUNT_MISMATCH", method, "2", len(params))
            return self.login(params[0], params[1], trusted, params[3] if len(params) > 3 else "")
        if method == "system.listMethods":
            return self.method_names()
        if not params or not isinstance(params[0], str) or not self.logged_in(params[0]):
            if method in self.handlers or self.derived(method) is not None:
                raise XapiError("SESSION_INVALID", params[0] if params else "")
            raise XapiError("MESSAGE_METHOD_UNKNOWN", method)
        return self.inside(method, params)

    def inside(self, method, params):
        handler = self.handlers.get(method) or self.derived(method)
        if method == "VDI.revert":
            handler = self.storage.vdi_revert if self.vdi_revert else None
        if handler is None:
            raise XapiError("MESSAGE_METHOD_UNKNOWN", method)
        if method == "session.logout":
            self.db.remove("session", params[0])
            return ""
        arguments = ([params[0]] if getattr(handler, "wants_session", False) else []) + list(params[1:])
        try:
            inspect.signature(handler).bind(*arguments)
        except TypeError:
            raise XapiError("MESSAGE_PARAMETER_COUNT_MISMATCH", method, "?", len(params)) from None
        answer = handler(*arguments)
        return "" if answer is None else answer

    def later(self, method, params):
        if not params or not self.logged_in(params[0]):
            raise XapiError("SESSION_INVALID", params[0] if params else "")
        task = self.db.add("task", objects.task("Async." + method))

        def work():
            try:
                value = self.inside(method, params)
                fields = {"status": "success", "progress": 1.0, "result": f"<value>{value}</value>" if value else ""}
            except XapiError as e:
                fields = {"status": "failure", "progress": 1.0, "error_info": e.as_list()}
            except Exception as e:
                fields = {"status": "failure", "progress": 1.0, "error_info": ["INTERNAL_ERROR", repr(e)]}
            if self.db.exists(task):
                self.db.set("task", task, **fields)
        threading.Thread(target=work, daemon=True).start()
        return task

    def method_names(self):
        names = set(self.handlers) | OPEN
        for cls in self.db.classes:
            names |= {f"{cls}.{n}" for n in ("get_all", "get_all_records", "get_record", "get_by_uuid")}
        return sorted(names)

    # ---- what every class has

    def derived(self, method):
        cls, _, what = method.partition(".")
        if cls not in self.db.classes:
            return None
        fixed = {"get_all": lambda: list(self.db.all(cls)), "get_all_records": lambda: self.db.all(cls),
                 "get_all_records_where": lambda query: self.where(cls, query),
                 "get_record": lambda ref: self.db.get(cls, ref),
                 "get_by_uuid": lambda wanted: self.db.by_uuid(cls, wanted),
                 "get_by_name_label": lambda name: self.db.where(cls, name_label=name)}
        if what in fixed:
            return fixed[what]
        for prefix, maker in (("get_", self.getter), ("set_", self.setter), ("add_to_", self.adder),
                              ("remove_from_", self.remover)):
            if what.startswith(prefix):
                return maker(cls, what[len(prefix):], method)
        return None

    def getter(self, cls, field, method):
        def get(ref):
            record = self.db.get(cls, ref)
            if field not in record:
                raise XapiError("MESSAGE_METHOD_UNKNOWN", method)
            return record[field]
        return get

    def setter(self, cls, field, method):
        if field in objects.READ_ONLY:
            return None

        def put(ref, value):
            record = self.db.get(cls, ref)
            if field not in record:
                raise XapiError("MESSAGE_METHOD_UNKNOWN", method)
            old = record[field]
            if isinstance(old, int) and not isinstance(old, bool):
                value = int(value)
            if type(old) is not type(value):
                raise XapiError("FIELD_TYPE_ERROR", field)
            self.db.set(cls, ref, **{field: value})
        return put

    def adder(self, cls, field, method):
        if field not in objects.MAPS or field in objects.READ_ONLY:
            return None

        def add(ref, key, value):
            if not isinstance(value, str):
                raise XapiError("FIELD_TYPE_ERROR", field)
            with self.db.lock:
                old = self.db.get(cls, ref)[field]
                if key in old:
                    raise XapiError("MAP_DUPLICATE_KEY", cls, field, ref, key)
                self.db.set(cls, ref, **{field: {**old, key: value}})
        return add

    def remover(self, cls, field, method):
        if field not in objects.MAPS or field in objects.READ_ONLY:
            return None

        def remove(ref, key):
            with self.db.lock:
                old = self.db.get(cls, ref)[field]
                self.db.set(cls, ref, **{field: {k: v for k, v in old.items() if k != key}})
        return remove

    def where(self, cls, query):
        if query.strip() == "true":
            return self.db.all(cls)
        wanted = []
        for part in query.split(" and "):
            match = CONDITION.fullmatch(part)
            if not match:
                raise XapiError("INTERNAL_ERROR", "Db_exn.Parse_error: " + query)
            name, text, flag = match.groups()
            wanted.append((name, text if flag is None else flag == "true"))
        return {ref: r for ref, r in self.db.all(cls).items() if all(r.get(k) == v for k, v in wanted)}

    # ---- what only some have

    def table(self):
        s, v, c = self.storage, self.vms, self.copies

        def events(session, classes, token, timeout):
            batch = self.db.events_from(classes, token, float(timeout), lambda: self.logged_in(session))
            if batch is None:
                raise XapiError("SESSION_INVALID", session)
            return batch
        events.wants_session = True

        def inject(cls, ref):
            exact = {c.lower(): c for c in self.db.classes}.get(cls.lower(), cls)
            return f"{self.db.touch(exact, ref):020d},{0:020d}"
        out = {
            "session.logout": lambda: None, "event.from": events, "event.inject": inject,
            "message.create": self.create_message, "message.destroy": lambda m: self.db.remove("message", m),
            "task.create": lambda name, _: self.db.add("task", objects.task(name)),
            "task.destroy": lambda t: self.db.remove("task", t), "task.cancel": lambda t: None,
            "host.call_plugin": self.call_plugin,
            "SR.create": s.sr_create, "SR.introduce": s.sr_introduce, "SR.destroy": s.sr_destroy,
            "SR.forget": s.sr_forget, "SR.scan": s.sr_scan, "SR.probe_ext": s.sr_probe_ext,
            "SR.set_name_label": lambda r, n: s.sr_set_name(r, n, "name_label", "SR.set_name"),
            "SR.set_name_description": lambda r, n: s.sr_set_name(r, n, "name_description", "SR.set_description"),
            "PBD.create": s.pbd_create, "PBD.plug": s.pbd_plug, "PBD.unplug": s.pbd_unplug,
            "PBD.destroy": self.destroy_pbd,
            "VDI.create": s.vdi_create, "VDI.destroy": s.vdi_destroy, "VDI.snapshot": s.vdi_snapshot,
            "VDI.clone": s.vdi_clone, "VDI.copy": s.vdi_copy, "VDI.resize": s.vdi_resize,
            "VDI.set_name_label": lambda r, n: s.vdi_set_name(r, n, "name_label", "Volume.set_name"),
            "VDI.set_name_description":
                lambda r, n: s.vdi_set_name(r, n, "name_description", "Volume.set_description"),
            "VBD.create": v.create_vbd, "VBD.destroy": v.destroy_vbd, "VBD.plug": v.plug, "VBD.unplug": v.unplug,
            "VBD.unplug_force": v.unplug, "VBD.set_userdevice": v.set_userdevice,
            "VM.create": v.create, "VM.destroy": v.destroy, "VM.clone": v.clone, "VM.copy": v.copy,
            "VM.snapshot": v.snapshot, "VM.revert": c.revert, "VM.start": v.start,
            "VM.get_allowed_VBD_devices": v.free_devices, "VM.provision": v.provision,
            "VM.migrate_send": v.migrate_send, "VDI.pool_migrate": s.vdi_pool_migrate,
            "VM.unpause": lambda vm: self.db.set("VM", vm, power_state="Running"),
        }
        for name in ("clean_shutdown", "hard_shutdown"):
            out["VM." + name] = lambda vm, n=name: v.shutdown(vm, n)
        for name in ("clean_reboot", "hard_reboot"):
            out["VM." + name] = lambda vm, n=name: v.reboot(vm, n)
        for name in ("suspend", "checkpoint", "pool_migrate"):
            out["VM." + name] = lambda vm, *_, n=name: v.refuse(vm, n)
        return out

    def destroy_pbd(self, pbd):
        record = self.db.get("PBD", pbd)
        if record["currently_attached"]:
            raise XapiError("OPERATION_NOT_ALLOWED", "PBD still attached")
        sr = self.db.get("SR", record["SR"])
        self.db.set("SR", record["SR"], PBDs=[p for p in sr["PBDs"] if p != pbd])
        self.db.remove("PBD", pbd)

    def create_message(self, name, priority, cls, wanted, body):
        exact = {"VM": "VM", "VDI": "VDI", "SR": "SR", "Host": "host", "Pool": "pool"}.get(cls)
        if exact is None:
            raise XapiError("INVALID_VALUE", "cls", cls)
        if not self.db.where(exact, uuid=wanted):
            raise XapiError("UUID_INVALID", cls, wanted)
        return self.db.add("message", {"name": name, "priority": int(priority), "cls": cls, "obj_uuid": wanted,
                                       "body": body, "timestamp": "20250101T00:00:00Z"})

    def call_plugin(self, host, plugin, function, arguments):
        self.db.get("host", host)
        path = os.path.join(self.plugins or "", plugin)
        if not self.plugins or os.path.basename(plugin) != plugin or not os.path.isfile(path):
            raise XapiError("XENAPI_MISSING_PLUGIN", plugin)
        request = xmlrpc.client.dumps((self.login(), arguments), function)
        done = subprocess.run([path, request], capture_output=True, text=True, env=self.env, check=False)
        if done.returncode != 0:
            raise XapiError("XENAPI_PLUGIN_FAILURE", "non-zero exit", done.stdout, done.stderr)
        try:
            (answer,), _ = xmlrpc.client.loads(done.stdout)
        except Exception:
            raise XapiError("XENAPI_PLUGIN_FAILURE", "bad answer", done.stdout, done.stderr) from None
        if answer["Status"] != "Success":
            raise XapiError(*answer["ErrorDescription"])
        return answer["Value"]
