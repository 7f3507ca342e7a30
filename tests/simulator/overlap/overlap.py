"""Changes that overlap: what the real targets did with them, their deaths included."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
from dpusim import Closed, Sim, run

DIED = 134


class Target:
    def __init__(self, profile):
        self.size = 'size_in_mib' if profile == 'v26.05' else 'size'
        self.unit = 1 if profile == 'v26.05' else 1 << 20
        self.sim = Sim('--drive', 'name=N,size=4GiB', '--drive', 'name=M,size=4GiB', profile=profile)
        self.sim.store(bdev='N')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sim.close()

    def create(self, name, mib=8):
        return 'bdev_lvol_create', {'lvs_name': 'lvs0', 'lvol_name': name, self.size: mib * self.unit}

    def resize(self, name, mib):
        return 'bdev_lvol_resize', {'name': 'lvs0/' + name, self.size: mib * self.unit}

    def make(self, *names):
        for name in names:
            self.sim.call(*self.create(name))

    def outcomes(self, *requests):
        """id -> what became of it: True or a uuid's True, (code, message), or None for no answer. Or DIED."""
        wire = self.sim.connect()
        wire.pipeline(requests)
        out = dict.fromkeys(range(len(requests)))
        try:
            wire.send('spdk_get_version', identity='fence')
            fences = 0
            while fences < 2:  # what the first one overtook comes before the second
                answer = wire.answer()
                if answer['id'] != 'fence':
                    out[answer['id']] = (answer['error']['code'], answer['error']['message']) if 'error' in answer else True
                    continue
                fences += 1
                wire.send('spdk_get_version', identity='fence')
        except Closed:
            assert self.sim.wait() == DIED
            return DIED
        wire.close()
        return list(out.values())

    def overlaps(self):
        return self.sim.call('sim_dump')['counters']['overlapping_mutations']


def delete(name):
    return 'bdev_lvol_delete', {'name': 'lvs0/' + name}


def snapshot(name, of):
    return 'bdev_lvol_snapshot', {'lvol_name': 'lvs0/' + of, 'snapshot_name': name}


BUSY = 'Device or resource busy'
DELETE_STORE = ('bdev_lvol_delete_lvstore', {'lvs_name': 'lvs0'})
VERSIONS = ('v26.05', 'v23.01')


def the_second_is_refused():
    for version in VERSIONS:
        with Target(version) as t:
            t.make('a', 'b', 'c', 'd')
            assert t.outcomes(delete('a'), delete('a')) == [True, (-32603, BUSY)]
            assert t.outcomes(snapshot('s', 'b'), delete('b')) == [True, (-32603, BUSY)]
            assert t.outcomes(snapshot('t1', 'c'), snapshot('t2', 'c')) == [True, (-32602, BUSY)]
            assert t.outcomes(t.resize('d', 20), t.resize('d', 30)) == [True, (-32602, BUSY)]
            assert t.outcomes(t.create('x'), delete('x')) == [True, (-19, 'No such device')]
            assert t.outcomes(*[t.create('y')] * 5) == [True] + [(-17, 'File exists')] * 4


def different_ones_all_work_and_are_counted():
    for version in VERSIONS:
        with Target(version) as t:
            t.make('first', 'second')
            assert t.overlaps() == 0
            assert t.outcomes(*[t.create(f'v{i}') for i in range(30)]) == [True] * 30
            assert t.overlaps() == 29


def a_delete_overtakes_a_resize():
    with Target('v26.05') as t:
        free = t.sim.free()
        t.make('a')
        assert t.outcomes(t.resize('a', 50), delete('a')) == [None, True]
        assert t.sim.error('bdev_get_bdevs', name='lvs0/a')[0] == -19
        assert t.sim.free() == free
    with Target('v23.01') as t:
        t.make('a')
        assert t.outcomes(t.resize('a', 50), delete('a')) == DIED


def a_store_deleted_among_creates():
    for version in VERSIONS:
        with Target(version) as t:
            assert t.outcomes(t.create('a'), DELETE_STORE) == [(-32602, 'No such device'), (-32602, BUSY)]
            t.make('a')
    with Target('v26.05') as t:
        assert t.outcomes(DELETE_STORE, t.create('a')) == [True, (-32602, 'No such device')]
        assert t.sim.call('bdev_lvol_get_lvstores') == []
    with Target('v23.01') as t:
        assert t.outcomes(DELETE_STORE, t.create('a')) == [(-32602, BUSY), (-32602, 'No such device')]


def many_creates_around_it():
    def requests(t):
        return [t.create(f'a{i}') for i in range(20)] + [DELETE_STORE] + [t.create(f'b{i}') for i in range(20)]
    with Target('v26.05') as t:
        assert t.outcomes(*requests(t)) == DIED
        t.sim.start()
        assert t.sim.call('sim_dump')['stores'][0]['lvols'] == []
    with Target('v23.01') as t:
        assert t.outcomes(*requests(t)) == [(-32602, 'No such device')] * 20 + [(-32602, BUSY)] + [(-32602, 'No such device')] * 20


def many_snapshots_and_deletes():
    names = [f'v{i}' for i in range(30)]

    def requests():
        return [snapshot('s' + n, n) for n in names] + [delete(n) for n in names]
    with Target('v26.05') as t:
        t.make(*names)
        assert t.outcomes(*requests()) == DIED
    with Target('v23.01') as t:
        t.make(*names)
        assert t.outcomes(*requests()) == [True] * 30 + [(-32603, BUSY)] * 30


def the_later_store_wins_the_drive():
    for version in VERSIONS:
        with Target(version) as t:
            both = [('bdev_lvol_create_lvstore', {'bdev_name': 'M', 'lvs_name': n}) for n in ('m1', 'm2')]
            assert t.outcomes(*both) == [(-32602, 'Operation not permitted'), True]
            assert t.sim.call('bdev_lvol_get_lvstores', lvs_name='m2')


def a_store_whose_esnap_parent_went():
    with Target('v26.05') as t:
        t.sim.call('bdev_malloc_create', name='m', num_blocks=8192, block_size=512)
        t.sim.call('bdev_lvol_clone_bdev', bdev='m', lvs_name='lvs0', clone_name='e')
        assert t.sim.bdev('m')['claim_type'] == 'read_many_write_none'
        assert t.outcomes(('bdev_malloc_delete', {'name': 'm'})) == [None]
        assert t.outcomes(DELETE_STORE) == DIED


def an_export_protects_nothing():
    """Risks 1 and 2: the delete works, the shrink cuts although it says it did not."""
    for version in VERSIONS:
        with Target(version) as t:
            t.make('a', 'b')
            t.sim.call('nvmf_create_subsystem', nqn='nqn.2016-06.io.spdk:x')
            for name in ('a', 'b'):
                t.sim.call('nvmf_subsystem_add_ns', nqn='nqn.2016-06.io.spdk:x', namespace={'bdev_name': 'lvs0/' + name})
            free = t.sim.free()
            assert t.outcomes(t.resize('a', 4)) == [(-32602, BUSY)]
            assert t.sim.free() == free + 1 and t.sim.bdev('lvs0/a')['num_blocks'] * 512 == 8 << 20
            assert t.outcomes(delete('b')) == [True]
            assert len(t.sim.call('nvmf_get_subsystems')[1]['namespaces']) == 1


run([the_second_is_refused, different_ones_all_work_and_are_counted, a_delete_overtakes_a_resize, a_store_deleted_among_creates,
     many_creates_around_it, many_snapshots_and_deletes, the_later_store_wins_the_drive, a_store_whose_esnap_parent_went,
     an_export_protects_nothing])
