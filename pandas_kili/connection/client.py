"""The client: everything that goes over the network goes through `execute`, `get` and `put`."""

from __future__ import annotations

import gzip
import logging
import os
import platform
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Self

import requests
import urllib3

from pandas_kili.connection.document import Operation, encoded, read_operation
from pandas_kili.connection.private_networks import WaryAdapter
from pandas_kili.connection.rate_limit import Budget, Clock, Limit, budget_of, shared_rate_limit
from pandas_kili.connection.retry import Fate, Retry, Verdict, judge_failure, judge_status
from pandas_kili.connection.server_schema import schema_names
from pandas_kili.connection.settings import Secret, checked_count, checked_timeout, environment, origin, read_settings
from pandas_kili.connection.transport import (
    MAX_FILE,
    Answer,
    Failure,
    Request,
    Transport,
    failure_of,
    place,
    program_version,
)
from pandas_kili.connection.verdict import judge_answer, refuses_compression
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

__all__ = ["Client", "default_client"]

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
        working directory that would lead a key from elsewhere to a host of its own is told by a warning.
    verify
        Whether certificates are checked, or the path of a CA bundle. Default: ``KILI_VERIFY``, else ``verify_ssl``
        of that file, else True.
    timeout
        Seconds to wait for a connection, and for each sign of life of an answer; one number for both, or a pair.
    max_calls_per_minute
        Calls to the endpoint a minute, all clients of this endpoint and key in this process together. Kili allows 500.
    max_workers
        Calls that a read or a write makes at the same time. Of small files behind URLs, which a bucket serves and which
        count as no calls, four times as many are fetched.

    Notes
    -----
    A pickle never holds the key: it is read again, from the environment or the file, where the pickle is loaded.
    That holds for a key that was given as an argument too, so set ``KILI_API_KEY`` on the workers of a cluster.

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
    ) -> None:
        settings = read_settings(api_key, api_endpoint, verify=verify)
        self.api_endpoint = settings.api_endpoint
        self.timeout = checked_timeout(timeout)
        self.max_calls_per_minute = checked_count("max_calls_per_minute", max_calls_per_minute)
        self.max_workers = checked_count("max_workers", max_workers)
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
        other = Client.__new__(Client)
        other.__dict__.update(self.__dict__)
        other._limit = limit_of(budget_of(self.api_endpoint, self._api_key))  # noqa: SLF001 - one of its own kind
        return other

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
            A query or a mutation. What was possibly done is sent again if it is a query, never if it is a mutation.
        variables
            Values of its variables.
        stop
            Once set, nothing more is waited for and `concurrent.futures.CancelledError` is raised.

        Returns
        -------
        dict
            The `data` of the answer.

        Raises
        ------
        KiliAuthenticationError
            Where the key is refused.
        KiliConnectionError
            Where no answer of Kili came; `outcome_unknown` says whether a mutation may have been done.
        KiliGraphQLError
            Where the answer holds errors, be it beside data.
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
        """Execute a GraphQL document and return the body of the answer, known to be whole and without errors.

        Parameters
        ----------
        document, variables, stop
            As in `execute`.
        """
        answer = self._executed(document, variables, build=False, stop=stop).answer
        return answer.body if answer else b""

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
            Where the file cannot be had; `status` says what the server answered.
        """
        request = Request("GET", url, headers or {}, timeout=self.timeout, max_bytes=max_bytes)
        with self._transport.connections() as connections:
            answer = self._fetched(connections, request, stop=stop).answer
        return answer.body if answer else b""

    @contextmanager
    def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, stop: threading.Event | None = None
    ) -> Iterator[requests.Response]:
        """Fetch a large file: the body of the response is for the caller to read.

        Errors of reading it are `KiliConnectionError`, as all others.
        """
        request = Request("GET", url, headers or {}, timeout=self.timeout, streamed=True)
        failure = None
        with self._transport.connections() as connections:
            answer = self._fetched(connections, request, stop=stop).answer
            if answer is None or answer.response is None:
                raise KiliConnectionError(f"GET {place(url)}: no body.")
            with answer.response as response:
                try:
                    yield response
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    failure = failure_of(error)
        if failure is not None:
            raise KiliConnectionError(f"GET {place(url)}: {failure}.", attempts=1) from None

    def put(
        self,
        url: str,
        data: bytes | IO[bytes],
        headers: Mapping[str, str] | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Store a file, from where it stands, at a URL that was signed for it.

        Raises
        ------
        KiliConnectionError
            Where the file was not stored; `status` says what the server answered.
        """
        size = _size(data)
        # An empty file would be sent without its length, which buckets refuse.
        request = Request("PUT", url, headers or {}, data=data if size else b"", timeout=self.timeout)
        with self._transport.connections() as connections:
            self._fetched(connections, request, allowance=_seconds_to_send(size), stop=stop)

    def names(self, type_name: str) -> frozenset[str]:
        """Return the names of the fields, or of the input fields, of a type of the server's schema.

        The schema is asked for once per endpoint in a process. A type that it does not have has no names.

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
        request = Request("POST", self.api_endpoint, _headers(), body, timeout=(connect, read + allowance))
        packed = self._packed(request)

        def attempt(until: float) -> Verdict:
            chosen = packed if self._compresses else request
            return self._posted(replace(chosen, until=until), operation, build=build)

        return self._retry.run(
            attempt,
            f"{self.api_endpoint} ({operation})",
            repeatable=operation.repeatable,
            admit=lambda: self._limit.acquire(self.max_calls_per_minute, self._clock, stop),
            allowance=allowance,
            stop=stop,
        )

    def _packed(self, request: Request) -> Request:
        if not self._compresses or not isinstance(request.data, bytes) or len(request.data) < _COMPRESSED_FROM:
            return request
        headers = {**request.headers, "Content-Encoding": "gzip"}
        return replace(request, headers=headers, data=gzip.compress(request.data, 5, mtime=0))

    def _posted(self, request: Request, operation: Operation, *, build: bool) -> Verdict:
        start = self._clock.now()
        result = self._transport.exchange(request)
        said = result if isinstance(result, Failure) else f"{result.status}, {len(result.body)} bytes"
        _LOGGER.debug("%s: %s, %.0f ms", operation, said, 1000 * (self._clock.now() - start))
        if isinstance(result, Failure):
            return judge_failure(result)
        if "Content-Encoding" in request.headers and refuses_compression(result):
            self._compresses = False
            return Verdict(Fate.NOT_PROCESSED, "compressed requests are not taken", status=result.status)
        return self._judged(result, operation, build=build)

    def _judged(self, answer: Answer, operation: Operation, *, build: bool) -> Verdict:
        verdict = judge_answer(answer, operation, build=build)
        if verdict.status == 429:  # noqa: PLR2004
            self._limit.pause(verdict.retry_after or 1.0, self._clock)
        if verdict.fate is not Fate.DONE and answer.mentions(self._api_key):
            return judge_answer(answer.without(self._api_key), operation, build=build)
        return verdict

    def _fetched(
        self,
        connections: WaryAdapter,
        request: Request,
        *,
        allowance: float = 0.0,
        stop: threading.Event | None = None,
    ) -> Verdict:
        file = None if isinstance(request.data, bytes | None) else request.data
        position = file.tell() if file else 0

        def attempt(until: float) -> Verdict:
            if file:
                file.seek(position)
            result = self._transport.send(connections, replace(request, until=until))
            return judge_failure(result) if isinstance(result, Failure) else self._judge_file(result, request.method)

        subject = f"{request.method} {place(request.url)}"
        return self._retry.run(attempt, subject, repeatable=True, allowance=allowance, stop=stop)

    def _judge_file(self, answer: Answer, method: str) -> Verdict:
        if 200 <= answer.status < 300:  # noqa: PLR2004
            # A bucket says nothing to what it stores: a page comes from a proxy, which stores nothing.
            if method == "PUT" and answer.is_page:
                return Verdict.misled(answer, f"HTTP status {answer.status} with a page of somebody else")
            return Verdict.done(answer)
        if answer.status in {401, 403} and origin(answer.url) == origin(self.api_endpoint):
            text = f"Kili refused the API key for {place(answer.url)} (HTTP status {answer.status})."
            return Verdict.refused(KiliAuthenticationError(text, status=answer.status))
        shown = answer.without(self._api_key)
        return judge_status(shown) or Verdict.failed(shown, f"HTTP status {shown.status}: {shown.first_line}")


# 26.x of the official SDK compresses from here on; below, packing costs more than it saves.
_COMPRESSED_FROM = 1_000_000


@cache
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


def default_client() -> Client:
    """Return the client that all functions share which are given none.

    It is made from the environment at first use, and made anew where the environment has changed since.
    """
    told = tuple(Secret(value) if value else None for value in environment().values())
    with _DEFAULT_LOCK:
        if told not in _DEFAULT:
            client = Client()
            _DEFAULT.clear()
            _DEFAULT[told] = client
        return _DEFAULT[told]


def _forget_locks() -> None:
    """Leave no lock held by a thread that a fork left behind."""
    global _DEFAULT_LOCK  # noqa: PLW0603
    _DEFAULT_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
