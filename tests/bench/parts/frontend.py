"""CPU of one plugin call, as a ratio to starting a static `true`.

Both are started the same way (posix_spawn, pipes for stdin and stdout), turn by turn, so that what else the machine
does hits both. Counted is the child's own CPU, user and system, as the kernel reports it at its end: fork, exec,
everything until exit. The daemon behind the socket answers at once and is not counted.
"""
import os
import socket
import statistics
import tempfile
import threading

import place
import children
import frames

REQUEST = b'{"key":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","sr":"11111111-2222-3333-4444-555555555555","dbg":"bench"}'
ANSWER = b'{"key":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","name":"disk","virtual_size":21474836480,"keys":{}}'
SCRIPT = os.path.join(place.BUILD, "plugins/volume/org.xen.xapi.storage.vnvme/Volume.stat")
TRUE = os.path.join(place.BIN, "static-true")
WARM = 10  # the first ones fill the page cache


def _echo(listener):
    reply = frames.frame(frames.RESULT, ANSWER)
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        with conn:
            conn.recv(65536)
            conn.sendall(reply)


def measure(report, turns):
    with tempfile.TemporaryDirectory(prefix="vnvme-") as folder:
        path = os.path.join(folder, "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        env = {"PATH": "/usr/bin:/bin", "VNVME_SMAPI_SOCKET": path}
        # An interpreter that does nothing at all: the least that any plugin in Python costs.
        programs = {"true": ([TRUE], b""), "call": ([SCRIPT, "--json"], ANSWER)}
        if os.path.exists("/usr/bin/python3"):
            programs["python"] = (["/usr/bin/python3", "-c", ""], b"")
        cpu = {n: [] for n in programs}
        for turn in range(turns + WARM):
            for name, (argv, expected) in programs.items():
                if name == "python" and turn % 8:
                    continue
                _, seconds, _ = children.run(argv, env, REQUEST, lambda out, e=expected: out == e)
                if turn >= WARM:
                    cpu[name].append(seconds)
        listener.close()
    median = {n: statistics.median(v) * 1e6 for n, v in cpu.items()}
    report.goal("one plugin call / fork+exec of a static true, CPU", median["call"] / median["true"], 1.3, "",
                f"{median['call']:.0f} us / {median['true']:.0f} us; medians of {turns}")
    if "python" in median:
        report.note("an empty python3 / fork+exec of a static true, CPU", median["python"] / median["true"], "",
                    "what any plugin in Python pays before its first line")
