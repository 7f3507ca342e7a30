"""Replays what was written byte by byte onto the recorded target's socket."""
import json
import re
import select
import socket

from compare import differences
from dpusim import Closed, Connection

FENCE = 'fence'


def request_bytes(entry):
    """The bytes that were sent; long ones are abbreviated in the recording and built anew here."""
    raw, note = entry['raw_request'], entry['note']
    if note == 'invalid UTF-8':
        return raw.encode().replace('\ufffd'.encode(), b'\xff')
    size = re.match(r'request of (\d+) bytes', note)
    if size:
        head = raw[:raw.index('xxx')]
        return (head + 'x' * (int(size[1]) - len(head) - 3) + '"}}').encode()
    items = re.match(r'request with (\d+) array items', note)
    if items:
        head = raw[:raw.index('"b"')]
        return (head + ', '.join(['"b"'] * int(items[1])) + ']}}').encode()
    return raw.encode()


def send(connection, entry, data):
    try:
        if '7-byte writes' in entry['note']:
            for at in range(0, len(data), 7):
                connection.send_raw(data[at:at + 7])
        else:
            connection.send_raw(data)
        if 'SHUT_WR' in entry['note']:
            connection.socket.shutdown(socket.SHUT_WR)
    except (Closed, OSError):
        pass  # the target closed before all was written


def receive(connection, count):
    """`count` answers, or less and why there are no more."""
    seen = []
    while len(seen) < count:
        try:
            answer = connection.answer()
        except Closed:
            return seen + [{'__conn': 'closed'}]
        if answer is None:
            return seen + [{'__conn': 'TIMEOUT'}]
        seen.append(answer)
    return seen


def silence(sim, entry, data, names):
    """The recorded target said nothing, or something without an end."""
    connection = sim.connect()
    send(connection, entry, data)
    sim.call('spdk_get_version')  # served after what was sent before it
    leftover = entry['response'][0].get('leftover', '') if isinstance(entry['response'][0], dict) else ''
    if leftover:
        got = connection.socket.recv(1 << 16).decode()
        # v23.01 stops before the last brace
        return differences(json.loads(leftover + '}'), json.loads(got + '}'), names)
    readable, _, _ = select.select([connection.socket], [], [], 0)
    return [f'{connection.socket.recv(200)!r} came where nothing did'] if readable else []


def one(sim, entry, names):
    data = request_bytes(entry)
    expected = entry['response']
    if expected and (expected[0] == 'TIMEOUT' or isinstance(expected[0], dict) and expected[0].get('__conn') == 'TIMEOUT'):
        return silence(sim, entry, data, names)
    connection = sim.connect()
    send(connection, entry, data)
    seen = receive(connection, len(expected))
    connection.close()
    wanted = [{'__conn': 'closed'} if isinstance(e, dict) and '__conn' in e else e for e in expected]
    return differences(wanted, seen, names)


def connections(sim, entry):
    """How many are served at once, and that one more is served when one closes."""
    sim.connection.close()
    many = [Connection(sim.path('rpc.sock')) for _ in range(entry['served'])]
    for c in many:
        c.call('spdk_get_version')
    late = Connection(sim.path('rpc.sock'))
    late.send('spdk_get_version')
    many[0].call('spdk_get_version')
    early, _, _ = select.select([late.socket], [], [], 0)
    many[1].close()
    answer = late.answer()
    for c in many + [late]:
        c.close()
    sim.connection = sim.connect()
    out = ['one connection too many was served'] if early else []
    return out + ([] if answer and 'result' in answer else ['no answer after another connection closed'])


def pipelined(sim, entry, names):
    """Several requests in one write: what is answered, in which order, and what never is."""
    text = ''.join(names.translate(json.dumps({'jsonrpc': '2.0', **r})) for r in entry['requests'])
    expected = [e for e in entry['responses_in_order_of_arrival'] if e != 'TIMEOUT']
    connection = sim.connect()
    connection.send_raw(text)
    seen = receive(connection, len(expected))
    connection.send('spdk_get_version', identity=FENCE)
    after = connection.answer()
    connection.close()
    extra = [] if after and after.get('id') == FENCE else [f'an answer more: {after}']
    return extra + [d for e, s in zip(expected, seen) for d in differences(strip(e), strip(s), names)]


def strip(answer):
    return {k: v for k, v in answer.items() if k != 'jsonrpc'}
