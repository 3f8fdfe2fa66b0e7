"""Connections that keep a deadline for the head of a response, and that never lead strangers' URLs inside."""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from pandas_kili.connection.private_networks import InsideError, is_foreign, is_inside

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["WaryAdapter"]

_BUFFER = 2**16  # bytes: most answers and many pictures come in one piece, head and all


class WaryAdapter(HTTPAdapter):
    """Sends requests; files from foreign hosts come over connections to public addresses only.

    A name that led to a public address when it was looked up may lead elsewhere when it is connected to. So the
    address of the connection itself is checked, before anything is sent. A proxy connects on its own: there the look-up
    decides.
    """

    def __init__(self, endpoint: str, **options: Any) -> None:
        super().__init__(**options)
        self._endpoint = endpoint
        self._outward = _OutwardAdapter(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the connections punctual."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> urllib3.ProxyManager:
        """Make the connections through a proxy punctual."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request over the connections that it may use."""
        if request.method == "GET" and self.of(request.url or "") is not self:
            return self._outward.send(request, *args, **options)
        return super().send(request, *args, **options)

    def of(self, url: str) -> HTTPAdapter:
        """Return the adapter for a GET of a URL."""
        return self._outward if is_foreign(url, self._endpoint) else self

    def close(self) -> None:
        """Close all connections."""
        self._outward.close()
        super().close()


class _Stream(io.RawIOBase):
    """Bytes from a socket, refused once `until` has passed."""

    def __init__(self, source: io.RawIOBase, until: float) -> None:
        self.source, self.until = source, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if time.monotonic() > self.until:
            raise TimeoutError
        return self.source.readinto(buffer)

    def close(self) -> None:
        self.source.close()
        super().close()


class _PunctualResponse(http.client.HTTPResponse):
    """A response with a head that must be complete within the time of one read.

    A timeout of a socket bounds each piece. A server that sends a byte of the head now and then would never meet it.
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        patience = sock.gettimeout()
        self._stream = _Stream(self.fp.detach(), math.inf if patience is None else time.monotonic() + patience)
        self.fp = io.BufferedReader(self._stream, _BUFFER)

    def begin(self) -> None:
        super().begin()
        self._stream.until = math.inf


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _PunctualResponse


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _PunctualResponse


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Outward:
    """A connection that does not lead into a private network."""

    def _new_conn(self) -> socket.socket:
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]  # that of the class it is mixed into
        if is_inside(connection.getpeername()[0]):
            connection.close()
            raise InsideError
        return connection


class _OutwardHTTPConnection(_Outward, _HTTPConnection):
    pass


class _OutwardHTTPSConnection(_Outward, _HTTPSConnection):
    pass


class _OutwardHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _OutwardHTTPConnection


class _OutwardHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OutwardHTTPSConnection


class _OutwardAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _OutwardHTTPPool, "https": _OutwardHTTPSPool}
