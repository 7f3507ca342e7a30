"""Both packages, installed by rpm and dpkg into an empty root: what they lay out, upgrade, removal, and XAPI's calls
through their programs with nothing else there. `./run package` runs it; VNVME_PACKAGES is where the packages are.

It needs chroot and bind mounts: without root it runs in a user namespace of its own.
"""
import glob
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("VNVME_SOURCE", os.path.join(HERE, "..", ".."))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from installed_root import DebRoot, Failed, RpmRoot  # noqa: E402

PACKAGES = os.environ.get("VNVME_PACKAGES", os.path.join(SOURCE, "build/package"))
PROGRAMS = os.environ.get("VNVME_BIN", os.path.join(SOURCE, "build/static/bin"))
HOOK = "/etc/xapi.d/vm-pre-start/vnvme-vm-pre-start"
CONFIG = "/etc/vnvme/vnvmed.json"
ELF = ["/usr/bin/vnvme", "/usr/sbin/vnvmed", "/usr/libexec/vnvme/vnvme-plugin", "/usr/libexec/vnvme/vnvme-host-plugin",
       "/usr/libexec/vnvme/vnvme-vm-pre-start", HOOK]


def build(out, release=None):
    done = subprocess.run([os.path.join(SOURCE, "packaging/build.sh"), PROGRAMS, out, *([release] if release else [])],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stdout + done.stderr)


def sums(folder):
    out = {}
    for path in sorted(glob.glob(os.path.join(folder, "vnvme*"))):
        with open(path, "rb") as package:
            out[os.path.basename(path)] = hashlib.sha256(package.read()).hexdigest()
    return out


class Packages(unittest.TestCase):
    """What is true of both; `root` is the class of the root."""
    root = None

    @classmethod
    def setUpClass(cls):
        if cls.root is None:
            raise unittest.SkipTest("the tests of both packages; see the classes below")
        found = glob.glob(os.path.join(PACKAGES, "vnvme*" + cls.root.suffix))
        assert len(found) == 1, f"one package is wanted in {PACKAGES}: {found}"
        cls.package = found[0]
        cls.old_folder = tempfile.mkdtemp(prefix="vnvme-old-")
        cls.addClassCleanup(shutil.rmtree, cls.old_folder)
        build(cls.old_folder, "0")
        cls.old = glob.glob(os.path.join(cls.old_folder, "*" + cls.root.suffix))[0]

    def installed(self, package=None):
        root = self.root()
        self.addCleanup(root.__exit__)
        root.install(package or self.package)
        return root

    def test_lays_out_what_xapi_looks_for(self):
        root = self.installed()
        with open(os.path.join(SOURCE, "plugins/manifest"), encoding="ascii") as manifest:
            rows = [line.split() for line in manifest if line.strip() and not line.startswith("#")]
        scripts = "/usr/libexec/xapi-storage-script/"
        expected = {scripts + folder + row[0] for row in rows for column, folder in
                    ((1, "volume/org.xen.xapi.storage.vnvme/"), (2, "volume/org.xen.xapi.storage.vnvme-raw/"),
                     (3, "datapath/vnvme/")) if row[column] == "x"}
        added = set(root.added())
        self.assertEqual({f for f in added if f.startswith(scripts)}, expected)
        for name in (*ELF, CONFIG, "/etc/xapi.d/plugins/vnvme", root.units + "/vnvmed.service",
                     root.units + "/vnvmed.socket", "/usr/lib/tmpfiles.d/vnvme.conf", "/etc/logrotate.d/vnvme",
                     "/usr/share/doc/vnvme/LICENSE", "/usr/share/doc/vnvme/copyright",
                     "/usr/share/bash-completion/completions/vnvme"):
            self.assertIn(name, added)
        for name in added:
            mode = os.lstat(root.at(name))
            self.assertEqual((mode.st_uid, mode.st_gid), (0, 0), name)
            self.assertFalse(mode.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), name)
            if not name.startswith(("/usr", "/lib", "/etc")):
                self.fail(f"{name} is in nobody's folder")
        self.assertEqual(stat.S_IMODE(os.stat(root.at(CONFIG)).st_mode), 0o600, "it may name files with secrets")
        self.assertEqual(root.systemctl_calls(), ["daemon-reload", "enable vnvmed.socket vnvmed.service"],
                         "who installs it starts it, when the DPUs are configured")

    def test_programs_need_nothing_of_the_host(self):
        root = self.installed()
        for name in ELF:
            with open(root.at(name), "rb") as program:
                head = program.read(20)
            self.assertEqual((head[:4], head[18]), (b"\x7fELF", 62), name)
            if not name.endswith("vnvme-host-plugin"):
                done = root.run(name, "--version")
                self.assertEqual(done.returncode, 0, name + done.stderr)
                self.assertIn("vnvme", done.stdout, name)
        done = root.run("/etc/xapi.d/plugins/vnvme")
        self.assertIn("functions: status", done.stderr, "the kernel finds its program")
        done = root.run("/usr/sbin/vnvmed", "--check-config")
        self.assertEqual((done.returncode, done.stderr), (0, ""), "the configuration that comes with it is right")
        done = root.run("/usr/libexec/xapi-storage-script/volume/org.xen.xapi.storage.vnvme/Plugin.Query", "--json",
                        stdin='{"dbg":"install"}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"SR_PROBE"', done.stdout)

    def test_an_upgrade_keeps_the_configuration_and_restarts(self):
        root = self.installed(self.old)
        root.systemctl_calls()
        own = '{"toolstack": "xapi", "dpus": [{"name": "dpu0", "uri": "tcp:127.0.0.1:5260"}]}\n'
        with open(root.at(CONFIG), "w", encoding="ascii") as out:
            out.write(own)
        before = root.added()
        root.install(self.package)
        with open(root.at(CONFIG), encoding="ascii") as config:
            self.assertEqual(config.read(), own)
        self.assertEqual([f for f in root.added() if not f.startswith(CONFIG)],
                         [f for f in before if not f.startswith(CONFIG)])
        self.assertEqual(root.systemctl_calls(), ["daemon-reload", "try-restart vnvmed.service"])
        self.assertEqual(root.run(HOOK, "--version").returncode, 0)

    def test_removal_leaves_nothing_of_its_own(self):
        root = self.installed()
        root.systemctl_calls()
        root.remove()
        self.assertEqual([f for f in root.added() if f != CONFIG], [] if self.root is RpmRoot else
                         ["/etc/logrotate.d/vnvme"], "dpkg keeps configuration until it is purged")
        self.assertFalse(os.path.exists(root.at(HOOK)), "a hook without its program would stop every VM")
        self.assertEqual(root.systemctl_calls(), ["--no-reload disable vnvmed.socket vnvmed.service",
                                                  "stop vnvmed.socket vnvmed.service"])
        self.assertFalse(root.is_installed())

    def test_conformance_and_no_removal_while_an_sr_is_attached(self):
        root = self.installed()
        for test in ("tests/e2e/stack/conformance_test.py", "tests/package/attached_session.py"):
            inside = "mount --bind /tmp \"$0/tmp\" && exec \"$@\""
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", inside, root.path, sys.executable, "-B", os.path.join(SOURCE, test)],
                env=dict(os.environ, VNVME_ROOT=root.path, VNVME_BIN=PROGRAMS, TMPDIR="/tmp"), capture_output=True,
                text=True, check=False, timeout=900)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            print(f"{self.root.kind}: {os.path.basename(test)}: {done.stderr.strip().splitlines()[-1]}", flush=True)
        with self.assertRaises(Failed) as refused:
            root.remove()
        self.assertIn("is attached", str(refused.exception))
        self.assertIn("pbd-unplug", str(refused.exception))
        self.assertTrue(root.is_installed())
        self.assertTrue(os.path.exists(root.at(HOOK)), "a refused removal has changed nothing")
        root.install(self.package.replace(PACKAGES, self.newer()))  # an upgrade is never refused
        os.unlink(root.at("/var/lib/vnvme/state.db"))
        root.remove()
        self.assertFalse(root.is_installed())

    def newer(self):
        folder = tempfile.mkdtemp(prefix="vnvme-new-")
        self.addCleanup(shutil.rmtree, folder)
        build(folder, "999999")
        made = glob.glob(os.path.join(folder, "*" + self.root.suffix))[0]
        os.rename(made, os.path.join(folder, os.path.basename(self.package)))
        return folder


class Rpm(Packages):
    root = RpmRoot

    def test_says_what_it_requires(self):
        with RpmRoot() as root:
            said = {line.split()[0] for line in root.rpm("-qpR", self.package).splitlines()}
            self.assertEqual({w for w in said if not w.startswith("rpmlib(")},
                             {"systemd", "xapi-storage-script", "/bin/sh"})
            # What rpm 4.11 knows.
            self.assertLessEqual({w for w in said if w.startswith("rpmlib(")},
                                 {"rpmlib(CompressedFileNames)", "rpmlib(PayloadFilesHavePrefix)",
                                  "rpmlib(FileDigests)", "rpmlib(VersionedDependencies)"})


class Deb(Packages):
    root = DebRoot


class Bytes(unittest.TestCase):
    def test_two_builds_are_the_same(self):
        made = []
        for _ in range(2):
            folder = tempfile.mkdtemp(prefix="vnvme-bytes-")
            self.addCleanup(shutil.rmtree, folder)
            build(folder)
            made.append(sums(folder))
        self.assertEqual(len(made[0]), 2)
        self.assertEqual(made[0], made[1])
        self.assertEqual(made[0], sums(PACKAGES), "and the same as those that are handed out")


if __name__ == "__main__":
    if os.geteuid() != 0:
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", sys.executable, "-B", *sys.argv])
    unittest.main(verbosity=2)
