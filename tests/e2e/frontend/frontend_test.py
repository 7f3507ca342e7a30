"""vnvme-plugin against a daemon that follows a script, and one that misbehaves (F14; R4, R6)."""
import ctypes
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import unittest

from support import BIN, DATAPATH, ERROR, PLUGIN, REQUEST, VOLUME, Case, answer, broker, frames, raw, silent


class Contract(Case):
    def test_the_request_travels_unchanged_and_the_answer_is_printed_unchanged(self):
        seen = []
        self.serve(answer('{"a":"dïsk ☃"}'.encode(), seen=seen))
        request = '{"name":"dïsk ☃\\u0001\\n/","sr":"s","dbg":"task\\n00-abc-01"}'.encode()
        self.assertEqual(self.call("Volume.create", request), (0, '{"a":"dïsk ☃"}'.encode()))
        kind, flags, header, body = seen[0]
        self.assertEqual((kind, flags, body), (frames.CALL, 0, request))
        self.assertEqual((header["method"], header["sr_type"]), ("Volume.create", "vnvme"))
        self.assertRegex(header["id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertRegex(header["version"], r"^\d+\.\d+\.\d+$")
        self.assertTrue(0 < int(header["deadline_ms"]) <= 58000, header)

    def test_a_datapath_script_has_no_storage_type(self):
        seen = []
        self.serve(answer(b"null", seen=seen))
        self.assertEqual(self.call("Datapath.detach", folder=DATAPATH), (0, b"null"))
        self.assertNotIn("sr_type", seen[0][2])

    def test_every_call_has_an_id_of_its_own(self):
        seen = []
        self.serve(answer(b"null", seen=seen))
        for _ in range(3):
            self.call()
        self.assertEqual(len({s[2]["id"] for s in seen}), 3)

    def test_an_error_of_the_daemon_is_printed_as_it_is(self):
        self.serve(answer(ERROR, kind=frames.ERROR))
        self.assertEqual(self.call(), (1, ERROR))

    def test_large_requests(self):
        for size in (300_000, (8 << 20) - 1, 8 << 20):
            seen = []
            self.serve(answer(b"null", seen=seen))
            body = b'"' + b"x" * (size - 2) + b'"'
            self.assertEqual(self.call(stdin=body)[0], 0)
            self.assertEqual(seen[0][3], body)
            self.check_daemon()

    def test_a_request_beyond_the_limit_is_read_to_its_end_and_refused(self):
        # communicate() would raise BrokenPipeError if the plugin closed stdin early; the real broker fails then
        child = self.start()
        out, _ = child.communicate(b"x" * ((8 << 20) + 1), timeout=60)
        code, why = self.failure((child.returncode, out))
        self.assertEqual(code, "SR_BACKEND_FAILURE_143")
        self.assertIn("8 MiB", why)

    def test_large_answers(self):
        for size in (4095, 4096, 65536, 65537, 9 << 20):
            body = b'"' + b"y" * (size - 2) + b'"'
            self.serve(answer(body))
            self.assertEqual(self.call(), (0, body))
            self.check_daemon()

    def test_an_answer_byte_by_byte(self):
        def serve(conn, _number):
            frames.read_frame(conn)
            for byte in frames.frame(frames.RESULT, b'{"a":1}', header=b"id=x\n"):
                conn.sendall(bytes([byte]))
        self.serve(serve)
        self.assertEqual(self.call(), (0, b'{"a":1}'))

    def test_a_slow_stdin_is_waited_for(self):
        seen = []
        self.serve(answer(b"null", seen=seen))
        child = self.start()
        for byte in REQUEST:
            child.stdin.write(bytes([byte]))
            child.stdin.flush()
        child.stdin.close()
        self.assertEqual(child.stdout.read(), b"null")
        self.assertEqual(child.wait(), 0)
        self.assertEqual(seen[0][3], REQUEST)
        child.stdout.close()
        child.stderr.close()

    def test_names_in_any_case(self):
        seen = []
        self.serve(answer(b"null", seen=seen))
        folder = os.path.join(self.folder, "org.xen.xapi.storage.vnvme-raw")
        os.mkdir(folder)
        os.symlink(PLUGIN, os.path.join(folder, "VOLUME.sTAT"))
        self.assertEqual(self.call("VOLUME.sTAT", folder=folder), (0, b"null"))
        self.assertEqual((seen[0][2]["method"], seen[0][2]["sr_type"]), ("Volume.stat", "vnvme-raw"))

    def test_a_script_of_a_method_that_we_do_not_have(self):
        os.symlink(PLUGIN, os.path.join(self.folder, "plugin"))
        script = os.path.join(self.folder, "Volume.compose")
        with open(script, "w", encoding="utf-8") as f:
            f.write(f"#!{PLUGIN}\n")
        os.chmod(script, 0o755)
        code, out = self.call("Volume.compose", folder=self.folder)
        self.assertEqual((code, json.loads(out)["params"]), (1, ["Unimplemented", "Volume.compose"]))

    def test_sixty_four_at_once(self):
        def serve(conn, _number):
            body = frames.read_frame(conn)[3]
            conn.sendall(frames.frame(frames.RESULT, body))
        self.serve(serve)
        children = [self.start() for _ in range(64)]
        for i, child in enumerate(children):
            self.assertEqual(child.communicate(b"%d" % i, timeout=60)[0], b"%d" % i)
            self.assertEqual(child.returncode, 0)

    def test_the_program_is_static_and_small(self):
        with open(PLUGIN, "rb") as f:
            elf = f.read()
        if b"__asan_init" in elf:  # it is what the other tests need it for, and nobody ships it
            self.skipTest("built with AddressSanitizer, which cannot be static")
        self.assertLess(len(elf), 1 << 20)
        offset, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
        kinds = [struct.unpack_from("<I", elf, offset + i * size)[0] for i in range(count)]
        self.assertNotIn(3, kinds, "PT_INTERP: it asks for a dynamic loader")


class Environment(Case):
    """What a broker may do to its children."""

    def test_stdin_empty_or_closed(self):
        self.assertIn("nothing came on stdin", self.failure(self.call(stdin=b""))[1])
        out = subprocess.run(["/bin/sh", "-c", f"exec {VOLUME}/Volume.stat --json <&-"], env=self.environment(),
                             capture_output=True, check=False, timeout=60)
        self.assertIn("nothing came on stdin", self.failure((out.returncode, out.stdout))[1])

    def test_stdin_that_never_ends(self):
        child = self.start(deadline_ms=300)
        out = child.stdout.read()
        self.assertIn("stdin did not end", self.failure((child.wait(), out))[1])
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()

    def test_stdin_that_is_a_folder(self):
        fd = os.open("/tmp", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        child = self.start(stdin=fd)
        out, _ = child.communicate(timeout=60)
        self.assertIn("stdin cannot be read", self.failure((child.returncode, out))[1])

    def test_stdout_full_device(self):
        self.serve(answer(b"null"))
        with open("/dev/full", "wb") as full:
            child = self.start(stdout=full)
            child.communicate(REQUEST, timeout=60)
        self.assertEqual(child.returncode, 1)

    def test_stdout_without_a_reader(self):
        self.serve(answer(b'"' + b"y" * 200_000 + b'"'))
        child = self.start()  # Python restores SIGPIPE's default in its children
        child.stdout.close()
        child.stdin.write(REQUEST)
        child.stdin.close()
        self.assertEqual(child.wait(60), 1, "an exit code, not a signal")
        child.stderr.close()

    def test_stdout_whose_reader_sleeps_ends_at_the_deadline(self):
        self.serve(answer(b'"' + b"y" * 200_000 + b'"'))
        child = self.start(deadline_ms=500)
        child.stdin.write(REQUEST)
        child.stdin.close()
        self.assertEqual(child.wait(60), 1)
        child.stdout.close()
        child.stderr.close()

    def test_with_stdout_closed_nothing_but_frames_reaches_the_daemon(self):
        trailing = []

        def serve(conn, _number):
            frames.read_frame(conn)
            conn.sendall(frames.frame(frames.RESULT, b'"an answer"'))
            trailing.append(conn.recv(100))
        self.serve(serve)
        out = subprocess.run(["/bin/sh", "-c", f"exec {VOLUME}/Volume.stat --json >&- 2>&-"], env=self.environment(),
                             input=REQUEST, check=False, timeout=60)
        self.assertEqual(out.returncode, 1)
        self.check_daemon()
        self.assertEqual(trailing, [b""])

    def test_inherited_descriptors_are_closed(self):
        self.descriptors_are_closed()

    def test_inherited_descriptors_are_closed_by_old_kernels_too(self):
        self.descriptors_are_closed(preexec_fn=without_close_range)

    def descriptors_are_closed(self, **popen):
        asked, go = threading.Event(), threading.Event()

        def serve(conn, _number):
            frames.read_frame(conn)
            asked.set()
            go.wait(60)
            conn.sendall(frames.frame(frames.RESULT, b"null"))
        self.serve(serve)
        pipes = [os.pipe() for _ in range(40)]
        child = self.start(pass_fds=[w for _, w in pipes], **popen)
        child.stdin.write(REQUEST)
        child.stdin.close()
        self.assertTrue(asked.wait(60))
        for r, w in pipes:
            os.close(w)
        for r, _ in pipes:  # the end of the pipe is seen only when the plugin does not hold it any more
            os.set_blocking(r, False)
            self.assertEqual(os.read(r, 1), b"")
            os.close(r)
        go.set()
        self.assertEqual(child.stdout.read(), b"null")
        self.assertEqual(child.wait(60), 0)
        child.stdout.close()
        child.stderr.close()

    def test_through_pythons_runpy(self):
        """XAPI with tracing on runs scripts through Python."""
        self.serve(lambda conn, n: answer(b'"text"' if n == 1 else ERROR, kind=frames.RESULT if n == 1 else frames.ERROR)(conn, n))
        traced = broker.Broker(os.path.join(VOLUME, "../.."), env=self.environment(), tracing=True)
        self.assertEqual(traced.call("SR.attach", {"configuration": {}}), "text")
        with self.assertRaises(broker.BackendError):
            traced.call("SR.attach", {"configuration": {}})
        self.assertEqual(traced.call("Plugin.Query")["plugin"], "vnvme")

    def test_huge_argument_lists(self):
        self.serve(answer(b"null"))
        words = ["--json"] + ["x" * 1000] * 1000
        self.assertEqual(self.call(words=words), (0, b"null"))
        self.assertEqual(self.failure(self.call(words=words[1:]))[0], "SR_BACKEND_FAILURE_143")
        deep = os.path.join(self.folder, *["d" * 200] * 18)
        os.makedirs(deep)
        os.symlink(PLUGIN, os.path.join(deep, "Volume.stat"))
        self.assertEqual(self.call(folder=deep), (0, b"null"))

    def test_killed_while_it_waits_the_daemon_sees_it_leave_without_the_word(self):
        asked, left = threading.Event(), []

        def serve(conn, _number):
            frames.read_frame(conn)
            conn.sendall(frames.frame(frames.RESULT, b"{}", flags=frames.NEEDS_WORD))
            left.append(frames.read_frame(conn)[0])
            asked.set()
            left.append(conn.recv(1))
        self.serve(serve)
        child = self.start("Volume.create")
        child.stdin.write(REQUEST)
        child.stdin.close()
        self.assertTrue(asked.wait(60))
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.assertEqual(child.stdout.read(), b"", "nothing is printed before the daemon said so")
        self.check_daemon()
        self.assertEqual(left, [frames.PRINTING, b""])
        child.stdout.close()
        child.stderr.close()


def without_close_range():
    """A seccomp filter: close_range(2) does not exist, as before Linux 5.9."""
    load, jump_equal, give = 0x20, 0x15, 0x06
    program = b"".join(struct.pack("<HBBI", *op) for op in (
        (load, 0, 0, 0), (jump_equal, 0, 1, 436), (give, 0, 0, 0x00050000 | 38), (give, 0, 0, 0x7FFF0000)))
    text = ctypes.create_string_buffer(program)
    head = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.c_char_p(head), 0, 0) != 0:
        os._exit(99)


class Absence(Case):
    """No daemon, or one that is of no use."""

    def unavailable(self, got, *words):
        code, why = self.failure(got)
        self.assertEqual(code, "SR_BACKEND_FAILURE_47")
        self.assertIn("Volume.stat: ", why)
        self.assertIn(self.socket, why)
        for word in words:
            self.assertIn(word, why)
        return why

    def test_absent(self):
        why = self.unavailable(self.call(deadline_ms=400), "nobody listens", "systemctl status vnvmed")
        tries = int(re.search(r"tried (\d+) times", why).group(1))
        self.assertTrue(1 <= tries <= 40, why)  # no busy loop

    def test_a_file_where_the_socket_should_be(self):
        with open(self.socket, "w", encoding="utf-8"):
            pass
        self.unavailable(self.call(deadline_ms=300), "nobody listens")

    def test_a_path_that_is_no_path_of_a_socket_fails_at_once(self):
        self.socket = "/tmp/" + "x" * 200
        self.unavailable(self.call(), "is no socket")

    def test_a_daemon_that_comes_late_is_found(self):
        child = self.start()
        child.stdin.write(REQUEST)
        child.stdin.close()
        self.serve(answer(b"null"))
        self.assertEqual(child.stdout.read(), b"null")
        self.assertEqual(child.wait(), 0)
        child.stdout.close()
        child.stderr.close()

    def test_hung(self):
        self.serve(silent)
        self.unavailable(self.call(deadline_ms=300), "did not answer within ", "vnvme status")

    def test_hung_without_reading(self):
        """A request larger than any socket buffer, and nobody takes it."""
        gone = threading.Event()
        self.serve(lambda conn, n: gone.wait(60))
        got = self.call(stdin=b"x" * (8 << 20), deadline_ms=1000)
        gone.set()
        self.unavailable(got, "did not answer")

    def test_a_full_queue_of_connections(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(0)
            waiting = socket.socket(socket.AF_UNIX)
            waiting.connect(self.socket)
            self.unavailable(self.call(deadline_ms=300), "takes no more connections")
            waiting.close()

    def test_closing_without_an_answer_again_and_again(self):
        self.serve(lambda conn, n: frames.read_frame(conn) and None)
        self.unavailable(self.call(deadline_ms=1500), "without an answer", "journalctl")
        self.assertGreater(self.daemon.count, 2)

    def test_a_hang_after_closing_without_an_answer(self):
        """As when the deadline falls between a connection and its end."""
        gone = threading.Event()
        self.serve(lambda conn, n: frames.read_frame(conn) and (gone.wait(60) if n > 1 else None))
        got = self.call(deadline_ms=1500)
        gone.set()
        self.unavailable(got, "did not answer within", "without an answer", "journalctl")

    def test_the_deadline_can_only_be_shortened(self):
        seen = []
        self.serve(answer(b"null", seen=seen))
        for value in ("999999999", "0", "-5", "soon", ""):
            self.call(deadline_ms=value)
        for header in (s[2] for s in seen):
            self.assertTrue(2000 < int(header["deadline_ms"]) <= 8000, header)

    def test_other_languages(self):
        for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", frames.frame(frames.RESULT, b"null", magic=b"VNV0"),
                     frames.frame(frames.RESULT, b"null", reserved=1), frames.frame(9, b"null"),
                     frames.frame(0, b"null"), frames.frame(frames.CALL, b"null"), frames.frame(frames.PRINT),
                     frames.frame(frames.PRINTING), frames.frame(frames.RESULT, b"null") * 2,
                     frames.frame(frames.RESULT), frames.frame(frames.ERROR), frames.frame(frames.ERROR, b"oops"),
                     b"\0" * 16):
            self.serve(raw(data))
            code, why = self.failure(self.call())
            self.assertEqual(code, "SR_BACKEND_FAILURE_202", data)
            self.assertIn("does not speak the protocol", why)
            self.assertIn("systemctl restart vnvmed", why)
            self.assertEqual(self.daemon.count, 1, "repeating would not help")
            self.check_daemon()

    def test_frames_beyond_the_limits(self):
        for data in (frames.frame(frames.RESULT, body_len=(64 << 20) + 1), frames.frame(frames.RESULT, header=b"x" * 4097)):
            self.serve(raw(data))
            self.assertIn("larger than the limit", self.failure(self.call())[1])
            self.check_daemon()


class WithoutDaemon(Case):
    """Plugin.*: XAPI registers storage types long before anything runs."""

    def query(self, folder=VOLUME, **kw):
        code, out = self.call("Plugin.Query", folder=folder, **kw)
        self.assertEqual(code, 0)
        value = broker.parse(out)
        broker.check_result("Plugin.Query", value)
        return value

    def test_query(self):
        self.assertEqual(self.query()["plugin"], "vnvme")
        self.assertEqual(self.query(folder=VOLUME + "-raw")["plugin"], "vnvme-raw")
        self.assertNotIn("VDI_SNAPSHOT", self.query(folder=VOLUME + "-raw")["features"])
        self.assertEqual(self.query(folder=DATAPATH)["features"], [])

    def test_query_whatever_stdin_is(self):
        for stdin in (b"", b"nonsense", b"x" * ((8 << 20) + 100)):
            self.query(stdin=stdin)
        child = self.start("Plugin.Query", deadline_ms=300)
        self.assertEqual(json.loads(child.stdout.read())["plugin"], "vnvme")
        self.assertEqual(child.wait(), 0)
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()

    def diagnostics(self):
        code, out = self.call("Plugin.diagnostics", b'{"dbg":"x"}')
        self.assertEqual(code, 0)
        text = broker.parse(out)
        self.assertIn(self.socket, text)
        return text

    def test_diagnostics_tells_what_it_saw(self):
        self.assertIn("nobody listens", self.diagnostics())
        for serve, words in ((silent, "did not answer"), (answer(b'"vnvmed \\"9\\" answers"'), 'vnvmed "9" answers'),
                             (raw(b"HTTP/1.1 400\r\n\r\n...."), "does not speak"), (answer(ERROR, kind=frames.ERROR), "another version"),
                             (answer(b"7"), "another version")):
            self.serve(serve)
            self.assertIn(words, self.diagnostics())
            self.check_daemon()


class CommandLine(Case):
    def test_as_static_vdis_calls_it(self):
        seen = []
        self.serve(answer(b'"it"', seen=seen))
        for folder, words, request in (
                (VOLUME, ["SR.attach", "static-vdis", "--configuration", "dpu", 'unix:/"a"', "--configuration", "x", "ï"],
                 {"configuration": {"dpu": 'unix:/"a"', "x": "ï"}, "dbg": "static-vdis"}),
                (VOLUME, ["Volume.stat", "static-vdis", "SR", "KEY"], {"sr": "SR", "key": "KEY", "dbg": "static-vdis"}),
                (DATAPATH, ["Datapath.activate", "static-vdis", "vnvme:///a/b", "0"],
                 {"uri": "vnvme:///a/b", "domain": "0", "dbg": "static-vdis"})):
            self.assertEqual(self.call(words[0], stdin=b"never read", words=words[1:], folder=folder), (0, b'"it"\n'))
            self.assertEqual(json.loads(seen.pop()[3]), request)
        self.assertEqual(json.loads(self.call("Plugin.Query", words=["static-vdis"])[1])["plugin"], "vnvme")

    def test_errors_are_seen_by_people_too(self):
        child = self.start("Volume.stat", "me")
        out, err = child.communicate(timeout=60)
        self.failure((child.returncode, out))
        self.assertIn(b"words are missing", err)

    def test_help_teaches_and_version_tells(self):
        for argv in ([PLUGIN, "--help"], [VOLUME + "/Volume.stat", "--help"], [PLUGIN, "-h"]):
            out = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=60).stdout
            for words in ("static-vdis", "--configuration KEY VALUE", "VNVME_SMAPI_SOCKET", "VNVME_DEADLINE_MS", "systemctl status vnvmed"):
                self.assertIn(words, out)
        out = subprocess.run([PLUGIN, "--version"], capture_output=True, check=True, text=True, timeout=60).stdout
        self.assertRegex(out, r"^vnvme-plugin \d+\.\d+\.\d+\n$")

    def test_without_a_script_it_says_what_it_is(self):
        for argv in ([PLUGIN], [PLUGIN, "--json"], [PLUGIN, "-x"]):
            out = subprocess.run(argv, capture_output=True, check=False, timeout=60)
            self.assertIn("run by the #! line", self.failure((out.returncode, out.stdout))[1])


if __name__ == "__main__":
    assert os.path.exists(os.path.join(BIN, "vnvme-plugin")), "build vnvme-plugins first"
    unittest.main()
