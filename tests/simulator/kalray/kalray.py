"""The simulator as a Kalray card: the public capture of a K200, functions by name, and what HTTP can do wrong."""
import base64
import json
import os
import shutil
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
from dpusim import SOURCE, Sim, run

MIB = 1 << 20
SLOTS = {'volume_09': '04:00.2', 'volume_10': '04:00.3', 'volume_11': '04:00.4', 'volume_12': '04:00.5'}


def recorded():
    with open(os.path.join(SOURCE, 'tests/data/kalray/k200.jsonl'), encoding='utf-8') as file:
        return [json.loads(line) for line in file]


class Card:
    """A simulator with the drives of the capture, a fake PCI tree, and HTTP."""

    def __init__(self, *arguments):
        self.folder = tempfile.mkdtemp(prefix='dpusim-')
        self.root = os.path.join(self.folder, 'host')
        with open(os.path.join(self.folder, 'auth'), 'w', encoding='utf-8') as file:
            file.write('user:pass\n')
        options = []
        for bdev in recorded()[0]['result']:
            data = bdev['driver_specific']['nvme'][0]['ctrlr_data']
            size = bdev['block_size'] * bdev['num_blocks']
            options += ['--drive', f"name={bdev['name']},size={size},serial={data['serial_number']},"
                        f"model={data['model_number']}"]
        self.sim = Sim('--sysfs', self.root, '--http', '127.0.0.1:0', '--auth-file', os.path.join(self.folder, 'auth'),
                       *options, *arguments, profile='kalray', folder=self.folder)
        self.call, self.error = self.sim.call, self.sim.error
        self.drives = [b['name'] for b in recorded()[0]['result']]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sim.close()
        shutil.rmtree(self.folder)

    def store(self):
        self.call('bdev_lvol_create_lvstore', bdev_name=self.drives[0], lvs_name='lvs', cluster_sz=MIB)

    def lvol(self, name, mib=8):
        return self.call('bdev_lvol_create', lvol_name=name, size=mib * MIB, lvs_name='lvs', thin_provision=True)

    def namespace(self, slot):
        """What the host sees on that slot's function."""
        path = f'{self.root}/sys/bus/pci/devices/0000:{SLOTS[slot]}/namespaces/1'
        if not os.path.exists(path):
            return None
        with open(path, encoding='utf-8') as file:
            return json.load(file)

    def shown(self):
        return {s['name']: s['bdev'] for s in self.call('sim_dump')['slots'] if s['bdev']}

    def post(self, method, params=None, auth='user:pass'):
        request = {'jsonrpc': '2.0', 'id': 7, 'method': method}
        if params:
            request['params'] = params
        body = json.dumps(request).encode()
        head = (f'POST / HTTP/1.1\r\nAuthorization: Basic {base64.b64encode(auth.encode()).decode()}\r\n'
                f'Content-Length: {len(body)}\r\n\r\n').encode()
        port = int(self.sim.ready[-1].rsplit(':', 1)[1])
        with socket.create_connection(('127.0.0.1', port), 30) as connection:
            connection.sendall(head + body)
            out = b''
            while piece := connection.recv(1 << 16):
                out += piece
        return out


def covers(mine, real, where='result'):
    """Every recorded member is there, of its type. The simulated SPDK is newer and may say more."""
    assert isinstance(mine, type(real)), (where, mine, real)
    if isinstance(real, dict):
        for key, value in real.items():
            assert key in mine, (where, key)
            covers(mine[key], value, f'{where}.{key}')
    if isinstance(real, list):
        assert len(mine) == len(real), (where, mine, real)
        for one, other in zip(mine, real):
            covers(one, other, where + '[]')


def the_k200s_capture_is_answered_alike():
    with Card() as card:
        for line in recorded():
            answer = card.call(line['method'], line['params'] or None)
            covers(answer, line['result'])
            if line['method'] == 'bdev_get_bdevs':
                assert card.call('bdev_raid_create', name='raid0', raid_level='raid0', base_bdevs=card.drives,
                                 strip_size_kb=128, persist=True, split_dp=True) is True
                for mine, real in zip(answer, line['result']):
                    for key in ('name', 'block_size', 'num_blocks', 'product_name', 'aliases'):
                        assert mine[key] == real[key], (key, mine[key], real[key])
            if line['method'] == 'bdev_raid_get_bdevs':
                assert answer == line['result']
            if line['method'] == 'bdev_lvol_get_lvstores':
                mine, real = answer[0], line['result'][0]
                for key in ('name', 'passive', 'base_bdev', 'block_size', 'cluster_size'):
                    assert mine[key] == real[key], key
                assert abs(mine['total_data_clusters'] - real['total_data_clusters']) <= 298, mine  # 1 %


def it_lists_only_what_it_has():
    with Card() as card:
        methods = card.call('rpc_get_methods')
        for name in ('bdev_get_bdevs', 'bdev_lvol_create', 'bdev_lvol_rename', 'bdev_raid_create', 'spdk_get_version'):
            assert name in methods, name
        for name in methods:
            assert not name.startswith(('nvmf_', 'bdev_nvme_', 'nvme_', 'emulation_', 'sim_')), name
        assert 'bdev_lvol_get_lvols' not in methods
        assert card.error('nvmf_get_subsystems')[0] == -32601
        # As v23.01 recorded it: that version knows `size` only.
        assert card.error('bdev_lvol_create', lvol_name='a', size_in_mib=8, lvs_name='lvs')[0] == -32603


def a_name_is_a_function():
    with Card() as card:
        assert all(card.namespace(slot) is None for slot in SLOTS)
        card.store()
        uuid = card.lvol('mine')
        assert card.shown() == {}
        card.call('bdev_lvol_rename', old_name=uuid, new_name='volume_10')
        assert card.shown() == {'volume_10': uuid}
        seen = card.namespace('volume_10')
        assert (seen['uuid'], seen['size'], seen['nsid']) == (uuid, 8 * MIB, 1), seen
        assert card.sim.bdev(uuid)['claimed'] is True
        card.call('bdev_lvol_resize', name=uuid, size=16 * MIB)
        assert card.namespace('volume_10')['size'] == 16 * MIB
        card.call('bdev_lvol_rename', old_name=uuid, new_name='volume_12')
        assert card.shown() == {'volume_12': uuid} and card.namespace('volume_10') is None
        card.sim.restart()
        assert card.shown() == {'volume_12': uuid} and card.namespace('volume_12')['uuid'] == uuid
        card.call('bdev_lvol_rename', old_name=uuid, new_name='mine')
        assert card.shown() == {} and card.namespace('volume_12') is None
        assert card.sim.bdev(uuid)['claimed'] is False
        other = card.lvol('volume_09')
        assert card.shown() == {'volume_09': other}
        card.call('bdev_lvol_delete', name=other)
        assert card.shown() == {} and card.namespace('volume_09') is None


def a_name_in_another_store_is_none():
    with Card() as card:
        card.store()
        card.call('bdev_lvol_create_lvstore', bdev_name=card.drives[1], lvs_name='other', cluster_sz=MIB)
        card.call('bdev_lvol_create', lvol_name='volume_09', size=8 * MIB, lvs_name='other')
        assert card.shown() == {}


def bound_at_creation_it_stays():
    with Card('--binding', 'creation') as card:
        card.store()
        uuid = card.lvol('volume_09')
        assert card.shown() == {'volume_09': uuid}
        card.call('bdev_lvol_rename', old_name=uuid, new_name='other')
        assert card.shown() == {'volume_09': uuid} and card.namespace('volume_09')['uuid'] == uuid
        late = card.lvol('late')
        card.call('bdev_lvol_rename', old_name=late, new_name='volume_10')
        assert card.shown() == {'volume_09': uuid} and card.namespace('volume_10') is None
        card.sim.restart()
        assert card.shown() == {'volume_09': uuid}
        card.call('bdev_lvol_delete', name=uuid)
        assert card.shown() == {} and card.namespace('volume_09') is None


def its_slots_can_be_others():
    with Card('--slots', 'disk_a=04:00.2,disk_b=04:00.3') as card:
        card.store()
        card.lvol('volume_09')
        uuid = card.lvol('disk_b')
        assert card.shown() == {'disk_b': uuid}


def http_fails_on_demand():
    with Card() as card:
        card.store()
        made = []

        def create(name, action, times=1):
            card.call('sim_fault_add', method='bdev_lvol_create', action=action, times=times)
            made.append(name)
            return card.post('bdev_lvol_create', {'lvol_name': name, 'size': MIB, 'lvs_name': 'lvs'})

        def exists(name):
            return name in [lvol['name'] for store in card.call('sim_dump')['stores'] for lvol in store['lvols']]

        assert create('a', 'status_401').startswith(b'HTTP/1.0 401') and not exists('a')
        assert create('b', 'status_500').startswith(b'HTTP/1.0 500') and exists('b')
        assert create('c', 'drop_before') == b'' and not exists('c')
        assert create('d', 'drop_after') == b'' and exists('d')
        chunked = create('e', 'chunked')
        assert chunked.startswith(b'HTTP/1.1 200') and b'chunked' in chunked and chunked.endswith(b'0\r\n\r\n') and exists('e')
        large = create('f', 'large')
        body = json.loads(large.partition(b'\r\n\r\n')[2])
        assert len(large) > 5 * MIB and 'result' in body and exists('f')
        half = create('g', 'half_frame').partition(b'\r\n\r\n')[2]
        assert half.startswith(b'{"jsonrpc"') and not half.rstrip().endswith(b'}') and exists('g')
        assert card.post('spdk_get_version', auth='user:nope').startswith(b'HTTP/1.0 401')


def a_client_that_hangs_up_frees_the_card():
    with Card() as card:
        card.call('sim_fault_add', method='spdk_get_version', action='never')
        body = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'spdk_get_version'}).encode()
        head = (f'POST / HTTP/1.1\r\nAuthorization: Basic {base64.b64encode(b"user:pass").decode()}\r\n'
                f'Content-Length: {len(body)}\r\n\r\n').encode()
        port = int(card.sim.ready[-1].rsplit(':', 1)[1])
        with socket.create_connection(('127.0.0.1', port), 30) as connection:
            connection.sendall(head + body)
            while not card.call('sim_dump')['counters']['calls'].get('spdk_get_version'):
                pass
        assert card.post('spdk_get_version').startswith(b'HTTP/1.0 200')


run([the_k200s_capture_is_answered_alike, it_lists_only_what_it_has, a_name_is_a_function, a_name_in_another_store_is_none,
     bound_at_creation_it_stays, its_slots_can_be_others, http_fails_on_demand, a_client_that_hangs_up_frees_the_card])
