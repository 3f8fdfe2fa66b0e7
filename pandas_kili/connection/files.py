"""Files from URLs and to them, at the pace of the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from typing import IO, TypeVar

import requests
import urllib3

from pandas_kili.connection.downloads import current_pace, resting, side_by_side
from pandas_kili.connection.graphql_response import REFUSAL_STATUSES
from pandas_kili.connection.pools import Opened
from pandas_kili.connection.retry import Retry
from pandas_kili.connection.settings import Secret, blotted, origin
from pandas_kili.connection.transport import (
    MAX_FILE,
    HttpRequest,
    HttpResponse,
    NoResponse,
    Transport,
    no_response,
    without_query,
)
from pandas_kili.connection.verdict import (
    ATTEMPTS,
    OVERLOAD_CAUSES,
    OVERLOAD_STATUSES,
    Verdict,
    judge_missing,
    judge_status,
)
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliError

__all__ = ["PIECE", "FileTransfers", "seconds_to_send"]

Key = TypeVar("Key")

PIECE = 2**18  # bytes of a streamed file that are in memory at a time
_ATTEMPTS_WHEN_BUSY = 8  # a bucket asks for fewer requests at a time by 503, and the pace takes a while to settle


class FileTransfers:
    """What a client does with files; the client brings the connections and the timeouts."""

    api_endpoint: str
    timeout: tuple[float, float]
    max_downloads: int | None
    _api_key: Secret
    _retry: Retry
    _transport: Transport

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_FILE,
        seconds: float | None = None,
        stop: threading.Event | None = None,
    ) -> bytes:
        """Fetch a small file. The key goes along to the endpoint's own origin only.

        Parameters
        ----------
        seconds
            For files that a person waits to see. No attempt begins after so many seconds, and each waits no longer for
            a sign of life. All are made at once, however many files are under way.

        Raises
        ------
        KiliConnectionError
            Where the file could not be fetched; `status` is the server's.
        """
        if seconds is not None:
            request = HttpRequest("GET", url, headers or {}, timeout=(seconds, seconds), max_bytes=max_bytes)
            return self._glanced(request, seconds, stop)
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
            Each key with the bytes of its file, or with the error that `get` would have raised, as soon as it is
            there.
        """
        for (key, _), result in side_by_side(lambda pair: self.get(pair[1], stop=stop), urls, stop):
            yield key, result

    @contextmanager
    def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, stop: threading.Event | None = None
    ) -> Iterator[Opened]:
        """Fetch a large file: the caller reads the body of the response, by `read1` of `PIECE` bytes at most.

        Errors while it is read are `KiliConnectionError`, as all others.
        """
        request = HttpRequest("GET", url, headers or {}, timeout=self.timeout, streamed=True)
        pace, held, missing = current_pace(), None, None
        response = self._exchanged(request, lambda until: self._transport.fetch(request, until), stop=stop).response
        if response is None or response.opened is None:
            raise KiliConnectionError(f"{self._subject(request)}: no body.")
        try:
            with closing(response.opened) as opened:
                yield opened
            held = min(opened.tell(), PIECE)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            missing = no_response(error)
        finally:
            pace.leave(self, size=held, trouble=missing is not None and missing.cause in OVERLOAD_CAUSES)
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

        def send(until: float) -> HttpResponse | NoResponse:
            if not isinstance(data, bytes) and start is not None:
                data.seek(start)
            return self._transport.store(request, until)

        self._exchanged(request, send, allowance=seconds_to_send(size), stop=stop)

    def _exchanged(
        self,
        request: HttpRequest,
        send: Callable[[float], HttpResponse | NoResponse],
        *,
        allowance: float = 0.0,
        stop: threading.Event | None = None,
    ) -> Verdict:
        """Fetch or store a file, at the pace of the process; `send` takes the moment at which the response is due.

        A body that is left to the caller keeps its place.
        """
        pace = current_pace()
        sent = 0 if request.data is None else len(request.data) if isinstance(request.data, bytes) else PIECE

        def attempt(until: float) -> Verdict:
            size, trouble, is_open = None, False, False
            try:
                result = send(until)
                if isinstance(result, NoResponse):
                    trouble = result.cause in OVERLOAD_CAUSES
                    return replace(judge_missing(result), attempts=ATTEMPTS)
                trouble, is_open = result.status in OVERLOAD_STATUSES, result.opened is not None
                size = None if trouble else len(result.body) + sent
                return self._judge_file(result, request.method)
            finally:
                if not is_open:
                    pace.leave(self, size=size, trouble=trouble)

        def admit() -> None:
            with nullcontext() if self.max_downloads is None else resting():
                pace.enter(self, self.max_downloads, stop)

        return self._retry.run(
            attempt,
            lambda: self._subject(request),
            repeatable=True,
            admit=admit,
            resting=resting,
            allowance=allowance,
            stop=stop,
        )

    def _glanced(self, request: HttpRequest, seconds: float, stop: threading.Event | None) -> bytes:
        def attempt(until: float) -> Verdict:
            result = self._transport.fetch(request, until)
            return judge_missing(result) if isinstance(result, NoResponse) else self._judge_file(result, "GET")

        retry = replace(self._retry, deadline=seconds, first_contact=seconds)
        response = retry.run(attempt, lambda: self._subject(request), repeatable=True, stop=stop).response
        return response.body if response else b""

    def _subject(self, request: HttpRequest) -> str:
        return blotted(f"{request.method} {without_query(request.url)}", self._api_key)

    def _judge_file(self, response: HttpResponse, method: str) -> Verdict:
        if response.is_success:
            # A bucket sends no page after storing a file: a page comes from a proxy, which stores nothing.
            if method == "PUT" and response.is_page:
                return Verdict.misled(response, f"HTTP status {response.status} with a page of something in between")
            return Verdict.done(response)
        if response.status in REFUSAL_STATUSES and origin(response.url) == origin(self.api_endpoint):
            text = f"Kili refused the API key for {without_query(response.url)} (HTTP status {response.status})."
            return Verdict.refused(KiliAuthenticationError(blotted(text, self._api_key), status=response.status))
        safe = response.without(self._api_key)
        verdict = judge_status(safe) or Verdict.failed(safe, f"HTTP status {safe.status}: {safe.first_line}")
        is_busy = method == "GET" and response.status == HTTPStatus.SERVICE_UNAVAILABLE
        return replace(verdict, attempts=_ATTEMPTS_WHEN_BUSY if is_busy else ATTEMPTS)


def _size(data: bytes | IO[bytes]) -> int:
    if isinstance(data, bytes):
        return len(data)
    position = data.tell()
    size = data.seek(0, os.SEEK_END) - position
    data.seek(position)
    return size


def seconds_to_send(size: int) -> float:
    """Return how long a body may take, by the time that the official SDK allows for a slow line."""
    return size / 100_000
