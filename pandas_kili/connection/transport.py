"""Bytes over HTTP: pooled connections, the key for its own origin only, bounded bodies; no failure is raised."""

from __future__ import annotations

import http.client
import os
import ssl
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests
import urllib3
from requests.auth import AuthBase

from pandas_kili.connection.adapter import WaryAdapter
from pandas_kili.connection.pools import MOST_UNZIPPED, Exchange, Opened, Pools, Route, unzipped
from pandas_kili.connection.private_networks import InsideError, leads_inside
from pandas_kili.connection.rate_limit import Clock
from pandas_kili.connection.settings import Secret, blotted, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "MAX_BODY",
    "MAX_FILE",
    "Cause",
    "HttpRequest",
    "HttpResponse",
    "NoResponse",
    "Transport",
    "no_response",
    "program_version",
    "without_query",
]

# One Arrow string array, and so one block of a page parsed in place, holds less than 2 GiB.
MAX_BODY = 2**31 - 1
MAX_FILE = 2**28  # held in memory, several at a time: answers of labels, lists of frames
_CHUNK = 2**18
_FILE_CONNECTIONS = 256  # of one origin, kept open for small files


class Cause(Enum):
    """How far a request came that got no response."""

    UNREACHABLE = "could not connect"
    TIMEOUT = "no response in time"
    BROKEN = "the connection broke"
    REFUSED = "the request was not sent"
    EXCESSIVE = "the response was given up"


@dataclass(frozen=True)
class NoResponse:
    """What there is in the place of a response."""

    cause: Cause
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.cause.value} ({self.detail})" if self.detail else self.cause.value


@dataclass(frozen=True)
class HttpResponse:
    """A response: its body read to the end, or still to be read from `opened`."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    opened: Opened | None = field(default=None, repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return _is_success(self.status)

    @property
    def is_redirect(self) -> bool:
        """Whether the status is one of 300 to 399."""
        return HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST

    @property
    def framed(self) -> bool:
        """Whether HTTP itself says where the body ends, so that a cut body cannot pass for a whole one."""
        return "Content-Length" in self.headers or "chunked" in self.headers.get("Transfer-Encoding", "")

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people to read."""
        return bool(self.body) and "text/html" in self.headers.get("Content-Type", "").lower()

    def without(self, secret: str) -> HttpResponse:
        """Return the response with a secret blotted out, to be quoted in messages."""
        # Latin-1 maps each byte to one character and back.
        body = blotted(self.body.decode("latin-1"), secret).encode("latin-1")
        headers = {name: blotted(value, secret) for name, value in self.headers.items()}
        same = body == self.body and headers == dict(self.headers)
        return self if same else replace(self, body=body, headers=requests.structures.CaseInsensitiveDict(headers))

    @property
    def first_line(self) -> str:
        """The first words of the body, for a message."""
        text = self.body[:2000].decode(errors="replace").strip()
        return "".join(c for c in text.partition("\n")[0] if c.isprintable())[:200]


@dataclass(frozen=True)
class HttpRequest:
    """What to send, and how long and how large its response may be."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | IO[bytes] | None = field(default=None, repr=False)
    timeout: tuple[float, float] = (10, 60)
    until: float = float("inf")
    max_bytes: int = MAX_BODY
    streamed: bool = False


class _ExcessiveError(requests.RequestException):
    """A response without end, or one that would fill the memory."""


class _UntrustedError(requests.RequestException):
    """A CA bundle that cannot be read."""


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
        self._api_key = api_key
        self._credential = _Credential(api_key, api_endpoint)
        self._endpoint = api_endpoint
        self._verify = verify
        self._clock = clock
        self._pid = os.getpid()
        self._idle: deque[tuple[Pools, float]] = deque()
        self._headers = {**requests.utils.default_headers(), "User-Agent": f"pandas-kili/{program_version()}"}
        self._known_surroundings: dict[tuple[str, str, int | None], Mapping[str, Any]] = {}
        self.files = self._pools(_FILE_CONNECTIONS)

    def fetch(self, request: HttpRequest, until: float) -> HttpResponse | NoResponse:
        """Fetch a file; where it is `streamed`, leave the body of a good response to the caller."""
        url = request.url
        try:
            for _ in range(self.MAX_REDIRECTS):
                route = self.files.route(url)
                if route is None:
                    return self.send(self.files, replace(request, url=url, until=until))
                response = self._called(route, replace(request, url=url, until=until))
                location = response.headers.get("Location")
                if not (response.is_redirect and location):
                    return response
                url = _redirected(url, location)
            raise requests.TooManyRedirects(f"more than {self.MAX_REDIRECTS} redirects")
        except _FAILURES as error:
            return self._failed(error)

    def store(self, request: HttpRequest, until: float) -> HttpResponse | NoResponse:
        """Store a file at a URL that the server signed."""
        if not isinstance(request.data, bytes):
            return self.send(self.files, replace(request, until=until))
        try:
            route = self.files.route(request.url, guarded=False)
            if route is not None:
                return self._called(route, replace(request, until=until))
        except _FAILURES as error:
            return self._failed(error)
        return self.send(self.files, replace(request, until=until))

    def exchange(self, request: HttpRequest) -> HttpResponse | NoResponse:
        """Send a request and read the response."""
        with self.connections() as connections:
            return self.send(connections, request)

    def send(self, connections: Pools, request: HttpRequest) -> HttpResponse | NoResponse:
        """Send a request; where it is `streamed`, leave the body of a good response to the caller."""
        # No exception leaves from within the handler: those of `requests` hold the request, and it the key.
        try:
            if request.method == "POST" and (route := connections.route(request.url)) is not None:
                return self._called(route, request)
            response = self._responded(connections.adapter, request)
            if request.streamed and _is_success(response.status_code):
                response.raw.decode_content = True
                return HttpResponse(response.url, response.status_code, response.headers, opened=response.raw)
            with response:
                response.raw.decode_content = True
                body = self._body(response.raw.read1, request)
            return HttpResponse(response.url, response.status_code, response.headers, body)
        except _FAILURES as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> NoResponse:
        missing = no_response(error)
        return replace(missing, detail=blotted(missing.detail, self._api_key))

    def _called(self, route: Route, request: HttpRequest) -> HttpResponse:
        body = request.data if isinstance(request.data, bytes) else None
        response = route.send(request.method, request.url, request.timeout, request.headers, body)
        if request.streamed and _is_success(response.status):
            return HttpResponse(request.url, response.status, response.headers, opened=response)
        with response:
            if response.headers.get("Content-Encoding") == "gzip":
                body = self._unzipped(response, request)
            else:
                body = self._body(response.read1, request)
        return HttpResponse(request.url, response.status, response.headers, body)

    def _unzipped(self, response: Exchange, request: HttpRequest) -> bytes:
        packed = self._body(response.read1_packed, request)
        if len(packed) * MOST_UNZIPPED <= request.max_bytes and (body := unzipped(packed)) is not None:
            return body
        pieces = urllib3.HTTPResponse(BytesIO(packed), response.headers, preload_content=False)
        return self._body(pieces.read1, request)

    @contextmanager
    def connections(self) -> Iterator[Pools]:
        """Lend connections to the calling thread alone."""
        connections = self._borrow()
        try:
            yield connections
        finally:
            self._idle.append((connections, self._clock.now()))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.files.close()
        with suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def _borrow(self) -> Pools:
        if self._pid != os.getpid():
            # After a fork the connections belong to the parent, who goes on speaking on them.
            self._idle, self._pid = deque(), os.getpid()
        with suppress(IndexError):
            connections, since = self._idle.pop()
            if self._clock.now() - since < self.MAX_IDLE:
                return connections
            connections.close()
        return self._pools(1)

    def _pools(self, kept: int) -> Pools:
        if self._verify is False:
            # The settings warned once; urllib3 would warn at every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return Pools(self._endpoint, lambda url: self._prepared(url, HttpRequest("GET", url)), self._surroundings, kept)

    def _responded(self, adapter: WaryAdapter, request: HttpRequest) -> requests.Response:
        """Send, and follow redirects of a GET: by hand, as each hop decides anew whether it may have the key."""
        url = request.url
        for _ in range(self.MAX_REDIRECTS):
            if request.method == "GET" and leads_inside(url, self._endpoint):
                raise InsideError
            prepared = self._prepared(url, request)
            surroundings = self._surroundings(prepared.url or url)
            response = adapter.send(prepared, timeout=request.timeout, **surroundings)
            if request.method != "GET" or not response.is_redirect:
                return response
            response.close()
            url = _redirected(url, response.headers["Location"])
        raise requests.TooManyRedirects(f"more than {self.MAX_REDIRECTS} redirects")

    def _prepared(self, url: str, request: HttpRequest) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        headers = {**self._headers, **request.headers}
        prepared.prepare(request.method, url, headers=headers, data=request.data, auth=self._credential)
        return prepared

    def _surroundings(self, url: str) -> Mapping[str, Any]:
        """Return what the environment says of proxies and certificates, looked up once for each host."""
        host = origin(url)
        if host not in self._known_surroundings:
            with requests.Session() as session:
                found = session.merge_environment_settings(url, {}, stream=True, verify=self._verify, cert=None)
            if host[0] == "https" and isinstance(found["verify"], str | os.PathLike):
                _check_bundle(os.fspath(found["verify"]))
            self._known_surroundings[host] = found
        return self._known_surroundings[host]

    def _body(self, read1: Callable[[int], bytes], request: HttpRequest) -> bytes:
        chunks, size = [], 0
        while chunk := read1(_CHUNK):
            size += len(chunk)
            if size > request.max_bytes:
                raise _ExcessiveError(f"the response is larger than {request.max_bytes} bytes")
            if self._clock.now() > request.until:
                raise requests.ReadTimeout("the response did not end in time")
            chunks.append(chunk)
        return b"".join(chunks)


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads; the next hop decides anew whether it may have the key."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise requests.exceptions.InvalidURL("it was redirected to a place that is no URL") from None


def _check_bundle(path: str) -> None:
    """Say at once which CA bundle cannot be read: sending would fail, at each attempt, without its name."""
    names = [name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name) == path]
    told = names[0] if names else "verify (KILI_VERIFY)"
    if not Path(path).exists():
        raise _UntrustedError(f"{told} names a CA bundle that does not exist: {path}")
    if Path(path).is_file():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError:
            raise _UntrustedError(f"{told} names a file that is no readable CA bundle: {path}") from None


_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
_CAUSES: tuple[tuple[Cause, tuple[type[Exception], ...]], ...] = (
    (
        Cause.UNREACHABLE,
        (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.ProxyError,
        ),
    ),
    (Cause.TIMEOUT, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)),
    (Cause.EXCESSIVE, (_ExcessiveError, requests.TooManyRedirects)),
    (
        Cause.REFUSED,
        (
            InsideError,
            _UntrustedError,
            ssl.SSLCertVerificationError,
            requests.exceptions.InvalidHeader,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
        ),
    ),
)


def no_response(error: Exception) -> NoResponse:
    """Tell from the types of an exception and its causes how far the request came."""
    links = list(_links(error))
    for link in links:
        if isinstance(link, requests.RequestException):
            # It may become the context of another exception, and must not lead to the key.
            link.request = link.response = None
    cause = next((cause for cause, kinds in _CAUSES if any(isinstance(each, kinds) for each in links)), Cause.BROKEN)
    return NoResponse(cause, _detail(links))


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
    if isinstance(first, requests.RequestException) and first.args and isinstance(first.args[0], str):
        return without_query(first.args[0])
    return type(links[-1]).__name__


def without_query(url: str) -> str:
    """Name a URL without its query, which may be a signature."""
    return url.partition("?")[0].partition("#")[0]


@cache
def program_version() -> str:
    """Return the installed version of this package."""
    try:
        return version("pandas-kili")
    except PackageNotFoundError:  # run from a source tree
        return "0"
