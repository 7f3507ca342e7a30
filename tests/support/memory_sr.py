"""A daemon that keeps volumes in memory: enough of SMAPIv3 to try the front-end and the broker against.
It is no model of vnvmed's storage; only answers, errors, the word and the ledger are as the real one has them."""
import json
import threading
import uuid

import frames


class Failure(Exception):
    def __init__(self, code, *params):
        super().__init__(code)
        self.code, self.params = code, list(params)

    def encode(self):
        return json.dumps({"code": self.code, "params": self.params,
                           "backtrace": {"error": " ".join(self.params), "files": [], "lines": []}}).encode()


def no_volume(key):
    return Failure("SR_BACKEND_FAILURE", "Volume_does_not_exist", key)


class MemorySr:
    """serve() is for frames.ScriptedDaemon."""

    WORD = ("Volume.create", "Volume.snapshot", "Volume.clone")

    def __init__(self):
        self.lock, self.srs, self.volumes, self.ledger, self.attached = threading.Lock(), {}, {}, {}, {}
        self.calls = []

    def serve(self, conn, _number):
        got = frames.read_frame(conn)
        if got is None:
            return
        kind, _flags, header, body = got
        assert kind == frames.CALL
        method = header["method"]
        with self.lock:
            self.calls.append(header)
            known = self.ledger.get(header["id"])
            if known is not None:
                conn.sendall(frames.frame(frames.RESULT, known))
                return
            try:
                result = self.answer(method, json.loads(body), header)
            except Failure as e:
                conn.sendall(frames.frame(frames.ERROR, e.encode()))
                return
        answer = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
        if method not in self.WORD:
            conn.sendall(frames.frame(frames.RESULT, answer))
            return
        conn.sendall(frames.frame(frames.RESULT, answer, flags=frames.NEEDS_WORD))
        word = frames.read_frame(conn)
        with self.lock:
            if word is None or word[0] != frames.PRINTING or word[2]["id"] != header["id"]:
                self.volumes.pop(result["key"], None)  # nobody will ever have heard of it
                return
            self.ledger[header["id"]] = answer
        conn.sendall(frames.frame(frames.PRINT))

    def answer(self, method, a, header):
        if method.startswith("Datapath."):
            return self.datapath(method, a)
        assert header["sr_type"] in ("vnvme", "vnvme-raw"), header
        known = getattr(self, method.replace(".", "_").lower(), None)
        if known is None:
            raise Failure("SR_BACKEND_FAILURE", "Unimplemented", method)
        return known(**{k: v for k, v in a.items() if k != "dbg"})

    def sr_record(self, sr):
        if sr not in self.srs:
            raise Failure("SR_BACKEND_FAILURE", "SR_does_not_exist", sr)
        return self.srs[sr]

    def volume(self, sr, key):
        self.sr_record(sr)
        if key not in self.volumes:
            raise no_volume(key)
        return self.volumes[key]

    def make(self, sr, name, description, size, read_write=True, sharable=False):
        key = str(uuid.uuid4())
        self.volumes[key] = {
            "key": key, "uuid": key, "name": name, "description": description, "read_write": read_write,
            "sharable": sharable, "virtual_size": -(-size // 4096) * 4096, "physical_utilisation": 0,
            "uri": [f"vnvme:///{sr}/{key}"], "keys": {}}
        return self.volumes[key]

    def sr_probe(self, configuration):
        return [{"configuration": configuration, "complete": False, "extra_info": {}}]

    def sr_create(self, uuid, configuration, name, description):  # pylint: disable=redefined-outer-name
        self.srs[uuid] = {"name": name, "description": description}
        return {**configuration, "sr_uuid": uuid}

    def sr_attach(self, configuration):
        return self.sr_record(configuration.get("sr_uuid", "")) and configuration["sr_uuid"]

    def sr_detach(self, sr):
        return None

    def sr_destroy(self, sr):
        self.srs.pop(sr, None)

    def sr_stat(self, sr):
        return {"sr": sr, "uuid": sr, **self.sr_record(sr), "free_space": 1000, "total_space": 2000, "datasources": [],
                "clustered": False, "health": ["Healthy", ""]}

    def sr_ls(self, sr):
        self.sr_record(sr)
        return [v for v in self.volumes.values() if v["uri"][0].startswith(f"vnvme:///{sr}/")]

    def sr_set_name(self, sr, new_name):
        self.sr_record(sr)["name"] = new_name

    def sr_set_description(self, sr, new_description):
        self.sr_record(sr)["description"] = new_description

    def volume_create(self, sr, name, description, size, sharable):
        self.sr_record(sr)
        return self.make(sr, name, description, size, sharable=sharable)

    def volume_snapshot(self, sr, key):
        v = self.volume(sr, key)
        return self.make(sr, v["name"], v["description"], v["virtual_size"], read_write=False)

    def volume_clone(self, sr, key):
        v = self.volume(sr, key)
        return self.make(sr, v["name"], v["description"], v["virtual_size"])

    def volume_destroy(self, sr, key):
        self.volumes.pop(key, None)

    def volume_stat(self, sr, key):
        return self.volume(sr, key)

    def volume_set_name(self, sr, key, new_name):
        self.volume(sr, key)["name"] = new_name

    def volume_set_description(self, sr, key, new_description):
        self.volume(sr, key)["description"] = new_description

    def volume_set(self, sr, key, k, v):
        self.volume(sr, key)["keys"][k] = v

    def volume_unset(self, sr, key, k):
        self.volume(sr, key)["keys"].pop(k, None)

    def volume_resize(self, sr, key, new_size):
        v = self.volume(sr, key)
        if new_size < v["virtual_size"]:
            raise Failure("SR_BACKEND_FAILURE_79", "", "a volume never shrinks", "")
        v["virtual_size"] = new_size

    def volume_revert(self, sr, snapshot, key):
        self.volume(sr, key)["virtual_size"] = self.volume(sr, snapshot)["virtual_size"]

    def datapath(self, method, a):
        key, domain = a["uri"].rsplit("/", 1)[-1], a["domain"]
        if method in ("Datapath.deactivate", "Datapath.detach"):
            return self.attached.pop((key, domain), None) and None
        if key not in self.volumes:
            raise no_volume(key)
        if method != "Datapath.attach":
            return None
        self.attached[(key, domain)] = True
        if domain == "0" or domain.startswith("u0"):
            return {"implementations": [["BlockDevice", {"path": "/dev/nvme9n1"}]]}
        return {"implementations": [["XenDisk", {"params": "", "extra": {}, "backend_type": "9pfs"}],
                                    ["File", {"path": "/run/vnvme/marker"}]]}
