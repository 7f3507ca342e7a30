"""An admin socket that answers what a test tells it to, and keeps what it was asked."""
import json
import os
import socket
import tempfile
import threading


class ScriptedAdmin:
    """answers: {verb: result}; a value that is bytes is sent as it is; Refuse(...) is an error answer;
    a list of Lines(...) sends several answers (events --follow)."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []
        self.dir = tempfile.TemporaryDirectory(prefix="vnvme-cli-")
        self.path = os.path.join(self.dir.name, "admin.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.asked.append(request)
                    answer = self.answers.get(request["verb"], Refuse("invalid_argument", "unknown verb"))
                    if answer is Hangup:
                        break
                    peer.sendall(encode(answer))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
        self.dir.cleanup()


class Refuse:
    def __init__(self, code, text):
        self.error = {"code": code, "outcome": "not_done", "text": text}


class Lines:
    def __init__(self, *results):
        self.results = results


class Hangup:
    """Closes the connection instead of answering."""


def encode(answer):
    if isinstance(answer, bytes):
        return answer
    if isinstance(answer, Refuse):
        return json.dumps({"error": answer.error}).encode() + b"\n"
    if isinstance(answer, Lines):
        return b"".join(encode(r) for r in answer.results)
    return json.dumps({"result": answer}).encode() + b"\n"
