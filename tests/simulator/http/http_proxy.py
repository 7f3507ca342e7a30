"""JSON-RPC over HTTP, as the recorded rpc_http_proxy.py of SPDK behaves."""
import base64
import json
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
from dpusim import Sim, run

VERSION = {'jsonrpc': '2.0', 'id': 1, 'method': 'spdk_get_version'}


class Http:
    def __init__(self):
        import tempfile
        self.folder = tempfile.mkdtemp(prefix='dpusim-')
        with open(os.path.join(self.folder, 'auth'), 'w', encoding='utf-8') as file:
            file.write('user:pass\n')
        self.sim = Sim('--http', '127.0.0.1:0', '--auth-file', os.path.join(self.folder, 'auth'), folder=self.folder)
        self.port = int(self.sim.ready[-1].rsplit(':', 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        import shutil
        self.sim.close()
        shutil.rmtree(self.folder)

    def connect(self):
        connection = socket.create_connection(('127.0.0.1', self.port), 30)
        return connection

    def raw(self, data):
        """Everything until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            out = b''
            while piece := connection.recv(1 << 16):
                out += piece
            return out

    def post(self, body, auth='user:pass', path='/', method='POST', chunked=False):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f'{method} {path} HTTP/1.1', 'Host: x']
        if auth:
            lines.append('authorization: Basic ' + base64.b64encode(auth.encode()).decode())
        if chunked:
            lines.append('Transfer-Encoding: chunked')
            data = b''.join(f'{len(p):x}\r\n'.encode() + p + b'\r\n' for p in (data[:7], data[7:])) + b'0\r\n\r\n'
        else:
            lines.append(f'Content-Length: {len(data)}')
        answer = self.raw('\r\n'.join(lines).encode() + b'\r\n\r\n' + data)
        if not answer:
            return None, {}, ''
        head, _, text = answer.partition(b'\r\n\r\n')
        status, *headers = head.decode().split('\r\n')
        return status, {h.split(':')[0].lower(): h.split(': ', 1)[1] for h in headers}, text.decode()


def answers_and_errors_are_200():
    with Http() as http:
        status, headers, body = http.post(VERSION)
        assert status == 'HTTP/1.0 200 OK' and headers['content-type'] == 'text/html' and 'content-length' not in headers
        assert json.loads(body)['result']['version'].startswith('SPDK v26.05') and body.endswith('\n')
        assert http.post(VERSION, path='/some/path')[0] == 'HTTP/1.0 200 OK'
        assert json.loads(http.post(VERSION, chunked=True)[2])['id'] == 1
        for request, code in (({**VERSION, 'method': 'nope'}, -32601), ({**VERSION, 'method': 'bdev_get_bdevs', 'params': {'name': 'x'}}, -19)):
            status, _, body = http.post(request)
            assert status == 'HTTP/1.0 200 OK' and json.loads(body)['error']['code'] == code


def who_may_not_is_told_so():
    with Http() as http:
        for auth in (None, 'user:nope', 'user', 'pass:user'):
            status, headers, body = http.post(VERSION, auth)
            assert (status, headers['www-authenticate'], body) == ('HTTP/1.0 401 Unauthorized', 'text/html', ''), auth
        assert http.sim.call('sim_dump')['counters']['calls'] == {'sim_dump': 1}


def what_is_not_json_is_500():
    with Http() as http:
        for body in (b'{"jsonrpc":', b'hello', b'', '{"id":1,"method":"bdev_get_bdevs","params":{"name":"é"}}'.encode()):
            status, _, text = http.post(body)
            assert (status, text) == ('HTTP/1.0 500 Internal Server Error', ''), body


def nothing_comes_back():
    """No id to wait for: the connection just closes, though it was done."""
    with Http() as http:
        assert http.post({'method': 'bdev_malloc_create', 'params': {'name': 'm', 'num_blocks': 8, 'block_size': 512}})[0] is None
        assert http.sim.bdev('m')
        assert http.post([VERSION, VERSION])[0] is None
        http.sim.call('sim_fault_add', method='spdk_get_version', action='drop_after')
        assert http.post(VERSION)[0] is None


def other_methods():
    with Http() as http:
        for method in ('GET', 'PUT', 'DELETE'):
            status, headers, body = http.post(b'', method=method)
            assert status == f"HTTP/1.0 501 Unsupported method ('{method}')" and int(headers['content-length']) == len(body)
        assert http.post(b'', auth=None, method='HEAD')[0] == 'HTTP/1.0 200 OK'


def one_at_a_time():
    """A slow call and an idle client hold up everybody else."""
    with Http() as http:
        idle = http.connect()
        waiting = http.connect()
        request = json.dumps(VERSION).encode()
        auth = base64.b64encode(b'user:pass')
        waiting.sendall(b'POST / HTTP/1.1\r\nAuthorization: Basic ' + auth + b'\r\nContent-Length: %d\r\n\r\n' % len(request) + request)
        http.sim.call('spdk_get_version')
        waiting.setblocking(False)
        try:
            assert not waiting.recv(1), 'served although another client is first'
            raise AssertionError('closed')
        except BlockingIOError:
            pass
        waiting.settimeout(30)
        idle.close()
        assert waiting.recv(4096).startswith(b'HTTP/1.0 200')
        waiting.close()


def junk_hurts_nobody():
    with Http() as http:
        assert http.raw(b'x' * 70_000 + b'\r\n') == b''
        assert http.raw(b'POST / HTTP/1.1\r\nauthorization: Basic ' + base64.b64encode(b'user:pass') + b'\r\nContent-Length: 99999999\r\n\r\n') == b''
        assert http.raw(b'POST / HTTP/1.1\r\nauthorization: Basic ' + base64.b64encode(b'user:pass') + b'\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n') == b''
        assert http.post(VERSION)[0] == 'HTTP/1.0 200 OK'


run([answers_and_errors_are_200, who_may_not_is_told_so, what_is_not_json_is_500, nothing_comes_back, other_methods, one_at_a_time,
     junk_hurts_nobody])
