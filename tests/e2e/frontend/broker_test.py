"""The broker of the tests against what the real one was seen to send and to accept (tests/data/broker)."""
import json
import os
import random
import shutil
import unittest

from support import BIN, PLUGIN, SCRIPTS, Case, broker, data
import memory_sr

SR = "6c84b44c-a61b-41a4-8b19-32ab643b57d9"


def lines(name):
    with open(data(name), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class AsTheRealOne(unittest.TestCase):
    def test_requests_have_the_same_bytes(self):
        shuffle, count = random.Random(3), 0
        for call in lines("full.calls.jsonl") + lines("errors.calls.jsonl"):
            method = os.path.basename(call["argv"][0])
            arguments = json.loads(call["stdin"])
            dbg = arguments.pop("dbg")
            if method in broker.PARAMETERS:
                items = list(arguments.items())
                shuffle.shuffle(items)
                arguments = dict(items)
            self.assertEqual(broker.request_bytes(method, arguments, dbg).decode(), call["stdin"], method)
            count += 1
        self.assertEqual(count, 183)

    def test_control_characters_are_escaped_and_slashes_are_not(self):
        self.assertEqual(broker.encode({"a": 'x/"\\\n\t\r\b\f\x01\x7fï☃', "n": 9000000000000000000, "b": True}),
                         '{"a":"x/\\"\\\\\\n\\t\\r\\b\\f\\u0001\\u007fï☃","n":9000000000000000000,"b":true}')

    def test_every_recorded_answer_is_judged_as_the_real_one_did(self):
        accepted = {}
        for smapi in lines("errors.smapiv2.jsonl"):
            words = smapi["cmd"].split(None, 2)
            if words[0] == "vdi-create":
                accepted[json.loads(words[2].rsplit(" ", 1)[0])] = smapi["ok"]
        judge, seen = broker.Broker("/nowhere"), 0
        for call in lines("errors.calls.jsonl"):
            method, name = os.path.basename(call["argv"][0]), json.loads(call["stdin"]).get("name")
            if method != "Volume.create" or name not in accepted:
                continue
            try:
                judge.judge(method, "script", call["exit"], call["stdout"].encode())
                ok = True
            except (broker.BackendError, broker.ScriptFailed):
                ok = False
            self.assertEqual(ok, accepted[name], name)
            seen += 1
        self.assertEqual(seen, len(accepted))
        self.assertEqual(seen, 26)

    def test_every_recorded_answer_of_the_good_plugin_has_the_right_shape(self):
        judge, good = broker.Broker("/nowhere"), 0
        for call in lines("full.calls.jsonl"):
            method = os.path.basename(call["argv"][0])
            if method in broker.PARAMETERS and call["exit"] == 0:
                judge.judge(method, "script", 0, call["stdout"].encode())
                good += 1
        self.assertGreater(good, 90)

    def test_kinds_of_failure(self):
        judge = broker.Broker("/nowhere").judge
        error = {"code": "C", "params": ["Activated_on_another_host", "h"], "backtrace": {"error": "", "files": [], "lines": []}}
        with self.assertRaises(broker.ActivatedOnAnotherHost):
            judge("SR.ls", "s", 1, json.dumps(error).encode())
        for field in ("code", "params", "backtrace"):
            with self.assertRaises(broker.ScriptFailed):
                judge("SR.ls", "s", 1, json.dumps({k: v for k, v in error.items() if k != field}).encode())
        for code, out in ((-9, b"[]"), (0, b""), (0, b"[] x"), (0, b"NaN"), (0, b"\xff"), (1, b"")):
            with self.assertRaises(broker.ScriptFailed):
                judge("SR.ls", "s", code, out)

    def test_shapes_are_strict(self):
        volume = {"key": "k", "name": "", "description": "", "read_write": True, "sharable": False, "virtual_size": 1,
                  "physical_utilisation": "12", "uri": [], "keys": {}}
        stat = {"sr": "s", "name": "", "description": "", "free_space": 0, "total_space": 0, "datasources": [],
                "clustered": False, "health": ["Healthy", ""]}
        broker.check_result("Volume.stat", {**volume, "more": 1})
        broker.check_result("SR.stat", stat)
        bad = [("Volume.stat", {k: v for k, v in volume.items() if k != missing}) for missing in volume]
        bad += [("SR.stat", {k: v for k, v in stat.items() if k != missing}) for missing in stat]
        bad += [("Volume.stat", {**volume, "uuid": None}), ("Volume.stat", {**volume, "virtual_size": 1.0}),
                ("Volume.stat", {**volume, "virtual_size": 2 ** 63}), ("Volume.stat", {**volume, "sharable": "false"}),
                ("Volume.stat", {**volume, "keys": {"a": 1}}), ("Volume.stat", []), ("SR.ls", {}), ("SR.ls", [1]),
                ("SR.stat", {**stat, "health": ["Bogus", ""]}), ("SR.stat", {**stat, "health": "Healthy"}),
                ("Volume.destroy", {}), ("SR.attach", None), ("Plugin.Query", {"plugin": "x"}),
                ("Datapath.attach", {"implementations": [["XenDisk", {"params": ""}]]}),
                ("Datapath.attach", {"implementations": [["Floppy", {}]]}),
                ("SR.probe", [{"configuration": {}, "complete": True, "extra_info": {}, "sr": stat}]),
                ("SR.probe", [{"configuration": {"sr_uuid": SR}, "complete": False, "extra_info": {}}])]
        for method, value in bad:
            with self.assertRaises(broker.MarshalError, msg=f"{method} {value}"):
                broker.check_result(method, value)


class ThroughTheScripts(Case):
    def setUp(self):
        super().setUp()
        self.memory = memory_sr.MemorySr()
        self.serve(self.memory.serve)

    def broker(self, **kw):
        return broker.Broker(SCRIPTS, env=self.environment(), **kw)

    def life(self, b, snapshots=True):
        configuration = b.call("SR.create", {"uuid": SR, "configuration": {"dpu": "unix:/x"}, "name": "n", "description": "d"})
        sr = b.call("SR.attach", {"configuration": configuration})
        self.assertEqual(b.call("SR.stat", {"sr": sr})["name"], "n")
        made = b.call("volume.CREATE", {"sr": sr, "name": "dïsk ☃", "description": "", "size": 4095, "sharable": False})
        ids = {"sr": sr, "key": made["key"]}
        b.call("Volume.set", {**ids, "k": "vdi-type", "v": "user"})
        stat = b.call("Volume.stat", ids)
        self.assertEqual((stat["name"], stat["virtual_size"], stat["keys"]), ("dïsk ☃", 4096, {"vdi-type": "user"}))
        if snapshots:
            self.assertFalse(b.call("Volume.snapshot", ids)["read_write"])
        where = {"uri": stat["uri"][0], "domain": "u0_vbd_0_xvda"}
        for _ in range(2):
            self.assertEqual(b.call("Datapath.attach", where)["implementations"][0][0], "BlockDevice")
        b.call("Datapath.activate_readonly", where)
        for method in ("Datapath.deactivate", "Datapath.detach", "Datapath.detach"):
            b.call(method, where)
        for _ in range(2):
            b.call("Volume.destroy", ids)
        with self.assertRaises(broker.BackendError) as e:
            b.call("Volume.stat", ids)
        self.assertEqual(e.exception.params, ["Volume_does_not_exist", made["key"]])

    def test_a_whole_life_of_both_types(self):
        self.life(self.broker())
        self.life(self.broker(sr_type="vnvme-raw"), snapshots=False)

    def test_a_whole_life_while_xapi_traces(self):
        self.life(self.broker(tracing=True))

    def test_what_a_type_cannot_do_has_no_script(self):
        raw = self.broker(sr_type="vnvme-raw")
        for method in ("Volume.snapshot", "Volume.clone", "Volume.revert", "Volume.resize", "Volume.compose"):
            with self.assertRaises(broker.ScriptMissing):
                raw.call(method, {"sr": SR, "key": "k"})

    def test_a_script_that_cannot_be_run(self):
        folder = os.path.join(self.folder, "volume/org.xen.xapi.storage.vnvme")
        os.makedirs(folder)
        shutil.copy(PLUGIN, os.path.join(folder, "SR.ls"))
        os.chmod(os.path.join(folder, "SR.ls"), 0o644)
        with self.assertRaises(broker.ScriptMissing):
            broker.Broker(self.folder).call("SR.ls", {"sr": SR})


if __name__ == "__main__":
    assert os.path.exists(os.path.join(BIN, "vnvme-plugin")), "build vnvme-plugins first"
    unittest.main()
