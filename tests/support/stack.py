"""A whole vnvme in one private directory: the simulated DPU, the daemon, the scripts that XAPI calls, the command.

    with Stack() as s:
        s.volume.call("SR.create", {...})     # as the broker does it
        s.cli("status")                       # as an administrator does it
        s.dpu("bdev_get_bdevs")               # what the DPU itself says
        s.kill_daemon(); s.start_daemon()

Ends only processes that it started itself.
"""
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import broker

BIN = os.environ.get("VNVME_BIN", "build/dev/bin")
BUILD = os.environ.get("VNVME_BUILD", os.path.dirname(BIN))
# A folder into which a package was installed: its programs then run with that folder as their root.
ROOT = os.environ.get("VNVME_ROOT", "")
SCRIPTS = ROOT + "/usr/libexec/xapi-storage-script" if ROOT else os.path.join(BUILD, "plugins")
DAEMON = ["chroot", ROOT, "/usr/sbin/vnvmed"] if ROOT else [os.path.join(BIN, "vnvmed")]
COMMAND = ["chroot", ROOT, "/usr/bin/vnvme"] if ROOT else [os.path.join(BIN, "vnvme")]
DRIVES = ("name=Nvme0n1,size=64GiB,serial=S0001,model=SIMULATED-NVME",
          "name=Nvme1n1,size=64GiB,serial=S0002,model=SIMULATED-NVME")


class Timeout(Exception):
    pass


def until(what, condition, seconds=30):
    """Polls something that another process brings about; the bound is generous, the wait as short as it can be."""
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Timeout(f"{what}: not within {seconds} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class Stack:
    def __init__(self, drives=DRIVES, dpu_options=(), directory=None, config=None, daemon_env=None,
                 daemon_ignores=()):
        self.own = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="vnvme-")
        self.drives, self.dpu_options = drives, dpu_options
        self.extra, self.daemon_env, self.daemon_ignores = config or {}, daemon_env or {}, daemon_ignores
        self.dpu_process = self.daemon = None
        self.sockets = {n: os.path.join(self.directory, n) for n in ("smapi.sock", "admin.sock", "dpu.sock")}
        for name in ("host", "domains/local/domain", "nbd", "dpu"):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        env = dict(os.environ, VNVME_SMAPI_SOCKET=self.sockets["smapi.sock"])
        self.volume = broker.Broker(SCRIPTS, "vnvme", env=env, chroot=ROOT)
        self.raw = broker.Broker(SCRIPTS, "vnvme-raw", env=env, chroot=ROOT)

    def __enter__(self):
        self.start_dpu()
        self.start_daemon()
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- processes

    def start_dpu(self):
        log = open(os.path.join(self.directory, "dpu.log"), "ab")
        command = [os.path.join(BIN, "vnvme-dpusim"), "--state", os.path.join(self.directory, "dpu"),
                   "--listen", "unix:" + self.sockets["dpu.sock"], "--sysfs", os.path.join(self.directory, "host"),
                   "--nbd-dir", os.path.join(self.directory, "nbd"), *self.dpu_options]
        for drive in self.drives:
            command += ["--drive", drive]
        with log:
            self.dpu_process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until("the simulated DPU answers", self._dpu_answers, 120)

    def _dpu_answers(self):
        if self.dpu_process.poll() is not None:
            raise RuntimeError("vnvme-dpusim ended: " + self.tail("dpu.log"))
        try:
            return self.dpu("spdk_get_version")
        except OSError:
            return None

    def start_daemon(self, wait=True):
        config = {
            "dpus": [{"name": "dpu0", "uri": "unix:" + self.sockets["dpu.sock"]}],
            "run_dir": self.directory, "state_path": os.path.join(self.directory, "state.db"),
            "state_copy_path": os.path.join(self.directory, "state-copy.db"), "log": {"level": "info", "path": "-"},
            "host": {"kind": "fake", "root": os.path.join(self.directory, "host")},
            "domains": {"kind": "scripted", "root": os.path.join(self.directory, "domains")}, **self.extra}
        path = os.path.join(self.directory, "vnvmed.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(config, out)
        log = open(os.path.join(self.directory, "vnvmed.log"), "ab")
        with log:
            # An ignored signal stays ignored over exec; env is the only way without running Python after a fork.
            ignore = ["env", *(f"--ignore-signal={name[3:]}" for name in self.daemon_ignores)]
            self.daemon = self.spawn([*(ignore if self.daemon_ignores else ()), *DAEMON, "--config", path],
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env=dict(os.environ, **self.daemon_env))
        if wait:
            until("vnvmed answers", self._daemon_answers, 120)

    def spawn(self, argv, **popen):
        return subprocess.Popen(argv, **popen)

    def _daemon_answers(self):
        if self.daemon.poll() is not None:
            raise RuntimeError("vnvmed ended: " + self.tail("vnvmed.log"))
        try:
            return self.admin("status")["ready"]
        except (OSError, KeyError, ValueError):
            return None

    def kill_daemon(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()

    def kill_dpu(self):
        self.dpu_process.send_signal(signal.SIGKILL)
        self.dpu_process.wait()

    def stop(self):
        for process in (self.daemon, self.dpu_process):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self, name, size=4000):
        with open(os.path.join(self.directory, name), "rb") as log:
            return log.read()[-size:].decode("utf-8", "replace")

    # ---- asking

    def dpu(self, method, params=None, timeout=30):
        request = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params is not None:
            request["params"] = params
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(timeout)
            peer.connect(self.sockets["dpu.sock"])
            peer.sendall(json.dumps(request).encode())
            data = b""
            while True:
                piece = peer.recv(1 << 16)
                if not piece:
                    raise OSError("the DPU closed the connection")
                data += piece
                try:
                    answer = json.loads(data)
                except ValueError:
                    continue
                if "error" in answer:
                    raise ValueError(answer["error"])
                return answer["result"]

    def admin(self, verb, **args):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(60)
            peer.connect(self.sockets["admin.sock"])
            peer.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
            with peer.makefile("rb") as lines:
                answer = json.loads(lines.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]

    def cli(self, *words, check=True):
        done = subprocess.run([*COMMAND, "--socket", self.sockets["admin.sock"], *words],
                              capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise RuntimeError(f"vnvme {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    # ---- the world around

    def start_vm(self, domid, vm):
        folder = os.path.join(self.directory, "domains/local/domain", str(domid))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "vm"), "w", encoding="ascii") as out:
            out.write("/vm/" + vm)

    def end_vm(self, domid):
        shutil.rmtree(os.path.join(self.directory, "domains/local/domain", str(domid)), ignore_errors=True)

    def make_sr(self, kind=None, **config):
        """SR.create and SR.attach; answers what SR.attach answered, and the PBD's configuration."""
        to = kind or self.volume
        sr = str(uuid.uuid4())
        configuration = {"dpu": "dpu0", "drives": "S0001", **config}
        pbd = to.call("SR.create", {"uuid": sr, "configuration": configuration, "name": "sr", "description": ""})
        return to.call("SR.attach", {"configuration": pbd}), pbd

    def lvols(self):
        """name -> bdev of every lvol on the DPU."""
        found = {}
        for bdev in self.dpu("bdev_get_bdevs"):
            if "lvol" in bdev.get("driver_specific", {}):
                found[bdev["aliases"][0].split("/", 1)[1]] = bdev
        return found

    def bdev_of(self, key):
        """The DPU's uuid of a volume's lvol."""
        for row in self.lvols().items():
            if key.replace("-", "") in row[0]:
                return row[1]["name"]
        return None

    def named_bdev(self, key):
        """After a revert the new storage gets the volume's name a moment later."""
        return until("the volume's storage has its name", lambda: self.bdev_of(key))

    def write(self, key, offset, data):
        self.dpu("sim_write", {"bdev": self.named_bdev(key), "offset": offset, "data": base64.b64encode(data).decode()})

    def read(self, key, offset, length):
        where = {"bdev": self.named_bdev(key), "offset": offset, "length": length}
        return base64.b64decode(self.dpu("sim_read", where))

    def settle(self, seconds=60):
        """Until nothing is open: no intent, nothing to release, nothing in the trash."""
        def quiet():
            try:
                s = self.admin("status")
            except OSError:
                return None
            return s["ready"] and not s["intents"] and not s["queue"] and not s["trash"]
        until("the daemon has nothing left to do", quiet, seconds)
