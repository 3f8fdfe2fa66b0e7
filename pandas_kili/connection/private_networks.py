"""Which hosts stand on a private network, where URLs that others wrote must not lead."""

from __future__ import annotations

import errno
import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["InsideError", "is_foreign", "is_inside", "leads_inside"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class InsideError(PermissionError):
    """A URL that others wrote leads into a private network."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "it leads into a private network, and the endpoint is not in one")


def leads_inside(url: str, endpoint: str) -> bool:
    """Whether a URL leads to a private network that the endpoint is no part of.

    Labels and media carry URLs that any member of a project may have written. Fetched unchecked, they would let a
    member read what only this machine can reach: a router, a cloud's metadata service, a database on loopback. Where
    the endpoint itself is private, its URLs are too, and refusing them would gain nothing.

    Parameters
    ----------
    url : str
        URL of the file to fetch.
    endpoint : str
        URL of the API.
    """
    return is_foreign(url, endpoint) and _is_private(_host(url))


def is_foreign(url: str, endpoint: str) -> bool:
    """Whether a URL leads away from an endpoint that is not private itself."""
    home = _host(endpoint)
    return _host(url) != home and not _is_private(home)


def is_inside(text: str) -> bool:
    """Whether an address belongs to a private network, also an IPv4 address that is written as IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = address.ipv4_mapped or address.sixtofour or nat64 or address
    return not address.is_global


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # no URL: sending it will say so
        return ""


@lru_cache(maxsize=1024)
def _is_private(host: str) -> bool:
    """Whether a name or an address leads anywhere but to the public network; an unknown name does not."""
    if not host:  # the system takes it for this machine
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(is_inside(str(place[4][0])) for place in found)
