"""A small NBD client: enough to read and write what the simulator exposes."""
import socket
import struct

OPTION_MAGIC, OPTION_REPLY = 0x49484156454f5054, 0x3e889045565a9
EXPORT_NAME, ABORT, LIST, INFO, GO = 1, 2, 3, 6, 7
READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6


class NbdError(Exception):
    pass


class Nbd:
    def __init__(self, path, option=GO, name='anything'):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        assert self.receive(16) == b'NBDMAGICIHAVEOPT'
        self.server_flags = struct.unpack('>H', self.receive(2))[0]
        self.socket.sendall(struct.pack('>I', 3))
        if option == EXPORT_NAME:
            self.option(EXPORT_NAME, name.encode())
            self.size, self.flags = struct.unpack('>QH', self.receive(10))
        elif option == GO:
            answers = self.options(GO, struct.pack('>I', len(name)) + name.encode() + struct.pack('>H', 0))
            _, self.size, self.flags = struct.unpack('>HQH', answers[0][1])

    def receive(self, count):
        out = b''
        while len(out) < count:
            piece = self.socket.recv(count - len(out))
            if not piece:
                raise EOFError
            out += piece
        return out

    def option(self, kind, data=b''):
        self.socket.sendall(struct.pack('>QII', OPTION_MAGIC, kind, len(data)) + data)

    def options(self, kind, data=b''):
        """All replies to an option: [(type, data)], the last an acknowledgement or an error."""
        self.option(kind, data)
        out = []
        while True:
            magic, of, reply, length = struct.unpack('>QIII', self.receive(20))
            assert (magic, of) == (OPTION_REPLY, kind)
            out.append((reply, self.receive(length)))
            if reply == 1 or reply & 0x80000000:
                return out

    def command(self, kind, offset=0, length=0, data=b''):
        self.socket.sendall(struct.pack('>IHHQQI', 0x25609513, 0, kind, 42, offset, length or len(data)) + data)
        magic, error, cookie = struct.unpack('>IIQ', self.receive(16))
        assert (magic, cookie) == (0x67446698, 42)
        if error:
            raise NbdError(error)
        return self.receive(length) if kind == READ else b''

    def read(self, offset, length):
        return self.command(READ, offset, length)

    def write(self, offset, data):
        self.command(WRITE, offset, data=data)

    def close(self):
        self.socket.close()
