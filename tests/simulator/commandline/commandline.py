"""How the program starts, refuses to start, and ends."""
import os
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
from dpusim import BIN, Sim, run

PROGRAM = os.path.join(BIN, 'vnvme-dpusim')


def outcome(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def help_teaches():
    code, out, _ = outcome('--help')
    assert code == 0
    for word in ('--state', '--listen', '--http', '--profile', '--drive', '--tick-ms', '--snap', '--sysfs', '--nbd-dir', 'sim_dump'):
        assert word in out, word


def bad_lines_say_what_is_wrong():
    with tempfile.TemporaryDirectory() as folder:
        state, listen = ('--state', folder + '/s'), ('--listen', 'unix:' + folder + '/r.sock')
        for arguments, word in (((), '--state'), (state, '--listen'), ((*state, *listen, '--colour', 'red'), '--colour'),
                                ((*state, *listen, '--profile', 'v1'), 'v1'), ((*state, *listen, '--tick-ms', 'x'), '--tick-ms'),
                                ((*state, *listen, '--drive', 'name=a'), 'size'), ((*state, *listen, '--drive', 'size=1GiB'), 'name'),
                                ((*state, *listen, '--drive', 'name=a/b,size=1GiB'), 'slashes'),
                                ((*state, *listen, '--drive', 'name=a,size=1GiB,serial=' + 'x' * 21), '20'),
                                ((*state, *listen, '--drive', 'name=a,size=1GiB,shape=round'), 'shape'), ((*state, *listen, '--vfs'), '--vfs'),
                                ((*state, '--listen', 'udp:1'), 'udp:1'), ((*state, '--listen', 'tcp:localhost:1'), 'numeric'),
                                ((*state, '--listen', 'tcp:127.0.0.1'), 'port'), ((*state, *listen, '--http', '127.0.0.1:0'), '--auth-file'),
                                ((*state, *listen, '--http', '127.0.0.1:0', '--auth-file', folder + '/none'), 'none'),
                                ((*state, '--listen', 'unix:/' + 'x' * 200), 'length')):
            code, _, error = outcome(*arguments)
            assert code == 2 and word in error, (arguments, code, error)


def sockets_are_private_and_go_away():
    with Sim('--listen', 'tcp:127.0.0.1:0') as sim:
        path = sim.path('rpc.sock')
        assert os.stat(path).st_mode & 0o777 == 0o600
        host, port = sim.ready[1][4:].rsplit(':', 1)
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(b'{"id":1,"method":"spdk_get_version"}')
            assert b'"result"' in connection.recv(4096)
        assert sim.kill(15) == 0 and not os.path.exists(path)
        sim.start()


def a_busy_socket_is_left_alone():
    with Sim() as sim:
        code, _, error = outcome('--state', sim.path('other'), '--listen', 'unix:' + sim.path('rpc.sock'))
        assert code == 2 and 'another process' in error
        sim.call('spdk_get_version')


def a_stale_socket_is_replaced():
    with Sim() as sim:
        sim.kill(9)
        assert os.path.exists(sim.path('rpc.sock'))
        sim.start()
        sim.call('spdk_get_version')


def readiness_on_a_descriptor():
    with tempfile.TemporaryDirectory() as folder:
        read, write = os.pipe()
        process = subprocess.Popen([PROGRAM, '--state', folder + '/s', '--listen', 'unix:' + folder + '/r', '--ready-fd', str(write)],
                                   pass_fds=[write], stdout=subprocess.DEVNULL)
        os.close(write)
        assert os.read(read, 10) == b'r' and os.path.exists(folder + '/r')
        os.close(read)
        process.terminate()
        assert process.wait(30) == 0


def broken_state_is_an_error():
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(folder + '/s')
        for name, content in (('drives.json', '{'), ('functions.json', '5')):
            with open(f'{folder}/s/{name}', 'w', encoding='utf-8') as file:
                file.write(content)
            code, _, error = outcome('--state', folder + '/s', '--listen', 'unix:' + folder + '/r')
            assert code == 2 and name in error, error
            os.unlink(f'{folder}/s/{name}')


def the_target_can_end_itself():
    with Sim() as sim:
        sim.connection.send('spdk_kill_instance', {'sig_name': 'SIGTERM'})
        assert sim.wait() == 0
        sim.start()


run([help_teaches, bad_lines_say_what_is_wrong, sockets_are_private_and_go_away, a_busy_socket_is_left_alone, a_stale_socket_is_replaced,
     readiness_on_a_descriptor, broken_state_is_an_error, the_target_can_end_itself])
