#!/usr/bin/env python3
"""CPU of one plugin call, as a ratio to starting a static `true`.

    frontend_bench.py [--calls N] [--goal 1.3]

Both are started the same way (posix_spawn, pipes for stdin and stdout), turn by turn, so that what else the machine
does hits both. Counted is the child's own CPU, user and system, as the kernel reports it at its end: fork, exec,
everything until exit. The daemon behind the socket answers at once and is not counted. Exit 1 when the goal is missed.
"""
import argparse
import os
import socket
import statistics
import sys
import tempfile
import threading

SOURCE = os.environ.get("VNVME_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("VNVME_BUILD") or os.path.join(SOURCE, "build/dev")
BIN = os.environ.get("VNVME_BIN") or os.path.join(BUILD, "bin")
sys.path.insert(0, os.path.join(SOURCE, "tests/support"))

import frames  # noqa: E402

REQUEST = b'{"key":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","sr":"11111111-2222-3333-4444-555555555555","dbg":"bench"}'
ANSWER = b'{"key":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","name":"disk","virtual_size":21474836480,"keys":{}}'


def echo(listener):
    reply = frames.frame(frames.RESULT, ANSWER)
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        with conn:
            conn.recv(65536)
            conn.sendall(reply)


def run(argv, env, expected):
    """CPU seconds of one process."""
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    os.write(in_w, REQUEST)
    pid = os.posix_spawn(argv[0], argv, env, file_actions=[
        (os.POSIX_SPAWN_DUP2, in_r, 0), (os.POSIX_SPAWN_DUP2, out_w, 1)])
    for fd in (in_r, in_w, out_w):
        os.close(fd)
    out = b""
    while piece := os.read(out_r, 65536):
        out += piece
    os.close(out_r)
    _, status, usage = os.wait4(pid, 0)
    if status != 0 or out != expected:
        sys.exit(f"{argv[0]}: status {status}, stdout {out!r}")
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--goal", type=float, default=1.3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vnvme-", dir="/tmp") as folder:
        path = os.path.join(folder, "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        env = {"PATH": "/usr/bin:/bin", "VNVME_SMAPI_SOCKET": path}
        script = os.path.join(BUILD, "plugins/volume/org.xen.xapi.storage.vnvme/Volume.stat")
        programs = {"static true": ([os.path.join(BIN, "static-true")], b""),
                    "plugin call": ([script, "--json"], ANSWER)}
        cpu = {n: [] for n in programs}
        for turn in range(options.calls + 10):
            for name, (argv, expected) in programs.items():
                seconds = run(argv, env, expected)
                if turn >= 10:  # the first ones fill the page cache
                    cpu[name].append(seconds)
        listener.close()
    for name, values in cpu.items():
        print(f"{name:12}  CPU min {min(values) * 1e6:7.0f} us   median {statistics.median(values) * 1e6:7.0f} us")
    least = min(cpu["plugin call"]) / min(cpu["static true"])
    median = statistics.median(cpu["plugin call"]) / statistics.median(cpu["static true"])
    print(f"plugin call / static true: min {least:.2f}, median {median:.2f} (goal: median <= {options.goal}), "
          f"{options.calls} calls each")
    print("A storage plugin in Python costs 28 to 50 times a static true; any other command can be put in `programs`.")
    return 0 if median <= options.goal else 1


if __name__ == "__main__":
    sys.exit(main())
