"""Bytes over HTTP: pooled connections, the key for its own origin only, bodies bounded; failures told, not raised."""

from __future__ import annotations

import os
import ssl
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests
import urllib3
from requests.auth import AuthBase

from pandas_kili.connection.private_networks import InsideError, WaryAdapter, leads_inside
from pandas_kili.connection.rate_limit import Clock
from pandas_kili.connection.settings import Secret, origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_BODY", "MAX_FILE", "Answer", "Failure", "Fault", "Request", "Transport", "place", "program_version"]

# One Arrow string array, and so one block of a page parsed in place, holds less than 2 GiB.
MAX_BODY = 2**31 - 1
MAX_FILE = 2**28  # held in memory, several at a time: answers of labels, lists of frames
_CHUNK = 2**18


class Fault(Enum):
    """How far a request came that got no answer."""

    UNREACHABLE = "could not connect"
    TIMEOUT = "no answer in time"
    BROKEN = "the connection broke"
    REFUSED = "the request was not sent"
    EXCESSIVE = "the answer was given up"


@dataclass(frozen=True)
class Failure:
    """No answer."""

    fault: Fault
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.fault.value} ({self.detail})" if self.detail else self.fault.value


@dataclass(frozen=True)
class Answer:
    """An answer: its body read to the end, or still behind `response`."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    response: requests.Response | None = field(default=None, repr=False)

    @property
    def framed(self) -> bool:
        """Whether HTTP itself says where the body ends, so that a cut one cannot pass for whole."""
        return "Content-Length" in self.headers or "chunked" in self.headers.get("Transfer-Encoding", "")

    @property
    def is_page(self) -> bool:
        """Whether it is for people to read."""
        return bool(self.body) and "text/html" in self.headers.get("Content-Type", "").lower()

    def mentions(self, secret: str) -> bool:
        """Whether the server sends a secret back."""
        return secret.encode() in self.body

    def without(self, secret: str) -> Answer:
        """Return the answer with a secret blotted out, to be quoted in messages."""
        return replace(self, body=self.body.replace(secret.encode(), b"***"))

    @property
    def first_line(self) -> str:
        """The first words of the body, for a message."""
        text = self.body[:2000].decode(errors="replace").strip()
        return "".join(c for c in text.partition("\n")[0] if c.isprintable())[:200]


@dataclass(frozen=True)
class Request:
    """What to send, and how long and how large its answer may be."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | IO[bytes] | None = field(default=None, repr=False)
    timeout: tuple[float, float] = (10, 60)
    until: float = float("inf")
    max_bytes: int = MAX_BODY
    streamed: bool = False


class _ExcessiveError(requests.RequestException):
    """An answer without end, or one that would fill the memory."""


class _Credential(AuthBase):
    """The key, for the endpoint's own origin."""

    def __init__(self, api_key: Secret, api_endpoint: str) -> None:
        self._header = Secret("X-API-Key: " + api_key)
        self._origin = origin(api_endpoint)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if origin(request.url or "") == self._origin:
            request.headers["Authorization"] = self._header
        return request


class Transport:
    """Connections to borrow, by one request at a time: they outlive the threads that use them.

    A session of `requests` would look for cookies, `.netrc` and hooks at every request, which costs as much CPU as
    sending it; we want none of the three.
    """

    # Load balancers drop silent connections after a minute or so, some without a word; a mutation sent into
    # such a connection would have an unknown outcome.
    MAX_IDLE = 30.0
    MAX_REDIRECTS = 10

    def __init__(self, api_key: Secret, api_endpoint: str, verify: bool | str, clock: Clock) -> None:
        self._credential = _Credential(api_key, api_endpoint)
        self._endpoint = api_endpoint
        self._verify = verify
        self._clock = clock
        self._pid = os.getpid()
        self._idle: deque[tuple[WaryAdapter, float]] = deque()
        self._headers = {**requests.utils.default_headers(), "User-Agent": f"pandas-kili/{program_version()}"}
        self._calls: dict[tuple[tuple[str, str], ...], requests.PreparedRequest] = {}
        self._known_surroundings: dict[tuple[str, str, int | None], Mapping[str, Any]] = {}

    def exchange(self, request: Request) -> Answer | Failure:
        """Send a request and read the answer."""
        with self.connections() as connections:
            return self.send(connections, request)

    def send(self, connections: WaryAdapter, request: Request) -> Answer | Failure:
        """Send a request; where it is `streamed`, leave the body of a good answer to the caller."""
        # No exception leaves from within the handler: those of `requests` hold the request, and it the key.
        try:
            response = self._answered(connections, request)
            if request.streamed and response.ok:
                return Answer(response.url, response.status_code, response.headers, response=response)
            with response:
                body = self._body(response, request)
            return Answer(response.url, response.status_code, response.headers, body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return failure_of(error)

    @contextmanager
    def connections(self) -> Iterator[WaryAdapter]:
        """Lend connections to the calling thread alone."""
        connections = self._borrow()
        try:
            yield connections
        finally:
            self._idle.append((connections, self._clock.now()))

    def close(self) -> None:
        """Close the connections that are not in use."""
        with suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def _borrow(self) -> WaryAdapter:
        if self._pid != os.getpid():
            # After a fork the connections belong to the parent, who goes on speaking on them.
            self._idle, self._pid = deque(), os.getpid()
        with suppress(IndexError):
            connections, since = self._idle.pop()
            if self._clock.now() - since < self.MAX_IDLE:
                return connections
            connections.close()
        if self._verify is False:
            # The settings warned once; urllib3 would warn at every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return WaryAdapter(self._endpoint, pool_connections=4, pool_maxsize=1)

    def _answered(self, connections: WaryAdapter, request: Request) -> requests.Response:
        """Send, and follow redirects of a GET: by hand, as each hop decides anew whether it may have the key."""
        url = request.url
        for _ in range(self.MAX_REDIRECTS):
            if request.method == "GET" and leads_inside(url, self._endpoint):
                raise InsideError
            prepared = self._call(request) if request.method == "POST" else self._prepared(url, request)
            surroundings = self._surroundings(prepared.url or url)
            response = connections.send(prepared, timeout=request.timeout, **surroundings)
            if request.method != "GET" or not response.is_redirect:
                return response
            response.close()
            url = urljoin(url, response.headers["Location"])
        raise requests.TooManyRedirects(f"more than {self.MAX_REDIRECTS} redirects")

    def _call(self, request: Request) -> requests.PreparedRequest:
        """Return a call of the endpoint, whose URL and headers need checking only once."""
        kind = tuple(request.headers.items())
        if kind not in self._calls:
            self._calls[kind] = self._prepared(request.url, replace(request, data=b""))
        prepared = self._calls[kind].copy()
        prepared.prepare_body(request.data, None)
        return prepared

    def _prepared(self, url: str, request: Request) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        headers = {**self._headers, **request.headers}
        prepared.prepare(request.method, url, headers=headers, data=request.data, auth=self._credential)
        return prepared

    def _surroundings(self, url: str) -> Mapping[str, Any]:
        """Return what the environment says of proxies and certificates, which is looked up once for each host."""
        host = origin(url)
        if host not in self._known_surroundings:
            with requests.Session() as session:
                found = session.merge_environment_settings(url, {}, stream=True, verify=self._verify, cert=None)
            self._known_surroundings[host] = found
        return self._known_surroundings[host]

    def _body(self, response: requests.Response, request: Request) -> bytes:
        chunks, size = [], 0
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > request.max_bytes:
                raise _ExcessiveError(f"the answer is larger than {request.max_bytes} bytes")
            if self._clock.now() > request.until:
                raise requests.ReadTimeout("the answer did not end in time")
            chunks.append(chunk)
        return b"".join(chunks)


_FAULTS: tuple[tuple[Fault, tuple[type[Exception], ...]], ...] = (
    (
        Fault.UNREACHABLE,
        (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.ProxyError,
        ),
    ),
    (Fault.TIMEOUT, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)),
    (Fault.EXCESSIVE, (_ExcessiveError, requests.TooManyRedirects)),
    (
        Fault.REFUSED,
        (
            InsideError,
            ssl.SSLCertVerificationError,
            requests.exceptions.InvalidHeader,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
        ),
    ),
)


def failure_of(error: Exception) -> Failure:
    """Tell from the types of an exception and its causes, how far the request came."""
    links = list(_links(error))
    for link in links:
        if isinstance(link, requests.RequestException):
            # Where the exception lives on as the context of another, it must not lead to the key.
            link.request = link.response = None
    fault = next((fault for fault, kinds in _FAULTS if any(isinstance(each, kinds) for each in links)), Fault.BROKEN)
    return Failure(fault, _detail(links))


def _links(error: object, seen: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """Yield an exception and those it was made from, which these libraries keep in three places."""
    # Not `__context__`: that may be what the caller was handling before the request.
    if not isinstance(error, BaseException) or id(error) in seen:
        return
    yield error
    for other in (*error.args, getattr(error, "reason", None), error.__cause__):
        yield from _links(other, seen | {id(error)})


def _detail(links: list[BaseException]) -> str:
    """Return the operating system's words, or the plain text that we gave: urllib3's own holds signed URLs."""
    system = [link for link in links if isinstance(link, OSError) and link.strerror]
    if system:
        return str(system[-1].strerror)
    first = links[0]
    if isinstance(first, requests.RequestException) and isinstance(first.args[0], str):
        return place(first.args[0])
    return type(links[-1]).__name__


def place(url: str) -> str:
    """Name a URL without its query, which may be a signature."""
    return url.partition("?")[0].partition("#")[0]


@cache
def program_version() -> str:
    """Return the installed version of this package."""
    try:
        return version("pandas-kili")
    except PackageNotFoundError:  # run from a source tree
        return "0"
