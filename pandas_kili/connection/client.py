"""The client: everything that goes over the network goes through `execute`, `get` and `put`."""

from __future__ import annotations

import copy
import functools
import gzip
import logging
import os
import platform
import threading
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

import requests
import urllib3

from pandas_kili.connection.document import Operation, encoded, read_operation
from pandas_kili.connection.downloads import current_pace, side_by_side
from pandas_kili.connection.pools import Pools
from pandas_kili.connection.rate_limit import Budget, Clock, Limit, budget_of, shared_rate_limit
from pandas_kili.connection.retry import (
    OVERLOAD_FAULTS,
    OVERLOAD_STATUSES,
    Fate,
    Retry,
    Verdict,
    judge_missing,
    judge_status,
)
from pandas_kili.connection.server_schema import schema_names
from pandas_kili.connection.settings import (
    Secret,
    blotted,
    checked_count,
    checked_timeout,
    environment,
    origin,
    read_settings,
)
from pandas_kili.connection.transport import (
    MAX_FILE,
    HttpRequest,
    HttpResponse,
    NoResponse,
    Transport,
    no_response,
    place,
    program_version,
)
from pandas_kili.connection.verdict import REFUSAL_STATUSES, judge_response, refuses_compression
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliError, KiliValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from types import TracebackType

__all__ = ["Client", "client_or_default"]

Key = TypeVar("Key")

_LOGGER = logging.getLogger("pandas_kili")


class Client:
    """A connection to one Kili endpoint with one API key. Nothing is sent before the first call.

    One client serves any number of threads. Clients of one endpoint and key share one rate limit in a process.

    Parameters
    ----------
    api_key
        Default: ``KILI_API_KEY``, else ``api_key`` of ``kili-sdk-config.json`` in the working or home directory.
    api_endpoint
        Default: ``KILI_API_ENDPOINT``, else ``api_endpoint`` of that file, else Kili's European cloud. A file in the
        working directory that would send a key from elsewhere to another host triggers a warning.
    verify
        Whether certificates are checked, or the path of a CA bundle. Default: ``KILI_VERIFY``, else ``verify_ssl``
        of that file, else True.
    timeout
        Seconds to wait for a connection, and for each sign of life of a response: its whole head, then each piece of
        its body. One number for both, or a pair.
    max_calls_per_minute
        Calls to the endpoint a minute, all clients of this endpoint and key in this process together. Kili allows 500.
        A wait for it shows in the progress bar, and in the log ``pandas_kili`` when it begins.
    max_workers
        Calls that a read or a write makes at the same time.
    max_downloads
        Files, such as labels' answers behind URLs and media, that are fetched or stored at the same time; they count as
        no calls. By default as many as make the rate grow: from 8 to 256, fewer where the system allows few descriptors
        or a bucket asks for fewer. All clients of a process share that bound.

    Notes
    -----
    A pickle never holds the key: it is read again, from the environment or the file, where the pickle is loaded.
    That holds for a key that was given as an argument too, so set ``KILI_API_KEY`` on the workers of a cluster.
    A copy within the process (`copy.copy`, `copy.deepcopy`) keeps the key, and shares the connections.

    Examples
    --------
    >>> client = Client("my-key", "http://localhost:4000/api/label/v2/graphql")
    >>> client
    Client('http://localhost:4000/api/label/v2/graphql')
    """

    def __init__(
        self,
        api_key: str | None = None,
        api_endpoint: str | None = None,
        *,
        verify: bool | str | os.PathLike[str] | None = None,
        timeout: float | tuple[float, float] = (10, 60),
        max_calls_per_minute: int = 500,
        max_workers: int = 8,
        max_downloads: int | None = None,
    ) -> None:
        settings = read_settings(api_key, api_endpoint, verify=verify)
        self.api_endpoint = settings.api_endpoint
        self.timeout = checked_timeout(timeout)
        self.max_calls_per_minute = checked_count("max_calls_per_minute", max_calls_per_minute)
        self.max_workers = checked_count("max_workers", max_workers)
        self.max_downloads = None if max_downloads is None else checked_count("max_downloads", max_downloads)
        self._api_key = settings.api_key
        self._verify = settings.verify
        self._compresses = True
        self._limit: Limit = shared_rate_limit(self.api_endpoint, self._api_key)
        self._use_clock(Clock())

    def _use_clock(self, clock: Clock) -> None:
        self._clock = clock
        self._retry = Retry(clock=clock)
        self._transport = Transport(self._api_key, self.api_endpoint, self._verify, clock)

    def _counted_by(self, limit_of: Callable[[Budget], Limit]) -> Client:
        """Return a client on the same connections, whose calls another limit lets pass."""
        other = copy.copy(self)
        other._limit = limit_of(budget_of(self.api_endpoint, self._api_key))  # noqa: SLF001 - one of its own kind
        return other

    def __copy__(self) -> Client:
        other = Client.__new__(Client)
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Client:
        return copy.copy(self)  # connections cannot be copied, and need not be

    def __repr__(self) -> str:
        return f"Client({self.api_endpoint!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "api_endpoint": self.api_endpoint,
            "verify": self._verify,
            "timeout": self.timeout,
            "max_calls_per_minute": self.max_calls_per_minute,
            "max_workers": self.max_workers,
            "max_downloads": self.max_downloads,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._transport.close()

    def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, stop: threading.Event | None = None
    ) -> dict[str, Any]:
        """Execute a GraphQL document.

        Parameters
        ----------
        document
            A query or a mutation. After a failure that leaves its outcome unknown, a query is sent again and a mutation
            never is.
        variables
            Values of its variables.
        stop
            Once set, waiting ends with `concurrent.futures.CancelledError`.

        Returns
        -------
        dict
            The `data` of the response.

        Raises
        ------
        KiliAuthenticationError
            Where the key is refused.
        KiliConnectionError
            Where no response of Kili came; `outcome_unknown` says whether a mutation may have been done.
        KiliGraphQLError
            Where the response holds errors, also beside data.
        KiliValidationError
            Where the variables cannot be written as JSON.

        Examples
        --------
        >>> count = "query countAssets($where: AssetWhere!) { data: countAssets(where: $where) }"
        >>> client.execute(count, {"where": {"project": {"id": project_id}}})
        {'data': 250}
        """
        data: dict[str, Any] = self._executed(document, variables, build=True, stop=stop).data
        return data

    def execute_bytes(
        self, document: str, variables: Mapping[str, Any] | None = None, *, stop: threading.Event | None = None
    ) -> bytes:
        """Execute a GraphQL document and return the body of the response, known to be whole and without errors.

        Parameters
        ----------
        document, variables, stop
            As in `execute`.
        """
        response = self._executed(document, variables, build=False, stop=stop).response
        return response.body if response else b""

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_FILE,
        stop: threading.Event | None = None,
    ) -> bytes:
        """Fetch a small file. The key goes along to the endpoint's own origin only.

        Raises
        ------
        KiliConnectionError
            Where the file could not be fetched; `status` is the server's.
        """
        request = HttpRequest("GET", url, headers or {}, timeout=self.timeout, max_bytes=max_bytes)
        response = self._exchanged(request, lambda until: self._transport.fetch(request, until), stop=stop).response
        return response.body if response else b""

    def get_all(
        self, urls: Iterable[tuple[Key, str]], *, stop: threading.Event | None = None
    ) -> Generator[tuple[Key, bytes | KiliError]]:
        """Fetch small files side by side, as many at a time as their hosts can take.

        Parameters
        ----------
        urls
            Pairs of a key, by which the caller knows the file, and its URL. They are drawn lazily.
        stop
            As in `execute`.

        Yields
        ------
        tuple
            Each key with the bytes of its file, or with the error that `get` would have raised; in the order in which
            they come.
        """
        for (key, _), result in side_by_side(lambda pair: self.get(pair[1], stop=stop), urls, stop):
            yield key, result

    @contextmanager
    def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, stop: threading.Event | None = None
    ) -> Iterator[requests.Response]:
        """Fetch a large file: the caller reads the body of the response.

        Errors while it is read are `KiliConnectionError`, as all others.
        """
        request = HttpRequest("GET", url, headers or {}, timeout=self.timeout, streamed=True)
        missing = None
        with self._transport.connections() as connections:
            send = functools.partial(self._sent, connections, request)
            response = self._exchanged(request, send, stop=stop).response
            if response is None or response.opened is None:
                raise KiliConnectionError(f"{self._subject(request)}: no body.")
            with response.opened as opened, current_pace().turn(self, self.max_downloads, stop):
                try:
                    yield opened
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    missing = no_response(error)
        if missing is not None:
            raise KiliConnectionError(f"{self._subject(request)}: {missing}.", attempts=1) from None

    def put(
        self,
        url: str,
        data: bytes | IO[bytes],
        headers: Mapping[str, str] | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Store a file, from its current position on, at a URL that was signed for it.

        Raises
        ------
        KiliConnectionError
            Where the file was not stored; `status` is the server's.
        """
        size, start = _size(data), None if isinstance(data, bytes) else data.tell()
        # An empty file would be sent without its length, which buckets refuse.
        request = HttpRequest("PUT", url, headers or {}, data=data if size else b"", timeout=self.timeout)
        with self._transport.connections() as connections:

            def send(until: float) -> HttpResponse | NoResponse:
                if not isinstance(data, bytes) and start is not None:
                    data.seek(start)
                return self._sent(connections, request, until)

            self._exchanged(request, send, allowance=_seconds_to_send(size), stop=stop)

    def names(self, type_name: str) -> frozenset[str]:
        """Return the names of the fields, or of the input fields, of a type of the server's schema.

        The schema is asked for once per endpoint in a process. A type that is not in it has no names.

        Examples
        --------
        >>> "addAssetsToReview" in client.names("Mutation")
        True
        """
        return schema_names(self.api_endpoint, self.execute).get(type_name, frozenset())

    def _executed(
        self,
        document: str,
        variables: Mapping[str, Any] | None,
        *,
        build: bool,
        stop: threading.Event | None = None,
    ) -> Verdict:
        operation = read_operation(document)
        body = encoded(document, variables)
        allowance = _seconds_to_send(len(body))
        connect, read = self.timeout
        request = HttpRequest("POST", self.api_endpoint, _headers(), body, timeout=(connect, read + allowance))
        packed = self._packed(request)

        def attempt(until: float) -> Verdict:
            chosen = packed if self._compresses else request
            return self._posted(replace(chosen, until=until), operation, build=build)

        return self._retry.run(
            attempt,
            lambda: f"{self.api_endpoint} ({operation})",
            repeatable=operation.repeatable,
            admit=lambda: self._limit.acquire(self.max_calls_per_minute, self._clock, stop),
            allowance=allowance,
            stop=stop,
        )

    def _packed(self, request: HttpRequest) -> HttpRequest:
        if not self._compresses or not isinstance(request.data, bytes) or len(request.data) < _COMPRESSED_FROM:
            return request
        headers = {**request.headers, "Content-Encoding": "gzip"}
        return replace(request, headers=headers, data=gzip.compress(request.data, 5, mtime=0))

    def _posted(self, request: HttpRequest, operation: Operation, *, build: bool) -> Verdict:
        start = self._clock.now()
        result = self._transport.exchange(request)
        said = result if isinstance(result, NoResponse) else f"{result.status}, {len(result.body)} bytes"
        _LOGGER.debug("%s: %s, %.0f ms", operation, said, 1000 * (self._clock.now() - start))
        if isinstance(result, NoResponse):
            return judge_missing(result)
        if "Content-Encoding" in request.headers and refuses_compression(result):
            self._compresses = False
            return Verdict(Fate.NOT_PROCESSED, "it does not take compressed requests", status=result.status)
        return self._judged(result, operation, build=build)

    def _judged(self, response: HttpResponse, operation: Operation, *, build: bool) -> Verdict:
        verdict = judge_response(response, operation, build=build)
        if verdict.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._limit.pause(verdict.retry_after or 1.0, self._clock)
        if verdict.fate is Fate.DONE:
            return verdict
        # What is said of it must not quote the key.
        safe = response.without(self._api_key)
        return verdict if safe is response else judge_response(safe, operation, build=build)

    def _exchanged(
        self,
        request: HttpRequest,
        send: Callable[[float], HttpResponse | NoResponse],
        *,
        allowance: float = 0.0,
        stop: threading.Event | None = None,
    ) -> Verdict:
        """Fetch or store a file, at the pace of the process; `send` takes the moment at which the response is due."""
        pace, held = current_pace(), len(request.data) if isinstance(request.data, bytes) else 0

        def attempt(until: float) -> Verdict:
            size, trouble = None, False
            try:
                result = send(until)
                if isinstance(result, NoResponse):
                    trouble = result.fault in OVERLOAD_FAULTS
                    return judge_missing(result)
                trouble = result.status in OVERLOAD_STATUSES
                size = None if trouble else len(result.body) + held
                return self._judge_file(result, request.method)
            finally:
                pace.leave(self, size=size, trouble=trouble)

        return self._retry.run(
            attempt,
            lambda: self._subject(request),
            repeatable=True,
            admit=lambda: pace.enter(self, self.max_downloads, stop),
            allowance=allowance,
            stop=stop,
        )

    def _sent(self, connections: Pools, request: HttpRequest, until: float) -> HttpResponse | NoResponse:
        return self._transport.send(connections, replace(request, until=until))

    def _subject(self, request: HttpRequest) -> str:
        return blotted(f"{request.method} {place(request.url)}", self._api_key)

    def _judge_file(self, response: HttpResponse, method: str) -> Verdict:
        if response.is_success:
            # A bucket sends no page after storing a file: a page comes from a proxy, which stores nothing.
            if method == "PUT" and response.is_page:
                return Verdict.misled(response, f"HTTP status {response.status} with a page of something in between")
            return Verdict.done(response)
        if response.status in REFUSAL_STATUSES and origin(response.url) == origin(self.api_endpoint):
            text = f"Kili refused the API key for {place(response.url)} (HTTP status {response.status})."
            return Verdict.refused(KiliAuthenticationError(blotted(text, self._api_key), status=response.status))
        safe = response.without(self._api_key)
        if method == "GET" and response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            # This is how a bucket asks for fewer requests at a time, which takes a while to settle.
            return Verdict(
                Fate.UNKNOWN, f"HTTP status {safe.status}: {safe.first_line}", status=safe.status, attempts=8
            )
        return judge_status(safe) or Verdict.failed(safe, f"HTTP status {safe.status}: {safe.first_line}")


# 26.x of the official SDK compresses from here on; below, packing costs more than it saves.
_COMPRESSED_FROM = 1_000_000


@functools.cache
def _headers() -> dict[str, str]:
    """Return what goes with each call; made at the first one, as the version is looked up on disk."""
    return {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "apollographql-client-name": "pandas-kili",
        "apollographql-client-version": program_version(),
        "kili-client-name": "pandas-kili",
        "kili-client-version": program_version(),
        "kili-client-language-name": "Python",
        "kili-client-language-version": platform.python_version(),
    }


def _size(data: bytes | IO[bytes]) -> int:
    if isinstance(data, bytes):
        return len(data)
    position = data.tell()
    size = data.seek(0, os.SEEK_END) - position
    data.seek(position)
    return size


def _seconds_to_send(size: int) -> float:
    # A slow line of 100 kB a second, which the official SDK reckons with too.
    return size / 100_000


_DEFAULT: dict[tuple[str | None, ...], Client] = {}
_DEFAULT_LOCK = threading.Lock()


def client_or_default(client: Client | None) -> Client:
    """Return the client, or the one that all functions share where none is given.

    The shared one is made from the environment at first use, and made anew where the environment has changed since.
    """
    if isinstance(client, Client):
        return client
    if client is not None:
        # Its value is not shown: it may be a key.
        raise KiliValidationError(f"client must be a pandas_kili.Client; got a {type(client).__name__}.")
    variables = tuple(Secret(value) if value else None for value in environment().values())
    with _DEFAULT_LOCK:
        if variables not in _DEFAULT:
            made = Client()
            _DEFAULT.clear()
            _DEFAULT[variables] = made
        return _DEFAULT[variables]


def _renew_lock() -> None:
    """Forget a lock that is held by a thread which a fork left behind."""
    global _DEFAULT_LOCK  # noqa: PLW0603 - a lock cannot be released for another thread
    _DEFAULT_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
