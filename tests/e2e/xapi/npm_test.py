"""The fake XAPI is held honest by a client that is not ours: xen-api of npm, the connector of Xen Orchestra.

`./run test` installs it (package.json) into the build's folder, where node and npm are there. Without them the test is
skipped, and says so loudly; VNVME_REQUIRE_NPM=1 makes that a failure.
"""
import json
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
from fake_xapi import FakeXapi


def without(why):
    text = f"NOT TESTED: the fake XAPI was not held against the real xen-api of npm: {why}"
    print("\n" + "!" * 78 + f"\n{text}\n" + "!" * 78, file=sys.stderr)
    if os.environ.get("VNVME_REQUIRE_NPM"):
        raise AssertionError(text)
    raise unittest.SkipTest(text)


def installed():
    """The folder that has node_modules/xen-api."""
    if not shutil.which("node"):
        without("node is not installed")
    folder = os.path.join(os.environ.get("VNVME_BUILD", "build/dev"), "npm")
    if not os.path.exists(os.path.join(folder, "node_modules/xen-api/package.json")):
        without("./run test could not install it")
    return folder


class XenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = installed()

    def live(self, transport):
        with FakeXapi(tcp=True) as fake:
            perform = fake.perform

            def watched(method, params, trusted):
                answer = perform(method, params, trusted)
                if method == "pool.add_to_other_config" and params[2] == "test:end-sessions":
                    fake.api.restart()  # not hang_up: this call is to be answered
                return answer
            fake.perform = watched
            done = subprocess.run(["node", os.path.join(HERE, "life.mjs"), fake.url, transport], cwd=self.folder,
                                  capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(fake.errors, [])
            return {line["step"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}

    def judge(self, told, number):
        self.assertEqual(told["connected"], ["VM", "host", "pool"])
        self.assertEqual(told["created"], ["VM", "from node", number, False, {}])
        self.assertEqual(told["changed"], {"pci": "0/0000:01:00.1"})
        self.assertTrue(told["barrier"] and told["started"] and told["halted"])
        self.assertEqual(told["refused"], ["VM_BAD_POWER_STATE", 3])
        self.assertEqual(told["unknown"], ["HANDLE_INVALID", ["VM", "OpaqueRef:no"]])
        self.assertEqual(told["destroyed"], 1)

    def test_json_rpc(self):
        self.judge(self.live("json-rpc"), "number")

    def test_xml_rpc(self):
        self.judge(self.live("xml-rpc"), "string")

    def test_the_connector_chooses_json_by_itself(self):
        self.judge(self.live("auto"), "number")


if __name__ == "__main__":
    unittest.main()
