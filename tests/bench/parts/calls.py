"""Calls of the daemon without a process each: the frames that vnvme-plugin sends, many at a time."""
import json
import selectors
import socket
import time
import uuid

import broker
import frames


class CallFailed(Exception):
    pass


class _Call:
    """One connection: call, answer and, where the answer needs it, the word before printing."""

    def __init__(self, path, method, arguments):
        self.id = str(uuid.uuid4())
        header = f"id={self.id}\nmethod={method}\nsr_type=vnvme\ndeadline_ms=58000\nversion=0.1.0\n".encode()
        body = broker.request_bytes(method, arguments, "bench")
        self.method, self.data, self.answer = method, bytearray(), None
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.settimeout(60)
            self.socket.connect(path)
            self.socket.sendall(frames.frame(frames.CALL, body, header))
        except OSError:
            self.socket.close()
            raise

    def feed(self):
        """True when it is over."""
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise CallFailed(f"{self.method}: the daemon closed the connection")
        self.data += piece
        while len(self.data) >= frames.PREFIX.size:
            _, kind, flags, _, header, body = frames.PREFIX.unpack_from(self.data)
            end = frames.PREFIX.size + header + body
            if len(self.data) < end:
                return False
            payload = bytes(self.data[frames.PREFIX.size + header:end])
            del self.data[:end]
            if kind == frames.ERROR:
                raise CallFailed(f"{self.method}: {payload.decode('utf-8', 'replace')[:500]}")
            if kind == frames.PRINT:
                return True
            self.answer = payload
            if not flags & frames.NEEDS_WORD:
                return True
            self.socket.sendall(frames.frame(frames.PRINTING, header=f"id={self.id}\n".encode()))
        return False


def one(path, method, arguments):
    call = _Call(path, method, arguments)
    with call.socket:
        while not call.feed():
            pass
    return json.loads(call.answer)


def many(path, requests, clients, answers=None):
    """Runs all (method, arguments) with that many in flight; seconds from the first to the last."""
    waiting, running = iter(requests), 0
    begin = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        def start():
            for method, arguments in waiting:
                call = _Call(path, method, arguments)
                selector.register(call.socket, selectors.EVENT_READ, call)
                return 1
            return 0

        for _ in range(clients):
            running += start()
        while running:
            ready = selector.select(60)
            if not ready:
                raise CallFailed("no answer for 60 s")
            for key, _ in ready:
                if not key.data.feed():
                    continue
                selector.unregister(key.fileobj)
                key.fileobj.close()
                if answers is not None:
                    answers.append(json.loads(key.data.answer))
                running += start() - 1
    return time.perf_counter() - begin


class Rpc:
    """JSON-RPC to the DPU over one connection, as the daemon has it."""

    def __init__(self, path):
        self.socket, self.next = socket.socket(socket.AF_UNIX), 1
        self.socket.settimeout(30)
        self.socket.connect(path)

    def call(self, method, params=None):
        request = {"jsonrpc": "2.0", "id": self.next, "method": method, **({"params": params} if params else {})}
        self.next += 1
        self.socket.sendall(json.dumps(request).encode())
        data = b""
        while True:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise CallFailed(f"{method}: the DPU closed the connection")
            data += piece
            try:
                answer = json.loads(data)
            except ValueError:
                continue
            if "error" in answer:
                raise CallFailed(f"{method}: {answer['error']}")
            return answer["result"]

    def close(self):
        self.socket.close()
