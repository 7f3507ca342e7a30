"""1,000 calls of XAPI are in flight while the daemon restarts, as systemd does it: the sockets stay, the process goes.

No call may fail, and what was asked once is done once. VNVME_CALLS changes the number; under sanitizers it is 200.
"""
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker  # noqa: E402
from stack import Stack, until  # noqa: E402

CALLS = int(os.environ.get("VNVME_CALLS", "200" if "VNVME_SLOW" in os.environ else "1000"))
BACKLOG = 512  # of packaging/systemd/vnvmed.socket


class Activated(Stack):
    """The test holds the listening sockets, as systemd would."""

    def __init__(self, **options):
        super().__init__(**options)
        self.listeners = []
        for name in ("smapi.sock", "admin.sock"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.sockets[name])
            listener.listen(BACKLOG)
            self.listeners.append(listener)

    def spawn(self, argv, **popen):
        def place():
            for number, fd in enumerate([os.dup(listener.fileno()) for listener in self.listeners]):
                os.dup2(fd, 3 + number)
        popen["env"].update(LISTEN_FDS=str(len(self.listeners)))
        return subprocess.Popen(["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *argv], preexec_fn=place,
                                close_fds=False, **popen)

    def stop(self):
        super().stop()
        for listener in self.listeners:
            listener.close()


def creates(number):
    return number % 5 > 2


class Calls:
    """Scripts of XAPI, all started, none waited for; such as may take a minute, for this is not about deadlines."""

    def __init__(self, s, sr):
        self.s, self.sr = s, sr
        self.threads, self.failures, self.created = [], [], []

    def start(self, number):
        if not creates(number):
            job = ("SR.stat", {"sr": self.sr})
        else:
            job = ("Volume.create", {"sr": self.sr, "name": f"n{number}", "description": "", "size": 1 << 20,
                                     "sharable": False})
        thread = threading.Thread(target=self.call, args=job)
        thread.start()
        self.threads.append(thread)

    def call(self, method, arguments):
        try:
            answer = self.s.volume.call(method, arguments)
            if method == "Volume.create":
                self.created.append(answer["key"])
        except (broker.BackendError, broker.ScriptFailed, AssertionError) as e:
            self.failures.append(f"{method}: {e}")

    def running(self):
        return sum(t.is_alive() for t in self.threads)


class Restart(unittest.TestCase):
    def over(self, how):
        with Activated() as s:
            sr, _ = s.make_sr()
            calls = Calls(s, sr)
            # Held while they arrive, so that all of them are in flight at one moment.
            s.daemon.send_signal(signal.SIGSTOP)
            begin = time.monotonic()
            for number in range(CALLS):
                calls.start(number)
            until("all calls were started", lambda: len(calls.threads) == CALLS, 60)
            in_flight = calls.running()
            for _ in range(3):
                s.daemon.send_signal(how)
                s.daemon.send_signal(signal.SIGCONT)
                s.daemon.wait(60)
                s.start_daemon(wait=False)
                time.sleep(0.5)
            for thread in calls.threads:
                thread.join(120)
            took = time.monotonic() - begin
            self.assertEqual(in_flight, CALLS)
            self.assertEqual(calls.failures, [])
            listed = s.volume.call("SR.ls", {"sr": sr})
            names = sorted(v["name"] for v in listed)
            self.assertEqual(names, sorted(f"n{n}" for n in range(CALLS) if creates(n)),
                             "what was asked once is done once")
            self.assertEqual({v["key"] for v in listed}, set(calls.created))
            print(f"{how.name}: {CALLS} calls in flight, 3 restarts, {took:.1f} s, none failed ", end="",
                  file=sys.stderr)

    def test_an_upgrade(self):
        self.over(signal.SIGTERM)

    def test_a_crash(self):
        self.over(signal.SIGKILL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
