"""What the tests of this folder share: paths, a temporary socket, one plugin process."""
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("VNVME_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("VNVME_BUILD") or os.path.join(SOURCE, "build/dev")
BIN = os.environ.get("VNVME_BIN") or os.path.join(BUILD, "bin")
sys.path.insert(0, os.path.join(SOURCE, "tests/support"))

import broker  # noqa: E402
import frames  # noqa: E402

PLUGIN = os.path.join(BIN, "vnvme-plugin")
SCRIPTS = os.path.join(BUILD, "plugins")
VOLUME = os.path.join(SCRIPTS, "volume/org.xen.xapi.storage.vnvme")
DATAPATH = os.path.join(SCRIPTS, "datapath/vnvme")
REQUEST = b'{"key":"k","sr":"s","dbg":"t"}'

ERROR = b'{"code":"C","params":["a"],"backtrace":{"error":"e","files":[],"lines":[]}}'


def data(name):
    return os.path.join(SOURCE, "tests/data/broker", name)


def answer(body, kind=frames.RESULT, flags=0, seen=None):
    """A daemon's connection that takes one call and answers it."""
    def serve(conn, _number):
        got = frames.read_frame(conn)
        if seen is not None:
            seen.append(got)
        conn.sendall(frames.frame(kind, body, flags=flags))
    return serve


def raw(data):
    def serve(conn, _number):
        frames.read_frame(conn)
        conn.sendall(data)
    return serve


def silent(conn, _number):
    frames.read_frame(conn)
    conn.recv(1)  # until the front-end gives up


class Case(unittest.TestCase):
    def setUp(self):
        # short: a socket's path has 107 bytes at most
        folder = tempfile.TemporaryDirectory(prefix="vnvme-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.socket = os.path.join(self.folder, "smapi.sock")
        self.daemon = None

    def serve(self, function):
        self.daemon = frames.ScriptedDaemon(self.socket, function)
        self.addCleanup(self.check_daemon)
        return self.daemon

    def check_daemon(self):
        self.daemon.close()
        for e in self.daemon.errors:
            raise e

    def environment(self, deadline_ms=None):
        env = dict(os.environ, VNVME_SMAPI_SOCKET=self.socket)
        env.pop("VNVME_DEADLINE_MS", None)
        if deadline_ms is not None:
            env["VNVME_DEADLINE_MS"] = str(deadline_ms)
        return env

    def start(self, method="Volume.stat", *words, deadline_ms=None, folder=VOLUME, **popen):
        popen = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        return subprocess.Popen([os.path.join(folder, method), *(words or ["--json"])],
                                env=self.environment(deadline_ms), **popen)

    def call(self, method="Volume.stat", stdin=REQUEST, deadline_ms=None, words=(), **popen):
        """(exit code, stdout as bytes). The 60 s are this test's own patience, never reached when all is well."""
        child = self.start(method, *words, deadline_ms=deadline_ms, **popen)
        out, _err = child.communicate(stdin, timeout=60)
        return child.returncode, out

    def failure(self, got):
        """The text of a complete error object that came with exit 1."""
        code, out = got
        self.assertEqual(code, 1, out)
        value = broker.parse(out)
        broker.check_error(value)
        return value["code"], value["params"][1]
