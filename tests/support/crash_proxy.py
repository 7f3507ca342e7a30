"""Kills the daemon at a point that is named from outside: no hook in the product, and every run the same.

Two relays stand where the daemon talks. A point is one message that passes:

    ("dpu", n, "before")     the n-th request to the DPU: killed before it is passed on
    ("dpu", n, "after")      the same: the DPU has done and answered it, the answer is not passed on
    ("smapi", kind, n)       the n-th frame of that kind between front-end and daemon, not passed on:
                             "call", "printing" to the daemon; "result" (or error), "print" from it

A commit of the store lies between two of these messages, so each is met from both sides.
"""
import json
import os
import socket
import threading

import frames

KINDS = {frames.CALL: "call", frames.RESULT: "result", frames.ERROR: "result", frames.PRINTING: "printing",
         frames.PRINT: "print"}


class CrashPoints:
    """What passed since arm(), and the point that is armed."""

    def __init__(self, kill):
        self.kill, self.lock, self.fired = kill, threading.Lock(), threading.Event()
        self.arm(None)

    def arm(self, point):
        with self.lock:
            self.point, self.requests, self.frames, self.awaited = point, [], {}, None
            self.fired.clear()

    def disarm(self):
        """Whether it was met. Afterwards it cannot be."""
        with self.lock:
            self.point = self.awaited = None
            return self.fired.is_set()

    def request(self, number, method):
        """True: the daemon is dead, the request is not passed on."""
        with self.lock:
            n = len(self.requests)
            self.requests.append(method)
            if self.point == ("dpu", n, "after"):
                self.awaited = number
            return self.point == ("dpu", n, "before") and self._fire()

    def answer(self, number):
        with self.lock:
            return self.awaited is not None and self.awaited == number() and self._fire()

    def frame(self, kind):
        with self.lock:
            n = self.frames[kind] = self.frames.get(kind, 0) + 1
            return self.point == ("smapi", kind, n) and self._fire()

    def _fire(self):
        self.kill()
        self.point = self.awaited = None
        self.fired.set()
        return True


class Relay:
    """Accepts on `path` and connects each to `target`; both directions in threads of their own."""

    def __init__(self, path, target, points):
        self.target, self.points = target, points
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o600)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                far.close()
                near.close()  # nobody there: the caller sees what it would see without a relay
                continue
            for pump, source, sink in ((self.forth, near, far), (self.back, far, near)):
                threading.Thread(target=self._pump, args=(pump, source, sink), daemon=True).start()

    def _pump(self, pump, source, sink):
        try:
            pump(source, sink)
        except OSError:
            pass  # one end is gone; so is the other, now
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()  # the other direction closes the other end


class DpuRelay(Relay):
    """Between daemon and DPU: each request and each answer is one line."""

    def forth(self, source, sink):
        with source.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                if self.points.request(request["id"], request["method"]):
                    return
                sink.sendall(line)

    def back(self, source, sink):
        with source.makefile("rb") as lines:
            for line in lines:
                if self.points.answer(lambda line=line: json.loads(line)["id"]):
                    return
                sink.sendall(line)


class SmapiRelay(Relay):
    """Between front-end and daemon: frames."""

    def forth(self, source, sink):
        while True:
            prefix = frames.read_exactly(source, frames.PREFIX.size)
            if prefix is None:
                return
            _, kind, _, _, header, body = frames.PREFIX.unpack(prefix)
            rest = frames.read_exactly(source, header + body)
            if rest is None or self.points.frame(KINDS[kind]):
                return
            sink.sendall(prefix + rest)

    back = forth
