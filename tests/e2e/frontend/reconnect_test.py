"""Broken connections, and the word before printing (R1, R5)."""
import os
import unittest

from support import BIN, ERROR, Case, answer, broker, frames


class Reconnecting(Case):
    def test_half_an_answer_cut_at_every_border(self):
        whole = frames.frame(frames.RESULT, b'{"a":1}', header=b"id=x\n")
        cuts, ids = [0, 1, 4, 15, 16, 17, 20, 21, 22, len(whole) - 1, len(whole)], []

        def serve(conn, number):
            ids.append(frames.read_frame(conn)[2]["id"])
            conn.sendall(whole[:cuts[number - 1]])
        self.serve(serve)
        self.assertEqual(self.call("SR.stat"), (0, b'{"a":1}'))
        self.assertEqual(len(ids), len(cuts))
        self.assertEqual(len(set(ids)), 1, "one request, one id")

    def test_a_daemon_that_restarts_in_the_middle_of_the_request(self):
        body, seen = b'"' + b"x" * 300_000 + b'"', []

        def serve(conn, number):
            if number == 1:
                conn.recv(1000)
                return
            answer(b"null", seen=seen)(conn, number)
        self.serve(serve)
        self.assertEqual(self.call(stdin=body), (0, b"null"))
        self.assertEqual(seen[0][3], body)

    def test_an_answer_to_a_request_that_was_not_read_whole_is_heard(self):
        def serve(conn, _number):
            conn.recv(1000)
            conn.sendall(frames.frame(frames.ERROR, ERROR))
        self.serve(serve)
        code, out = self.call(stdin=b"x" * (4 << 20))
        self.assertEqual(code, 1)
        broker.check_error(broker.parse(out))
        self.assertEqual(out, ERROR)

    def test_the_second_connection_gets_less_time(self):
        deadlines = []

        def serve(conn, number):
            deadlines.append(int(frames.read_frame(conn)[2]["deadline_ms"]))
            if number == 4:
                conn.sendall(frames.frame(frames.RESULT, b"null"))
        self.serve(serve)
        self.assertEqual(self.call(), (0, b"null"))
        self.assertEqual(deadlines, sorted(deadlines, reverse=True))
        self.assertLess(deadlines[-1], deadlines[0])


class Word(Case):
    """R5: a volume is visible only when somebody hears of it, and is never lost once somebody did."""

    def dialogue(self, *connections, method="Volume.create", deadline_ms=None):
        """Each connection: what the daemon does after the call. Returns ((exit, stdout), the ids seen)."""
        ids = []

        def serve(conn, number):
            kind, _flags, header, _body = frames.read_frame(conn)
            assert kind == frames.CALL
            ids.append(header["id"])
            connections[min(number, len(connections)) - 1](conn, header["id"])
        self.serve(serve)
        got = self.call(method, deadline_ms=deadline_ms)
        self.check_daemon()
        self.assertEqual(len(set(ids)), 1)
        return got, ids

    @staticmethod
    def offer(conn):
        conn.sendall(frames.frame(frames.RESULT, b'{"key":"new"}', flags=frames.NEEDS_WORD))

    def hear(self, conn, wanted):
        kind, flags, header, body = frames.read_frame(conn)
        self.assertEqual((kind, flags, header, body), (frames.PRINTING, 0, {"id": wanted}, b""))

    def whole(self, conn, request):
        self.offer(conn)
        self.hear(conn, request)
        conn.sendall(frames.frame(frames.PRINT))

    def test_said_and_printed(self):
        for method in ("Volume.create", "Volume.clone", "Volume.snapshot"):
            got, ids = self.dialogue(self.whole, method=method)
            self.assertEqual((got, len(ids)), ((0, b'{"key":"new"}'), 1))

    def test_too_late_prints_the_error_alone(self):
        def late(conn, request):
            self.offer(conn)
            self.hear(conn, request)
            conn.sendall(frames.frame(frames.ERROR, ERROR))
        self.assertEqual(self.dialogue(late)[0], (1, ERROR))

    def test_a_large_error_after_the_word(self):
        large = ERROR.replace(b'"e"', b'"' + b"e" * 100_000 + b'"')

        def late(conn, request):
            self.offer(conn)
            self.hear(conn, request)
            conn.sendall(frames.frame(frames.ERROR, large))
        self.assertEqual(self.dialogue(late)[0], (1, large))

    def test_connection_lost_before_the_word(self):
        got, ids = self.dialogue(lambda conn, request: self.offer(conn), self.whole)
        self.assertEqual((got, len(ids)), ((0, b'{"key":"new"}'), 2))

    def test_connection_lost_after_the_word_and_the_ledger_answers(self):
        def lost(conn, request):
            self.offer(conn)
            self.hear(conn, request)
        got, ids = self.dialogue(lost, lambda conn, _: conn.sendall(frames.frame(frames.RESULT, b'{"key":"new"}')))
        self.assertEqual((got, len(ids)), ((0, b'{"key":"new"}'), 2))

    def test_connection_lost_after_the_word_and_it_is_asked_again(self):
        def lost(conn, request):
            self.offer(conn)
            self.hear(conn, request)
        got, ids = self.dialogue(lost, lost, self.whole)
        self.assertEqual((got, len(ids)), ((0, b'{"key":"new"}'), 3))

    def test_half_the_permission_is_none(self):
        def half(conn, request):
            self.offer(conn)
            self.hear(conn, request)
            conn.sendall(frames.frame(frames.PRINT)[:9])
        self.assertEqual(self.dialogue(half, self.whole)[0], (0, b'{"key":"new"}'))

    def test_silence_after_the_word_says_what_may_have_happened(self):
        def hang(conn, request):
            self.offer(conn)
            self.hear(conn, request)
            conn.recv(1)
        got, _ = self.dialogue(hang, deadline_ms=400)
        self.assertIn("may have been made all the same: `xe sr-scan`", self.failure(got)[1])

    def test_nonsense_after_the_word(self):
        for kind, body in ((frames.RESULT, b"null"), (frames.CALL, b""), (frames.ERROR, b"")):
            def bad(conn, request, kind=kind, body=body):
                self.offer(conn)
                self.hear(conn, request)
                conn.sendall(frames.frame(kind, body))
            got, _ = self.dialogue(bad)
            self.assertEqual(self.failure(got)[0], "SR_BACKEND_FAILURE_202")


if __name__ == "__main__":
    assert os.path.exists(os.path.join(BIN, "vnvme-plugin")), "build vnvme-plugins first"
    unittest.main()
