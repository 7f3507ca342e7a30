"""Starts simulators and talks to them, for the tests below tests/simulator."""
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

BIN = os.environ.get('VNVME_BIN', os.path.join(os.path.dirname(__file__), '../../../build/dev/bin'))
SOURCE = os.environ.get('VNVME_SOURCE', os.path.abspath(os.path.join(os.path.dirname(__file__), '../../..')))
PATIENCE = 240  # seconds; a RAID 0 of terabytes is unmapped strip by strip, and under a sanitizer that takes minutes


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']} {error['message']}")
        self.code, self.message = error['code'], error['message']


class Closed(Exception):
    """The peer closed the connection."""


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.buffer = bytearray()
        self.next = 0

    def send_raw(self, data):
        try:
            self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def line(self, timeout=PATIENCE):
        """One answer line, without its newline; None when nothing came in time."""
        self.socket.settimeout(timeout)
        looked = 0
        while self.buffer.find(b'\n', looked) < 0:
            looked = len(self.buffer)
            try:
                piece = self.socket.recv(1 << 20)
            except (socket.timeout, BlockingIOError):
                return None
            except ConnectionResetError:
                raise Closed from None
            if not piece:
                raise Closed
            self.buffer += piece
        end = self.buffer.find(b'\n')
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 1]
        return line

    def answer(self, timeout=PATIENCE):
        line = self.line(timeout)
        return None if line is None else json.loads(line)

    def send(self, method, params=None, identity=None):
        self.next += 1
        request = {'jsonrpc': '2.0', 'id': self.next if identity is None else identity, 'method': method}
        if params is not None:
            request['params'] = params
        self.send_raw(json.dumps(request))
        return request['id']

    def call(self, method, params=None):
        identity = self.send(method, params)
        answer = self.answer()
        if answer is None:
            raise TimeoutError(method)
        assert answer['id'] == identity, answer
        if 'error' in answer:
            raise RpcError(answer['error'])
        return answer['result']

    def pipeline(self, requests):
        """All requests in one write."""
        text = ''.join(json.dumps({'jsonrpc': '2.0', 'id': i, 'method': m, 'params': p}) for i, (m, p) in enumerate(requests))
        self.send_raw(text)

    def close(self):
        self.socket.close()


class Sim:
    def __init__(self, *arguments, profile='v26.05', folder=None, binary=None):
        self.owned = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix='dpusim-')
        self.arguments = [binary or os.path.join(BIN, 'vnvme-dpusim'), '--state', os.path.join(self.folder, 'state'), '--listen',
                          'unix:' + self.path('rpc.sock'), '--profile', profile, *arguments]
        self.process = None
        self.connection = None
        self.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        self.process = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, stderr=open(self.path('log'), 'a'))
        line = self.process.stdout.readline().decode()
        if not line.startswith('ready'):
            raise RuntimeError('the simulator did not start: ' + open(self.path('log')).read())
        self.ready = line.split()[1:]
        self.connection = Connection(self.path('rpc.sock'))

    def call(self, method, params=None, /, **keys):
        return self.connection.call(method, keys or params)

    def error(self, method, params=None, /, **keys):
        """The (code, message) with which a call fails."""
        try:
            result = self.connection.call(method, keys or params)
        except RpcError as e:
            return e.code, e.message
        raise AssertionError(f'{method} {params or keys} worked: {result}')

    def connect(self):
        return Connection(self.path('rpc.sock'))

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        self.connection.close()
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code

    def restart(self, number=signal.SIGKILL):
        self.kill(number)
        self.start()

    def close(self):
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
        self.connection.close()
        if self.owned:
            shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what tests do all the time ----
    def drive(self, name='d0', mib=1024, **keys):
        with open(self.path(name + '.img'), 'ab') as file:
            file.truncate(mib << 20)
        return self.call('bdev_aio_create', name=name, filename=self.path(name + '.img'), block_size=4096, **keys)

    def store(self, name='lvs0', bdev='d0', **keys):
        return self.call('bdev_lvol_create_lvstore', bdev_name=bdev, lvs_name=name, **keys)

    def lvol(self, name, mib=16, store='lvs0', **keys):
        return self.call('bdev_lvol_create', lvs_name=store, lvol_name=name, size_in_mib=mib, **keys)

    def bdev(self, name):
        return self.call('bdev_get_bdevs', name=name)[0]

    def read(self, bdev, offset, length):
        return base64.b64decode(self.call('sim_read', bdev=bdev, offset=offset, length=length))

    def write(self, bdev, offset, data):
        piece = 16 << 10  # small enough for the request limit of both versions
        for at in range(0, len(data), piece):
            text = base64.b64encode(data[at:at + piece]).decode()
            self.call('sim_write', bdev=bdev, offset=offset + at, data=text)

    def free(self, store='lvs0'):
        return self.call('bdev_lvol_get_lvstores', lvs_name=store)[0]['free_clusters']


def run(tests):
    """Runs every function of the list; tells which failed."""
    failed = 0
    for test in tests:
        try:
            test()
            print('ok   ', test.__name__, flush=True)
        except Exception:  # a failed test must not hide the others
            import traceback
            failed += 1
            print('FAILED', test.__name__)
            traceback.print_exc()
    print(f'{len(tests) - failed} of {len(tests)} passed')
    sys.exit(1 if failed else 0)
