"""What the kernel says of a running process: CPU, memory, fsyncs."""
import os
import re
import shutil
import signal
import subprocess
import time


def cpu_seconds(pid):
    """User and system time of all its threads, in ns where the kernel counts so, else in clock ticks."""
    try:
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9
    except (FileNotFoundError, ValueError, IndexError):
        return cpu_ticks(pid) / os.sysconf("SC_CLK_TCK")


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.M).group(1)) / 1024


class Fsyncs:
    """Counts the fsyncs of a process by file, with strace; `available` says whether that can be done here."""

    def __init__(self, pid, folder):
        self.pid, self.log, self.tracer = pid, os.path.join(folder, "fsyncs"), None
        self.available = shutil.which("strace") is not None

    def __enter__(self):
        if not self.available:
            return self
        self.tracer = subprocess.Popen(
            ["strace", "-f", "-q", "-y", "-e", "trace=fsync,fdatasync", "-o", self.log, "-p", str(self.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 5
        while not self._traced():
            if self.tracer.poll() is not None or time.monotonic() > end:
                self.available = False
                break
            time.sleep(0.01)
        return self

    def _traced(self):
        """Every thread of it is."""
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/status", encoding="ascii") as file:
                if re.search(r"^TracerPid:\s+0$", file.read(), re.M):
                    return False
        return True

    def __exit__(self, *_):
        if self.tracer is not None and self.tracer.poll() is None:
            self.tracer.send_signal(signal.SIGINT)
            self.tracer.wait(10)

    def by_file(self):
        """File name -> number of fsyncs, after the end of the `with`."""
        counts = {}
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for path in re.findall(r"\bf(?:data)?sync\(\d+<([^>]*)>", file.read()):
                name = os.path.basename(path)
                counts[name] = counts.get(name, 0) + 1
        return counts
