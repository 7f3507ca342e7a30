"""Real bytes: what snapshots, clones and new lvols hold, and what survives kill -9."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
from dpusim import Sim, run

MIB = 1 << 20
CLUSTER = 4 * MIB


def text(word, size=4096):
    return (word * size)[:size].encode()


def expect(sim, bdev, offset, data):
    got = sim.read(bdev, offset, len(data))
    assert got == data, f'{bdev} at {offset}: {got[:20]!r} instead of {data[:20]!r}'


def prepared(sim, **keys):
    sim.drive()
    sim.store(**keys)


def snapshots_and_clones_share_and_part():
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v', 16, thin_provision=True)
        sim.write('lvs0/v', 0, text('old'))
        sim.write('lvs0/v', CLUSTER + 5, text('far'))
        sim.call('bdev_lvol_snapshot', lvol_name='lvs0/v', snapshot_name='s')
        sim.call('bdev_lvol_clone', snapshot_name='lvs0/s', clone_name='c')
        sim.write('lvs0/v', 100, text('new', 10))
        sim.write('lvs0/c', 200, text('cln', 10))
        old = text('old')
        expect(sim, 'lvs0/s', 0, old)
        expect(sim, 'lvs0/v', 0, old[:100] + text('new', 10) + old[110:])
        expect(sim, 'lvs0/c', 0, old[:200] + text('cln', 10) + old[210:])
        for name in ('v', 's', 'c'):
            expect(sim, 'lvs0/' + name, CLUSTER + 5, text('far'))
        assert sim.error('sim_write', bdev='lvs0/s', data='AAAA') == (-1, 'Operation not permitted')


def merging_a_snapshot_keeps_what_the_clone_sees():
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v', 16)
        for i, word in enumerate(('a', 'b', 'c', 'd')):
            sim.write('lvs0/v', i * CLUSTER, text(word))
        free = sim.free()
        sim.call('bdev_lvol_snapshot', lvol_name='lvs0/v', snapshot_name='s1')
        sim.write('lvs0/v', CLUSTER, text('B'))
        sim.call('bdev_lvol_snapshot', lvol_name='lvs0/v', snapshot_name='s2')
        sim.write('lvs0/v', 2 * CLUSTER, text('C'))
        assert sim.free() == free - 2
        sim.call('bdev_lvol_delete', name='lvs0/s1')
        expect(sim, 'lvs0/s2', 0, text('a') )
        expect(sim, 'lvs0/s2', CLUSTER, text('B'))
        sim.call('bdev_lvol_delete', name='lvs0/s2')
        for i, word in enumerate(('a', 'B', 'C', 'd')):
            expect(sim, 'lvs0/v', i * CLUSTER, text(word))
        assert sim.free() == free
        assert 'base_snapshot' not in sim.bdev('lvs0/v')['driver_specific']['lvol']


def inflate_and_decouple_change_no_byte():
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v', 16, thin_provision=True)
        sim.write('lvs0/v', 0, text('one'))
        sim.call('bdev_lvol_snapshot', lvol_name='lvs0/v', snapshot_name='s1')
        sim.write('lvs0/v', CLUSTER, text('two'))
        sim.call('bdev_lvol_snapshot', lvol_name='lvs0/v', snapshot_name='s2')
        for name in ('inflate', 'decouple_parent'):
            sim.call('bdev_lvol_clone', snapshot_name='lvs0/s2', clone_name=name)
            sim.call('bdev_lvol_' + name, name='lvs0/' + name)
            expect(sim, 'lvs0/' + name, 0, text('one'))
            expect(sim, 'lvs0/' + name, CLUSTER, text('two'))
            expect(sim, 'lvs0/' + name, 2 * CLUSTER, bytes(4096))
        shape = sim.bdev('lvs0/inflate')['driver_specific']['lvol']
        assert (shape['clone'], shape['thin_provision'], shape['num_allocated_clusters']) == (False, False, 4)
        shape = sim.bdev('lvs0/decouple_parent')['driver_specific']['lvol']
        assert (shape['base_snapshot'], shape['num_allocated_clusters']) == ('s1', 1)
        sim.call('bdev_lvol_delete', name='lvs0/inflate')


def secrets_left(sim, clear, **new):
    """How much of a deleted lvol's text a new one shows."""
    prepared_text = text('secret ', CLUSTER)
    sim.lvol('a', 8, **({'clear_method': clear} if clear else {}))
    sim.write('lvs0/a', 0, prepared_text)
    sim.call('bdev_lvol_delete', name='lvs0/a')
    sim.lvol('b', 8, **new)
    if new:
        assert b'secret' not in sim.read('lvs0/b', 0, CLUSTER), 'a thin lvol shows old data before it was written'
        sim.write('lvs0/b', 0, text('mine', 1024))
    left = sim.read('lvs0/b', 0, CLUSTER).count(b'secret')
    sim.call('bdev_lvol_delete', name='lvs0/b')
    return left


def deleted_data_shows_through():
    """Risk 14 of the recorded target."""
    with Sim() as sim:
        prepared(sim)
        for clear in (None, 'unmap', 'none'):
            assert secrets_left(sim, clear) > 500_000, clear
            assert secrets_left(sim, clear, thin_provision=True) > 500_000, clear


def write_zeroes_leaves_nothing():
    with Sim() as sim:
        prepared(sim)
        assert secrets_left(sim, 'write_zeroes') == 0
        assert secrets_left(sim, 'write_zeroes', thin_provision=True) == 0


def shrinking_clears_what_it_cuts_off():
    """As a delete does, in pieces: the way in which destroyed volumes are erased."""
    with Sim() as sim:
        prepared(sim)
        for clear, clean in (('write_zeroes', True), ('none', False)):
            sim.lvol('a', 8, clear_method=clear)
            for cluster in range(2):
                sim.write('lvs0/a', cluster * CLUSTER, text('secret ', CLUSTER))
            sim.call('bdev_lvol_resize', name='lvs0/a', size_in_mib=4)
            sim.lvol('b', 8)
            left = sum(sim.read('lvs0/b', at * CLUSTER, CLUSTER).count(b'secret') for at in range(2))
            assert (left == 0) == clean, (clear, left)
            for name in 'ab':
                sim.call('bdev_lvol_delete', name='lvs0/' + name)


def unmap_zeroes_only_where_the_drive_does():
    with Sim('--drive', 'name=Z,size=1GiB,unmap=zeroes', '--drive', 'name=K,size=1GiB') as sim:
        sim.store(bdev='Z')
        assert secrets_left(sim, None) == 0
        assert secrets_left(sim, 'none') > 500_000
        sim.call('bdev_lvol_delete_lvstore', lvs_name='lvs0')
        sim.store(bdev='K')
        assert secrets_left(sim, None) > 500_000


def shrinking_frees_and_growing_reads():
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v', 16)
        free = sim.free()
        sim.call('bdev_lvol_resize', name='lvs0/v', size_in_mib=8)
        assert sim.free() == free + 2 and sim.bdev('lvs0/v')['num_blocks'] * 4096 == 8 * MIB
        assert sim.error('sim_read', bdev='lvs0/v', offset=8 * MIB, length=1)[0] == -22
        sim.call('bdev_lvol_resize', name='lvs0/v', size_in_mib=20)
        sim.write('lvs0/v', 20 * MIB - 4096, text('end'))
        expect(sim, 'lvs0/v', 20 * MIB - 4096, text('end'))


def a_full_thin_store_refuses_writes():
    with Sim() as sim:
        sim.drive(mib=128)
        sim.store()
        sim.lvol('v', 1024, thin_provision=True)
        for i in range(31):
            sim.write('lvs0/v', i * CLUSTER, b'x')
        assert sim.error('sim_write', bdev='lvs0/v', offset=31 * CLUSTER, data='eA==') == (-28, 'No space left on device')
        assert sim.free() == 0
        sim.write('lvs0/v', 0, b'still')


def truth(sim):
    dump = sim.call('sim_dump')
    return dump['stores']


def kill_after_every_change():
    """Whatever was answered is there after kill -9, byte for byte, under any bdev name."""
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v', 16, thin_provision=True)
        steps = [lambda: sim.write('lvs0/v', 0, text('first')),
                 lambda: sim.call('bdev_lvol_snapshot', lvol_name='lvs0/v', snapshot_name='s'),
                 lambda: sim.write('lvs0/v', 10, text('second', 100)),
                 lambda: sim.call('bdev_lvol_clone', snapshot_name='lvs0/s', clone_name='c'),
                 lambda: sim.call('bdev_lvol_rename', old_name='lvs0/c', new_name='kopie/é'),
                 lambda: sim.call('bdev_lvol_resize', name='lvs0/kopie/é', size_in_mib=40),
                 lambda: sim.lvol('thick', 12),
                 lambda: sim.call('bdev_lvol_set_read_only', name='lvs0/thick'),
                 lambda: sim.call('bdev_lvol_inflate', name='lvs0/kopie/é'),
                 lambda: sim.call('bdev_lvol_delete', name='lvs0/s'),
                 lambda: sim.call('bdev_lvol_rename_lvstore', old_name='lvs0', new_name='lvs0'[:3] + '1')]
        for number, step in enumerate(steps):
            step()
            before = truth(sim)
            sim.restart()
            assert truth(sim) == []
            name = f'drive-{number}'
            sim.call('bdev_aio_create', name=name, filename=sim.path('d0.img'), block_size=4096)
            for store in before:
                store['base_bdev'] = name
            assert truth(sim) == before, number
        expect(sim, 'lvs1/v', 0, text('first')[:10] + text('second', 100) + text('first')[110:])
        expect(sim, 'lvs1/kopie/é', 0, text('first'))


def a_torn_line_never_happened():
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v')
        sim.kill()
        folder = sim.path('state/stores')
        journal = os.path.join(folder, os.listdir(folder)[0])
        whole = open(journal, 'rb').read()
        last = whole.rstrip(b'\n').rfind(b'\n') + 1
        for cut in (last + 1, len(whole) - 1, last + 20):
            with open(journal, 'wb') as file:
                file.write(whole[:cut])
            sim.start()
            sim.drive()
            assert truth(sim)[0]['lvols'] == []
            sim.kill()
        sim.start()


def a_copy_of_a_drive_is_not_imported():
    with Sim() as sim:
        prepared(sim)
        sim.lvol('v')
        with open(sim.path('d0.img'), 'rb') as source, open(sim.path('d1.img'), 'wb') as copy:
            copy.write(source.read(MIB))
        sim.drive('d1')
        assert [s['base_bdev'] for s in truth(sim)] == ['d0']


def exports_limits_and_declarations_do_not_survive():
    with Sim('--drive', 'name=N,size=1GiB,serial=S1,model=M1') as sim:
        sim.store(bdev='N')
        sim.lvol('v')
        sim.call('nvmf_create_subsystem', nqn='nqn.2016-06.io.spdk:a')
        sim.call('nvmf_subsystem_add_ns', nqn='nqn.2016-06.io.spdk:a', namespace={'bdev_name': 'lvs0/v'})
        sim.call('bdev_set_qos_limit', name='lvs0/v', rw_ios_per_sec=1)
        assert sim.bdev('lvs0/v')['assigned_rate_limits']['rw_ios_per_sec'] == 1000
        sim.call('bdev_malloc_create', name='m', num_blocks=100, block_size=512)
        before = sim.bdev('N')
        sim.arguments = [a for a in sim.arguments if 'name=N' not in a and a != '--drive']  # it is remembered
        sim.restart()
        assert sim.bdev('N') == before and before['driver_specific']['nvme'][0]['ctrlr_data']['serial_number'] == 'S1'
        dump = sim.call('sim_dump')
        assert (dump['nvmf'], dump['limits'], len(dump['stores'][0]['lvols'])) == ([], {}, 1)
        assert sim.error('bdev_get_bdevs', name='m')[0] == -19


def arrays_hold_their_data():
    for level, strip, bases in (('raid0', 64, 3), ('raid1', 0, 2), ('concat', 64, 2), ('raid5f', 64, 4)):
        with Sim() as sim:
            names = [sim.drive(f'd{i}', 32) for i in range(bases)]
            sim.call('bdev_raid_create', name='r', raid_level=level, base_bdevs=names, **({'strip_size_kb': strip} if strip else {}))
            size = sim.bdev('r')['num_blocks'] * 4096
            assert size == 32 * MIB * {'raid0': 3, 'raid1': 1, 'concat': 2, 'raid5f': 3}[level]
            places = list(range(0, size - 200_000, 4 * MIB + 12_345)) + [size - 150_000]
            for at in places:
                sim.write('r', at, text(f'{at} ', 150_000))
            for at in places:
                expect(sim, 'r', at, text(f'{at} ', 150_000))
            sim.restart()
            for name in names:
                sim.drive(name, 32)
            sim.call('bdev_raid_create', name='again', raid_level=level, base_bdevs=names, **({'strip_size_kb': strip} if strip else {}))
            expect(sim, 'again', places[2], text(f'{places[2]} ', 150_000))


def a_mirror_degrades_and_rebuilds():
    with Sim() as sim:
        sim.drive('a', 64, uuid='11111111-2222-4333-8444-000000000001')
        sim.drive('b', 64, uuid='11111111-2222-4333-8444-000000000002')
        sim.call('bdev_raid_create', name='r', raid_level='raid1', base_bdevs=['a', 'b'], superblock=True)
        sim.write('r', 5000, text('both'))
        sim.call('bdev_raid_remove_base_bdev', name='a')
        assert sim.bdev('r')['driver_specific']['raid']['num_base_bdevs_discovered'] == 1
        sim.write('r', 5000, text('alone'))
        expect(sim, 'r', 5000, text('alone'))
        sim.call('bdev_raid_add_base_bdev', raid_bdev='r', base_bdev='a')
        sim.call('bdev_raid_remove_base_bdev', name='b')
        expect(sim, 'r', 5000, text('alone'))
        assert sim.call('bdev_raid_get_bdevs', category='online')[0]['num_base_bdevs_discovered'] == 1


def a_pulled_drive_deletes_no_array():
    with Sim() as sim:
        names = [sim.drive(n, 64, uuid=f'11111111-2222-4333-8444-00000000000{i}') for i, n in enumerate('ab')]
        sim.call('bdev_raid_create', name='r', raid_level='raid0', strip_size_kb=64, base_bdevs=names, superblock=True)
        sim.write('r', 100_000, text('striped'))
        sim.call('bdev_aio_delete', name='a')
        assert sim.error('bdev_get_bdevs', name='r')[0] == -19
        sim.call('bdev_aio_delete', name='b')
        for i, name in enumerate('xy'):
            sim.call('bdev_aio_create', name=name, filename=sim.path('ab'[i] + '.img'), block_size=4096, uuid=f'11111111-2222-4333-8444-00000000000{i}')
        expect(sim, 'r', 100_000, text('striped'))


def thousands_of_lvols():
    """The state grows by a line a change; the list stays quick; a restart brings all of them back."""
    count = 3000
    with Sim('--drive', 'name=N,size=64GiB') as sim:
        sim.store(bdev='N', cluster_sz=MIB)
        connection = sim.connect()
        for start in range(0, count, 100):  # waits for each: a client that overlapped them would be wrong
            for i in range(start, start + 100):
                connection.call('bdev_lvol_create', {'lvs_name': 'lvs0', 'lvol_name': f'v{i}', 'size_in_mib': 1 << 20, 'thin_provision': True})
        for i in range(0, count, 3):
            connection.call('bdev_lvol_delete', {'name': f'lvs0/v{i}'})
        assert sim.call('sim_dump')['counters']['overlapping_mutations'] == 0
        sim.restart()
        assert len(sim.call('bdev_lvol_get_lvols', lvs_name='lvs0')) == count - count // 3
        assert len(sim.call('bdev_get_bdevs')) == count - count // 3 + 1


run([snapshots_and_clones_share_and_part, merging_a_snapshot_keeps_what_the_clone_sees, inflate_and_decouple_change_no_byte,
     deleted_data_shows_through, write_zeroes_leaves_nothing, shrinking_clears_what_it_cuts_off,
     unmap_zeroes_only_where_the_drive_does,
     shrinking_frees_and_growing_reads, a_full_thin_store_refuses_writes, kill_after_every_change, a_torn_line_never_happened,
     a_copy_of_a_drive_is_not_imported, exports_limits_and_declarations_do_not_survive, arrays_hold_their_data,
     a_mirror_degrades_and_rebuilds, a_pulled_drive_deletes_no_array, thousands_of_lvols])
