"""The host plugin as XAPI runs it: `xe host-call-plugin plugin=vnvme`, from XAPI over the plugin to vnvmed and back."""
import json
import os
import subprocess
import sys
import unittest
import xmlrpc.client

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
from fake_xapi import FakeXapi
from stack import BUILD, Stack
from xapi_db import XapiError

SOURCE = os.environ.get("VNVME_SOURCE", os.path.join(HERE, "..", "..", ".."))
PLUGINS = os.path.join(BUILD, "plugins", "host")
# As xapi_plugins.ml writes it: no declaration, no white space, bare values.
BARE = ("<methodCall><methodName>{}</methodName><params><param><value>OpaqueRef:secret</value></param><param><value>"
        "<struct>{}</struct></value></param></params></methodCall>")


class Plugin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.addClassCleanup(cls.s.stop)
        cls.s.start_dpu()
        cls.s.start_daemon()
        cls.env = dict(os.environ, VNVME_ADMIN_SOCKET=cls.s.sockets["admin.sock"])
        cls.fake = FakeXapi(unix=os.path.join(cls.s.directory, "xapi"), plugins=PLUGINS, env=cls.env)
        cls.fake.__enter__()
        cls.addClassCleanup(cls.fake.__exit__)
        cls.api = cls.fake.api
        cls.session = cls.api.login()
        cls.sr, _ = cls.s.make_sr()

    def call(self, function, **arguments):
        return json.loads(self.api.call("host.call_plugin",
                                        [self.session, self.api.host, "vnvme", function, arguments]))

    def refused(self, function, **arguments):
        with self.assertRaises(XapiError) as caught:
            self.call(function, **arguments)
        return caught.exception

    def run_it(self, *words, env=None):
        return subprocess.run([os.path.join(PLUGINS, "vnvme"), *words], capture_output=True, text=True, timeout=60,
                              env=env or self.env, check=False)

    def test_it_answers_what_a_form_needs(self):
        dpu, = self.call("probe")
        self.assertEqual(dpu["name"], "dpu0")
        self.assertIn("vnvme", dpu["sr_types"])
        self.assertIsInstance(dpu["raid_levels"], list)
        drives = {d["serial"]: d for d in dpu["drives"]}
        self.assertFalse(drives["S0001"]["takeable"])
        self.assertIn("in use", drives["S0001"]["reason"])
        self.assertTrue(drives["S0002"]["takeable"])
        self.assertEqual(drives["S0002"]["size"], 64 << 30)
        self.assertEqual(drives["S0002"]["model"], "SIMULATED-NVME")
        pool, = dpu["pools"]
        self.assertEqual(pool["sr"], self.sr)

    def test_each_function_answers_json(self):
        self.assertTrue(self.call("status")["ready"])
        self.assertEqual([d["name"] for d in self.call("dpu")], ["dpu0"])
        self.assertEqual({d["serial"] for d in self.call("drives", dpu="dpu0")}, {"S0001", "S0002"})
        self.assertEqual([p["dpu_name"] for p in self.call("pools")], ["dpu0"])
        self.assertIsInstance(self.call("functions"), list)
        self.assertEqual(self.call("volumes", sr=self.sr), [])
        self.assertEqual(self.call("attachments"), [])
        self.assertLessEqual(len(self.call("events", max="2")["events"]), 2)

    def test_text_of_any_kind_survives_the_xml(self):
        name = "a<b>&\"'\u00e9\u4e2d\n]]>"
        made = self.s.volume.call("Volume.create", {"sr": self.sr, "name": name, "description": "", "size": 64 << 20,
                                                    "sharable": False})
        try:
            row, = self.call("volumes", sr=self.sr)
            self.assertEqual(row["name"], name)
        finally:
            self.s.volume.call("Volume.destroy", {"sr": self.sr, "key": made["key"]})
        self.s.settle()

    def test_errors_are_xenapi_errors(self):
        self.assertEqual(self.refused("sing").as_list()[:2], ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "sing"])
        for function in ("reserve", "unreserve", "adopt", "doctor"):
            self.assertEqual(self.refused(function).code, "UNKNOWN_XENAPI_PLUGIN_FUNCTION")
        self.assertEqual(self.refused("drives", dpu="dpu9").code, "VNVME_NOT_FOUND")
        self.assertEqual(self.refused("drives", look="true").code, "VNVME_INVALID_ARGUMENT")
        self.assertEqual(self.refused("events", max="-1").code, "VNVME_INVALID_ARGUMENT")

    def test_without_vnvmed_it_says_so(self):
        env = dict(self.env, VNVME_ADMIN_SOCKET=os.path.join(self.s.directory, "nobody.sock"))
        for function in ("status", "probe", "drives", "volumes"):
            done = self.run_it(BARE.format(function, ""), env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            (answer,), _ = xmlrpc.client.loads(done.stdout)
            self.assertEqual(answer["Status"], "Failure")
            self.assertEqual(answer["ErrorDescription"][0], "VNVME_UNREACHABLE")

    def test_as_xapi_writes_the_call(self):
        done = self.run_it(BARE.format("drives", "<member><name>dpu</name><value>dpu0</value></member>"))
        self.assertEqual(done.stderr, "")
        (answer,), _ = xmlrpc.client.loads(done.stdout)
        self.assertEqual(answer["Status"], "Success")
        self.assertEqual(len(json.loads(answer["Value"])), 2)
        self.assertNotIn("OpaqueRef", done.stdout)

    def test_hostile_calls(self):
        bomb = "<!DOCTYPE m [<!ENTITY a 'xxxx'>" + "".join(
            f"<!ENTITY {b} '{('&' + a + ';') * 10}'>" for a, b in zip("abcdefgh", "bcdefghi")) + "]>"
        for text in ("", "x", "<a/>", "<value>" * 5000, bomb + BARE.format("&i;", ""), BARE.format("status", "")[:-1],
                     "<!DOCTYPE m SYSTEM 'file:///etc/passwd'>" + BARE.format("status", ""),
                     BARE.format("status", "<member><name>a</name><value>" + "x" * 100000 + "</value></member>")):
            done = self.run_it(text)
            self.assertEqual(done.returncode, 0, text[:80])
            (answer,), _ = xmlrpc.client.loads(done.stdout)
            self.assertEqual((answer["Status"], answer["ErrorDescription"][0]), ("Failure", "VNVME_BAD_CALL"))
        self.assertEqual(self.run_it().returncode, 2)
        self.assertEqual(self.run_it("a", "b").returncode, 2)

    def test_the_layout(self):
        installer = os.path.join(SOURCE, "plugins/install-host.sh")
        folder = os.path.join(self.s.directory, "etc-plugins")
        os.makedirs(folder)
        foreign = os.path.join(folder, "zfs.py")
        with open(foreign, "w", encoding="utf-8"):
            pass
        for _ in range(2):
            subprocess.run(["/bin/sh", installer, folder], check=True, timeout=60)
        self.assertEqual(sorted(os.listdir(folder)), ["vnvme", "zfs.py"])
        with open(os.path.join(folder, "vnvme"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "#!/usr/libexec/vnvme/vnvme-host-plugin\n")
        self.assertTrue(os.access(os.path.join(folder, "vnvme"), os.X_OK))
        for bad in ("bin", "/a b", "/" + "x" * 200):
            done = subprocess.run(["/bin/sh", installer, folder, bad], capture_output=True, check=False, timeout=60)
            self.assertNotEqual(done.returncode, 0, bad)


if __name__ == "__main__":
    unittest.main()
