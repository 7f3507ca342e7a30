"""The frames between vnvme-plugin and vnvmed, and a daemon made of a script."""
import os
import socket
import struct
import threading

CALL, RESULT, ERROR, PRINTING, PRINT = 1, 2, 3, 4, 5
NEEDS_WORD = 1
PREFIX = struct.Struct("<4sBBHII")


def frame(kind, body=b"", header=b"", flags=0, magic=b"VNV1", reserved=0, body_len=None):
    return PREFIX.pack(magic, kind, flags, reserved, len(header), len(body) if body_len is None else body_len) + header + body


def read_exactly(conn, n):
    data = b""
    while len(data) < n:
        piece = conn.recv(min(n - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return data


def read_frame(conn):
    """(kind, flags, header as dict, body), or None when the connection ended."""
    prefix = read_exactly(conn, PREFIX.size)
    if prefix is None:
        return None
    magic, kind, flags, reserved, header_len, body_len = PREFIX.unpack(prefix)
    assert magic == b"VNV1" and reserved == 0, prefix
    header, body = read_exactly(conn, header_len), read_exactly(conn, body_len)
    if header is None or body is None:
        return None
    return kind, flags, dict(line.split("=", 1) for line in header.decode().splitlines()), body


class ScriptedDaemon:
    """Serves each connection with `serve(conn, number)` in a thread of its own; keeps what it raised."""

    def __init__(self, path, serve, backlog=64):
        self.path, self.serve, self.errors, self.count = str(path), serve, [], 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(backlog)
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            t = threading.Thread(target=self._one, args=(conn, self.count), daemon=True)
            self.threads.append(t)
            t.start()

    def _one(self, conn, number):
        with conn:
            try:
                self.serve(conn, number)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the front-end left: that is its right
            except Exception as e:  # pylint: disable=broad-except
                self.errors.append(e)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        for t in self.threads:
            t.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        if self.errors:
            raise self.errors[0]
