"""Which hosts stand on a private network, where URLs that others wrote must not lead."""

from __future__ import annotations

import errno
import ipaddress
import socket
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

__all__ = ["InsideError", "WaryAdapter", "leads_inside"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class InsideError(PermissionError):
    """A URL that others wrote leads into a private network."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "it leads into a private network, and the endpoint is not in one")


def leads_inside(url: str, endpoint: str) -> bool:
    """Whether a URL leads to a private network that the endpoint is no part of.

    Labels and media carry URLs that any member of a project may have written. Fetched without a thought, they would let
    one read what only this machine can reach: a router, a cloud's metadata service, a database on loopback. Where the
    endpoint itself is private, its URLs are too, and nothing is gained by refusing them.

    Parameters
    ----------
    url : str
        What is to be fetched.
    endpoint : str
        URL of the API.
    """
    return _is_strange(url, endpoint) and _is_private(_host(url))


class WaryAdapter(HTTPAdapter):
    """Sends requests; what is fetched from strangers comes over connections to public addresses only.

    A name that led to a public address when it was looked at may lead elsewhere when it is connected to, so the
    connection itself is looked at, before anything is sent. A proxy connects on its own: there the first look must do.
    """

    def __init__(self, endpoint: str, **options: Any) -> None:
        super().__init__(**options)
        self._endpoint = endpoint
        self._outward = _OutwardAdapter(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request over the connections that it may have."""
        if request.method == "GET" and _is_strange(request.url or "", self._endpoint):
            return self._outward.send(request, *args, **options)
        return super().send(request, *args, **options)

    def close(self) -> None:
        """Close all connections."""
        self._outward.close()
        super().close()


class _Outward:
    """A connection that does not lead into a private network."""

    def _new_conn(self) -> socket.socket:
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]
        if _is_inside(connection.getpeername()[0]):
            connection.close()
            raise InsideError
        return connection


class _OutwardHTTPConnection(_Outward, urllib3.connection.HTTPConnection):
    pass


class _OutwardHTTPSConnection(_Outward, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _OutwardHTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OutwardHTTPSConnection


class _OutwardAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def _is_strange(url: str, endpoint: str) -> bool:
    """Whether a URL leads away from an endpoint that is not private itself."""
    home = _host(endpoint)
    return _host(url) != home and not _is_private(home)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # no URL: sending it will say so
        return ""


@lru_cache(maxsize=1024)
def _is_private(host: str) -> bool:
    """Whether a name or an address stands for anything but the public network; a name that is unknown does not."""
    if not host:  # the system takes it for this machine
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(_is_inside(str(place[4][0])) for place in found)


def _is_inside(text: str) -> bool:
    """Whether an address is of a private network, also where it is an IPv4 address in the clothes of IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = address.ipv4_mapped or address.sixtofour or nat64 or address
    return not address.is_global
