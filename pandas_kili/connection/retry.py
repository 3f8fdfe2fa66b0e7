"""The one place that sends a request again, or does not.

Statuses, structured codes and types of exceptions tell what happened to a request:

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
from typing import TYPE_CHECKING

from pandas_kili.connection.rate_limit import Clock
from pandas_kili.connection.verdict import Fate, Verdict
from pandas_kili.errors import KiliConnectionError, KiliError

if TYPE_CHECKING:
    import threading

__all__ = ["Retry"]


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
