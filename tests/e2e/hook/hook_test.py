"""vnvme-vm-pre-start as a process, against a root of its own: every rule of the gate, with exit code, sentence and log.

What must never happen is tried hardest: that a VM without functions of ours is held up by whatever is wrong with vnvme,
or that the hook ends by a signal, which would hold up every VM of the host.
"""
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("VNVME_SOURCE") or os.path.abspath(os.path.join(HERE, "../../.."))
sys.path.insert(0, os.path.join(SOURCE, "tests/support"))
from xenopsd_db import XenopsdDb, record  # noqa: E402

BIN = os.environ.get("VNVME_BIN") or os.path.join(SOURCE, "build/dev/bin")
HOOK = os.path.join(BIN, "vnvme-vm-pre-start")
MINE, OTHER, NONE = (f"{c * 8}-0000-4000-8000-00000000000{n}" for n, c in enumerate("abc", 1))
BOOT = "11111111-2222-4333-8444-555555555555"
START, LOGGED, STRANGER, AWAITED, LACKING, STALE = 0, 1, 3, 4, 5, 6
MIB = 1 << 20
# ASan and TSan need more address space than these tests leave to the hook.
with open(HOOK, "rb") as program:
    STATIC = b"ld-linux" not in program.read(4096)


def rows(*lines, boot=BOOT):
    return "\n".join(["vnvme-reservations 1", "boot " + boot, *lines, f"end {len(lines)}"]) + "\n"


def function(bdf, vm="-", dpu="tcp:10.0.0.2:5260", name="MT2328VF"):
    return f"function {bdf} {vm} {dpu} {name}"


USUAL = rows(function("0000:26:0c.0", MINE), function("0000:26:0c.1", OTHER), function("0000:26:0c.2"),
             function("0000:27:00.0", OTHER, "unix:/second%20card"))


class Hook(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vnvme-")
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.db = XenopsdDb(self.root)
        self.put("proc/sys/kernel/random/boot_id", BOOT + "\n")
        self.put("run/vnvme/reservations", USUAL)
        os.mkdir(os.path.join(self.root, "dev"))
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.log.close)
        self.log.bind(os.path.join(self.root, "dev/log"))
        self.log.setblocking(False)
        for vm, bdfs in ((MINE, ["0000:26:0c.0"]), (OTHER, ["0000:01:00.0", "0000:27:00.0", "0000:26:0c.1"]), (NONE, [])):
            self.db.push(vm, bdfs)

    def path(self, name):
        return os.path.join(self.root, name)

    def put(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(text.encode() if isinstance(text, str) else text)
        return path

    def logged(self):
        lines = []
        while True:
            try:
                lines.append(self.log.recv(8192).decode())
            except BlockingIOError:
                return lines

    def run_hook(self, *words, env=None, **options):
        done = subprocess.run([HOOK, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "VNVME_GATE_ROOT": self.root, **(env or {})}, **options)
        if not options:  # the loader has its own words when there is no memory
            self.assertEqual(done.stderr, b"")
        return done.returncode, done.stdout.decode()

    def hook(self, vm, **options):
        """As xenopsd calls it."""
        return self.run_hook("-vmuuid", vm, "-reason", "none", **options)

    def starts(self, vm, note=None):
        self.logged()
        self.assertEqual(self.hook(vm), (START, ""))
        lines = self.logged()
        if note is None:
            self.assertEqual(lines, [])
        else:
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(note, lines[0])

    def held(self, vm, code, *words):
        self.logged()
        got, text = self.hook(vm)
        self.assertEqual(got, code, text)
        self.assertTrue(text.startswith(f"VM {vm} was not started: ") and "\n" not in text, text)
        for word in words:
            self.assertIn(word, text)
        line, = self.logged()
        self.assertTrue(line.startswith("<28>vnvme-vm-pre-start[") and line.endswith(text[-40:]), line)


class Rules(Hook):
    def test_what_is_right_starts_and_says_nothing(self):
        for vm in (MINE, OTHER, NONE):
            self.starts(vm)
        self.db.push(NONE, ["0000:01:00.0", "0000:26:0c.3"])
        self.starts(NONE)

    def test_another_vms_function(self):
        for vm, bdfs in ((NONE, ["0000:01:00.0", "0000:26:0c.0"]), (OTHER, ["0000:26:0c.0"])):
            self.db.push(vm, bdfs)
            self.held(vm, STRANGER, "0000:26:0c.0", f"reserved for VM {MINE}", "other-config:pci")
        self.db.push(MINE, ["0000:26:0c.0", "0000:27:00.0"])
        self.held(MINE, STRANGER, "0000:27:00.0", OTHER)

    def test_a_function_of_ours_that_nobody_has(self):
        self.db.push(NONE, ["0000:26:0c.2"])
        self.held(NONE, STRANGER, "reserved for no VM")

    def test_its_own_is_not_in_the_list(self):
        self.db.push(MINE, [])
        self.held(MINE, LACKING, "0000:26:0c.0", f"vnvme unreserve {MINE}")
        self.db.push(MINE, ["0000:01:00.0"])
        self.held(MINE, LACKING)
        # two cards: both, in any order
        self.db.push(OTHER, ["0000:26:0c.1"])
        self.held(OTHER, LACKING, "0000:27:00.0")

    def test_no_address_is_known(self):
        for why, word in (("opening", "vnvme events"), ("unseen", "vnvme dpu"), ("gone", "vnvme functions")):
            self.put("run/vnvme/reservations", rows(f"awaited {MINE} {why} tcp:10.0.0.2:5260"))
            self.held(MINE, AWAITED, word, "tcp:10.0.0.2:5260")
            self.starts(OTHER)

    def test_the_reservation_comes_and_the_next_call_knows(self):
        self.db.push(NONE, ["0000:26:0c.2"])
        self.held(NONE, STRANGER)
        self.put("run/vnvme/reservations", rows(function("0000:26:0c.2", NONE)))
        self.starts(NONE)

    def test_a_file_of_an_earlier_boot(self):
        self.put("proc/sys/kernel/random/boot_id", "99999999-2222-4333-8444-555555555555\n")
        self.held(MINE, STALE, "systemctl start vnvmed")
        self.starts(NONE, note="earlier boot")
        self.db.push(NONE, ["0000:26:0c.0"])
        self.starts(NONE, note="earlier boot")
        os.remove(self.path("proc/sys/kernel/random/boot_id"))
        self.held(MINE, STALE)

    def test_case_of_the_uuid(self):
        self.assertEqual(self.hook(MINE.upper()), (START, ""))
        self.db.push(MINE, [])
        self.assertEqual(self.hook(MINE.upper())[0], LACKING)

    def test_reboot_and_other_arguments(self):
        self.assertEqual(self.run_hook("-vmuuid", MINE, "-reason", "none", "-vmdomid", "17")[0], START)
        self.assertEqual(self.run_hook("-reason", "none", "-vmdomid", "17", "-vmuuid", OTHER)[0], START)
        self.db.push(MINE, [])
        self.assertEqual(self.run_hook("-reason", "none", "-vmuuid", MINE)[0], LACKING)

    def test_the_file_may_be_elsewhere(self):
        other = self.put("elsewhere", rows(function("0000:26:0c.7", MINE)))
        self.assertEqual(self.hook(MINE, env={"VNVME_RESERVATIONS": other})[0], LACKING)


class NeverHeld(Hook):
    """VMs without a function of ours, and all VMs when nothing can be known."""

    def everybody_starts(self, note):
        self.db.push(NONE, ["0000:26:0c.0"])
        for vm in (MINE, OTHER, NONE):
            self.starts(vm, note=note)

    def test_no_file(self):
        os.remove(self.path("run/vnvme/reservations"))
        self.everybody_starts("no file of reservations")
        os.rmdir(self.path("run/vnvme"))
        self.everybody_starts("no file of reservations")

    def test_hostile_files(self):
        cases = {
            "empty": b"", "one byte": b"\0", "binary": bytes(range(256)) * 1000, "cut": USUAL[:-3].encode(),
            "no newline": USUAL[:-1].encode(), "another version": USUAL.replace("ions 1", "ions 2").encode(),
            "wrong count": USUAL.replace("end 4", "end 3").encode(), "twice": (USUAL * 2).encode(),
            "unknown row": rows("novel 1").encode(), "bad address": rows(function("0000:26:0c.9", MINE)).encode(),
            "one endless line": b"vnvme-reservations 1\nboot " + b"x" * MIB, "words": b" " * MIB,
            "newlines": b"\n" * MIB, "json": json.dumps({"boot": BOOT}).encode(), "huge": b"x" * (8 * MIB),
            "too many rows": rows(*[f"awaited {MINE} gone d"] * 9000).encode(),
        }
        for name, text in cases.items():
            with self.subTest(name):
                self.put("run/vnvme/reservations", text)
                self.everybody_starts("nothing was checked")

    def bind(self, path):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)

    def test_what_is_no_file(self):
        path = self.path("run/vnvme/reservations")
        makers = {"folder": os.mkdir, "fifo": os.mkfifo, "link to nowhere": lambda p: os.symlink("/nonexistent/x", p),
                  "endless": lambda p: os.symlink("/dev/zero", p), "loop": lambda p: os.symlink(p, p),
                  "socket": self.bind}
        for name, make in makers.items():
            with self.subTest(name):
                if os.path.isdir(path) and not os.path.islink(path):
                    os.rmdir(path)
                else:
                    os.remove(path)
                make(path)
                self.assertEqual(self.hook(MINE), (START, ""))
                self.assertEqual(self.hook(NONE), (START, ""))

    def test_xenopsd_keeps_its_records_elsewhere(self):
        os.rename(self.db.base, self.db.base + ".novel")
        self.starts(NONE)
        self.starts(MINE, note="PCI list was not checked")

    def test_hostile_records(self):
        folder = self.db.path("PCI", MINE)
        name = os.path.join(folder, "pci.0000:26:0c.0")
        for text in (b"", b"\0" * 5000, b"{" * 5000, b'{"address":{"bus":"x"}}', b"x" * MIB):
            with open(name, "wb") as out:
                out.write(text)
            self.starts(MINE, note="not of the expected form")  # the name tells as well
        os.remove(name)
        os.mkfifo(name)
        self.starts(MINE, note="not of the expected form")
        for n in range(300):
            self.db.write(os.path.join(folder, f"pci.{n}"), "")
        self.starts(MINE, note="more than 256 entries")
        self.starts(NONE)

    def test_a_record_that_says_another_address_than_its_name(self):
        self.db.write(self.db.path("PCI", NONE, "pci.0000:01:00.0"), json.dumps(record(NONE, "0000:26:0c.0")))
        self.held(NONE, STRANGER, "0000:26:0c.0")
        self.db.write(self.db.path("PCI", NONE, "pci.0000:01:00.0"), json.dumps(record(NONE, "0000:02:00.0")))
        self.starts(NONE, note="not of the expected form")

    def test_strange_arguments(self):
        code, said = self.run_hook()
        self.assertEqual(code, START)
        self.assertTrue(said.startswith("vnvme-vm-pre-start -vmuuid UUID"), said)
        for words in (("-vmuuid",), ("-vmuuid", ""), ("-vmuuid", "../../../etc"), ("-vmuuid", MINE[:-1]),
                      ("-reason", "none"), ("x" * 100000,), ("-vmuuid", "OpaqueRef:NULL", "-reason", "none")):
            self.assertEqual(self.run_hook(*words), (START, ""), words)
            self.assertEqual(len(self.logged()), 1)

    def test_no_log_no_stdout_no_descriptors(self):
        self.log.close()
        os.remove(self.path("dev/log"))
        self.assertEqual(self.hook(MINE), (START, ""))
        self.db.push(MINE, [])
        command = [HOOK, "-vmuuid", MINE, "-reason", "none"]
        env = {"VNVME_GATE_ROOT": self.root}
        with open("/dev/full", "wb") as full:
            self.assertEqual(subprocess.run(command, env=env, stdout=full, check=False).returncode, LACKING)
        read, write = os.pipe()
        os.close(read)
        self.assertEqual(subprocess.run(command, env=env, stdout=write, check=False).returncode, LACKING)
        os.close(write)
        closed = subprocess.run(["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *command], env=env, check=False)
        self.assertEqual(closed.returncode, LACKING)

    @unittest.skipUnless(STATIC, "a sanitizer's build")
    def test_it_never_ends_by_a_signal(self):
        """A signal would abort the start of every VM. Memory runs out at each size with which it can begin at all."""
        def within(kib):
            return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (kib << 10, kib << 10))}
        self.put("run/vnvme/reservations", rows(*[function("0000:26:0c.0", MINE)] * 8000))
        least = next(kib for kib in range(512, 8192, 64) if self.run_hook("--version", **within(kib))[0] == START)
        endings = [self.hook(MINE, **within(kib))[0] for kib in (*range(least, least + 3072, 128), 65536)]
        self.assertLessEqual(set(endings), {START, LOGGED})
        self.assertEqual((endings[0], endings[-1]), (LOGGED, START), "the limits that were meant to hurt did")
        self.assertIn(self.hook(MINE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)))[0],
                      (START, LOGGED))

    @unittest.skipUnless(STATIC, "a sanitizer's build")
    def test_it_needs_no_library_of_the_host(self):
        with open(HOOK, "rb") as elf:
            head = elf.read(64)
        self.assertEqual(head[:4], b"\x7fELF")
        self.assertLess(os.path.getsize(HOOK), 2 * MIB)

    def test_version_and_help(self):
        self.assertRegex(self.run_hook("--version")[1], r"^vnvme-vm-pre-start \d+\.\d+\.\d+\n$")
        self.assertIn("xenopsd", self.run_hook("--help")[1])


if __name__ == "__main__":
    unittest.main()
