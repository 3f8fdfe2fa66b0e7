"""What became of a request, by statuses, structured codes and types of exceptions; `retry` acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pandas_kili.connection.transport import Cause, HttpResponse, NoResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas_kili.errors import KiliError

__all__ = [
    "ATTEMPTS",
    "OVERLOAD_CAUSES",
    "OVERLOAD_STATUSES",
    "Fate",
    "Verdict",
    "judge_missing",
    "judge_status",
    "retry_after",
]

# A server that did not respond in time rarely does so at the third attempt, and each attempt costs it the whole work.
ATTEMPTS, _ATTEMPTS_AFTER_TIMEOUT, _ATTEMPTS_TRANSIENT = 5, 2, 3
# Two of Cloudflare's own: 524, the server behind took too long; 521, the server behind refused the connection.
_TIMEOUT_STATUSES = frozenset({HTTPStatus.GATEWAY_TIMEOUT, 524})
_NOT_PROCESSED_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, 521})
_LONGEST_RETRY_AFTER = 60.0
# What a host does that is asked for too much at a time.
OVERLOAD_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
OVERLOAD_CAUSES = frozenset({Cause.TIMEOUT, Cause.UNREACHABLE})


class Fate(Enum):
    """What became of a request."""

    DONE = "done"
    NOT_PROCESSED = "not processed"
    UNKNOWN = "unknown"
    TRANSIENT = "transient"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """The fate of one attempt, and what to do and to say about it."""

    fate: Fate
    problem: str = ""
    response: HttpResponse | None = None
    status: int | None = None
    attempts: int = ATTEMPTS
    retry_after: float | None = None
    unreachable: bool = False
    timed_out: bool = False
    doubtful: bool = False
    error: KiliError | None = None
    data: Any = None

    @classmethod
    def done(cls, response: HttpResponse, data: Any = None) -> Verdict:
        """Take a response as good; `data` is its content where it was parsed."""
        return cls(Fate.DONE, response=response, status=response.status, data=data)

    @classmethod
    def failed(cls, response: HttpResponse, problem: str, *, doubtful: bool = False) -> Verdict:
        """Take a response as final; `doubtful` where it leaves open whether anything was done."""
        return cls(Fate.FAILED, problem, status=response.status, doubtful=doubtful)

    @classmethod
    def refused(cls, error: KiliError) -> Verdict:
        """Take the server's error as its last word."""
        return cls(Fate.FAILED, error=error)

    @classmethod
    def cut(cls, response: HttpResponse) -> Verdict:
        """Take a body as incomplete."""
        return cls(Fate.UNKNOWN, "the response was cut", status=response.status)

    @classmethod
    def misled(cls, response: HttpResponse, problem: str) -> Verdict:
        """Take a good status as that of a proxy on the way: it may pass, or stay."""
        return cls(Fate.UNKNOWN, problem, status=response.status, attempts=_ATTEMPTS_TRANSIENT)

    @classmethod
    def transient(cls, error: KiliError) -> Verdict:
        """Take the server's error as one that may pass."""
        return cls(Fate.TRANSIENT, error=error, attempts=_ATTEMPTS_TRANSIENT)


def judge_missing(missing: NoResponse) -> Verdict:
    """Decide what a missing response means."""
    if missing.cause is Cause.UNREACHABLE:
        return Verdict(Fate.NOT_PROCESSED, str(missing), unreachable=True)
    if missing.cause in {Cause.REFUSED, Cause.EXCESSIVE}:
        return Verdict(Fate.FAILED, str(missing), doubtful=missing.cause is Cause.EXCESSIVE)
    timed_out = missing.cause is Cause.TIMEOUT
    attempts = _ATTEMPTS_AFTER_TIMEOUT if timed_out else ATTEMPTS
    return Verdict(Fate.UNKNOWN, str(missing), attempts=attempts, timed_out=timed_out)


def judge_status(response: HttpResponse) -> Verdict | None:
    """Decide what an HTTP status alone means; None where the body decides."""
    status = response.status
    wait = retry_after(response.headers)
    if status in _NOT_PROCESSED_STATUSES:
        return Verdict(Fate.NOT_PROCESSED, _problem(response), status=status, retry_after=wait)
    # After a 408 the server may have received enough of the request to work on it.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        attempts = _ATTEMPTS_AFTER_TIMEOUT if status in _TIMEOUT_STATUSES else ATTEMPTS
        timed_out = status in _TIMEOUT_STATUSES or status == HTTPStatus.REQUEST_TIMEOUT
        return Verdict(
            Fate.UNKNOWN,
            _problem(response),
            status=status,
            attempts=attempts,
            retry_after=wait,
            timed_out=timed_out,
        )
    return None


def _problem(response: HttpResponse) -> str:
    return f"HTTP status {response.status}" + (f": {response.first_line}" if response.first_line else "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds the server asks to wait: a number or a date, at most a minute."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if text.isdecimal() else _seconds_until(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _seconds_until(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
