"""A real HTTP server on loopback that answers by a script and remembers what it was asked."""

import gzip
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def json(self):
        packed = self.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


@dataclass
class Reply:
    """A response to give; `how`: whole, chunked, unframed, drip, or with a fault: reset, cut, cut chunks,
    dripping head.
    """

    body: bytes = b'{"data":{"ok":true}}'
    status: int = 200
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    how: str = "whole"

    @classmethod
    def of(cls, content, status=200, **kwargs):
        return cls(json.dumps(content).encode(), status, **kwargs)

    @classmethod
    def errors(cls, *codes, status=200, **beside):
        errors = [{"message": f"said {code}", "extensions": {"code": code}} for code in codes]
        return cls.of({"data": None, "errors": errors, **beside}, status)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.scripted.take(Asked(self.command, self.path, dict(self.headers), body))
        time.sleep(reply.delay)
        if reply.how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            # The socket goes with its two files; closing it with no linger is what sends the reset.
            self.connection.close()
            return None
        if reply.how == "dripping head":
            return self._drip(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Slow: " + b"." * 1000)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.how == "unframed":
            self.send_header("Connection", "close")
        elif "chunk" in reply.how:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(reply.body) + (10 if reply.how == "cut" else 0)))
        self.end_headers()
        if reply.how == "drip":
            return self._drip(reply.body)
        if "chunk" in reply.how:
            for start in range(0, len(reply.body), 1000):
                piece = reply.body[start : start + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"" if reply.how == "cut chunks" else b"0\r\n\r\n")
        else:
            self.wfile.write(reply.body)
        if reply.how in {"cut", "unframed", "cut chunks"}:
            self.close_connection = True
        return None

    def _drip(self, body):
        try:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(0.005)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - named by http.server

    def log_message(self, *args):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


class ScriptedServer:
    """Gives the scripted replies in turn, then `otherwise` for ever."""

    def __init__(self, tls=None):
        self.asked, self.script, self.otherwise = [], [], Reply()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.scripted = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.origin = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        self.endpoint = f"{self.origin}/api/label/v2/graphql"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def take(self, asked):
        with self._lock:
            self.asked.append(asked)
            return self.script.pop(0) if self.script else self.otherwise

    def close(self):
        self._server.shutdown()
        self._server.server_close()
