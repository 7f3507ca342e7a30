#!/usr/bin/env python3
"""The daemon's life seen from outside: command line, readiness, sockets, signals, limits.

Most cases run vnvmed-fake (the same life, no storage behind it); the last ones the real vnvmed without a DPU."""
import contextlib
import json
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import uuid

BIN = os.environ["VNVME_BIN"]
FAKE, REAL, VNVME = (os.path.join(BIN, name) for name in ("vnvmed-fake", "vnvmed", "vnvme"))
SR = "5a3f0c1e-1111-4222-8333-000000000001"
CALL, RESULT, ERROR, PRINTING, PRINT = range(1, 6)
LIMIT = 60  # a test that takes longer has hung


def frame(kind, header, body=b""):
    head = "".join("%s=%s\n" % item for item in header.items()).encode()
    return struct.pack("<4sBBHII", b"VNV1", kind, 0, 0, len(head), len(body)) + head + body


def call(ident, method, args, deadline_ms=20000):
    return frame(CALL, {"id": ident, "method": method, "sr_type": "vnvme", "deadline_ms": deadline_ms, "version": "0.1.0"},
                 json.dumps({**args, "dbg": "test"}).encode())


def create(ident, name, **more):
    return call(ident, "Volume.create", {"sr": SR, "name": name, "description": "", "size": 1 << 20, "sharable": False}, **more)


def read_frame(peer):
    """(type, flags, body), or None when the daemon closed without an answer; half a frame is an error."""
    data = b""
    while len(data) < 16 or len(data) < 16 + sum(struct.unpack("<II", data[8:16])):
        more = peer.recv(65536)
        if not more:
            assert not data, "half a frame: %r" % data
            return None
        data += more
    header_len, body_len = struct.unpack("<II", data[8:16])
    return data[4], data[5], data[16 + header_len:16 + header_len + body_len]


class Daemon:
    """A daemon in a directory of its own."""

    def __init__(self, case, program=FAKE, config=None, directory=None, **popen):
        self.case = case
        if directory is None:
            holder = tempfile.TemporaryDirectory(prefix="vnvme-e2e-")
            case.addCleanup(holder.cleanup)
            directory = holder.name
        self.dir = directory
        self.log = self.file("log")
        self.config = {"run_dir": self.file("run"), "state_path": self.file("state/state.db"), "state_copy_path": "",
                       "log": {"path": self.log, "level": "info"}, "host": {"kind": "fake", "root": directory},
                       "domains": {"kind": "scripted", "root": directory}, **(config or {})}
        self.smapi, self.admin = self.file("run/smapi.sock"), self.file("run/admin.sock")
        self.write_config()
        self.program, self.popen, self.process = program, popen, None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(LIMIT)
        self.notify_path = self.file("notify-%s" % uuid.uuid4().hex[:8])
        self.notify.bind(self.notify_path)
        case.addCleanup(self.notify.close)

    def file(self, name):
        return os.path.join(self.dir, name)

    def write_config(self):
        with open(self.file("vnvmed.json"), "w", encoding="utf-8") as out:
            json.dump(self.config, out)

    def start(self, wait=True, argv=(), **env):
        command = [self.program, "--config", self.file("vnvmed.json")]
        self.process = subprocess.Popen([*argv, *command], env={**os.environ, "NOTIFY_SOCKET": self.notify_path, **env},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **self.popen)
        self.case.addCleanup(self.end, self.process)
        if wait:
            self.wait_for("READY=1")
        return self

    def wait_for(self, word):
        while True:
            message = self.notify.recv(4096).decode()
            if word in message:
                return message

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        with process:  # closes its pipes and waits
            pass

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(LIMIT)

    @contextlib.contextmanager
    def connect(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(LIMIT)
            peer.connect(self.smapi)
            yield peer

    def ask(self, data):
        with self.connect() as peer:
            peer.sendall(data)
            return read_frame(peer)

    def log_text(self):
        with open(self.log, encoding="utf-8") as lines:
            return lines.read()


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)


class CommandLine(unittest.TestCase):
    def test_words(self):
        self.assertIn(b"--check-config", run(FAKE, "--help").stdout)
        self.assertRegex(run(FAKE, "--version").stdout, rb"^vnvmed \d+\.\d+")
        wrong = run(FAKE, "--daemonize")
        self.assertEqual((wrong.returncode, wrong.stdout), (2, b""))
        self.assertIn(b"--help", wrong.stderr)
        self.assertEqual(run(FAKE, "--config").returncode, 2)

    def test_check_config(self):
        daemon = Daemon(self)
        path = daemon.file("vnvmed.json")
        good = run(FAKE, "--check-config", "--config", path)
        self.assertEqual((good.returncode, good.stderr), (0, b""))
        self.assertFalse(os.path.exists(daemon.file("run")), "checking changes nothing")
        daemon.config["log"] = {"level": "loud"}
        daemon.write_config()
        for argv in (("--check-config", "--config=" + path), ("--config", path)):
            bad = run(FAKE, *argv)
            self.assertEqual(bad.returncode, 1)
            self.assertIn(path + ": log.level is \"loud\"", bad.stderr.decode())
        self.assertEqual(run(FAKE, "--check-config", "--config", "/nowhere").returncode, 1)


class Life(unittest.TestCase):
    def test_ready_answers_and_ends(self):
        daemon = Daemon(self).start()
        for path in (daemon.smapi, daemon.admin):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(os.stat(daemon.file("run/marker")).st_size, 0)
        kind, _, body = daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))
        self.assertEqual(kind, RESULT)
        json.loads(body)
        self.assertEqual(daemon.stop(), 0)
        daemon.wait_for("STOPPING=1")
        lines = [line for line in daemon.log_text().splitlines() if " request " in line]
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], r"id=\S+ method=SR.stat sr_type=vnvme object=" + SR + r" ms=\d+ outcome=ok")

    def test_the_word(self):
        daemon = Daemon(self).start()
        ident = str(uuid.uuid4())
        with daemon.connect() as peer:
            peer.sendall(create(ident, "a"))
            kind, flags, body = read_frame(peer)
            self.assertEqual((kind, flags), (RESULT, 1))
            peer.sendall(frame(PRINTING, {"id": ident}))
            self.assertEqual(read_frame(peer)[0], PRINT)
        self.assertEqual(daemon.ask(create(ident, "a")), (RESULT, 0, body))
        with daemon.connect() as peer:
            peer.sendall(create(str(uuid.uuid4()), "b"))
            self.assertEqual(read_frame(peer)[0], RESULT)
        daemon.stop()
        self.assertIn("outcome=abandoned", daemon.log_text())

    def test_a_call_in_flight_at_sigterm_is_answered(self):
        daemon = Daemon(self).start()
        ident = str(uuid.uuid4())
        with daemon.connect() as peer, daemon.connect() as idle:
            peer.sendall(create(ident, "wait-700"))
            idle.sendall(b"VNV1")
            daemon.process.send_signal(signal.SIGTERM)
            daemon.wait_for("STOPPING=1")
            self.assertEqual(idle.recv(100), b"")
            self.assertEqual(read_frame(peer)[:2], (RESULT, 1))
            peer.sendall(frame(PRINTING, {"id": ident}))
            self.assertEqual(read_frame(peer)[0], PRINT)
        self.assertEqual(daemon.process.wait(LIMIT), 0)

    def test_a_hung_call_does_not_keep_it_alive(self):
        daemon = Daemon(self).start()
        with daemon.connect() as peer:
            peer.sendall(create(str(uuid.uuid4()), "hang"))
            self.assertEqual(daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))[0], RESULT)
            self.assertEqual(daemon.stop(), 0)
            self.assertIsNone(read_frame(peer), "no answer, so that the front-end asks the next daemon")
        self.assertIn("requests in flight", daemon.log_text())

    def test_a_hung_call_is_answered_at_its_deadline(self):
        daemon = Daemon(self).start()
        kind, _, body = daemon.ask(create(str(uuid.uuid4()), "hang", deadline_ms=300))
        self.assertEqual(kind, ERROR)
        error = json.loads(body)
        self.assertEqual(set(error), {"code", "params", "backtrace"})
        self.assertIn("has not ended within", body.decode())

    def test_sigint_ends_it_too(self):
        self.assertEqual(Daemon(self).start().stop(signal.SIGINT), 0)

    def test_sighup_reopens_the_log_and_takes_the_level(self):
        daemon = Daemon(self).start()
        os.rename(daemon.log, daemon.log + ".1")
        daemon.config["log"]["level"] = "debug"
        daemon.write_config()
        daemon.process.send_signal(signal.SIGHUP)
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(LIMIT)
            admin.connect(daemon.admin)
            while not os.path.exists(daemon.log) or "verb=status" not in daemon.log_text():
                admin.sendall(b'{"verb":"status"}\n')
                self.assertIn(b"result", admin.recv(1000))
        daemon.config["log"]["level"] = "shout"
        daemon.write_config()
        daemon.process.send_signal(signal.SIGHUP)
        while "was not taken" not in daemon.log_text():
            self.assertEqual(daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))[0], RESULT)
        self.assertEqual(daemon.stop(), 0)

    def test_only_one_a_state_directory(self):
        daemon = Daemon(self).start()
        second = Daemon(self, config={"run_dir": daemon.file("run2")}, directory=daemon.dir)
        second.start(wait=False)
        self.assertEqual(second.process.wait(LIMIT), 1)
        self.assertIn("process %d" % daemon.process.pid, daemon.log_text())
        self.assertEqual(daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))[0], RESULT)

    def test_killed_and_started_again(self):
        daemon = Daemon(self).start()
        daemon.stop(signal.SIGKILL)
        daemon.start()
        self.assertEqual(daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))[0], RESULT)

    def test_a_start_that_fails_says_why(self):
        daemon = Daemon(self, config={"log": {"path": "-"}})
        daemon.config["state_path"] = daemon.file("state/refuse")
        daemon.write_config()
        daemon.start(wait=False)
        _, stderr = daemon.process.communicate(timeout=LIMIT)
        self.assertEqual(daemon.process.returncode, 1)
        self.assertIn(b"the state file is damaged", stderr)
        for key, value in {"state_path": "/dev/null/x/state.db", "run_dir": "/dev/null/run", "log": {"path": "/dev/null/log"}}.items():
            daemon = Daemon(self, config={key: value})
            daemon.start(wait=False)
            self.assertEqual(daemon.process.wait(LIMIT), 1, key)

    def test_watchdog(self):
        daemon = Daemon(self).start(WATCHDOG_USEC="100000")
        for _ in range(3):
            daemon.wait_for("WATCHDOG=1")

    def test_private(self):
        daemon = Daemon(self).start()
        with open("/proc/%d/limits" % daemon.process.pid, encoding="ascii") as limits:
            core = [line for line in limits if line.startswith("Max core file size")][0]
        self.assertEqual(core.split()[4:6], ["0", "0"])


class SocketActivation(unittest.TestCase):
    SET_PID = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")

    def start(self, daemon, listeners, **env):
        def place():
            high = [os.dup(listener.fileno()) for listener in listeners]
            for number, fd in enumerate(high):
                os.dup2(fd, 3 + number)
        daemon.popen = {"preexec_fn": place, "close_fds": False}
        daemon.start(argv=self.SET_PID, wait=False, LISTEN_FDS=str(len(listeners)), **env)

    def listener(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen(64)
        self.addCleanup(sock.close)
        return sock

    def test_calls_wait_while_it_restarts(self):
        daemon = Daemon(self)
        listeners = [self.listener(daemon.smapi), self.listener(daemon.admin)]
        for _ in range(2):
            with daemon.connect() as early:
                early.sendall(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))
                self.start(daemon, listeners)
                self.assertEqual(read_frame(early)[0], RESULT)
                daemon.wait_for("READY=1")
                self.assertEqual(daemon.stop(), 0)
        self.assertTrue(os.path.exists(daemon.smapi))

    def test_a_socket_that_the_configuration_does_not_name(self):
        daemon = Daemon(self, config={"log": {"path": "-"}})
        self.start(daemon, [self.listener(daemon.file("other.sock"))])
        _, stderr = daemon.process.communicate(timeout=LIMIT)
        self.assertEqual(daemon.process.returncode, 1)
        self.assertIn(b"other.sock", stderr)


class Limits(unittest.TestCase):
    def test_32_descriptors(self):
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
        daemon = Daemon(self, preexec_fn=few).start()
        answers = []

        def client(number):
            answers.append(daemon.ask(create(str(uuid.uuid4()), "wait-%d" % (number % 7 * 10)))[0])
        threads = [threading.Thread(target=client, args=(n,)) for n in range(80)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(LIMIT)
        self.assertEqual(answers, [RESULT] * 80)
        self.assertEqual(daemon.stop(), 0)

    def test_idle_costs_nothing(self):
        daemon = Daemon(self).start()
        daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))

        def switches():
            with open("/proc/%d/status" % daemon.process.pid, encoding="ascii") as status:
                return sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
        before = switches()
        with self.assertRaises(socket.timeout):  # a second in which nothing is asked
            daemon.notify.settimeout(1)
            daemon.notify.recv(100)
        self.assertLessEqual(switches() - before, 2)


class RealDaemon(unittest.TestCase):
    def test_without_a_dpu(self):
        daemon = Daemon(self, program=REAL).start()
        for verb, code in {"status": 0, "dpu": 0, "drives": 0, "volumes": 0, "events": 0, "doctor": 4}.items():
            done = run(VNVME, "--socket", daemon.admin, verb)
            self.assertEqual((done.returncode, done.stderr), (code, b""), verb)
        self.assertIn(b"No DPU is configured", run(VNVME, "--socket", daemon.admin, "status").stdout)
        kind, _, body = daemon.ask(call(str(uuid.uuid4()), "SR.stat", {"sr": SR}))
        self.assertEqual(kind, ERROR)
        self.assertEqual(set(json.loads(body)), {"code", "params", "backtrace"})
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(stat.S_IMODE(os.stat(daemon.file("state/state.db")).st_mode), 0o600)
        daemon.start()
        self.assertEqual(daemon.stop(), 0)

    def test_with_a_dpu_that_is_not_there(self):
        daemon = Daemon(self, program=REAL)
        daemon.config["dpus"] = [{"name": "dpu0", "uri": "unix:" + daemon.file("no.sock")}]
        daemon.write_config()
        daemon.start()
        done = run(VNVME, "--socket", daemon.admin, "status")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"dpu0", done.stdout)
        self.assertEqual(json.loads(run(VNVME, "--socket", daemon.admin, "dpu", "--json").stdout)[0]["connected"], False)
        self.assertEqual(daemon.stop(), 0)

    def test_a_damaged_state_file_stops_the_start(self):
        daemon = Daemon(self, program=REAL, config={"log": {"path": "-"}})
        os.makedirs(daemon.file("state"))
        with open(daemon.file("state/state.db"), "wb") as out:
            out.write(b"this is not a database" * 1000)
        daemon.start(wait=False)
        _, stderr = daemon.process.communicate(timeout=LIMIT)
        self.assertEqual(daemon.process.returncode, 1)
        self.assertIn(b"state.db", stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-q", *sys.argv[1:]])
