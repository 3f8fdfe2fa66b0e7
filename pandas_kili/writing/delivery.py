"""Changes brought to the server in batches, each once, and what became of every row.

When the response to a batch is lost, the courier asks the server what it shows. What shows as done is done; the rest is
sent again. That is safe for a `repeatable` change: setting, deleting and moving twice has the effect of once, and the
server takes the id of a new asset only once. Other changes are sent again only when the first request cannot be at work
any more.

Replicas lag behind, so a look counts only if it is newer than the request: it shows something that only this request
can have made, or more of the batch than an earlier look, or it came late enough for all replicas.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError as Cancelled
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from pandas_kili.catalog import BATCH_BYTES, BATCH_SIZE
from pandas_kili.errors import KiliConnectionError, KiliError, KiliGraphQLError
from pandas_kili.parallel import Workers, next_of
from pandas_kili.writing.account import Account, Outcome, Result

if TYPE_CHECKING:
    from tqdm import tqdm

    from pandas_kili.writing.interruption import Interruptions

_logger = logging.getLogger("pandas_kili")
_MOST_SENDS = 5  # of the same rows, where each response was lost
_SENDS_OF_PARTS = 3  # the same, of parts of a batch that was refused
_MOST_CUTS = 24  # cuts spent on finding the rows that make the server refuse a batch
_MOST_VAGUE_CUTS = 96  # the same, in all batches together, where the refusals do not say that rows are to blame
_PAUSE = 0.2  # seconds before a look at what a lost response did; doubles
_PATIENCE = (0.0, 0.2, 0.5, 1.0, 2.0)  # seconds between looks; at the last one, all replicas show what was written
_LIFE = (*_PATIENCE, 4.0, 8.0, 16.0)  # the same, until a request that was given up cannot be at work any more
_PASSING = {"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"}  # codes of refusals that say nothing about the rows


@dataclass(slots=True, eq=False)
class Target:
    """One thing to change: the asset, the rows that ask for it, and what is sent for it."""

    asset_id: str
    rows: Sequence[int]
    payload: dict[str, Any] = field(default_factory=dict)
    weight: int = 0  # about how many bytes of a request it takes
    before: Mapping[str, Any] | None = None  # what the server showed of the asset before; None where it was not asked


def rows_of(targets: Iterable[Target]) -> list[int]:
    """Return the rows that ask for these targets."""
    return [row for target in targets for row in target.rows]


class Change(Protocol):
    """One kind of mutation, as the engine sees it."""

    name: str
    in_order: bool  # whether batches must arrive in the order of the rows, one after the other
    repeatable: bool  # whether sending twice does as much as once

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Send one batch, and yield what the server says of each target, as soon as it is known.

        What is raised must hold for all targets that nothing was said of: that they were not sent, or, as a
        `KiliConnectionError` with `outcome_unknown` set, that they may have been.
        """

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Read the assets, and return the targets that look done or impossible."""

    def proves(self, target: Target) -> bool:
        """Whether a target that looks done can only be so by this very change."""

    def explain(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the targets that made the server refuse them, as far as it can be asked."""


def batches(targets: Iterable[Target]) -> Iterator[list[Target]]:
    """Cut by number and by bytes; a target heavier than a batch goes alone."""
    batch: list[Target] = []
    weight = 0
    for target in targets:
        if batch and (len(batch) == BATCH_SIZE or weight + target.weight > BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(target)
        weight += target.weight
    if batch:
        yield batch


def deliver(
    change: Change,
    targets: Sequence[Target],
    account: Account,
    *,
    workers: int,
    bar: tqdm[Any],
    interruptions: Interruptions | None = None,
) -> None:
    """Bring a change to all targets, noting what becomes of each.

    Raises whatever interrupted it (Ctrl-C, no memory), once what is under way has its result. A second Ctrl-C does not
    wait for that; the account is true in any case.
    """
    courier = _Courier(change, account)
    news: SimpleQueue[Future[None] | None] = SimpleQueue()  # None for a Ctrl-C; its `put` is safe in a signal handler
    if interruptions is not None:
        interruptions.listen(lambda: news.put(None))
    started = time.monotonic()
    executor = Workers(1 if change.in_order else workers)
    try:
        sizes: dict[Future[None], int] = {}
        for batch in batches(targets):
            future = executor.submit(courier.bring, batch)
            sizes[future] = len(batch)
            future.add_done_callback(news.put)
        _await(courier, news, sizes, bar)
    finally:
        courier.close()
        executor.shutdown(wait=False, cancel_futures=True)
        _logger.info("%s: %s in %.1f s", change.name, account.summary(), time.monotonic() - started)


def _await(
    courier: _Courier, news: SimpleQueue[Future[None] | None], under_way: dict[Future[None], int], bar: tqdm[Any]
) -> None:
    """Wait until all batches are brought; raise the first interruption once those under way have their result."""
    interruption: BaseException | None = None
    while under_way:
        error: BaseException | None
        try:
            done = next_of(news)
            if done is None:
                raise KeyboardInterrupt
            bar.update(under_way.pop(done))
            error = done.exception()
        except BaseException as struck:  # noqa: BLE001 - raised below, once what is under way has its result
            if interruption is not None:
                break
            error = struck
        if error is not None and interruption is None:
            interruption = error
            courier.halt(_interrupted(error))
    if interruption is not None:
        raise interruption


def looks(stop: threading.Event | None = None, pauses: Iterable[float] = ()) -> Iterator[None]:
    """Yield at each moment to look: at once, and again for some seconds."""
    stop = stop or threading.Event()
    for pause in pauses or _PATIENCE:
        stop.wait(pause)
        yield


@contextmanager
def after_the_work() -> Iterator[None]:
    """Mark whatever goes wrong after the server responded as work that may be done."""
    try:
        yield
    except (KiliError, Cancelled) as error:
        text = str(error) or "interrupted while the outcome was read back"
        raise KiliConnectionError(text, outcome_unknown=True) from error


@dataclass(slots=True)
class _Parcel:
    """Targets on their way together, and what was tried for them."""

    waiting: dict[Target, None]
    sends_left: int
    is_part: bool = False  # of a batch that the server refused
    is_lost: bool = False  # a response was lost: the work may be done, or be done later


class _Courier:
    """Brings batches; where one finds that there is no way on, all stop."""

    def __init__(self, change: Change, account: Account) -> None:
        self.change, self.account = change, account
        self.halted = threading.Event()
        self.reason = ""
        self.vague_cuts = iter(range(_MOST_VAGUE_CUTS))
        self.is_open = True
        self._lock = threading.Lock()  # of the account, so that no row is sent after it was called not sent

    def halt(self, reason: str) -> None:
        """Send nothing more."""
        with self._lock:
            self.reason = self.reason or reason
            self.halted.set()

    def close(self) -> None:
        """Note nothing more: the account is about to be read."""
        with self._lock:
            self.halted.set()
            self.is_open = False

    def bring(self, batch: list[Target]) -> None:
        """Bring one batch, whatever it takes."""
        cuts = iter(range(_MOST_CUTS))
        parcels = [_Parcel(dict.fromkeys(batch), _MOST_SENDS)]
        try:
            while parcels:
                parcels += reversed(self._forward(parcels.pop(), cuts))
        except BaseException as error:
            self.halt(_interrupted(error))  # before the next batch begins: new assets keep their order
            raise

    def _forward(self, parcel: _Parcel, cuts: Iterator[int]) -> list[_Parcel]:
        """Send a parcel once, and return what is left to bring, in order."""
        parcel.sends_left -= 1
        problem = self._send(parcel)
        if not parcel.waiting:
            return []
        if problem is None:  # a response need not mention all that was done
            self._look(parcel, resend=False)
            self._close(parcel, "failed", "the server's response does not mention it")
            return []
        if _blames_rows(problem):
            return self._refused(parcel, problem, cuts)
        if _was_not_taken(problem):
            self._give_up(parcel, problem)
            return []
        return self._lost(parcel, problem)

    def _send(self, parcel: _Parcel) -> KiliError | Cancelled | None:
        """Send what waits, and return what went wrong on the way."""
        targets = list(parcel.waiting)
        with self._lock:
            if self.halted.is_set():
                return Cancelled()
            # Written first, so that a crash leaves the right outcome.
            self._mark(targets, "failed", "outcome unknown: interrupted before the response came")
        try:
            for results in self.change.send(targets, self.halted):
                self._note(parcel, results)
            if parcel.is_lost and not self.change.repeatable:  # the first request may have come through after all
                for target, result in self.change.look(targets).items():
                    self.account.note(target.rows, result)
        except (KiliError, Cancelled) as problem:
            return problem
        except BaseException as error:
            self._close(parcel, "failed", f"outcome unknown: {type(error).__name__}: {error}")
            raise
        return None

    def _lost(self, parcel: _Parcel, problem: KiliError | Cancelled) -> list[_Parcel]:
        """Go on where the response was lost: what the server shows as done is done, the rest is sent again."""
        parcel.is_lost = True
        may_live = not self.change.repeatable and _may_live(problem)
        self.halted.wait(_PAUSE * 2 ** (_MOST_SENDS - 1 - parcel.sends_left))
        self._look(parcel, _LIFE if may_live else ())
        if not parcel.waiting:
            return []
        if parcel.sends_left and not may_live:
            return [parcel]
        if isinstance(problem, KiliGraphQLError):
            return self._cut(parcel, problem, self.vague_cuts)
        self._close(parcel, "failed", f"outcome unknown: {problem}")
        return []

    def _refused(self, parcel: _Parcel, refusal: KiliError | Cancelled, cuts: Iterator[int]) -> list[_Parcel]:
        """Go on where the server blames rows: find those, so that the others come through."""
        if parcel.is_lost:  # then the refusal may mean that all is done
            self._look(parcel, resend=False)
        waiting = len(parcel.waiting)
        try:
            self._note(parcel, self.change.explain(list(parcel.waiting)) if waiting else {})
        except KiliError as error:
            parcel.is_lost = True  # a refusal does not say that nothing was done
            self._give_up(parcel, error)
        if not parcel.waiting:
            return []
        is_clear = len(parcel.waiting) < waiting
        return [parcel] if is_clear and parcel.sends_left else self._cut(parcel, refusal, cuts)

    def _cut(self, parcel: _Parcel, refusal: KiliError | Cancelled, cuts: Iterator[int]) -> list[_Parcel]:
        """Cut a parcel in two; one that cannot be cut any more has failed."""
        targets = list(parcel.waiting)
        if len(targets) == 1 or next(cuts, None) is None:
            self._look(parcel)  # a refusal does not say that nothing was done
            self._close(parcel, "failed", str(refusal))
            return []
        halves = targets[: len(targets) // 2], targets[len(targets) // 2 :]
        return [_Parcel(dict.fromkeys(half), _SENDS_OF_PARTS, is_part=True) for half in halves]

    def _give_up(self, parcel: _Parcel, problem: KiliError | Cancelled) -> None:
        """Stop all; what was sent once may come through later, though it was not seen."""
        self.halt(str(problem))
        if parcel.is_lost or parcel.is_part:
            self._close(parcel, "failed", f"outcome unknown: not done when last looked at; then {self.reason}")
        else:
            self._close(parcel, "not_sent", self.reason)

    def _look(self, parcel: _Parcel, pauses: Iterable[float] = (), *, resend: bool = True) -> None:
        """Note what the server shows as done, from a look that is known to be newer than what was sent.

        What it does not show is looked for again, unless to `resend` it is as good.
        """
        shown: Mapping[Target, Result] = {}
        try:
            for turn, _ in enumerate(looks(self.halted, pauses)):
                before, shown = shown, self.change.look(list(parcel.waiting))
                is_newer = any(target not in before and (turn or self.change.proves(target)) for target in shown)
                if is_newer:
                    self._note(parcel, shown)
                if not parcel.waiting or (resend and self.change.repeatable and (is_newer or not shown)):
                    return
            self._note(parcel, shown)
        except KiliError as error:
            self._close(parcel, "failed", f"outcome unknown: the server could not be asked what it had done: {error}")
            self.halt(str(error))

    def _note(self, parcel: _Parcel, results: Mapping[Target, Result]) -> None:
        """Write results down, and take what has one off the list."""
        known: dict[Result, list[Target]] = defaultdict(list)
        for target, result in results.items():
            if target in parcel.waiting:
                del parcel.waiting[target]
                known[result].append(target)
        with self._lock:
            for result, targets in known.items():
                self._mark(targets, *result)

    def _close(self, parcel: _Parcel, outcome: Outcome, message: str) -> None:
        with self._lock:
            self._mark(parcel.waiting, outcome, message)
        parcel.waiting.clear()

    def _mark(self, targets: Iterable[Target], outcome: Outcome, message: str) -> None:
        if self.is_open:
            self.account.note(rows_of(targets), Result(outcome, message))


def _interrupted(error: BaseException) -> str:
    return f"the call was interrupted ({type(error).__name__})"


def _was_not_taken(problem: KiliError | Cancelled) -> bool:
    """Whether the server did not get to see the rows, and will not get to see others either."""
    if isinstance(problem, KiliConnectionError):
        return not problem.outcome_unknown and problem.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return not isinstance(problem, KiliGraphQLError)


def _blames_rows(problem: KiliError | Cancelled) -> bool:
    """Whether the server saw the rows, or their number of bytes, and does not want them."""
    if isinstance(problem, KiliGraphQLError):
        return not problem.codes & _PASSING
    return isinstance(problem, KiliConnectionError) and problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _may_live(problem: KiliError | Cancelled) -> bool:
    """Whether the server may still be at work on a request that the client gave up: nothing said that it ended."""
    return isinstance(problem, KiliConnectionError) and problem.timed_out
