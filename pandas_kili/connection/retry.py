"""The one place that sends a request again, or does not.

What happened to a request is one of these, told from statuses, structured codes and types of exceptions:

=============  ==============================================  =========================  =====================
fate           when                                            a query                    a mutation
=============  ==============================================  =========================  =====================
done           a good response                                 returned                   returned
not processed  no connection; 429; 521                         resent until the deadline  the same
unknown        no response in time; reset; cut; 408; other 5xx; resent, 5 times in all;    never resent:
               HTTP 200 with an HTML page                      2 after a time-out,        ``outcome_unknown``
                                                               3 after a page
transient      GraphQL errors that are all internal            sent 3 times in all        raised at once
failed         everything else                                 raised at once             raised at once
=============  ==============================================  =========================  =====================

A file is fetched or stored 5 times in all after a time-out too: a bucket has no work to do over again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pandas_kili.connection.rate_limit import Clock
from pandas_kili.connection.transport import Cause, HttpResponse, NoResponse
from pandas_kili.errors import KiliConnectionError, KiliError

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

__all__ = [
    "ATTEMPTS",
    "OVERLOAD_CAUSES",
    "OVERLOAD_STATUSES",
    "Fate",
    "Retry",
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


@dataclass
class Retry:
    """Sends a request until it is done, or until no further attempt is allowed.

    Attributes
    ----------
    deadline : float
        Seconds from the first attempt after which nothing is sent again.
    first_contact : float
        The same, as long as the endpoint was never reached: its name is more likely wrong than its server down.
    reached : bool
        Whether the endpoint was ever reached.
    """

    deadline: float = 120.0
    first_contact: float = 10.0
    clock: Clock = field(default_factory=Clock)
    jitter: Callable[[float, float], float] = random.uniform
    reached: bool = False

    def run(
        self,
        attempt: Callable[[float], Verdict],
        subject: Callable[[], str],
        *,
        repeatable: bool,
        admit: Callable[[], None] = lambda: None,
        resting: Callable[[], AbstractContextManager[None]] = nullcontext,
        allowance: float = 0.0,
        stop: threading.Event | None = None,
    ) -> Verdict:
        """Make attempts until one is done or no further one is allowed, and then raise.

        Parameters
        ----------
        attempt
            Sends the request; takes the moment at which its response must be complete.
        subject
            Says what the error is about.
        repeatable
            Whether the request may be sent again where it may have been processed.
        admit
            Called before each attempt, to wait for its turn; that wait does not count against the deadline.
        resting
            Entered while it waits between attempts.
        allowance
            Seconds that this request may take longer than others.
        stop
            Ends the waiting between attempts.
        """
        start, sent, spent = self.clock.now(), 0, 0
        while True:
            arrived = self.clock.now()
            admit()
            start += self.clock.now() - arrived
            verdict = attempt(start + self.deadline + allowance)
            sent += 1
            self.reached = self.reached or not verdict.unreachable
            if verdict.fate is Fate.DONE:
                return verdict
            spent += verdict.fate is not Fate.NOT_PROCESSED
            delay = self._delay(verdict, sent)
            patience = (self.deadline if self.reached else self.first_contact) + allowance
            if not _may_resend(verdict, spent, repeatable) or self.clock.now() + delay > start + patience:
                raise _error(verdict, subject(), sent, repeatable)
            with resting():
                self.clock.wait(delay, stop)

    def _delay(self, verdict: Verdict, sent: int) -> float:
        """Full jitter over a doubling bound, of 30 seconds at most; but no less than the server asks for."""
        return max(verdict.retry_after or 0.0, self.jitter(0.0, min(30.0, 0.25 * 2.0 ** min(sent, 10))))


def _may_resend(verdict: Verdict, spent: int, repeatable: bool) -> bool:
    if verdict.fate is Fate.NOT_PROCESSED:
        return True
    return verdict.fate in {Fate.UNKNOWN, Fate.TRANSIENT} and repeatable and spent < verdict.attempts


def _error(verdict: Verdict, subject: str, sent: int, repeatable: bool) -> KiliError:
    if verdict.error is not None:
        return verdict.error
    unknown = verdict.fate is Fate.UNKNOWN or verdict.doubtful
    text = f"{subject}: {verdict.problem}."
    if sent > 1:
        text += f" It was sent {sent} times."
    if unknown and not repeatable:
        text += " The server may have done the work all the same."
    return KiliConnectionError(
        text, status=verdict.status, attempts=sent, outcome_unknown=unknown, timed_out=unknown and verdict.timed_out
    )
