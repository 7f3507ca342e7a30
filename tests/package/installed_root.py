"""An empty folder as the root of a host, in which rpm or dpkg installs a package for real.

What is in it besides the package: busybox as the shell of the package's scripts, a systemctl that writes down what it
is asked, and a file as that shell's /dev/null. No library, no /proc, no device.
"""
import os
import shutil
import subprocess
import tempfile

BUSYBOX = "/bin/busybox"
SYSTEMCTL = "#!/bin/sh\necho \"$*\" >> /systemctl.log\n"
QUIET = {"env": {**os.environ, "LC_ALL": "C"}, "capture_output": True, "text": True, "check": False}


class Failed(Exception):
    pass


class Root:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="vnvme-root-")
        os.chmod(self.path, 0o755)
        for folder in ("bin", "usr/bin", "dev", "etc", "tmp", "run", "var/lib"):
            os.makedirs(self.at(folder))
        with open(self.at("dev/null"), "wb"):
            pass
        shutil.copy(BUSYBOX, self.at("bin/busybox"))
        subprocess.run(["chroot", self.path, "/bin/busybox", "--install", "/bin"], check=True)
        with open(self.at("usr/bin/systemctl"), "w", encoding="ascii") as out:
            out.write(SYSTEMCTL)
        os.chmod(self.at("usr/bin/systemctl"), 0o755)
        self.prepare()
        self.before = self.files()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def at(self, path):
        return os.path.join(self.path, path.lstrip("/"))

    def files(self):
        """Files and links, without the manager's own."""
        found = set()
        for folder, subfolders, files in os.walk(self.path):
            links = [s for s in subfolders if os.path.islink(os.path.join(folder, s))]
            found |= {"/" + os.path.relpath(os.path.join(folder, f), self.path) for f in files + links}
        return {f for f in found if not f.startswith(self.own) and f != "/systemctl.log"}

    def added(self):
        return sorted(self.files() - self.before)

    def run(self, *argv, stdin=None):
        """A program of the root, inside it."""
        return subprocess.run(["chroot", self.path, *argv], input=stdin, **QUIET)

    def systemctl_calls(self):
        try:
            with open(self.at("systemctl.log"), encoding="ascii") as log:
                calls = log.read().splitlines()
        except FileNotFoundError:
            return []
        os.unlink(self.at("systemctl.log"))
        return calls

    def manager(self, *argv):
        done = subprocess.run(list(argv), **QUIET)
        if done.returncode != 0:
            raise Failed(done.stdout + done.stderr)
        return done.stdout


class RpmRoot(Root):
    kind, suffix, own = "rpm", ".rpm", "/var/lib/rpm/"
    units = "/usr/lib/systemd/system"

    def prepare(self):
        self.rpm("--initdb")

    def rpm(self, *words):
        return self.manager("rpm", "--root", self.path, "--dbpath", "/var/lib/rpm", *words)

    # What it requires is XCP-ng's; what it says that it requires is a test of its own.
    def install(self, package):
        self.rpm("-U", "--nodeps", package)

    def remove(self):
        self.rpm("-e", "vnvme")

    def is_installed(self):
        return self.rpm("-qa").split() != []


class DebRoot(Root):
    kind, suffix, own = "deb", ".deb", "/var/lib/dpkg/"
    units = "/lib/systemd/system"

    def prepare(self):
        for folder in ("info", "updates", "triggers"):
            os.makedirs(self.at("var/lib/dpkg/" + folder))
        for name in ("status", "available"):
            with open(self.at("var/lib/dpkg/" + name), "wb"):
                pass

    def dpkg(self, *words):
        return self.manager("dpkg", "--root=" + self.path, "--log=/dev/null", *words)

    def install(self, package):
        self.dpkg("--force-depends,confold", "-i", package)

    def remove(self):
        self.dpkg("-r", "vnvme")

    def is_installed(self):
        with open(self.at("var/lib/dpkg/status"), encoding="utf-8") as status:
            return " ok installed" in status.read()
