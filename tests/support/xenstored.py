"""A xenstored for tests: nodes, watches and transactions over its unix socket, as xen/include/public/io/xs_wire.h
has them. (Xen's own does not run without a hypervisor: the C one of 4.17 dies at the first question.)"""
import os
import select
import socket
import struct
import threading

DIRECTORY, READ, WATCH, START, END, WRITE, EVENT, ERROR = 1, 2, 4, 6, 7, 11, 15, 16
HEADER = struct.Struct("<IIII")


class Xenstored:
    """Answers in a thread of its own; every question is counted."""

    def __init__(self, path):
        self.path, self.nodes, self.generation = path, {}, 0
        self.changed = {}  # node -> generation
        self.peers, self.transactions, self.watches = {}, {}, []
        self.asked, self.next_id, self.before_commit = [], 1, None
        self.lock = threading.RLock()
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.wake, self.waker = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, args=(self.wake,), daemon=True)
        self.thread.start()

    def stop(self):
        self.waker.send(b"x")
        self.thread.join()
        for peer in [*self.peers, self.listener, self.wake, self.waker]:
            peer.close()
        self.peers, self.transactions, self.watches = {}, {}, []

    def serve(self, wake):
        while True:
            ready, _, _ = select.select([self.listener, wake, *self.peers], [], [])
            if wake in ready:
                return
            for peer in ready:
                if peer is self.listener:
                    self.peers[peer.accept()[0]] = b""
                else:
                    self.take(peer)

    def take(self, peer):
        try:
            data = peer.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.watches = [w for w in self.watches if w[0] is not peer]
            del self.peers[peer]
            peer.close()
            return
        self.peers[peer] += data
        while len(self.peers[peer]) >= HEADER.size:
            kind, request, transaction, length = HEADER.unpack(self.peers[peer][:HEADER.size])
            if len(self.peers[peer]) < HEADER.size + length:
                return
            payload = self.peers[peer][HEADER.size:HEADER.size + length]
            self.peers[peer] = self.peers[peer][HEADER.size + length:]
            with self.lock:
                answer_kind, body = self.answer(peer, kind, transaction, payload)
            self.send(peer, answer_kind, request, transaction, body)
            if kind == WATCH and answer_kind == WATCH:
                self.send(peer, EVENT, 0, 0, payload)

    @staticmethod
    def send(peer, kind, request, transaction, body):
        try:
            peer.sendall(HEADER.pack(kind, request, transaction, len(body)) + body)
        except OSError:
            pass

    def answer(self, peer, kind, transaction, payload):
        words = payload.split(b"\0")
        path = words[0].decode()
        self.asked.append((kind, path))
        if kind == START:
            self.next_id += 1
            self.transactions[self.next_id] = {"from": self.generation, "read": set(), "write": []}
            return START, str(self.next_id).encode() + b"\0"
        if kind == END:
            return self.end(self.transactions.pop(transaction), words[0])
        if kind == WATCH:
            self.watches.append((peer, path, words[1]))
            return WATCH, b"OK\0"
        if transaction:
            self.transactions[transaction]["read"].add(path)
        if kind == READ:
            return (READ, self.nodes[path].encode()) if path in self.nodes else (ERROR, b"ENOENT\0")
        if kind == DIRECTORY:
            below = {n[len(path) + 1:].split("/")[0] for n in self.nodes if n.startswith(path + "/")}
            if not below and path not in self.nodes:
                return ERROR, b"ENOENT\0"
            return DIRECTORY, b"".join(n.encode() + b"\0" for n in sorted(below))
        if kind == WRITE:
            value = payload[len(words[0]) + 1:].decode()
            if transaction:
                self.transactions[transaction]["write"].append((path, value))
            else:
                self.put(path, value)
            return WRITE, b"OK\0"
        return ERROR, b"ENOSYS\0"

    def end(self, transaction, word):
        if word != b"T":
            return END, b"OK\0"
        if self.before_commit:
            hook, self.before_commit = self.before_commit, None
            hook(self)
        if any(self.changed.get(path, 0) > transaction["from"] for path in transaction["read"]):
            return ERROR, b"EAGAIN\0"
        for path, value in transaction["write"]:
            self.put(path, value)
        return END, b"OK\0"

    def touch(self, path):
        self.generation += 1
        self.changed[path] = self.generation
        for peer, root, token in self.watches:
            if path == root or path.startswith(root + "/"):
                self.send(peer, EVENT, 0, 0, path.encode() + b"\0" + token + b"\0")

    def put(self, path, value):
        with self.lock:
            self.nodes[path] = value
            self.touch(path)

    def remove(self, path):
        with self.lock:
            for node in [n for n in self.nodes if n == path or n.startswith(path + "/")]:
                del self.nodes[node]
                self.generation += 1
                self.changed[node] = self.generation
            self.touch(path)

    def get(self, path):
        with self.lock:
            return self.nodes.get(path)
