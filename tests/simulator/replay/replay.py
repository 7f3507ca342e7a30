"""Replays every request of the recordings of two real SPDK targets against the simulator.

Prints what differs. Fails when more than 3 % differ, and when the list of known differences (differences.txt, shown
as a table in docs/simulator.md) is not exactly what was found."""
import json
import os
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support')]
import protocol
from compare import Names, differences
from dpusim import PATIENCE, SOURCE, Closed, Sim

DATA = os.path.join(SOURCE, 'tests/data/spdk')
MOST_DIFFERENT = 0.03
MIB = 1 << 20


def entries(name):
    with open(os.path.join(DATA, name), encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def make_file(sim, path, mib):
    path = os.path.join(sim.folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.truncate(mib * MIB)


def strangers(recorded, seen):
    """The simulator knows fewer methods; all but the functions' (another product's) must be real ones."""
    return [f'{m!r} is no method of the real target' for m in seen
            if m not in recorded and not str(m).startswith(('nvme_', 'emulation_'))]


class Replay:
    def __init__(self):
        self.count = 0
        self.found = {}

    def note(self, place, lines):
        self.count += 1
        if lines:
            self.found[place] = lines

    def request(self, sim, entry, names):
        """One recorded request. A recorded end or silence is an outcome like any other."""
        request = json.loads(names.translate(json.dumps(entry['request'])))
        response = entry['response']
        gone = isinstance(response, dict) and response.get('__conn')
        sim.connection.send_raw(json.dumps(request))
        if gone == 'TIMEOUT':
            fence = sim.connect().call('spdk_get_version')
            return [] if fence and sim.connection.line(0.0) is None else ['an answer came']
        try:
            answer = sim.connection.answer()
        except Closed:
            sim.wait()
            return [] if gone == 'EOF' else ['the simulator died']
        if answer is None:
            raise AssertionError(f'no answer within {PATIENCE} s to {json.dumps(request)[:300]}')
        if gone:
            return [f'answered {str(answer)[:100]} where the real target died']
        if request['method'] == 'rpc_get_methods':
            return strangers(response['result'], answer.get('result', [None]))
        return differences(protocol.strip(response), protocol.strip(answer), names, 'answer')

    def play(self, name, sim, names, before=None):
        """A whole file; `before` maps a line number to what happens first."""
        for number, entry in enumerate(entries(name), 1):
            if before and number in before:
                before[number](sim)
            if 'requests' in entry:
                lines = protocol.pipelined(sim, entry, names)
            elif 'served' in entry:
                lines = protocol.connections(sim, entry)
            elif 'raw_request' in entry:
                lines = protocol.one(sim, entry, names)
            else:
                lines = self.request(sim, entry, names)
            self.note(f'{name[:-6]}:{number}', lines)
            if sim.process.poll() is not None:
                break

    def session(self, version, files, drives, before=None, prepare=None):
        with Sim(profile=version) as sim:
            names = Names(sim.folder)
            for path, mib in drives.items():
                make_file(sim, path, mib)
            if prepare:
                prepare(sim)
            for name in files:
                self.play(name, sim, names, (before or {}).get(name))


def resize_file(path, mib):
    return lambda sim: os.truncate(os.path.join(sim.folder, path), mib * MIB)


def kill(sim):
    sim.restart()


def write(bdev, mib):
    return lambda sim: [sim.write(bdev, at * MIB, os.urandom(MIB)) for at in range(mib)]


def declare(version):
    """The block devices that were there when the protocol was recorded."""
    listed = next(e for e in entries(f'{version}-protocol.jsonl') if e['note'] == 'params null')['response'][0]['result']

    def prepare(sim):
        for bdev in listed:
            path = bdev['driver_specific']['aio']['filename'].replace('$DIR', sim.folder)
            make_file(sim, path, bdev['num_blocks'] * bdev['block_size'] // MIB)
            sim.call('bdev_aio_create', name=bdev['name'], filename=path, block_size=bdev['block_size'])
    return prepare


def crash_files(version):
    return sorted(f for f in os.listdir(DATA) if f.startswith(version + '-crash-'))


def play_version(replay, version):
    run = f'run-{version}/'
    drives = {run + f'drive{i}.img': 2048 for i in range(4)}
    lvol = f'{version}-lvol.jsonl'
    replay.session(version, [f'{version}-basic.jsonl', f'{version}-raid.jsonl', lvol], drives, {
        lvol: {146: resize_file(run + 'drive1.img', 3072)}, f'{version}-raid.jsonl': {39: rebuilt}})
    replay.session(version, [f'{version}-protocol.jsonl'], {}, prepare=declare(version))
    shrink = f'{version}-shrink-while-exported.jsonl'
    replay.session(version, [shrink], {'m1.img': 1024}, {shrink: {12: kill}})
    for name in crash_files(version):
        small = {7: resize_file('c1.img', 128)} if 'maxlvols' in name else {}
        twice = {14: kill, 23: kill} if 'superblock' in name else {}
        replay.session(version, [name], {f'c{i}.img': 1024 for i in range(3)}, {name: {**small, **twice}})


def main():
    replay = Replay()
    for version in ('v26.05', 'v23.01'):
        play_version(replay, version)
    replay.session('v26.05', ['v26.05-nvmf.jsonl'], {'run-v26.05/drive0.img': 2048},
                   prepare=lambda sim: os.mkdir(os.path.join(sim.folder, 'run-v26.05/vfu1')))
    replay.session('v26.05', ['v26.05-verify.jsonl', 'v26.05-vfiouser.jsonl'], {'run-v26.05-v/d.img': 1024},
                   {'v26.05-verify.jsonl': {9: write('lvs0/v', 16), 15: write('lvs0/v', 4)}, 'v26.05-vfiouser.jsonl': {1: after_kill}},
                   prepare=lambda sim: os.mkdir(os.path.join(sim.folder, 'run-v26.05-v/vfu')))
    for place, lines in replay.found.items():
        print(place, '|', '; '.join(lines)[:300])
    share = len(replay.found) / replay.count
    print(f'{replay.count} requests, {len(replay.found)} differ ({100 * share:.1f} %)')
    sys.exit(check(replay, share))


def rebuilt(sim):
    """Until the array says that its rebuild is over, as whoever recorded did."""
    for _ in range(100_000):
        if all('process' not in r for r in sim.call('bdev_raid_get_bdevs', category='all')):
            return
    raise AssertionError('the rebuild never ends')


def after_kill(sim):
    """kill -9 leaves the vfio-user socket behind; whoever starts the target anew removes it."""
    sim.restart()
    os.unlink(os.path.join(sim.folder, 'run-v26.05-v/vfu/cntrl'))


def check(replay, share):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'differences.txt'), encoding='utf-8') as file:
        known = dict(line.rstrip('\n').split(' ', 1) for line in file if line.strip() and not line.startswith('#'))
    with open(os.path.join(SOURCE, 'docs/simulator.md'), encoding='utf-8') as file:
        table = file.read()
    wrong = [f'{p}: differs and is not in differences.txt' for p in replay.found if p not in known]
    wrong += [f'{p}: is in differences.txt and does not differ' for p in known if p not in replay.found]
    wrong += [f'{p}: not in the table of docs/simulator.md' for p in known if f'| {p} |' not in table]
    if share > MOST_DIFFERENT:
        wrong.append(f'more than {100 * MOST_DIFFERENT:.0f} % differ')
    print('\n'.join(wrong))
    return 1 if wrong else 0


if __name__ == '__main__':
    main()
