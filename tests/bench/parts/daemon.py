"""The daemon with 1,000, 5,000 and 10,000 volumes: start, SR.ls, memory, many clients, idling."""
import os
import socket
import statistics
import time

import calls
from process import cpu_seconds, cpu_ticks, peak_mib
from stack import until

IDLE_SECONDS = 5
LISTINGS = 10


def fill(stack, sr, keys, total):
    """Volumes by frames, not by processes; keys of all that were made."""
    made = []
    requests = [("Volume.create", {"sr": sr, "name": f"disk {n:05} of a virtual machine", "description": "made by bench",
                                   "size": 1 << 30, "sharable": False}) for n in range(len(keys), total)]
    calls.many(stack.sockets["smapi.sock"], requests, 32, made)
    keys += [v["key"] for v in made]
    stack.settle(120)


def start_time(stack):
    """Seconds from exec to READY=1 and to the first served volume, CPU seconds until READY=1."""
    path = os.path.join(stack.directory, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        stack.daemon_env["NOTIFY_SOCKET"] = path
        begin = time.perf_counter()
        stack.start_daemon(wait=False)
        while b"READY=1" not in notify.recv(4096):
            pass
        ready, cpu = time.perf_counter() - begin, cpu_seconds(stack.daemon.pid)
        until("vnvmed answers", stack._daemon_answers, 60)
        served = time.perf_counter() - begin
    del stack.daemon_env["NOTIFY_SOCKET"]
    os.unlink(path)
    return ready, served, cpu


def end_daemon(stack):
    stack.daemon.terminate()
    stack.daemon.wait(60)


def measure_start(report, stack, volumes):
    seen = []
    for _ in range(5):
        end_daemon(stack)
        seen.append(start_time(stack))
    ready, served, cpu = (statistics.median(s[i] for s in seen) * 1000 for i in (0, 1, 2))
    report.goal(f"start with {volumes:,} volumes: from exec to READY", ready, 100, " ms",
                f"medians of 5; {cpu:.0f} ms of CPU; {served:.0f} ms until the DPU was looked at and volumes are served")
    end_daemon(stack)
    stack.start_daemon()


def listing(stack, sr, volumes):
    """CPU ms of the daemon for one SR.ls, and the time that it took."""
    calls.one(stack.sockets["smapi.sock"], "SR.ls", {"sr": sr})
    cpu, took = cpu_seconds(stack.daemon.pid), time.perf_counter()
    for _ in range(LISTINGS):
        found = calls.one(stack.sockets["smapi.sock"], "SR.ls", {"sr": sr})
        if len(found) < volumes:
            raise AssertionError(f"SR.ls has {len(found)} volumes of {volumes}")
    took = time.perf_counter() - took
    return (cpu_seconds(stack.daemon.pid) - cpu) * 1000 / LISTINGS, took * 1000 / LISTINGS


def measure_memory(report, stack, sr, volumes):
    """A new process, so that its peak has the full listing at its start and nothing of the filling."""
    filled = peak_mib(stack.daemon.pid)
    end_daemon(stack)
    stack.start_daemon()
    calls.one(stack.sockets["smapi.sock"], "SR.ls", {"sr": sr})
    first = peak_mib(stack.daemon.pid)
    for _ in range(10):
        calls.one(stack.sockets["smapi.sock"], "SR.ls", {"sr": sr})
    after = peak_mib(stack.daemon.pid)
    report.goal(f"peak memory with {volumes:,} volumes", max(after, filled), 64, " MiB",
                f"VmHWM; {filled:.1f} MiB after filling, {after:.1f} MiB after a restart and 11 SR.ls")
    report.goal("growth of the peak by ten more SR.ls", after - first, 0, " MiB", f"{first:.1f} -> {after:.1f} MiB")


def measure_clients(report, stack, sr, keys):
    path = stack.sockets["smapi.sock"]

    def stat(n):
        return "Volume.stat", {"sr": sr, "key": keys[n % len(keys)]}

    def change(n):
        return "Volume.set", {"sr": sr, "key": keys[n % len(keys)], "k": "bench", "v": str(n)}

    def compare(request, count):
        """(calls a second, daemon's CPU us a call) with 4 clients and with 64; medians of 3, turn by turn."""
        seen = {4: ([], []), 64: ([], [])}
        for _ in range(3):
            for clients, (rates, costs) in seen.items():
                cpu = cpu_seconds(stack.daemon.pid)
                rates.append(count / calls.many(path, [request(n) for n in range(count)], clients))
                costs.append((cpu_seconds(stack.daemon.pid) - cpu) * 1e6 / count)
        return [[statistics.median(values) for values in seen[clients]] for clients in (4, 64)]

    (few, _), (many, _) = compare(change, 1500)
    report.at_least("64 parallel clients / 4, calls a second of Volume.set", many / few, 1, "",
                    f"{many:.0f}/s / {few:.0f}/s, each durable before it is answered")
    (few, few_cpu), (many, many_cpu) = compare(stat, 3000)
    # One Python process is all 64 clients and takes three times the daemon's CPU: calls a second would show that.
    report.goal("64 parallel clients / 4, CPU of the daemon a Volume.stat", many_cpu / few_cpu, 1.2, "",
                f"{many_cpu:.0f} us / {few_cpu:.0f} us; {many:.0f}/s and {few:.0f}/s, which the measuring client limits")


def measure_idle(report, stack, volumes):
    stack.settle(120)
    # A look at everything every 10 s is the daemon's only work when nothing happens: it is in every second window.
    window = IDLE_SECONDS
    used, ticks = cpu_seconds(stack.daemon.pid), cpu_ticks(stack.daemon.pid)
    time.sleep(window)
    used = (cpu_seconds(stack.daemon.pid) - used) * 1000
    ticks = cpu_ticks(stack.daemon.pid) - ticks
    report.goal(f"CPU of an idle daemon with {volumes:,} volumes, of one core", used / window / 10, 0, " %",
                f"{used:.1f} ms ({ticks} clock ticks) in {window} s")


def measure(report, stack, sr, sizes):
    keys, cpu = [], {}
    for volumes in sizes:
        report.progress(f"{volumes:,} volumes")
        fill(stack, sr, keys, volumes)
        if volumes == sizes[0]:
            measure_start(report, stack, volumes)
        cpu[volumes] = listing(stack, sr, volumes)
    most, least = sizes[-1], sizes[0]
    report.goal(f"SR.ls of {most:,} volumes, CPU of the daemon", cpu[most][0], 150, " ms",
                f"{cpu[most][1]:.0f} ms until the caller has it; means of {LISTINGS}")
    each = ", ".join(f"{n:,}: {ms:.1f} ms" for n, (ms, _) in cpu.items())
    report.goal(f"CPU a volume in SR.ls, {most:,} / {least:,}", cpu[most][0] / most / (cpu[least][0] / least), 1.3, "",
                f"1 is linear, {most / least:.0f} quadratic; {each}")
    middle = sizes[1]
    report.note(f"CPU a volume in SR.ls, {most:,} / {middle:,}", cpu[most][0] / most / (cpu[middle][0] / middle), "",
                "neither list fits into the processor's cache")
    report.progress("memory, clients, idling")
    measure_memory(report, stack, sr, most)
    measure_clients(report, stack, sr, keys)
    measure_idle(report, stack, most)
