"""HTTP on loopback: reads requests, applies faults, sends replies."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import struct
import threading
import zlib
from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pandas_kili.sandbox.routes import GRAPHQL_ROUTE, Reply, Request, Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pandas_kili.sandbox.faults import Fault, FaultPlan
    from pandas_kili.sandbox.store import Store

__all__ = ["Server"]

_LOOPBACK = "127.0.0.1"
_OWN_NAMES = frozenset({_LOOPBACK, "localhost", "::1"})
_MOST_REQUESTS = 20_000
_MOST_REQUEST_BYTES = 64 << 20
_WORTH_PACKING = 1400
_PIECE = 1 << 20
_DRIPS = 20
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_LONGEST_BODY = 100_000_000
_LONGEST_BODY_OF_STRANGERS = 16_384  # clients ask who the user is, with a key that may be wrong

if TYPE_CHECKING:
    Hook = Callable[[Request], None]


class RequestLog:
    """The latest requests: 20,000 at most, and 64 MiB of their bodies at most."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Request, int]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, request: Request, size: int) -> None:
        """Remember `request`, of `size` bytes, and forget the oldest ones beyond the limits."""
        with self._lock:
            self._entries.append((request, size))
            self._bytes += size
            while len(self._entries) > _MOST_REQUESTS or (self._bytes > _MOST_REQUEST_BYTES and len(self._entries) > 1):
                self._bytes -= self._entries.popleft()[1]

    def entries(self) -> list[Request]:
        """Return what is remembered, oldest first."""
        with self._lock:
            return [request for request, _ in self._entries]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0


class Server(ThreadingHTTPServer):
    """Serves one sandbox.

    Parameters
    ----------
    port : int
        Where to listen, 0 for any free port.
    routes : Routes
        Answers the requests.
    store : Store
        The rows, also as they were a moment ago.
    plan : FaultPlan
        The faults that requests meet.
    """

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, routes: Routes, store: Store, plan: FaultPlan) -> None:
        super().__init__((_LOOPBACK, port), _Handler)
        self.routes = routes
        self.store = store
        self.plan = plan
        self.requests = RequestLog()
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.stopping = threading.Event()
        self._live: dict[threading.Thread, socket.socket] = {}
        self._loop = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True, name="kili-sandbox")

    @property
    def origin(self) -> str:
        """The URL of the server without a path."""
        return f"http://{_LOOPBACK}:{self.server_port}"

    def start(self) -> None:
        """Serve from now on, in threads."""
        self._loop.start()

    def stop(self) -> None:
        """Close all connections, wait for the work in hand, and free the port."""
        self.stopping.set()
        with contextlib.suppress(OSError):  # Linux wakes the loop by this; elsewhere it looks up 20 times a second
            self.socket.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        for connection in list(self._live.values()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._live):
            thread.join(10)
        self._loop.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread that `stop` waits for."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._live[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._live.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that go away and connections that faults have closed."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "kili-sandbox"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the parent's
        """Keep the terminal quiet: requests are remembered instead."""

    def parse_request(self) -> bool:
        """Take a request apart, and refuse what comes from a page of another site in a browser."""
        if not super().parse_request():
            return False
        origin = self.headers.get("Origin")
        foreign = next((name for name in (self.headers.get("Host"), origin) if name and not _is_own(name)), None)
        if foreign is None:
            return True
        # A site can let its own name lead to this machine ("DNS rebinding"), to look like a local program.
        deque(self._pieces(), maxlen=0)
        self._send(Reply.of_error(HTTPStatus.FORBIDDEN, f"The sandbox does not serve {foreign!r}", "FORBIDDEN"))
        return False

    def do_POST(self) -> None:
        known = self.server.routes.knows_key(self.headers)
        longest = _LONGEST_BODY if known else _LONGEST_BODY_OF_STRANGERS
        body = self._body(longest)
        if self.path != GRAPHQL_ROUTE:
            self._send(Reply.of_page(HTTPStatus.NOT_FOUND, "Not Found"))
            return
        if body is None:
            message = f"The body is longer than {longest:,} bytes{'' if known else ', and the API key is not valid'}"
            self._send(Reply.of_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, "PAYLOAD_TOO_LARGE"))
            return
        try:
            document, variables = self._parsed(body, longest)
            operations = self.server.routes.operations_of(document)
        except (ValueError, zlib.error, OSError, EOFError, RecursionError) as error:
            message = f"The body is not a GraphQL request: {error}"
            self._send(Reply.of_error(HTTPStatus.BAD_REQUEST, message, "BAD_REQUEST"))
            return
        request = Request("POST", self.path, self.headers, document, variables, operations)
        self._serve(request, lambda: self.server.routes.graphql(request), size=len(body))

    def do_GET(self) -> None:
        request = Request(self.command, self.path, self.headers, operations=(self.command,))
        self._serve(request, lambda: self.server.routes.get(request))

    do_HEAD = do_GET  # noqa: N815 - named by http.server

    def do_PUT(self) -> None:
        request = Request("PUT", self.path, self.headers, operations=("PUT",))
        body = self._pieces()
        self._serve(request, lambda: self.server.routes.put(request, body), unread=body)

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            yield from self._chunks()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read(min(_PIECE, left))
            if not piece:
                raise ConnectionResetError("The client went away in the middle of a body")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while left := int(self.rfile.readline(20).split(b";")[0], 16):
            while left > 0 and (piece := self.rfile.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece
            self.rfile.readline(4)
        self.rfile.readline(4)

    def _body(self, longest: int) -> bytes | None:
        """Return the body, or None where it is too long; then it is read to its end, and not kept."""
        pieces, size = [], 0
        for piece in self._pieces():
            size += len(piece)
            if size <= longest:
                pieces.append(piece)
            else:
                pieces.clear()
        return b"".join(pieces) if size <= longest else None

    def _parsed(self, body: bytes, longest: int) -> tuple[str, dict[str, Any]]:
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, longest)
        call = json.loads(body)
        if not isinstance(call, dict) or not isinstance(call.get("query"), str):
            raise ValueError("no query in it")  # noqa: TRY004 - one kind of error for any malformed body
        variables = {} if call.get("variables") is None else call["variables"]
        if not isinstance(variables, dict):
            raise ValueError("variables are an object")  # noqa: TRY004 - as above
        return call["query"], variables

    def _serve(self, request: Request, work: Callable[[], Reply], unread: Iterable[bytes] = (), size: int = 0) -> None:
        self.server.requests.add(request, size)
        for hook in self.server.before:
            hook(request)
        faults = self.server.plan.meet(request.operations)
        for fault in faults:
            if fault.kind == "latency":
                self._wait(fault)
        if self.server.stopping.is_set():
            self.close_connection = True
            return
        failure = next((fault for fault in faults if fault.is_failure), None)
        if failure is not None and not failure.comes_after:
            deque(unread, maxlen=0)
            self._fail(failure, None)
            return
        reply = self._worked(work, next((fault for fault in faults if fault.kind == "replica_lag"), None))
        deque(unread, maxlen=0)
        for hook in self.server.after:
            hook(request)
        if failure is None:
            self._send(reply)
        else:
            self._fail(failure, reply)

    def _worked(self, work: Callable[[], Reply], lag: Fault | None) -> Reply:
        if lag is None:
            return work()
        with self.server.store.lagging(lag.duration(self.server.plan.chance)):
            return work()

    def _wait(self, fault: Fault) -> None:
        self.server.stopping.wait(fault.duration(self.server.plan.chance))

    def _fail(self, fault: Fault, reply: Reply | None) -> None:
        if fault.kind in {"reset_before", "reset_after"}:
            self._reset()
        elif fault.kind in {"refuse", "timeout_after"}:
            self._wait(fault)
            self.close_connection = True
        elif reply is not None and fault.kind in {"cut", "drip"}:
            self._send_badly(fault, reply)
        else:
            self._send(_failed(fault, reply))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        os.close(self.connection.detach())

    def _send(self, reply: Reply) -> None:
        if reply.file is None and len(reply.body) >= _WORTH_PACKING and self._takes_gzip():
            reply.body = gzip.compress(reply.body, compresslevel=1)
            reply.headers["Content-Encoding"] = "gzip"
        self._begin(reply)
        if self.command == "HEAD":
            self.end_headers()
        elif reply.file is None:
            self._headers_buffer: list[bytes]
            self._headers_buffer.append(b"\r\n" + reply.body)  # one segment: headers and body leave together
            self.flush_headers()
        else:
            self.end_headers()
            for piece in reply.pieces():
                self.wfile.write(piece)

    def _takes_gzip(self) -> bool:
        return "gzip" in self.headers.get("Accept-Encoding", "")

    def _begin(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(reply.length))
        for name, value in reply.headers.items():
            self.send_header(name, value)

    def _send_badly(self, fault: Fault, reply: Reply) -> None:
        self._begin(reply)
        self.end_headers()
        body = b"".join(reply.pieces())
        if fault.kind == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        step = max(len(body) // _DRIPS, 1)
        pause = fault.duration(self.server.plan.chance) / _DRIPS
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.server.stopping.wait(pause)


def _is_own(name: str) -> bool:
    """Tell whether a Host (``localhost:80``) or an Origin (``http://localhost:80``) names this machine."""
    try:
        return urlsplit(name if "://" in name else f"//{name}").hostname in _OWN_NAMES
    except ValueError:
        return False


def _failed(fault: Fault, reply: Reply | None) -> Reply:
    if fault.kind == "status":
        page = Reply.of_page(fault.status, f"{fault.status} from the sandbox")
        if fault.retry_after is not None:
            page.headers["Retry-After"] = f"{fault.retry_after:g}"
        return page
    if fault.kind == "html":
        return Reply.of_page(HTTPStatus.OK, "Please log in")
    if fault.kind == "expired_signature":
        return Reply(
            HTTPStatus.FORBIDDEN, "application/xml", b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>"
        )
    if fault.kind == "disk_full":
        return Reply.of_page(HTTPStatus.INSUFFICIENT_STORAGE, "Insufficient Storage")
    error = Reply.of_error(HTTPStatus.OK, fault.message, fault.code)
    if fault.kind == "partial_data" and reply is not None:
        return Reply.of_json(HTTPStatus.OK, {**json.loads(reply.body), "errors": json.loads(error.body)["errors"]})
    return error
