"""A XAPI for tests: HTTP with JSON-RPC (1.0 and 2.0) and XML-RPC, over a unix socket and loopback TCP.

    with FakeXapi(unix=path, tcp=True, root=SCRIPTS, env=env) as fake:
        fake.url                                # http://127.0.0.1:PORT
        fake.api.call("VM.start", [...])        # as any client would, without the wire
        fake.rule("event.from", "drop", nth=3)  # see Rules
        fake.restart(booting=2)
As a program: fake_xapi.py --unix PATH [--tcp] [--root SCRIPTS]; it prints its URL and ends with stdin.

The wire follows ocaml/xapi/api_server.ml and ocaml-rpc: integers are numbers in JSON and strings in XML, a refusal
is HTTP 200, a request that cannot be read is 500 with a page of HTML.
"""
import argparse
import http.server
import json
import os
import socket
import socketserver
import sys
import threading
import xmlrpc.client

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xapi_xml  # noqa: E402
from xapi_api import Api  # noqa: E402
from xapi_db import XapiError  # noqa: E402

MAX_BODY = 300 << 10  # the real one refuses more (Constants.http_limit_max_rpc_size)
BROKEN = ("<html><body><h1>HTTP 500 internal server error</h1>An unexpected error occurred; please wait a while and "
          "try again. If the problem persists, please contact your support representative.<h1> Additional "
          "information </h1>{}</body></html>")


class Malformed(Exception):
    pass


class Drop(Exception):
    """The connection ends without an answer."""


class Rules:
    """What happens to the nth next call of a method ("*": any): drop_before, drop_after (the connection ends, the
    effect happened), restart_before, restart_after, or a list: an error instead of the effect."""

    def __init__(self):
        self.lock, self.rules = threading.Lock(), []

    def add(self, method, action, nth=1):
        with self.lock:
            self.rules.append([method, action, nth])

    def take(self, method):
        with self.lock:
            for rule in self.rules:
                if rule[0] in ("*", method):
                    rule[2] -= 1
                    if rule[2] == 0:
                        self.rules.remove(rule)
                        return rule[1]
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake-xapi"

    def setup(self):
        super().setup()
        self.server.fake.opened(self.connection)

    def finish(self):
        self.server.fake.closed(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), MAX_BODY + 1))
        try:
            if len(body) > MAX_BODY:
                raise Malformed("Too_large")
            if self.path.startswith("/jsonrpc"):
                self.say(200, "application/json", self.json(body))
            elif self.path in ("/", "/xmlrpc", "/RPC2"):
                self.say(200, "text/xml", self.xml(body))
            else:
                self.say(404, "text/html", "<html><body><h1>HTTP 404</h1></body></html>")
        except Malformed as e:
            self.close_connection = True
            self.say(500, "text/html", BROKEN.format(e))
        except Drop:
            self.close_connection = True
        except OSError:
            self.close_connection = True  # the client, or a restart, closed it

    def say(self, status, kind, text):
        data = text.encode("utf-8", "surrogatepass")
        self.send_response(status, "OK" if status == 200 else "Internal Error")
        self.send_header("content-length", str(len(data)))
        self.send_header("content-type", kind)
        self.send_header("connection", "close" if self.close_connection else "keep-alive")
        self.send_header("cache-control", "no-cache, no-store")
        self.end_headers()
        self.wfile.write(data)

    def json(self, body):
        try:
            request = json.loads(body)
            method, number = request["method"], request["id"]
            two = "jsonrpc" in request
            params = request.get("params", []) if two else request["params"]
            if not isinstance(method, str) or number is None or not isinstance(params, list):
                raise KeyError("id")
            if two and request["jsonrpc"] != "2.0":
                raise KeyError("jsonrpc")
        except (ValueError, KeyError, TypeError) as e:
            raise Malformed(f"Jsonrpc.Malformed_method_request({e})") from None
        head = {"jsonrpc": "2.0"} if two else {}
        try:
            value = self.server.fake.perform(method, params, self.server.trusted)
            return json.dumps({**head, "result": value, **({} if two else {"error": None}), "id": number})
        except XapiError as e:
            if two:
                error = {"code": 1, "message": e.code, "data": e.params}
                return json.dumps({**head, "error": error, "id": number})
            return json.dumps({"result": None, "error": e.as_list(), "id": number})

    def xml(self, body):
        try:
            params, method = xmlrpc.client.loads(body)
        except Exception as e:
            raise Malformed(f"Xmlrpc.Parse_error({e})") from None
        try:
            answer = self.server.fake.perform(method, list(params), self.server.trusted)
        except XapiError as e:
            return xapi_xml.failure(e.as_list())
        return xapi_xml.response(answer) if method == "system.listMethods" else xapi_xml.success(answer)


class Quiet:
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.fake.errors.append(error)


class UnixServer(Quiet, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    trusted = True  # whoever may open the socket is root


class TcpServer(Quiet, socketserver.ThreadingMixIn, socketserver.TCPServer):
    trusted = False


class FakeXapi:
    def __init__(self, unix=None, tcp=False, **api):
        self.api, self.rules = Api(**api), Rules()
        self.lock, self.connections, self.errors, self.seen = threading.Lock(), set(), [], []
        self.unix, self.tcp, self.servers, self.url = unix, tcp, [], None
        # Called around each call from the wire, with "before" or "after", method, parameters and answer; may raise Drop.
        self.tap = lambda when, method, params, answer: None
        # What of a batch of event.from a client gets to see.
        self.tamper = lambda token, batch: batch

    def __enter__(self):
        if self.tcp:
            server = self.serve(TcpServer(("127.0.0.1", 0), Handler))
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
        if self.unix:
            self.listen()
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.hang_up()
        if self.unix and os.path.exists(self.unix):
            os.remove(self.unix)

    def serve(self, server):
        server.fake = self
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def listen(self):
        if os.path.exists(self.unix):
            os.remove(self.unix)
        self.local = self.serve(UnixServer(self.unix, Handler))

    # ---- what tests do to it

    def rule(self, method, action, nth=1):
        self.rules.add(method, action, nth)

    def opened(self, connection):
        with self.lock:
            self.connections.add(connection)

    def closed(self, connection):
        with self.lock:
            self.connections.discard(connection)

    def hang_up(self):
        with self.lock:
            held = list(self.connections)
        for connection in held:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def restart(self, booting=0):
        self.api.restart(booting)
        self.hang_up()

    def vanish(self):
        """The unix socket is gone, as between the stop and the start of the toolstack; listen() brings it back."""
        self.servers.remove(self.local)
        self.local.shutdown()
        self.local.server_close()
        os.remove(self.unix)
        self.restart()

    # ---- a call from the wire

    def perform(self, method, params, trusted):
        with self.lock:
            self.seen.append((method, params))
        self.tap("before", method, params, None)
        action = self.rules.take(method)
        if isinstance(action, list):
            raise XapiError(*action)
        if action == "restart_before":
            self.restart()
        if action in ("drop_before", "restart_before"):
            raise Drop
        try:
            value = self.api.call(method, params, trusted)
        except (XapiError, Drop):
            raise
        except Exception as e:  # what the real one reports of its own bugs
            self.errors.append(e)
            raise XapiError("INTERNAL_ERROR", repr(e)) from None
        if action == "restart_after":
            self.restart()
        if action in ("drop_after", "restart_after"):
            raise Drop
        if method == "event.from":
            value = self.tamper(params[2], value)
        self.tap("after", method, params, value)
        return value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unix")
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--root")
    arguments = parser.parse_args()
    with FakeXapi(unix=arguments.unix, tcp=arguments.tcp, root=arguments.root) as fake:
        # One write: who waits for the line may close the pipe when it has come.
        sys.stdout.write((fake.url or "unix:" + arguments.unix) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
