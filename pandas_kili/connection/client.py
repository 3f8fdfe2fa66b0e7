"""The client: everything that goes over the network goes through `execute`, or `get`, `stream` and `put`."""

from __future__ import annotations

import copy
import functools
import gzip
import logging
import os
import platform
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

from pandas_kili.connection.document import Operation, encoded, read_operation
from pandas_kili.connection.files import FileTransfers, seconds_to_send
from pandas_kili.connection.graphql_response import judge_response, refuses_compression
from pandas_kili.connection.rate_limit import Budget, Clock, Limit, budget_of, shared_rate_limit
from pandas_kili.connection.retry import Retry
from pandas_kili.connection.server_schema import schema_names
from pandas_kili.connection.settings import (
    Secret,
    checked_count,
    checked_timeout,
    environment,
    read_settings,
)
from pandas_kili.connection.transport import (
    HttpRequest,
    HttpResponse,
    NoResponse,
    Transport,
    program_version,
)
from pandas_kili.connection.verdict import Fate, Verdict, judge_missing
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import kind_of

__all__ = ["Client", "client_or_default"]

Key = TypeVar("Key")

_LOGGER = logging.getLogger("pandas_kili")


class Client(FileTransfers):
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
        Calls to the API that one read or write makes at the same time; files count under `max_downloads`. At 150 ms a
        call, 8 are 3,200 calls a minute, six times what Kili allows: more help only where calls take longer.
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
        """Return a client on the same connections, with another limit of calls."""
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
        self.__init__(**state)  # type: ignore[misc]  # a pickle is the settings of a new client

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
        allowance = seconds_to_send(len(body))
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
        # The error must not quote the key.
        safe = response.without(self._api_key)
        return verdict if safe is response else judge_response(safe, operation, build=build)


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
        raise KiliValidationError(f"client must be a pandas_kili.Client; got {kind_of(client)}.")
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
