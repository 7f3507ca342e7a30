#!/usr/bin/env python3
"""What people see: the output of `vnvme` against a scripted admin socket, compared with golden files.

After a wanted change: VNVME_GOLDEN=write python3 cli_golden.py, and read the difference before committing it."""
import json
import os
import pathlib
import shlex
import subprocess
import sys
import unittest

import sample
from scripted_admin import Hangup, Lines, Refuse, ScriptedAdmin

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
VNVME = os.path.join(os.environ["VNVME_BIN"], "vnvme")
DOWN = Refuse("unreachable", "dpu0: no answer from unix:/var/tmp/spdk.sock since 12:01:07")
AWAY = "no answer from unix:/var/tmp/spdk.sock since 12:01:07 (Connection refused); trying again every 5 s"
DEAD_DPU = {**sample.FULL, "drives": DOWN, "pools": DOWN, "functions": DOWN,
            "status": sample.status([sample.dpu("dpu0", False, AWAY)],
                                    [sample.sr(sample.SR1, "Fast NVMe", "dpu0", sample.POOL1, health="Unreachable",
                                               health_text="dpu0 is away since 12:01:07")])}
NOT_READY = {**sample.EMPTY, "volumes": DOWN,
             "status": sample.status([sample.dpu("dpu0")], [sample.sr(sample.SR1, "", "dpu0", "", total=0, free=0, attached=False,
                                                                      state="creating", volumes=3)], ready=False)}
MANY = {**sample.FULL, "volumes": [sample.volume(n, "disk %d" % n, 10, 0) for n in range(10000)]}
STRANGER = {**sample.EMPTY, "status": sample.status([], [sample.sr(sample.SR1, "Old", "gone", sample.POOL1)])}


def run(socket, line, columns=None, **env):
    full = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "VNVME_", "COLUMNS", "NO_COLOR"))}
    full.update(LANG="C.UTF-8", TZ="UTC", VNVME_ADMIN_SOCKET=socket, **env)
    if columns:
        full["COLUMNS"] = str(columns)
    return subprocess.run([VNVME, *shlex.split(line)], env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


class GoldenOutputs(unittest.TestCase):
    def check(self, name, answers, line, code=0, columns=None, **env):
        with ScriptedAdmin(answers) as admin:
            done = run(admin.path, line, columns, **env)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stderr, b"")
        path = GOLDEN / (name + ".txt")
        if os.environ.get("VNVME_GOLDEN") == "write":
            path.write_bytes(done.stdout)
        self.assertEqual(done.stdout.decode(), path.read_text(encoding="utf-8"), "see " + str(path))
        return done.stdout.decode()

    def test_each_verb_wide_and_narrow(self):
        for verb in ("dpu", "drives", "pools", "volumes", "functions", "attachments", "events"):
            for columns in (200, 80, 40):
                with self.subTest(verb=verb, columns=columns):
                    self.check("%s-%d" % (verb, columns), sample.FULL, verb, columns=columns)

    def test_empty_lists_say_what_to_do(self):
        for verb in ("dpu", "drives", "pools", "volumes", "functions", "attachments", "events", "doctor"):
            with self.subTest(verb=verb):
                self.check("empty-" + verb, sample.EMPTY, verb, columns=80)

    def test_status(self):
        for columns in (120, 80, 46):
            self.check("status-%d" % columns, sample.FULL, "status", columns=columns)
        self.check("status-no-dpu", sample.EMPTY, "status", columns=80)
        self.check("status-dead-dpu", DEAD_DPU, "status", columns=100)
        self.check("status-not-ready", NOT_READY, "status", columns=100)
        self.check("status-10000-volumes", MANY, "status", columns=100)
        self.check("status-stranger", STRANGER, "status", columns=100)

    def test_ascii_where_the_locale_is_not_utf8(self):
        text = self.check("status-ascii", {**sample.FULL, "volumes": sample.VOLUMES[:1]}, "status", columns=80, LC_ALL="C")
        self.assertTrue(text.isascii())

    def test_without_a_terminal_nothing_is_cut(self):
        text = self.check("volumes-unlimited", sample.FULL, "volumes")
        self.assertIn(sample.VM, text)
        self.assertIn(sample.VOLUMES[3]["name"], text)

    def test_no_line_is_wider_than_the_terminal(self):
        for verb in ("status", "dpu", "drives", "pools", "volumes", "functions", "attachments"):
            with ScriptedAdmin({**sample.FULL, "volumes": sample.VOLUMES[:1]}) as admin:
                text = run(admin.path, verb, 72).stdout.decode()
            for line in text.splitlines():
                wide = sum(2 if "\u3000" <= c <= "\uffef" else 1 for c in line)
                self.assertLessEqual(wide, 72, (verb, line))

    def test_colours_only_when_wanted(self):
        self.assertIn("\x1b[", self.check("status-colour", sample.FULL, "status --color always", columns=80))
        with ScriptedAdmin(sample.FULL) as admin:
            for line in ("status", "status --color auto", "status --color=never"):
                self.assertNotIn(b"\x1b", run(admin.path, line).stdout)

    def test_hostile_names_cannot_steer_the_terminal(self):
        volume = dict(sample.VOLUMES[0], name="a\x1b]0;owned\x07\nb\u202e", owner="vm:\x1b[2J")
        with ScriptedAdmin({**sample.FULL, "volumes": [volume]}) as admin:
            for verb in ("volumes", "status"):
                self.assertNotIn(b"\x1b", run(admin.path, verb).stdout)

    def test_doctor_has_its_own_exit_code(self):
        self.check("doctor", sample.FULL, "doctor", code=4, columns=80)
        self.check("doctor-json", sample.FULL, "doctor --json", code=4)
        warning = {**sample.FULL, "doctor": sample.FULL["doctor"][:2]}
        self.check("doctor-warning", warning, "doctor", code=0)

    def test_actions(self):
        self.check("reserve", sample.FULL, "reserve " + sample.VM)
        self.check("unreserve", sample.FULL, "unreserve " + sample.VM)
        self.check("adopt", sample.FULL, "adopt")
        done = {"sr": sample.SR1, "volumes": 1, "missing_names": 0, "accepted": True}
        self.check("adopt-done", {"adopt": [done]}, "adopt --accept-missing")
        self.check("adopt-nothing", {"adopt": []}, "adopt")

    def test_help_of_everything(self):
        for line in ("--help", "status --help", "events --help", "adopt --help", "help reserve", "completion"):
            self.check("help-" + line.replace(" ", "-").strip("-"), {}, line)


class Behaviour(unittest.TestCase):
    def test_json_is_the_answer_itself(self):
        with ScriptedAdmin(sample.FULL) as admin:
            for verb in sample.FULL:
                words = {"reserve": " vm", "unreserve": " vm"}.get(verb, "")
                done = run(admin.path, verb + words + " --json")
                self.assertEqual(json.loads(done.stdout), sample.FULL[verb], verb)
                self.assertEqual(done.stdout.count(b"\n"), 1)

    def test_what_is_asked(self):
        wanted = {
            "reserve abc --dpu dpu1": ("reserve", {"vm": "abc", "dpu": "dpu1"}),
            "reserve --dpu=dpu1 abc": ("reserve", {"vm": "abc", "dpu": "dpu1"}),
            "--json unreserve abc": ("unreserve", {"vm": "abc"}),
            "adopt sr1 --accept-missing": ("adopt", {"sr": "sr1", "accept_missing": True}),
            "adopt": ("adopt", {}), "volumes --sr x": ("volumes", {"sr": "x"}), "drives --look": ("drives", {"look": True}),
            "events --last 5 --since 7": ("events", {"max": 5, "since": 7}),
            "events": ("events", {"max": 50}),
        }
        for line, (verb, args) in wanted.items():
            with ScriptedAdmin(sample.FULL) as admin:
                self.assertEqual(run(admin.path, line).returncode, 0)
                self.assertEqual(admin.asked[0], {"verb": verb, "args": args}, line)

    def test_wrong_usage_is_exit_2_and_says_what_is_right(self):
        for line, hint in {
            "volume": "did you mean 'volumes'?", "statsu": "did you mean 'status'?", "frobnicate": "there is no verb",
            "reserve": "needs VM", "status extra": "one word too many", "events --last": "wants a value",
            "events --last many": "wants a number", "events --folow": "did you mean --follow?", "adopt a --accept-missing=1": "no value",
            "--socket": "wants a value", "status --color blue": "auto, always, never", "": "Verbs",
        }.items():
            done = run("/nowhere", line)
            self.assertEqual(done.returncode, 2, line)
            self.assertEqual(done.stdout, b"")
            self.assertIn(hint, done.stderr.decode(), line)

    def test_no_daemon_is_exit_3(self):
        done = run("/nowhere/admin.sock", "status")
        self.assertEqual(done.returncode, 3)
        self.assertIn("systemctl status vnvmed", done.stderr.decode())
        self.assertIn("/nowhere/admin.sock", done.stderr.decode())
        done = run("/nowhere/admin.sock", "status --json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]), (3, "unreachable"))
        done = run("/x" * 80, "status")
        self.assertEqual(done.returncode, 1)
        with ScriptedAdmin({"status": Hangup}) as admin:
            self.assertEqual(run(admin.path, "status").returncode, 3)

    def test_errors_of_the_daemon_are_exit_1(self):
        with ScriptedAdmin({"reserve": Refuse("in_use", "no function is free; \x1b[31mgive one back")}) as admin:
            done = run(admin.path, "reserve vm")
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(b"no function is free", done.stderr)
            self.assertNotIn(b"\x1b", done.stderr)
            done = run(admin.path, "reserve vm --json")
            self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]), (1, "in_use"))

    def test_broken_answers_are_errors_not_pictures(self):
        for answer in (b"not json\n", b"[]\n", b"{}\n", b'{"result"\n', b'"x"\n', b'{"error":7}\n'):
            with ScriptedAdmin({"volumes": answer}) as admin:
                done = run(admin.path, "volumes")
                self.assertEqual((done.returncode, done.stdout), (1, b""), answer)

    def test_answers_of_another_version_do_not_crash(self):
        odd = [None, 7, "x", {}, [], [None], [7], [{}], [{"name": 7, "size": "many", "namespaces": {}, "owner": None}],
               {"dpus": 7, "events": {}, "checks": "x"}, {"dpus": [7], "srs": [{}], "busy": [1], "wipes": [{}]}]
        for answer in odd:
            for verb in ("status", "dpu", "drives", "pools", "volumes", "functions", "attachments", "events", "adopt", "reserve v"):
                with ScriptedAdmin({name: answer for name in sample.FULL}) as admin:
                    self.assertEqual(run(admin.path, verb, 60).returncode, 0, (verb, answer))

    def test_follow_shows_each_answer(self):
        one, two = ({"next": n, "events": [sample.FULL["events"]["events"][n]]} for n in (0, 1))
        with ScriptedAdmin({"events": Lines(one, two, Refuse("cancelled", "the daemon ends"))}) as admin:
            done = run(admin.path, "events --follow --json")
            self.assertEqual(done.returncode, 1)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual([e.get("seq") for e in lines], [1, 2, None])
            self.assertEqual(admin.asked[0]["args"], {"follow": True, "max": 50})

    def test_a_full_disk_is_told(self):
        with ScriptedAdmin(sample.FULL) as admin, open("/dev/full", "w") as full:
            done = subprocess.run([VNVME, "--socket", admin.path, "volumes"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write", done.stderr)

    def test_completion_completes(self):
        def complete(*words):
            script = '. <("%s" completion); COMP_WORDS=(%s); COMP_CWORD=%d; _vnvme; echo "${COMPREPLY[@]}"' % (
                VNVME, " ".join(shlex.quote(w) for w in words), len(words) - 1)
            return subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().split()
        self.assertEqual(complete("vnvme", "vol"), ["volumes"])
        self.assertIn("--follow", complete("vnvme", "events", "--"))
        self.assertIn("--dpu", complete("vnvme", "--socket", "/x", "reserve", "--d"))
        self.assertEqual(complete("vnvme", "status", "--color", "al"), ["always"])


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    unittest.main(argv=[sys.argv[0], "-q", *sys.argv[1:]])
