"""An object store on loopback that speaks as much of S3 as a Delta table needs, conditional writes among it."""

import email.utils
import hashlib
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _place(self):
        parts = urlsplit(self.path)
        return unquote(parts.path).lstrip("/").partition("/")[2], parse_qs(parts.query, keep_blank_values=True)

    def do_POST(self):
        """Begin an upload in parts, or put the parts together."""
        key, query = self._place()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "uploads" in query:
            return self._reply(200, b"<R><UploadId>1</UploadId></R>")
        numbers = sorted(number for name, number in self.server.parts if name == key)
        body = self.server.objects[key] = b"".join(self.server.parts.pop((key, number)) for number in numbers)
        return self._reply(200, f"<R><ETag>{escape(_tag(body))}</ETag></R>".encode())

    def do_PUT(self):
        key, query = self._place()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "partNumber" in query:
            self.server.parts[key, int(query["partNumber"][0])] = body
            return self._reply(200, b"", ETag=_tag(body))
        with self.server.lock:
            is_taken = self.headers.get("If-None-Match") == "*" and key in self.server.objects
            if not is_taken:
                self.server.objects[key] = body
        if not is_taken and self.server.lost and key.endswith(self.server.lost):
            if self.server.is_mortal:
                os._exit(0)
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        return self._reply(412 if is_taken else 200, b"", ETag=_tag(body))

    def do_GET(self):
        key, query = self._place()
        if "list-type" in query:
            return self._list(query)
        body = self.server.objects.get(key)
        if body is None:
            return self._reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        said = {"ETag": _tag(body), "Last-Modified": email.utils.formatdate(usegmt=True)}
        if "Range" not in self.headers:
            return self._reply(200, body, **said)
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start = int(first) if first else len(body) - int(last)
        end = min(int(last) + 1 if first and last else len(body), len(body))
        said["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        return self._reply(206, body[start:end], **said)

    def do_HEAD(self):
        self.do_GET()

    def do_DELETE(self):
        self.server.objects.pop(self._place()[0], None)
        self._reply(204, b"")

    def _list(self, query):
        prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
        keys = sorted(key for key in self.server.objects if key.startswith(prefix) and key > after)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[key])}</Size><ETag>&quot;x&quot;</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        head = f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._reply(200, f"<ListBucketResult>{head}{entries}</ListBucketResult>".encode())

    def _reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def _tag(body):
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class ObjectStore:
    """The store while it runs; `options` are what deltalake takes as `storage_options`.

    The response to the first write of a key that ends with `lost` is lost on the way, though the object is there; a
    store that `is_mortal` ends at that moment.

    It is a process of its own, as deltalake keeps Python's lock while it waits for some responses.
    """

    def __init__(self, lost="", *, is_mortal=False):
        self._arguments = [lost, "mortal" if is_mortal else ""]

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments], stdout=subprocess.PIPE, text=True
        )
        self.options = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(self._process.stdout.readline())}",
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "kept-to-oneself",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "max_retries": "0",
        }
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.lost, server.is_mortal = sys.argv[1:]
    server.objects, server.parts, server.lock = {}, {}, threading.Lock()
    print(server.server_port, flush=True)  # noqa: T201 - read by the test
    server.serve_forever()
