"""Requests straight over urllib3's connections: what it and `requests` do around them costs more CPU than sending."""

from __future__ import annotations

import http.client
import os
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter

from pandas_kili.connection.adapter import WaryAdapter
from pandas_kili.connection.private_networks import InsideError, leads_inside

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_UNZIPPED", "Exchange", "Opened", "Pools", "Route", "unzipped"]

_PLAIN_URL = re.compile(r"https?://[\w.\-]+(:\d+)?(/[!-~]*)?", re.ASCII)  # no user, no spaces, no other alphabet
_MOST_ORIGINS = 100
_GZIP = b"\x1f\x8b\x08"
MOST_UNZIPPED = 1032  # bytes that one byte can stand for: gzip knows no shorter way to write a repetition


class Opened(Protocol):
    """A response with a body that is still to be read, as urllib3 has it.

    Attributes
    ----------
    status : int
        HTTP status.
    headers : mapping
        By names in any case; several of one name are joined.
    """

    status: int
    headers: Any

    def read1(self, amt: int) -> bytes:
        """Return the next piece, unpacked, of at most so many bytes on the way; empty at the end."""

    def tell(self) -> int:
        """Return how many bytes came, packed as they were."""

    def close(self) -> None:
        """Let go of the connection."""


class Exchange:
    """A response over a connection that goes back to its pool when it is closed."""

    def __init__(self, pool: urllib3.HTTPConnectionPool, connection: Any, response: http.client.HTTPResponse) -> None:
        self._pool, self._connection, self._response = pool, connection, response
        self.status, self.headers = response.status, urllib3.HTTPHeaderDict(response.headers.items())
        self._came = 0
        self._unpacked: urllib3.HTTPResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read1(self, amt: int) -> bytes:
        """Return the next piece, unpacked."""
        if "Content-Encoding" not in self.headers:
            return self.read1_packed(amt)
        if self._unpacked is None:
            self._unpacked = urllib3.HTTPResponse(self._response, self.headers, self.status, preload_content=False)
        return self._unpacked.read1(amt)

    def read1_packed(self, amt: int) -> bytes:
        """Return the next piece as it comes, of at most so many bytes; empty at the end."""
        try:
            piece = self._response.read1(amt)
            if not piece and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        except (http.client.HTTPException, OSError) as error:
            raise urllib3.exceptions.ProtocolError("the connection broke", error) from error
        self._came += len(piece)
        return piece

    def tell(self) -> int:
        """Return how many bytes came, packed as they were."""
        return self._came if self._unpacked is None else self._unpacked.tell()

    def close(self) -> None:
        """Give the connection back to its pool."""
        is_whole = self._response.isclosed() or self._response.length == 0
        self._response.close()
        if not is_whole:
            self._connection.close()  # what is left of the body would be taken for the next response
        self._pool._put_conn(self._connection)  # noqa: SLF001 - urllib3 lends connections in no other way


def unzipped(packed: bytes) -> bytes | None:
    """Return the whole body that was compressed by gzip, at once: in pieces it takes a third longer.

    None where that might be wrong or too much: several packed parts follow each other, or it is no gzip at all.
    """
    if not packed.startswith(_GZIP) or packed.find(_GZIP, 1) >= 0:
        return None
    size = min(int.from_bytes(packed[-4:], "little"), len(packed) * MOST_UNZIPPED)
    try:
        return zlib.decompress(packed, zlib.MAX_WBITS | 16, max(1, size))
    except zlib.error as error:
        raise urllib3.exceptions.DecodeError("the body cannot be unpacked", error) from error


@dataclass(frozen=True)
class Route:
    """The way to one origin, such as ``https://host:8000``: its connections, and the headers that go along."""

    origin: str
    pool: urllib3.HTTPConnectionPool
    headers: Mapping[str, str]

    def send(
        self,
        method: str,
        url: str,
        timeout: tuple[float, float],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Exchange:
        """Send a request; the body of its response is still to be read."""
        target = url[len(self.origin) :].partition("#")[0] or "/"
        connection: Any = self.pool._get_conn()  # noqa: SLF001 - urllib3 lends connections in no other way
        try:
            if connection.is_closed:
                connection.timeout = timeout[0]
                connection.connect()
            if connection.sock.gettimeout() != timeout[1]:
                connection.sock.settimeout(timeout[1])
            with suppress(BrokenPipeError, ConnectionResetError):  # there may be a response that says why
                http.client.HTTPConnection.request(
                    connection, method, target, body, {**self.headers, **(headers or {})}
                )
            response = http.client.HTTPConnection.getresponse(connection)
        except BaseException:
            connection.close()
            self.pool._put_conn(connection)  # noqa: SLF001 - as above
            raise
        return Exchange(self.pool, connection, response)


class Pools:
    """Routes to origins, each found once, with the certificates and the private networks that hold for it.

    Parameters
    ----------
    endpoint
        URL of the API.
    prepared
        Makes the request that `requests` would send to a URL.
    surroundings
        What the environment says of proxies and certificates for a URL.
    kept
        Connections of an origin that are kept open.
    """

    def __init__(
        self,
        endpoint: str,
        prepared: Callable[[str], requests.PreparedRequest],
        surroundings: Callable[[str], Mapping[str, Any]],
        kept: int,
    ) -> None:
        self._endpoint, self._prepared, self._surroundings, self._kept = endpoint, prepared, surroundings, kept
        self._open()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._adapter = WaryAdapter(self._endpoint, pool_connections=_MOST_ORIGINS, pool_maxsize=self._kept)
        self._routes: dict[tuple[str, bool], Route | None] = {}

    @property
    def adapter(self) -> WaryAdapter:
        """The same connections for `requests`, where there is no route."""
        if self._pid != os.getpid():
            self._open()  # connections belong to the parent of a fork, who goes on speaking on them
        return self._adapter

    def route(self, url: str, *, guarded: bool = True) -> Route | None:
        """Return the way to the origin of a URL, or None where it leads through a proxy, or is out of the ordinary.

        It is guarded against private networks, unless the URL comes from the server itself.

        Raises
        ------
        InsideError
            Where a guarded one leads into a private network.
        """
        if not _PLAIN_URL.fullmatch(url):
            return None
        adapter = self.adapter
        end = url.find("/", len("https://"))
        place = (url if end < 0 else url[:end], guarded)
        if place not in self._routes:
            if len(self._routes) >= _MOST_ORIGINS:
                return None
            if guarded and leads_inside(url, self._endpoint):
                raise InsideError
            self._routes[place] = self._found(place[0], url, adapter.of(url) if guarded else adapter)
        return self._routes[place]

    def _found(self, origin: str, url: str, adapter: HTTPAdapter) -> Route | None:
        surroundings = self._surroundings(url)
        if requests.utils.select_proxy(url, surroundings["proxies"]):
            return None
        prepared = self._prepared(url)
        verify = surroundings["verify"]
        pool: Any = adapter.get_connection_with_tls_context(prepared, verify, cert=None)
        adapter.cert_verify(pool, url, verify, None)  # type: ignore[no-untyped-call]  # of `requests`
        return Route(origin, pool, dict(prepared.headers))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._adapter.close()
        self._open()
