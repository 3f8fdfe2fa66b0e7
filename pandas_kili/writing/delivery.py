"""Changes brought to the server in batches, each once, and what became of every row.

A batch whose answer is lost is settled by reading back: what the server shows as done is done, the rest is sent again.
That is safe for every change here: setting, deleting and moving twice is as good as once, and a new asset has an id of
our making, which the server takes only once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError as Cancelled
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import BATCH_BYTES, BATCH_SIZE
from pandas_kili.errors import KiliConnectionError, KiliError, KiliGraphQLError
from pandas_kili.parallel import Workers

if TYPE_CHECKING:
    from tqdm import tqdm

Outcome = Literal["applied", "declined", "failed", "not_sent"]
OUTCOMES: tuple[Outcome, ...] = ("applied", "declined", "failed", "not_sent")

_logger = logging.getLogger("pandas_kili")
_MOST_SENDS = 5  # of the same rows, where each answer was lost
_SENDS_OF_PARTS = 3  # the same, of parts of a batch that was refused
_MOST_CUTS = 24  # cuts spent on finding the rows that make the server refuse a batch
_MOST_VAGUE_CUTS = 96  # the same, in all batches together, where the refusals do not say that rows are to blame
_PAUSE = 0.2  # seconds before the first reading back; doubles
_PATIENCE = (0.0, 0.2, 0.5, 1.0, 2.0)  # seconds between looks: what was written shows on all replicas after some
_PASSING = {"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"}  # codes of refusals that say nothing about the rows
_TOO_LARGE = 413


class Verdict(NamedTuple):
    """What became of one asset."""

    outcome: Outcome
    message: str = ""


@dataclass(slots=True)
class Target:
    """One asset to change: the rows that ask for it, and what is to be sent for it."""

    asset_id: str
    rows: Sequence[int]
    payload: dict[str, Any] = field(default_factory=dict)
    weight: int = 0


def rows_of(targets: Iterable[Target]) -> list[int]:
    """Return the rows that ask for these assets."""
    return [row for target in targets for row in target.rows]


class Change(Protocol):
    """One kind of mutation, as the engine sees it."""

    name: str
    in_order: bool

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[str, Verdict]]:
        """Send one batch, and yield what the server says of each asset, as soon as it is known.

        What is raised must hold for all assets that nothing was said of: that they were not sent, or, as a
        `KiliConnectionError` whose `outcome_unknown` is set, that they may have been.
        """

    def settle(self, targets: Sequence[Target]) -> Mapping[str, Verdict]:
        """Read back, and return the assets whose fate is plain."""


class Account:
    """What became of each row."""

    def __init__(self, rows: int) -> None:
        self.outcomes: np.ndarray = np.full(rows, "not_sent", dtype=object)
        self.messages: np.ndarray = np.full(rows, "", dtype=object)

    def note(self, rows: Sequence[int], verdict: Verdict) -> None:
        """Give rows their outcome."""
        self.outcomes[rows] = verdict.outcome
        self.messages[rows] = verdict.message

    def applied(self) -> np.ndarray:
        """Return which rows were applied."""
        return np.asarray(self.outcomes == "applied", dtype=bool)

    @property
    def is_unfinished(self) -> bool:
        """Whether rows are left that nothing or nobody knows what became of."""
        return bool(np.isin(self.outcomes, ("failed", "not_sent")).any())

    def counts(self) -> dict[Outcome, int]:
        """Return how many rows came to each outcome."""
        found = Counter(self.outcomes.tolist())
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def summary(self) -> str:
        """Return the counts in words."""
        return ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in self.counts().items())

    def report(self, index: pd.Index, ids: Sequence[str | None], external_ids: Sequence[str | None]) -> pd.DataFrame:
        """Return the account as a frame on an index."""
        columns = {"id": ids, "externalId": external_ids, "outcome": self.outcomes, "message": self.messages}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        report: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
        return report.set_axis(index, axis=0)


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


def deliver(change: Change, targets: Sequence[Target], account: Account, *, workers: int, bar: tqdm[Any]) -> None:
    """Bring a change to all targets, noting what becomes of each.

    Raises whatever interrupted it (Ctrl-C, no memory), once what is under way has its outcome.
    """
    courier = _Courier(change, account)
    started = time.monotonic()
    try:
        _carry(courier, targets, workers=1 if change.in_order else workers, bar=bar)
    finally:
        _logger.info("%s: %s in %.1f s", change.name, account.summary(), time.monotonic() - started)


def _carry(courier: _Courier, targets: Sequence[Target], *, workers: int, bar: tqdm[Any]) -> None:
    under_way: dict[Future[None], int] = {}
    with Workers(workers) as executor:
        try:
            under_way.update({executor.submit(courier.bring, batch): len(batch) for batch in batches(targets)})
            for done in as_completed(under_way):
                done.result()
                bar.update(under_way[done])
        except BaseException as interruption:
            courier.halt(_interrupted(interruption))
            raise


def looks(stop: threading.Event | None = None, pauses: Iterable[float] = ()) -> Iterator[None]:
    """Yield when it is time to look what the server shows: at once, and again for some seconds."""
    stop = stop or threading.Event()
    for pause in pauses or _PATIENCE:
        stop.wait(pause)
        yield


@contextmanager
def after_the_work() -> Iterator[None]:
    """Let what goes wrong after a mutation was answered say that its work may be done."""
    try:
        yield
    except (KiliError, Cancelled) as error:
        text = str(error) or "interrupted while the outcome was read back"
        raise KiliConnectionError(text, outcome_unknown=True) from error


class _Courier:
    """Brings batches; where one finds that there is no way on, all stop."""

    def __init__(self, change: Change, account: Account) -> None:
        self.change, self.account = change, account
        self.halted = threading.Event()
        self.reason = ""
        self.vague_cuts = iter(range(_MOST_VAGUE_CUTS))

    def halt(self, reason: str) -> None:
        """Send nothing more."""
        self.reason = self.reason or reason
        self.halted.set()

    def bring(self, batch: list[Target]) -> None:
        """Bring one batch, whatever it takes."""
        try:
            self._bring({target.asset_id: target for target in batch}, iter(range(_MOST_CUTS)))
        except BaseException as error:
            self.halt(_interrupted(error))  # before the next batch begins: new assets keep their order
            raise

    def _bring(
        self, waiting: dict[str, Target], cuts: Iterator[int], *, sends: int = _MOST_SENDS, refused: bool = False
    ) -> None:
        """Bring some rows; `refused` where they were in a batch that the server refused."""
        problem: KiliError | Cancelled | None = None
        for attempt in range(sends):
            if not waiting:
                return
            problem = Cancelled() if self.halted.is_set() else self._send(waiting)
            if problem is None:
                self._close(waiting, "failed", "the server's answer does not mention it")
            elif _blames_rows(problem):
                self._isolate(waiting, problem, cuts, lost=attempt > 0)
            elif _was_not_taken(problem):
                self._give_up(waiting, problem, doubtful=attempt > 0 or refused)
            else:
                self.halted.wait(_PAUSE * 2**attempt)
                self._settle(waiting)
        if isinstance(problem, KiliGraphQLError) and waiting:
            self._isolate(waiting, problem, self.vague_cuts, lost=False)
        self._close(waiting, "failed", f"outcome unknown: {problem}")

    def _send(self, waiting: dict[str, Target]) -> KiliError | Cancelled | None:
        """Send what waits, and return what went wrong on the way."""
        # Should nobody live to tell, this is the truth.
        self._mark(waiting, "failed", "outcome unknown: interrupted before the answer came")
        try:
            for verdicts in self.change.send(list(waiting.values()), self.halted):
                self._note(waiting, verdicts)
        except (KiliError, Cancelled) as problem:
            return problem
        except BaseException as error:
            self._close(waiting, "failed", f"outcome unknown: {type(error).__name__}: {error}")
            raise
        return None

    def _give_up(self, waiting: dict[str, Target], problem: KiliError | Cancelled, *, doubtful: bool) -> None:
        """Stop all; of these rows, what was sent once may come through later, though it was not seen."""
        self.halt(str(problem))
        if doubtful:
            self._close(waiting, "failed", f"outcome unknown: not done when last looked at; then {self.reason}")
        else:
            self._close(waiting, "not_sent", self.reason)

    def _isolate(
        self, waiting: dict[str, Target], refusal: KiliError | Cancelled, cuts: Iterator[int], *, lost: bool
    ) -> None:
        """Find the rows that made the server refuse a batch, so that the others come through.

        Where an answer was `lost` before, the refusal may mean that all is done, and what shows it may lag behind.
        """
        for _ in looks(self.halted) if lost else ():
            if not self._settle(waiting):
                return
        targets = list(waiting.values())
        if len(targets) == 1 or next(cuts, None) is None:
            if self._settle(waiting):  # a refusal does not say that nothing was done
                self._close(waiting, "failed", str(refusal))
            return
        waiting.clear()
        middle = len(targets) // 2
        for half in (targets[:middle], targets[middle:]):
            self._bring({target.asset_id: target for target in half}, cuts, sends=_SENDS_OF_PARTS, refused=True)

    def _settle(self, waiting: dict[str, Target]) -> bool:
        """Ask what was done of a batch, and say whether anything is left to do."""
        try:
            self._note(waiting, self.change.settle(list(waiting.values())))
        except KiliError as error:
            self._close(waiting, "failed", f"outcome unknown: the server could not be asked what it had done: {error}")
            self.halt(str(error))
        return bool(waiting)

    def _note(self, waiting: dict[str, Target], verdicts: Mapping[str, Verdict]) -> None:
        """Write verdicts down, and take what has one off the list."""
        known: dict[Verdict, list[Target]] = defaultdict(list)
        for asset_id, verdict in verdicts.items():
            target = waiting.pop(asset_id, None)
            if target is not None:
                known[verdict].append(target)
        for verdict, targets in known.items():
            self.account.note(rows_of(targets), verdict)

    def _mark(self, waiting: Mapping[str, Target], outcome: Outcome, message: str) -> None:
        self.account.note(rows_of(waiting.values()), Verdict(outcome, message))

    def _close(self, waiting: dict[str, Target], outcome: Outcome, message: str) -> None:
        self._mark(waiting, outcome, message)
        waiting.clear()


def _interrupted(error: BaseException) -> str:
    return f"the call was interrupted ({type(error).__name__})"


def _was_not_taken(problem: KiliError | Cancelled) -> bool:
    """Whether the server did not get to see the rows, and will not get to see others either."""
    if isinstance(problem, KiliConnectionError):
        return not problem.outcome_unknown and problem.status != _TOO_LARGE
    return not isinstance(problem, KiliGraphQLError)


def _blames_rows(problem: KiliError | Cancelled) -> bool:
    """Whether the server saw the rows, or their number of bytes, and does not want them."""
    if isinstance(problem, KiliGraphQLError):
        return not problem.codes & _PASSING
    return isinstance(problem, KiliConnectionError) and problem.status == _TOO_LARGE
