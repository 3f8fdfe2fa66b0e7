"""Which hosts stand on a private network, where URLs that others wrote must not lead."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["leads_inside"]


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
    host, home = _host(url), _host(endpoint)
    return host != home and _is_private(host) and not _is_private(home)


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
    return any(not ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_global for place in found)
