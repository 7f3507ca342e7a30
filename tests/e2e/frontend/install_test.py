"""plugins/install.sh: what XAPI will find, and what must never be installed."""
import os
import subprocess
import unittest

from support import PLUGIN, SOURCE, Case

INSTALL = os.path.join(SOURCE, "plugins/install.sh")


def manifest():
    with open(os.path.join(SOURCE, "plugins/manifest"), encoding="utf-8") as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return {row[0]: row[1:] for row in rows}


class Install(Case):
    def install(self, *words, ok=True):
        got = subprocess.run(["/bin/sh", INSTALL, *words], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(got.returncode == 0, ok, got.stderr)
        return got.stderr

    def found(self, folder):
        return sorted(os.listdir(os.path.join(self.folder, folder)))

    def test_each_column_is_a_folder_with_exactly_its_scripts(self):
        self.install(self.folder, PLUGIN)
        folders = ("volume/org.xen.xapi.storage.vnvme", "volume/org.xen.xapi.storage.vnvme-raw", "datapath/vnvme")
        for column, folder in enumerate(folders):
            self.assertEqual(self.found(folder), sorted(m for m, marks in manifest().items() if marks[column] == "x"))
            for name in self.found(folder):
                path = os.path.join(self.folder, folder, name)
                self.assertTrue(os.access(path, os.X_OK) and not os.path.islink(path))
                with open(path, encoding="utf-8") as f:
                    source = f.read()
                self.assertEqual(source.splitlines()[0], "#!" + PLUGIN)
                compile(source, path, "exec")

    def test_without_snapshots_there_is_nothing_that_needs_them(self):
        lacks = {m for m, marks in manifest().items() if marks[0] == "x" and marks[1] == "-"}
        self.assertEqual(lacks, {"Volume.snapshot", "Volume.clone", "Volume.revert", "Volume.resize"})

    def test_an_older_layout_is_brought_up_to_date(self):
        self.install(self.folder, "/usr/bin/old")
        old = os.path.join(self.folder, "datapath/vnvme/Datapath.open")
        with open(old, "w", encoding="utf-8"):
            pass
        self.install(self.folder, PLUGIN)
        self.assertFalse(os.path.exists(old))
        with open(os.path.join(self.folder, "datapath/vnvme/Datapath.attach"), encoding="utf-8") as f:
            self.assertNotIn("/usr/bin/old", f.read())

    def test_the_default_is_where_the_package_puts_the_program(self):
        self.install(self.folder)
        with open(os.path.join(self.folder, "datapath/vnvme/Plugin.Query"), encoding="utf-8") as f:
            self.assertEqual(f.readline(), "#!/usr/libexec/vnvme/vnvme-plugin\n")

    def test_programs_that_no_first_line_can_name(self):
        for program, why in (("bin/vnvme-plugin", "absolute"), ("/a b", "characters"), ('/a"b', "characters"),
                             ("/" + "x" * 200, "too long")):
            self.assertIn(why, self.install(self.folder, program, ok=False))
        self.assertEqual(os.listdir(self.folder), [])
        self.assertIn("usage", self.install(ok=False))


if __name__ == "__main__":
    unittest.main()
