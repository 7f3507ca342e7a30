"""F13: the state file is lost, restored from its copy, or written by a later vnvmed."""
import os
import shutil
import signal
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker
import truth
from stack import Stack, until

MiB = 1 << 20


class StateLost(unittest.TestCase):
    def setUp(self):
        self.s = Stack()
        self.addCleanup(self.s.stop)
        self.s.start_dpu()
        self.s.start_daemon()
        self.path = os.path.join(self.s.directory, "state.db")
        self.sr, self.pbd = self.s.make_sr()
        self.volume = self.call("Volume.create", sr=self.sr, name="é a label", description="d", size=64 * MiB,
                                sharable=False)
        self.call("Volume.set", sr=self.sr, key=self.volume["key"], k="vdi-type", v="user")
        self.s.write(self.volume["key"], 0, b"bytes")
        self.snapshot = self.call("Volume.snapshot", sr=self.sr, key=self.volume["key"])
        self.call("Volume.resize", sr=self.sr, key=self.volume["key"], new_size=128 * MiB)
        self.before = self.listed()

    def call(self, method, **arguments):
        return self.s.volume.call(method, arguments)

    def listed(self):
        return {v["key"]: v for v in self.call("SR.ls", sr=self.sr)}

    def refused(self, method, **arguments):
        with self.assertRaises(broker.BackendError) as caught:
            self.call(method, **arguments)
        return " ".join(caught.exception.params)

    def stop(self):
        self.s.daemon.send_signal(signal.SIGTERM)
        self.s.daemon.wait(30)

    def remove(self):
        for suffix in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(self.path + suffix):
                os.unlink(self.path + suffix)

    def test_no_volume_and_no_size_is_lost_with_it(self):
        self.s.kill_daemon()
        self.remove()
        self.s.start_daemon()
        self.refused("SR.ls", sr=self.sr)
        self.assertEqual(self.call("SR.attach", configuration=self.pbd), self.sr, "its PBD is enough")
        self.assertIn("adopt", self.refused("SR.ls", sr=self.sr))
        self.assertIn("adopt", self.refused("Volume.stat", sr=self.sr, key=self.volume["key"]))
        self.assertEqual(self.call("SR.stat", sr=self.sr)["health"][0], "Healthy")
        until("both are found", lambda: [a["volumes"] for a in self.s.admin("adopt")] == [2])
        self.refused("SR.ls", sr=self.sr)
        self.s.cli("adopt", "--accept-missing")
        found = self.listed()
        for key, known in self.before.items():
            self.assertEqual([found[key][f] for f in ("virtual_size", "read_write", "uri")],
                             [known[f] for f in ("virtual_size", "read_write", "uri")])
        self.assertEqual(found[self.volume["key"]]["name"], "é a label", "what fits is in the lvol's name")
        self.assertEqual(len(found), 2)
        self.assertEqual(self.s.read(self.volume["key"], 0, 5), b"bytes")
        self.call("Volume.revert", sr=self.sr, snapshot=self.snapshot["key"], key=self.volume["key"])
        truth.agree(self.s)

    def test_the_copy_brings_everything_back(self):
        self.stop()
        self.remove()
        shutil.copyfile(os.path.join(self.s.directory, "state-copy.db"), self.path)
        self.s.start_daemon()
        self.assertEqual(self.listed(), self.before)
        truth.agree(self.s)

    def test_a_later_schema_and_a_foreign_file_are_refused_and_left_as_they_are(self):
        self.stop()
        db = sqlite3.connect(self.path)
        db.execute("PRAGMA user_version=99")
        db.close()
        for content, words in ((None, "schema version 99"), (b"not a database" * 1000, self.path)):
            if content is not None:
                self.remove()
                with open(self.path, "wb") as out:
                    out.write(content)
            with open(self.path, "rb") as f:
                before = f.read()
            self.s.start_daemon(wait=False)
            self.assertNotEqual(self.s.daemon.wait(30), 0)
            self.assertIn(words, self.s.tail("vnvmed.log"))
            with open(self.path, "rb") as f:
                self.assertEqual(f.read(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
