"""The database of the fake XAPI: rows with generations, as ocaml/database keeps them, and event.from on top.

A token is a generation. A batch is a difference: what was created, modified, deleted since the token, each object
once, with its record as it is now. Deletions are kept for a while only (the real one: 256 to 512 a class), and an
older one is forgotten without a word.
"""
import threading
import time
import uuid

NULL = "OpaqueRef:NULL"


class XapiError(Exception):
    """What XAPI answers when it refuses: a code and parameters, all strings."""

    def __init__(self, code, *params):
        super().__init__(code, *params)
        self.code, self.params = code, [str(p) for p in params]

    def as_list(self):
        return [self.code, *self.params]


class Row:
    def __init__(self, cls, record, generation):
        self.cls, self.record, self.created, self.modified = cls, record, generation, generation


class Database:
    KEPT = 512, 256  # a class: when so many deletions are reached, only so many stay

    def __init__(self, classes):
        self.classes = list(classes)  # as spelled in calls: "VM", "host"
        self.lock = threading.Condition(threading.RLock())
        self.rows, self.gone, self.generation = {}, {c: [] for c in self.classes}, 1

    # ---- rows

    def add(self, cls, record, ref=None):
        with self.lock:
            self.generation += 1
            ref = ref or f"OpaqueRef:{uuid.uuid4()}"
            record.setdefault("uuid", str(uuid.uuid4()))
            self.rows[ref] = Row(cls, record, self.generation)
            self.lock.notify_all()
            return ref

    def row(self, cls, ref):
        found = self.rows.get(ref)
        if found is None or found.cls != cls:
            raise XapiError("HANDLE_INVALID", cls, ref)
        return found

    def get(self, cls, ref):
        with self.lock:
            return self.row(cls, ref).record

    def exists(self, ref):
        return ref in self.rows

    def set(self, cls, ref, **fields):
        with self.lock:
            row = self.row(cls, ref)
            if all(row.record.get(k) == v and k in row.record for k, v in fields.items()):
                return  # the real one makes no event of a write that changes nothing
            row.record = {**row.record, **fields}
            self.touch(cls, ref)

    def touch(self, cls, ref):
        with self.lock:
            self.generation += 1
            self.row(cls, ref).modified = self.generation
            self.lock.notify_all()
            return self.generation

    def remove(self, cls, ref):
        with self.lock:
            row = self.row(cls, ref)
            self.generation += 1
            del self.rows[ref]
            gone = self.gone[cls]
            gone.append((row.created, self.generation, ref))
            if len(gone) >= self.KEPT[0]:
                del gone[:-self.KEPT[1]]
            self.lock.notify_all()

    def all(self, cls):
        with self.lock:
            return {ref: row.record for ref, row in self.rows.items() if row.cls == cls}

    def by_uuid(self, cls, wanted):
        for ref, record in self.all(cls).items():
            if record["uuid"] == wanted:
                return ref
        raise XapiError("UUID_INVALID", cls, wanted)

    def where(self, cls, **fields):
        return [ref for ref, record in self.all(cls).items() if all(record.get(k) == v for k, v in fields.items())]

    # ---- events

    def forget_deletions(self):
        with self.lock:
            self.gone = {c: [] for c in self.classes}

    @staticmethod
    def parse_token(token):
        if token == "":
            return 0
        try:
            since, messages = token.split(",")
            int(messages)
            return int(since)
        except ValueError:
            raise XapiError("EVENT_FROM_TOKEN_PARSE_FAILURE", token) from None

    @staticmethod
    def parse_classes(names):
        out = []
        for name in names:
            parts = name.split("/")
            if len(parts) > 2:
                raise XapiError("EVENT_SUBSCRIPTION_PARSE_FAILURE", name)
            out.append((parts[0].lower(), parts[1] if len(parts) == 2 else None))
        return out

    def _difference(self, subs, since):
        def wanted(cls, ref):
            return any(s in ("*", cls.lower()) and r in (None, ref) for s, r in subs)

        def event(operation, cls, ref, when, record=None):
            one = {"id": str(when), "timestamp": "0.0", "class": cls.lower(), "operation": operation, "ref": ref}
            if record is not None:
                one["snapshot"] = record
            return one
        creates, mods, deletes, last = [], [], [], since
        for ref, row in self.rows.items():
            if not wanted(row.cls, ref):
                continue
            last = max(last, row.modified)
            if row.created > since:
                creates.append(event("add", row.cls, ref, row.created, row.record))
            elif row.modified > since:
                mods.append(event("mod", row.cls, ref, row.modified, row.record))
        for cls, gone in self.gone.items():
            for created, deleted, ref in gone:
                if deleted > since and wanted(cls, ref):
                    last = max(last, deleted)
                    if created <= since:
                        deletes.append(event("del", cls, ref, deleted))
        return creates + mods + deletes, last

    def events_from(self, names, token, timeout, valid):
        """`valid` says whether the session still is; it is asked whenever something happened."""
        subs, since = self.parse_classes(names), self.parse_token(token)
        end = time.monotonic() + timeout
        with self.lock:
            while True:
                if not valid():
                    return None
                events, last = self._difference(subs, since)
                left = end - time.monotonic()
                if events or left <= 0:
                    break
                self.lock.wait(min(left, 1.0))
            counts = {c.lower(): 0 for c in self.classes}
            for row in self.rows.values():
                counts[row.cls.lower()] += 1
            return {"events": events, "valid_ref_counts": counts, "token": f"{last:020d},{0:020d}"}
