"""Requests straight through urllib3's pools: `requests` in between costs as much CPU as the exchange itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from pandas_kili.connection.adapter import WaryAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pools", "Route"]

_PLAIN_URL = re.compile(r"https?://[\w.\-]+(:\d+)?(/[!-~]*)?", re.ASCII)  # no user, no spaces, no other alphabet
_MOST_ORIGINS = 100


@dataclass(frozen=True)
class Route:
    """The way to one origin: its connections, and the headers that go along."""

    pool: urllib3.HTTPConnectionPool
    headers: Mapping[str, str]

    def send(
        self,
        method: str,
        url: str,
        timeout: tuple[float, float],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; the body of its response is still to be read."""
        parts = urlsplit(url)
        return self.pool.urlopen(
            method,
            f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/",
            body=body,
            headers={**self.headers, **headers} if headers else self.headers,
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
            preload_content=False,
        )


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
        """
        if not _PLAIN_URL.fullmatch(url):
            return None
        adapter = self.adapter
        end = url.find("/", len("https://"))
        place = (url if end < 0 else url[:end], guarded)
        if place not in self._routes:
            if len(self._routes) >= _MOST_ORIGINS:
                return None
            self._routes[place] = self._found(url, adapter.of(url) if guarded else adapter)
        return self._routes[place]

    def _found(self, url: str, adapter: HTTPAdapter) -> Route | None:
        surroundings = self._surroundings(url)
        if requests.utils.select_proxy(url, surroundings["proxies"]):
            return None
        prepared = self._prepared(url)
        verify = surroundings["verify"]
        pool: Any = adapter.get_connection_with_tls_context(prepared, verify, cert=None)
        adapter.cert_verify(pool, url, verify, None)  # type: ignore[no-untyped-call]
        return Route(pool, dict(prepared.headers))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._adapter.close()
        self._open()
