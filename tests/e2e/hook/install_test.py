"""plugins/install-hooks.sh: what xenopsd will find, and that a broken program never gets there."""
import os
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("VNVME_SOURCE") or os.path.abspath(os.path.join(HERE, "../../.."))
BIN = os.environ.get("VNVME_BIN") or os.path.join(SOURCE, "build/dev/bin")
INSTALL = os.path.join(SOURCE, "plugins/install-hooks.sh")
NAME = "vm-pre-start/vnvme-vm-pre-start"


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vnvme-")
        self.addCleanup(folder.cleanup)
        self.root = os.path.join(folder.name, "xapi.d")
        self.programs = os.path.join(folder.name, "programs")
        os.makedirs(os.path.join(self.root, "vm-pre-start"))
        os.mkdir(self.programs)

    def install(self, *words, ok=True):
        got = subprocess.run(["/bin/sh", INSTALL, *words], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(got.returncode == 0, ok, got.stderr)
        return got.stderr

    def program(self, text, mode=0o755):
        path = os.path.join(self.programs, "vnvme-vm-pre-start")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)

    def found(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.root)
                      for folder, _, names in os.walk(self.root) for name in names)

    def test_the_program_itself_stands_there(self):
        self.install(self.root, BIN)
        self.assertEqual(self.found(), [NAME])
        path = os.path.join(self.root, NAME)
        self.assertTrue(os.access(path, os.X_OK) and not os.path.islink(path))
        with open(path, "rb") as copy, open(os.path.join(BIN, "vnvme-vm-pre-start"), "rb") as original:
            self.assertEqual(copy.read(), original.read())

    def test_an_older_one_is_replaced_and_others_stay(self):
        for name in (NAME, "vm-pre-start/10-somebodys"):
            with open(os.path.join(self.root, name), "w", encoding="utf-8") as out:
                out.write("old")
        self.install(self.root, BIN)
        self.assertEqual(self.found(), ["vm-pre-start/10-somebodys", NAME])
        self.assertGreater(os.path.getsize(os.path.join(self.root, NAME)), 3)
        self.install("--remove", self.root)
        self.assertEqual(self.found(), ["vm-pre-start/10-somebodys"])
        self.install("--remove", self.root)

    def test_what_does_not_run_changes_nothing(self):
        self.install(self.root, BIN)
        before = os.path.getsize(os.path.join(self.root, NAME))
        for text in ("\x7fELF of another machine", "#!/nonexistent/interpreter\n", "#!/bin/sh\nexit 3\n"):
            self.program(text)
            self.assertIn("does not run", self.install(self.root, self.programs, ok=False))
            self.assertEqual(self.found(), [NAME])
            self.assertEqual(os.path.getsize(os.path.join(self.root, NAME)), before)

    def test_missing_programs_and_words(self):
        self.assertIn("there is no", self.install(self.root, self.programs, ok=False))
        self.assertIn("usage", self.install(ok=False))
        self.assertIn("usage", self.install("a", "b", "c", ok=False))
        self.assertEqual(self.found(), [])


if __name__ == "__main__":
    unittest.main()
