"""What the fake XAPI says on the wire, held against XAPI's own description of its protocol."""
import http.client
import json
import os
import socket
import sys
import tempfile
import threading
import unittest
import xmlrpc.client

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from fake_xapi import FakeXapi
from stack import until
from xapi_db import Database, XapiError
from xapi_xenops import pci_list


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Wire(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vnvme-xapi-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "xapi")
        self.fake = FakeXapi(unix=self.path, tcp=True)
        self.fake.__enter__()
        self.addCleanup(self.fake.__exit__)
        self.session = self.ask("session.login_with_password", "root", "", "1.0", "test")["result"]

    def post(self, body, path="/jsonrpc"):
        connection = Unix(self.path)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.getheader("content-type"), text

    def ask(self, method, *params, version="2.0", number=7):
        request = {"method": method, "params": list(params), "id": number}
        if version:
            request["jsonrpc"] = version
        status, kind, text = self.post(json.dumps(request))
        self.assertEqual((status, kind), (200, "application/json"))
        answer = json.loads(text)
        self.assertEqual(answer["id"], number)
        return answer

    def test_json_rpc_2(self):
        answer = self.ask("VM.get_all", self.session)
        self.assertEqual(set(answer), {"jsonrpc", "result", "id"})
        refused = self.ask("VM.get_record", self.session, "OpaqueRef:x")
        self.assertEqual(refused["error"], {"code": 1, "message": "HANDLE_INVALID", "data": ["VM", "OpaqueRef:x"]})
        self.assertNotIn("result", refused)

    def test_json_rpc_1(self):
        answer = self.ask("VM.get_all", self.session, version=None, number="xyz")
        self.assertIsNone(answer["error"])
        refused = self.ask("VM.get_all", "OpaqueRef:nobody", version=None)
        self.assertEqual(refused, {"result": None, "error": ["SESSION_INVALID", "OpaqueRef:nobody"], "id": 7})

    def test_xml_rpc_has_integers_as_strings(self):
        proxy = xmlrpc.client.ServerProxy(self.fake.url)
        self.addCleanup(proxy("close"))
        refused = proxy.session.login_with_password("root", "wrong")
        self.assertEqual(refused["ErrorDescription"][0], "SESSION_AUTHENTICATION_FAILED")
        session = proxy.session.login_with_password("root", "vnvme")["Value"]
        vm, = proxy.VM.get_all(session)["Value"]
        record = proxy.VM.get_record(session, vm)["Value"]
        self.assertEqual(record["domid"], "0")
        self.assertIs(record["is_control_domain"], True)
        batch = proxy.event.__getattr__("from")(session, ["vm"], "", 0.0)["Value"]
        self.assertEqual(batch["valid_ref_counts"]["vm"], 1)
        self.assertIn("VM.get_all_records", proxy.system.listMethods())
        # a session of one protocol is good in the other
        self.assertIn("result", self.ask("VM.get_all", session))

    def test_what_cannot_be_read_is_500(self):
        for body in ("", "{", "[]", '{"method":"VM.get_all","id":1}', '{"method":"VM.get_all","params":[]}',
                     '{"jsonrpc":"3.0","method":"VM.get_all","params":[],"id":1}', "x" * (301 << 10)):
            status, kind, text = self.post(body)
            self.assertEqual((status, kind), (500, "text/html"), body[:50])
            self.assertIn("HTTP 500 internal server error", text)
        self.assertEqual(self.post("<methodCall>", "/")[0], 500)
        self.assertEqual(self.post("{}", "/nowhere")[0], 404)

    def test_errors_have_their_codes(self):
        vm = self.ask("VM.create", self.session, {"name_label": "v"})["result"]

        def code(*call):
            return self.ask(*call)["error"]["message"]
        self.assertEqual(code("VM.no_such_call", self.session), "MESSAGE_METHOD_UNKNOWN")
        self.assertEqual(code("VM.start", self.session), "MESSAGE_PARAMETER_COUNT_MISMATCH")
        self.assertEqual(code("VM.get_by_uuid", self.session, "x"), "UUID_INVALID")
        self.assertEqual(code("VM.set_uuid", self.session, vm, "x"), "MESSAGE_METHOD_UNKNOWN")
        self.assertEqual(code("VM.set_name_label", self.session, vm, {}), "FIELD_TYPE_ERROR")
        self.assertEqual(code("VM.clean_shutdown", self.session, vm), "VM_BAD_POWER_STATE")
        self.ask("VM.add_to_other_config", self.session, vm, "k", "v")
        self.assertEqual(code("VM.add_to_other_config", self.session, vm, "k", "w"), "MAP_DUPLICATE_KEY")
        for _ in range(2):
            self.assertEqual(self.ask("VM.remove_from_other_config", self.session, vm, "k")["result"], "")
        self.ask("VM.add_to_blocked_operations", self.session, vm, "start", "vnvme: no")
        self.assertEqual(code("VM.start", self.session, vm, False, False), "OPERATION_BLOCKED")
        self.ask("session.logout", self.session)
        self.assertEqual(code("VM.get_all", self.session), "SESSION_INVALID")

    def test_events_wait_and_are_differences(self):
        first = self.ask("event.from", self.session, ["VM", "vbd"], "", 5.0)["result"]
        self.assertEqual([e["operation"] for e in first["events"]], ["add"])
        got = []
        waiting = threading.Thread(target=lambda: got.append(
            self.ask("event.from", self.session, ["vm"], first["token"], 30.0)["result"]))
        waiting.start()
        vm = self.ask("VM.create", self.session, {"name_label": "v"})["result"]
        waiting.join(30)
        self.assertEqual([(e["operation"], e["ref"]) for e in got[0]["events"]], [("add", vm)])
        self.assertEqual(got[0]["valid_ref_counts"]["vm"], 2)
        self.ask("VM.destroy", self.session, vm)
        later = self.ask("event.from", self.session, ["vm"], got[0]["token"], 5.0)["result"]
        self.assertEqual([(e["operation"], e["ref"]) for e in later["events"]], [("del", vm)])
        # what came and went since the token is not told at all
        since = self.ask("event.from", self.session, ["vm"], first["token"], 0.0)["result"]
        self.assertEqual(since["events"], [])
        bad = self.ask("event.from", self.session, ["vm"], "no token", 0.0)
        self.assertEqual(bad["error"]["message"], "EVENT_FROM_TOKEN_PARSE_FAILURE")

    def test_deletions_are_forgotten_without_a_word(self):
        db = Database(["VM"])
        refs = [db.add("VM", {}) for _ in range(700)]
        token = db.events_from(["vm"], "", 0, lambda: True)["token"]
        for ref in refs:
            db.remove("VM", ref)
        batch = db.events_from(["vm"], token, 0, lambda: True)
        self.assertLess(len(batch["events"]), 512)
        self.assertGreaterEqual(len(batch["events"]), 256)
        self.assertEqual(batch["valid_ref_counts"], {"vm": 0})

    def test_a_restart_ends_sessions_and_connections(self):
        got = []

        def wait():
            try:
                got.append(self.ask("event.from", self.session, ["task"], "", 30.0))
            except OSError as e:
                got.append(e)
            except http.client.HTTPException as e:
                got.append(e)
        waiting = threading.Thread(target=wait)
        waiting.start()
        until("event.from has come", lambda: any(m == "event.from" for m, _ in self.fake.seen))
        self.fake.restart(booting=1)
        waiting.join(30)
        self.assertEqual(len(got), 1)
        self.assertNotIn("result", got[0] if isinstance(got[0], dict) else {})
        self.assertEqual(self.ask("VM.get_all", self.session)["error"]["message"], "HOST_STILL_BOOTING")
        self.assertEqual(self.ask("VM.get_all", self.session)["error"]["message"], "SESSION_INVALID")

    def test_rules_fail_the_call_that_they_name(self):
        vm = self.ask("VM.create", self.session, {"name_label": "v"})["result"]
        self.fake.rule("VM.set_name_label", "drop_after", nth=2)
        self.ask("VM.set_name_label", self.session, vm, "one")
        with self.assertRaises(http.client.RemoteDisconnected):
            self.ask("VM.set_name_label", self.session, vm, "two")
        self.assertEqual(self.ask("VM.get_name_label", self.session, vm)["result"], "two")
        self.fake.rule("*", ["OTHER_OPERATION_IN_PROGRESS", "VM", vm])
        self.assertEqual(self.ask("VM.get_all", self.session)["error"]["data"], ["VM", vm])

    def test_async_calls_are_tasks(self):
        vm = self.ask("VM.create", self.session, {"name_label": "v"})["result"]
        task = self.ask("Async.VM.start", self.session, vm, False, False)["result"]
        until("the task ended",
              lambda: self.ask("task.get_status", self.session, task)["result"] != "pending")
        self.assertEqual(self.ask("task.get_status", self.session, task)["result"], "success")
        self.assertEqual(self.ask("VM.get_power_state", self.session, vm)["result"], "Running")

    def test_plugins_of_the_host(self):
        folder = os.path.dirname(self.path)
        with open(os.path.join(folder, "echo"), "w", encoding="ascii") as out:
            out.write("#!/usr/bin/python3\nimport sys, xmlrpc.client\n"
                      "(session, args), name = xmlrpc.client.loads(sys.argv[1])\n"
                      "bad = {'Status': 'Failure', 'ErrorDescription': ['NO', 'way']}\n"
                      "good = {'Status': 'Success', 'Value': name + args.get('k', '')}\n"
                      "print(xmlrpc.client.dumps((bad if name == 'fail' else good,), methodresponse=True))\n"
                      "sys.exit(3 if name == 'die' else 0)\n")
        os.chmod(os.path.join(folder, "echo"), 0o755)
        self.fake.api.plugins = folder
        host = self.fake.api.host

        def plugin(name, function):
            return self.ask("host.call_plugin", self.session, host, name, function, {"k": "v"})
        self.assertEqual(plugin("echo", "say")["result"], "sayv")
        self.assertEqual(plugin("echo", "fail")["error"]["message"], "NO")
        self.assertEqual(plugin("echo", "die")["error"]["message"], "XENAPI_PLUGIN_FAILURE")
        self.assertEqual(plugin("none", "say")["error"]["message"], "XENAPI_MISSING_PLUGIN")

    def test_pci_lists_are_read_as_xapi_reads_them(self):
        self.assertEqual(pci_list("0/0000:01:00.0,1/0000:01:00.1"), ["0000:01:00.0", "0000:01:00.1"])
        self.assertEqual(pci_list("1/0000:01:00.0, 0/0000:01:00.1"), ["0000:01:00.1", "0000:01:00.0"])
        self.assertEqual(pci_list("0/0000:01:00.0,0/0000:01:00.1"), ["0000:01:00.1", "0000:01:00.0"])
        self.assertEqual(pci_list("junk,0/0000:01:00.9,0/01:00.0"), [])

    def test_a_write_that_changes_nothing_makes_no_event(self):
        api = self.fake.api
        vm = api.call("VM.create", [self.session, {"name_label": "v"}])
        token = api.db.events_from(["vm"], "", 0, lambda: True)["token"]
        api.call("VM.set_name_label", [self.session, vm, "v"])
        self.assertEqual(api.db.events_from(["vm"], token, 0, lambda: True)["events"], [])
        with self.assertRaises(XapiError):
            api.call("VM.get_nothing", [self.session, vm])


if __name__ == "__main__":
    unittest.main()
