"""Functions, namespaces, the fake PCI tree, and the data behind them."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
import nbd
from dpusim import Sim, run
from nbd import Nbd, NbdError

NQN = 'nqn.2022-10.io.nvda.nvme:test-0'
MIB = 1 << 20


class Card:
    def __init__(self, *arguments):
        import tempfile
        self.folder = tempfile.mkdtemp(prefix='dpusim-')
        self.sim = Sim('--drive', 'name=N,size=1GiB', '--sysfs', os.path.join(self.folder, 'host'), '--nbd-dir',
                       os.path.join(self.folder, 'nbd'), *arguments, folder=self.folder)
        self.devices = os.path.join(self.folder, 'host/sys/bus/pci/devices')
        if not self.sim.call('bdev_lvol_get_lvstores'):
            self.sim.store(bdev='N')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        import shutil
        self.sim.close()
        shutil.rmtree(self.folder)

    def functions(self):
        listed = self.sim.call('emulation_function_list', all=True)
        return listed + [vf for f in listed for vf in f['vfs']]

    def function(self, vuid):
        return next(f for f in self.functions() if f['vuid'] == vuid)

    def volume(self, name='v', nqn=NQN, nsid=1):
        uuid = self.sim.lvol(name)
        if not any(s['nqn'] == nqn for s in self.sim.call('nvme_subsystem_list')):
            self.sim.call('nvme_subsystem_create', nqn=nqn, sn='SERIAL1', mn='Model')
        self.sim.call('nvme_namespace_create', bdev_type='spdk', nqn=nqn, nsid=nsid, uuid=uuid, bdev_name=uuid)
        return uuid

    def expose(self, function, nqn=NQN, nsid=1):
        where = {'pci_bdf': function['pci_bdf']} if function['pci_bdf'] != '00:00.0' else {'vuid': function['vuid']}
        controller = self.sim.call('nvme_controller_create', nqn=nqn, suspended=True, **where)['ctrl_id']
        self.sim.call('nvme_controller_attach_ns', nsid=nsid, ctrl_id=controller)
        self.sim.call('nvme_controller_resume', ctrl_id=controller)
        return controller

    def plugged(self):
        return sorted(os.listdir(self.devices))

    def file(self, bdf, name):
        with open(os.path.join(self.devices, '0000:' + bdf, name), encoding='utf-8') as file:
            return file.read()


def static_functions_are_listed():
    with Card('--vfs', '10') as card:
        pf, = card.sim.call('emulation_function_list', all=True)
        assert (pf['pci_bdf'], pf['hotplugged'], len(pf['vfs'])) == ('26:00.2', False, 10)
        assert len({f['vuid'] for f in card.functions()}) == len({f['pci_bdf'] for f in card.functions()}) == 11
        assert [vf['vf_index'] for vf in pf['vfs']] == list(range(10)) and 'ctrl_id' not in pf['vfs'][0]
        assert card.plugged() == []


def a_virtual_function_from_birth_to_end():
    with Card() as card:
        sim, uuid = card.sim, card.volume()
        vf = card.sim.call('emulation_function_list')[0]['vfs'][1]
        controller = sim.call('nvme_controller_create', nqn=NQN, suspended=True, pci_bdf=vf['pci_bdf'])['ctrl_id']
        sim.call('nvme_controller_attach_ns', nsid=1, ctrl_id=controller)
        assert card.plugged() == []  # suspended: the host sees nothing
        sim.call('nvme_controller_resume', ctrl_id=controller)
        assert card.plugged() == ['0000:' + vf['pci_bdf']]
        assert (card.file(vf['pci_bdf'], 'vendor'), card.file(vf['pci_bdf'], 'class')) == ('0x15b3\n', '0x010802\n')
        assert (card.file(vf['pci_bdf'], 'serial'), card.file(vf['pci_bdf'], 'driver_override')) == ('SERIAL1\n', '(null)\n')
        seen = json.loads(card.file(vf['pci_bdf'], 'namespaces/1'))
        assert (seen['nsid'], seen['uuid'], seen['size']) == (1, uuid, 16 * MIB)
        client = Nbd(seen['nbd'])
        client.write(5, b'from the guest')
        assert sim.read('lvs0/v', 5, 14) == b'from the guest'
        sim.call('bdev_lvol_resize', name='lvs0/v', size_in_mib=24)
        assert json.loads(card.file(vf['pci_bdf'], 'namespaces/1'))['size'] == 24 * MIB
        listed = sim.call('nvme_subsystem_list')[0]
        assert listed['controllers'][0]['state'] == 'STARTED' and listed['controllers'][0]['namespaces'][0]['uuid'] == uuid
        sim.call('nvme_controller_detach_ns', nsid=1, ctrl_id=controller)
        assert os.listdir(os.path.join(card.devices, '0000:' + vf['pci_bdf'], 'namespaces')) == [] and not os.path.exists(seen['nbd'])
        sim.call('nvme_controller_destroy', ctrl_id=controller, force=True)
        assert card.plugged() == []
        sim.call('nvme_namespace_destroy', nqn=NQN, nsid=1)
        assert sim.bdev('lvs0/v')['claimed'] is False
        sim.call('nvme_subsystem_destroy', nqn=NQN)
        assert sim.call('nvme_subsystem_list') == []


def a_hot_plugged_function():
    with Card('--hotplug', '2') as card:
        sim = card.sim
        card.volume()
        made = sim.call('nvme_function_create')
        assert card.function(made['vuid'])['pci_bdf'] == '00:00.0'
        controller = card.expose({'pci_bdf': '00:00.0', **made})
        assert card.plugged() == []
        sim.call('nvme_controller_hotplug', ctrl_id=controller, wait_for_done=True)
        bdf = card.function(made['vuid'])['pci_bdf']
        assert card.plugged() == ['0000:' + bdf] and card.function(made['vuid'])['ctrl_id'] == controller
        assert sim.error('nvme_controller_hotplug', ctrl_id=controller)[0] == -17
        assert sim.error('nvme_function_destroy', vuid=made['vuid'])[0] == -16
        assert sim.error('nvme_controller_destroy', ctrl_id=controller)[0] == -16
        sim.call('nvme_controller_hotunplug', ctrl_id=controller, wait_for_done=True)
        assert card.plugged() == [] and card.function(made['vuid'])['pci_bdf'] == '00:00.0'
        sim.call('nvme_controller_detach_ns', nsid=1, ctrl_id=controller)
        sim.call('nvme_controller_destroy', ctrl_id=controller)
        sim.call('nvme_function_destroy', vuid=made['vuid'])
        assert len(card.functions()) == 5
        sim.call('nvme_function_create')
        sim.call('nvme_function_create')
        assert sim.error('nvme_function_create') == (-28, 'No space left on device')


def addresses_are_used_again():
    with Card() as card:
        card.volume()
        card.sim.call('nvme_subsystem_create', nqn=NQN + 'b')
        seen = []
        for _ in range(2):
            made = card.sim.call('nvme_function_create')
            controller = card.sim.call('nvme_controller_create', nqn=NQN + 'b', vuid=made['vuid'])['ctrl_id']
            card.sim.call('nvme_controller_hotplug', ctrl_id=controller, wait_for_done=True)
            seen.append(card.function(made['vuid'])['pci_bdf'])
            card.sim.call('nvme_controller_hotunplug', ctrl_id=controller, wait_for_done=True)
            card.sim.call('nvme_controller_destroy', ctrl_id=controller)
        assert seen[0] == seen[1]


def without_waiting_the_host_learns_later():
    with Card() as card:
        made = card.sim.call('nvme_function_create')
        card.sim.call('nvme_subsystem_create', nqn=NQN)
        controller = card.sim.call('nvme_controller_create', nqn=NQN, vuid=made['vuid'])['ctrl_id']
        card.sim.call('sim_latency', method='nvme_controller_hotplug', ms=50)
        card.sim.call('nvme_controller_hotplug', ctrl_id=controller)
        assert card.function(made['vuid'])['pci_bdf'] == '00:00.0'
        while card.function(made['vuid'])['pci_bdf'] == '00:00.0':
            pass
        assert len(card.plugged()) == 1


def a_restart_keeps_what_is_plugged():
    with Card() as card:
        card.volume()
        made = card.sim.call('nvme_function_create')
        controller = card.expose({'pci_bdf': '00:00.0', **made})
        card.sim.call('nvme_controller_hotplug', ctrl_id=controller, wait_for_done=True)
        card.volume('w', NQN + 'w')
        card.expose(card.sim.call('emulation_function_list')[0]['vfs'][0], NQN + 'w')
        bdf = card.function(made['vuid'])['pci_bdf']
        assert len(card.plugged()) == 2
        bound = os.path.join(card.devices, '0000:' + bdf, 'driver')
        os.symlink('../../drivers/pciback', bound)
        card.sim.restart()
        assert card.plugged() == ['0000:' + bdf] and os.path.islink(bound)
        assert os.listdir(os.path.join(card.devices, '0000:' + bdf, 'namespaces')) == []
        assert card.sim.call('nvme_subsystem_list') == card.sim.call('nvme_controller_list') == []
        function = card.function(made['vuid'])
        assert function['pci_bdf'] == bdf and 'ctrl_id' not in function
        uuid = card.sim.bdev('lvs0/v')['uuid']
        card.sim.call('nvme_subsystem_create', nqn=NQN, sn='SERIAL1')
        card.sim.call('nvme_namespace_create', nqn=NQN, nsid=1, bdev_name=uuid)
        card.expose(function)
        assert json.loads(card.file(bdf, 'namespaces/1'))['uuid'] == uuid


def refusals():
    with Card() as card:
        sim, uuid = card.sim, card.volume()
        vfs = sim.call('emulation_function_list')[0]['vfs']
        controller = card.expose(vfs[0])
        for code, method, params in (
                (-17, 'nvme_subsystem_create', {'nqn': NQN}), (-22, 'nvme_subsystem_create', {'nqn': 'bad'}),
                (-22, 'nvme_subsystem_create', {'nqn': NQN + 'x', 'sn': 'x' * 21}),
                (-16, 'nvme_subsystem_destroy', {'nqn': NQN}), (-19, 'nvme_subsystem_destroy', {'nqn': 'nqn.no'}),
                (-16, 'nvme_subsystem_destroy', {'nqn': NQN, 'force': True}),
                (-16, 'nvme_namespace_create', {'nqn': NQN, 'nsid': 2, 'bdev_name': uuid}),
                (-17, 'nvme_namespace_create', {'nqn': NQN, 'nsid': 1, 'bdev_name': 'N'}),
                (-19, 'nvme_namespace_create', {'nqn': NQN, 'nsid': 2, 'bdev_name': 'nope'}),
                (-22, 'nvme_namespace_create', {'nqn': NQN, 'nsid': 0, 'bdev_name': 'N'}),
                (-16, 'nvme_namespace_destroy', {'nqn': NQN, 'nsid': 1}), (-19, 'nvme_namespace_destroy', {'nqn': NQN, 'nsid': 9}),
                (-17, 'nvme_controller_create', {'nqn': NQN, 'pci_bdf': vfs[0]['pci_bdf']}),
                (-19, 'nvme_controller_create', {'nqn': NQN, 'pci_bdf': '00:00.0'}),
                (-19, 'nvme_controller_create', {'nqn': NQN}), (-19, 'nvme_controller_create', {'nqn': 'nqn.no', 'vuid': vfs[1]['vuid']}),
                (-19, 'nvme_controller_create', {'nqn': NQN, 'vuid': vfs[1]['vuid'], 'pci_bdf': vfs[1]['pci_bdf']}),
                (-17, 'nvme_controller_attach_ns', {'ctrl_id': controller, 'nsid': 1}),
                (-19, 'nvme_controller_attach_ns', {'ctrl_id': controller, 'nsid': 5}),
                (-16, 'nvme_controller_destroy', {'ctrl_id': controller}), (-19, 'nvme_controller_destroy', {'ctrl_id': 'nope'}),
                (-1, 'nvme_controller_hotplug', {'ctrl_id': controller}), (-1, 'nvme_function_destroy', {'vuid': vfs[0]['vuid']}),
                (-19, 'nvme_function_destroy', {'vuid': 'nope'}), (-32602, 'nvme_function_destroy', {'id': 'nope'})):
            assert sim.error(method, params)[0] == code, (method, params)
        other = sim.call('nvme_controller_create', nqn=NQN, vuid=vfs[1]['vuid'], ctrl='Mine')
        assert other == {'ctrl_id': 'Mine'}
        assert sim.error('nvme_controller_attach_ns', ctrl_id='Mine', nsid=1)[0] == -16  # shared namespaces do not exist


def a_deleted_volume_leaves_a_dead_namespace():
    with Card() as card:
        card.volume()
        vf = card.sim.call('emulation_function_list')[0]['vfs'][0]
        card.expose(vf)
        client = Nbd(json.loads(card.file(vf['pci_bdf'], 'namespaces/1'))['nbd'])
        card.sim.call('bdev_lvol_delete', name='lvs0/v')
        assert card.sim.call('nvme_namespace_list')[0]['ready'] == 'No'
        assert os.listdir(os.path.join(card.devices, '0000:' + vf['pci_bdf'], 'namespaces')) == []
        try:
            client.read(0, 512)
            raise AssertionError('the data of a deleted volume can be read')
        except (EOFError, ConnectionError):
            pass


def the_nbd_server_knows_its_protocol():
    with Card() as card:
        sim = card.sim
        uuid = sim.lvol('v')
        sim.call('nvmf_create_subsystem', nqn='nqn.2016-06.io.spdk:n')
        sim.call('nvmf_subsystem_add_ns', nqn='nqn.2016-06.io.spdk:n', namespace={'bdev_name': 'lvs0/v'})
        path = os.path.join(card.folder, 'nbd', uuid + '.sock')
        assert os.stat(path).st_mode & 0o777 == 0o600
        for option in (nbd.GO, nbd.EXPORT_NAME):
            client = Nbd(path, option)
            assert client.size == 16 * MIB and client.flags & 4
            client.write(0, b'x' * 8192)
            assert client.read(4096, 8192) == b'x' * 4096 + bytes(4096)
            client.command(nbd.WRITE_ZEROES, 0, 8192)
            assert client.read(0, 8192) == bytes(8192)
            client.command(nbd.FLUSH)
            client.command(nbd.TRIM, 0, 4096)
            for kind, code in ((nbd.READ, 22), (nbd.TRIM, 28)):
                try:
                    client.command(kind, 16 * MIB - 10, 20)
                    raise AssertionError(f'{kind} beyond the end worked')
                except NbdError as e:
                    assert e.args[0] == code
            client.close()
        client = Nbd(path, option=None)
        assert client.options(99)[-1][0] == 0x80000001
        assert client.options(nbd.GO, b'')[-1][0] == 0x80000003
        assert client.options(nbd.LIST)[0][1][4:].decode() == uuid
        assert client.options(nbd.ABORT)[-1][0] == 1
        stats = sim.call('bdev_get_iostat', names=[uuid])['bdevs'][0]
        assert stats['num_write_ops'] == 4 and stats['num_unmap_ops'] == 2 and stats['bytes_read'] == 4 * 8192
        sim.call('nvmf_subsystem_remove_ns', nqn='nqn.2016-06.io.spdk:n', nsid=1)
        assert not os.path.exists(path)


def broken_clients_hurt_nobody():
    with Card() as card:
        card.volume()
        vf = card.sim.call('emulation_function_list')[0]['vfs'][0]
        card.expose(vf)
        path = json.loads(card.file(vf['pci_bdf'], 'namespaces/1'))['nbd']
        for junk in (b'', b'GET / HTTP/1.0\r\n\r\n' * 3, b'\0\0\0\3' + b'IHAVEOPT' + b'\0\0\0\7' + b'\xff' * 4, b'\0\0\0\3' + b'x' * 64):
            client = Nbd(path, option=None)
            client.socket.sendall(junk)
            client.close()
        good = Nbd(path)
        good.socket.sendall(b'\x25\x60\x95\x13' + bytes(20) + b'\xff\xff\xff\xff')  # a read of 4 GiB
        try:
            good.receive(16)
            raise AssertionError('a read of 4 GiB was answered')
        except (EOFError, ConnectionError):
            pass
        assert Nbd(path).size == 16 * MIB


def snap_can_be_switched_off():
    with Card('--snap', 'off') as card:
        assert card.sim.error('emulation_function_list') == (-32601, 'Method not found')


run([static_functions_are_listed, a_virtual_function_from_birth_to_end, a_hot_plugged_function, addresses_are_used_again,
     without_waiting_the_host_learns_later, a_restart_keeps_what_is_plugged, refusals, a_deleted_volume_leaves_a_dead_namespace,
     the_nbd_server_knows_its_protocol, broken_clients_hurt_nobody, snap_can_be_switched_off])
