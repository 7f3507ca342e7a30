"""Is an answer of the simulator what the real target answered?

Uuids are random in both: a recorded one stands for the simulator's one that came in its place, everywhere. Counters
and clocks differ by nature and are compared by type."""
import re

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')
CLOCKS = {'tick_rate', 'ticks', 'pid', 'tid', 'busy', 'idle', 'elapsed', 'sys', 'usr', 'progress'}
COUNTERS = re.compile(r'(bytes_\w+|num_\w+_ops|\w*latency_ticks)$')


class Names:
    """Recorded uuid -> the simulator's."""

    def __init__(self, folder):
        self.known = {}
        self.folder = folder

    def learn(self, recorded, seen):
        return self.known.setdefault(recorded, seen) == seen

    def translate(self, text):
        """A recorded request, as the simulator must get it."""
        for recorded, seen in self.known.items():
            text = text.replace(recorded, seen)
            text = text.replace(recorded.replace('-', '').upper(), seen.replace('-', '').upper())
        return text.replace('$DIR', self.folder)


def kind(value):
    return 'number' if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def differences(recorded, seen, names, where='result', key=''):
    """A list of texts; empty when the answers agree."""
    if kind(recorded) != kind(seen):
        return [f'{where}: {kind(recorded)} {str(recorded)[:60]!r} became {kind(seen)} {str(seen)[:60]!r}']
    if isinstance(recorded, dict):
        out = [f'{where}: no {k}' for k in recorded.keys() - seen.keys()] + [f'{where}: extra {k}' for k in seen.keys() - recorded.keys()]
        for k in recorded.keys() & seen.keys():
            if k not in CLOCKS:
                out += differences(recorded[k], seen[k], names, f'{where}.{k}', k)
        return out
    if isinstance(recorded, list):
        if len(recorded) != len(seen):
            return [f'{where}: {len(recorded)} elements became {len(seen)}']
        return [d for i, (r, s) in enumerate(zip(recorded, seen)) for d in differences(r, s, names, f'{where}[{i}]', key)]
    if COUNTERS.match(key) or where.endswith('.peer_address.trsvcid'):  # a port that the kernel chose
        return []
    return [] if same(recorded, seen, names) else [f'{where}: {str(recorded)[:80]!r} became {str(seen)[:80]!r}']


def same(recorded, seen, names):
    if not isinstance(recorded, str):
        return recorded == seen
    if UUID.fullmatch(recorded) and UUID.fullmatch(seen):
        return names.learn(recorded, seen)
    return names.translate(recorded) == seen
