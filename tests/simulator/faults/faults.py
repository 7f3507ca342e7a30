"""Each fault action, seen from the wire, and what it leaves done."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
from dpusim import Closed, Sim, run

BEFORE = {'error', 'drop_before', 'kill_before'}


def lvol_made(sim):
    return any(lvol['name'] == 'v' for store in sim.call('sim_dump')['stores'] for lvol in store['lvols'])


class Case:
    """A simulator with a store and one rule for the creation of lvol v, which was sent."""

    def __init__(self, action, **keys):
        self.sim = Sim('--drive', 'name=N,size=1GiB')
        self.sim.store(bdev='N')
        self.sim.call('sim_fault_add', method='bdev_lvol_create', action=action, **keys)
        self.wire = self.sim.connect()
        self.id = self.wire.send('bdev_lvol_create', {'lvs_name': 'lvs0', 'lvol_name': 'v', 'size_in_mib': 4})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()
        self.sim.close()

    def closed(self):
        try:
            return f'{self.wire.line()!r} came'
        except Closed:
            return ''

    def fence(self):
        """The next answer on this connection; the mark, when nothing came before it."""
        self.wire.send('spdk_get_version', identity='fence')
        return self.wire.answer()['id']


def an_error_is_what_was_asked_for():
    with Case('error', code=-110, message='Connection timed out') as case:
        assert case.wire.answer()['error'] == {'code': -110, 'message': 'Connection timed out'}
        assert not lvol_made(case.sim)
        assert case.sim.call('sim_dump')['counters']['faults_hit'] == 1


def dropping_closes_before_or_after():
    for action, done in (('drop_before', False), ('drop_after', True)):
        with Case(action) as case:
            assert case.closed() == ''
            assert lvol_made(case.sim) == done, action


def never_answers_but_does():
    with Case('never') as case:
        assert case.fence() == 'fence'
        assert case.fence() == 'fence'
        assert lvol_made(case.sim)


def late_comes_after_others():
    with Case('late', delay_ms=100) as case:
        assert case.fence() == 'fence'
        assert case.wire.answer()['id'] == case.id


def twice_is_the_same_twice():
    with Case('twice') as case:
        assert case.wire.line() == case.wire.line()
        assert case.fence() == 'fence'


def a_stray_answer_comes_first():
    with Case('two_in_one') as case:
        assert [case.wire.answer()['id'], case.wire.answer()['id']] == ['stray', case.id]


def a_wrong_id():
    with Case('wrong_id') as case:
        answer = case.wire.answer()
        assert answer['id'] == case.id + 1_000_000 and 'result' in answer


def half_a_frame_and_the_end():
    with Case('half_frame') as case:
        assert case.closed() == '' and case.wire.buffer.startswith(b'{"jsonrpc"') and lvol_made(case.sim)


def byte_by_byte_is_whole():
    with Case('byte_by_byte') as case:
        assert len(case.wire.answer()['result']) == 36


def what_is_no_answer():
    for action, check in (('garbage', lambda line: line.startswith(b'\x01\xff')), ('bad_utf8', lambda line: b'\xc3\x28' in line),
                          ('huge', lambda line: len(line) > 40 << 20), ('deep', lambda line: line.count(b'[') == 100_000)):
        with Case(action) as case:
            assert check(case.wire.line()), action
            assert lvol_made(case.sim), action


def other_shapes():
    with Sim('--drive', 'name=N,size=1GiB') as sim:
        plain = sim.bdev('N')
        sim.call('sim_fault_add', method='bdev_get_bdevs', action='strings_for_numbers')
        assert sim.bdev('N')['num_blocks'] == str(plain['num_blocks'])
        sim.call('sim_fault_add', method='bdev_get_bdevs', action='missing_field', field='num_blocks')
        assert set(plain) - set(sim.bdev('N')) == {'num_blocks'}
        sim.call('sim_fault_add', method='bdev_get_bdevs', action='extra_fields')
        more = sim.bdev('N')
        assert set(more) - set(plain) == {'x_unknown'} and 'x_unknown' in more['driver_specific']['nvme'][0]
        assert sim.bdev('N') == plain


def killing_ends_the_process():
    for action, done in (('kill_before', False), ('kill_after', True)):
        with Case(action) as case:
            assert case.closed() == ''
            assert case.sim.wait() == 137
            case.sim.start()
            assert lvol_made(case.sim) == done, action


def the_nth_call_and_so_many():
    with Sim() as sim:
        sim.call('sim_fault_add', method='spdk_get_version', action='error', nth=3, times=2)
        outcome = []
        for _ in range(6):
            sim.connection.send('spdk_get_version')
            outcome.append('error' in sim.connection.answer())
        assert outcome == [False, False, True, True, False, False]
        sim.call('sim_fault_add', method='*', action='error', times=0)
        assert sim.error('bdev_get_bdevs') == sim.error('framework_wait_init') == (-5, 'Input/output error')
        sim.call('sim_fault_clear')
        sim.call('bdev_get_bdevs')


def rules_are_checked():
    with Sim() as sim:
        for bad in ({'action': 'error'}, {'method': 'x', 'action': 'nope'}, {'method': 'x', 'action': 'error', 'nth': 0},
                    {'method': 'x', 'action': 'error', 'colour': 'red'}):
            assert sim.error('sim_fault_add', bad)[0] == -32602, bad


def latency_holds_one_method_up():
    with Sim() as sim:
        sim.call('sim_latency', method='framework_wait_init', ms=50)
        first = sim.connection.send('framework_wait_init')
        second = sim.connection.send('spdk_get_version')
        assert [sim.connection.answer()['id'], sim.connection.answer()['id']] == [second, first]
        assert sim.error('sim_latency', method='x', ms=10 ** 9)[0] == -32602


def a_tick_changes_no_answer():
    with Sim('--tick-ms', '4', '--drive', 'name=N,size=1GiB') as sim:
        sim.store(bdev='N')
        sim.connection.pipeline([('spdk_get_version', None)] * 200)
        assert [sim.connection.answer()['id'] for _ in range(200)] == list(range(200))
        assert json.dumps(sim.call('bdev_get_bdevs'))


run([an_error_is_what_was_asked_for, dropping_closes_before_or_after, never_answers_but_does, late_comes_after_others,
     twice_is_the_same_twice, a_stray_answer_comes_first, a_wrong_id, half_a_frame_and_the_end, byte_by_byte_is_whole,
     what_is_no_answer, other_shapes, killing_ends_the_process, the_nth_call_and_so_many, rules_are_checked,
     latency_holds_one_method_up, a_tick_changes_no_answer])
