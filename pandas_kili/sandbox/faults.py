"""Failures on demand, so that a pipeline can be tested against all that a network does.

======================  ==============================================================================================
kind                    what happens
======================  ==============================================================================================
``latency``             the work waits for `seconds` first: a number, or a pair to draw from
``refuse``              the connection is closed without an answer, before the work
``reset_before``        the connection is reset before the work
``reset_after``         the connection is reset after the work was done
``status``              an HTTP error `status` with an HTML body, before the work, or after it with `after_work`
``cut``                 the work is done, and half of the answer sent
``drip``                the answer comes in small pieces over `seconds`
``timeout_after``       the work is done, then the server is silent for `seconds` and closes the connection
``graphql_error``       HTTP 200 with an error of `code` and `message`, before the work, or after it with `after_work`
``partial_data``        the answer, with an error of `code` and `message` beside its data
``html``                HTTP 200 with an HTML page, before the work, or after it with `after_work`
``expired_signature``   a signed URL is refused as expired
``replica_lag``         reads do not see what was written in the last `seconds`
``disk_full``           a PUT fails as the disk is full (HTTP 507)
======================  ==============================================================================================
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fault", "FaultKind", "FaultPlan"]

_FILE_METHODS = frozenset({"PUT", "GET", "HEAD"})
_ONLY_FILES = {"expired_signature": _FILE_METHODS, "disk_full": frozenset({"PUT"})}
_NEVER_FILES = ("graphql_error", "partial_data", "replica_lag")

FaultKind = Literal[
    "latency",
    "refuse",
    "reset_before",
    "reset_after",
    "status",
    "cut",
    "drip",
    "timeout_after",
    "graphql_error",
    "partial_data",
    "html",
    "expired_signature",
    "replica_lag",
    "disk_full",
]


@dataclass(frozen=True)
class Fault:
    """One failure, and the requests that it hits.

    Parameters
    ----------
    kind : str
        What happens; the module's table names the kinds.
    operation : str, optional
        The field of Query or Mutation (``"assets"``, ``"appendManyAssets"``) or the method of a file request
        (``"PUT"``, ``"GET"``, ``"HEAD"``) that it hits; all of them by default.
    nth : int, optional
        The first of the matching requests to hit, counted from 1.
    times : int, optional
        The most requests to hit; None for no limit.
    probability : float
        The chance that a matching request is hit.
    seconds : float or tuple of float
        For the kinds that take time: how long, or a pair to draw from.
    status : int
        For ``status``: the HTTP status.
    retry_after : float, optional
        For ``status``: seconds for the header ``Retry-After``.
    after_work : bool
        Whether the failure comes after the work was done.
    code, message : str
        For GraphQL errors: what they say.
    """

    kind: FaultKind
    operation: str | None = None
    nth: int = 1
    times: int | None = 1
    probability: float = 1.0
    seconds: float | tuple[float, float] = 0.0
    status: int = 503
    retry_after: float | None = None
    after_work: bool = False
    code: str = "INTERNAL_SERVER_ERROR"
    message: str = "The sandbox was told to fail"

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"Unknown kind of fault {self.kind!r}: one of {', '.join(get_args(FaultKind))}")
        if self.nth < 1:
            raise ValueError("Requests are counted from 1")

    @property
    def is_failure(self) -> bool:
        """Whether it decides the reply; a request meets one such fault at most."""
        return self.kind not in {"latency", "replica_lag"}

    @property
    def comes_after(self) -> bool:
        """Whether the work is done before the failure."""
        return self.after_work or self.kind in {"reset_after", "cut", "drip", "timeout_after", "partial_data"}

    def duration(self, chance: random.Random) -> float:
        """Return how long it takes this time."""
        return chance.uniform(*self.seconds) if isinstance(self.seconds, tuple) else self.seconds


class FaultPlan:
    """The faults of a server, and how many requests each has met.

    Parameters
    ----------
    faults : iterable of Fault
        The faults, in the order in which they are tried.
    seed : int
        What the chances are drawn from.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self._lock = threading.Lock()
        self._entries: list[_CountedFault] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Add a fault; its requests are counted from now on."""
        with self._lock:
            self._entries.append(_CountedFault(fault))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._entries.clear()

    def longest_lag(self) -> float:
        """Return the longest lag of reads, in seconds."""
        with self._lock:
            lags = [entry.fault.seconds for entry in self._entries if entry.fault.kind == "replica_lag"]
        return max((max(lag) if isinstance(lag, tuple) else lag for lag in lags), default=0.0)

    def meet(self, operations: tuple[str, ...]) -> list[Fault]:
        """Return the faults that hit a request for `operations`: one failure at most, and any delays."""
        met: list[Fault] = []
        with self._lock:
            for entry in self._entries:
                taken = any(fault.is_failure for fault in met)
                if entry.strikes(operations, self.chance, spare=taken and entry.fault.is_failure):
                    met.append(entry.fault)
        return met


class _CountedFault:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.met = 0
        self.struck = 0

    def strikes(self, operations: tuple[str, ...], chance: random.Random, *, spare: bool) -> bool:
        if not self.concerns(operations):
            return False
        self.met += 1
        spent = self.fault.times is not None and self.struck >= self.fault.times
        if spare or spent or self.met < self.fault.nth or chance.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def concerns(self, operations: tuple[str, ...]) -> bool:
        if self.fault.operation is not None and self.fault.operation not in operations:
            return False
        if self.fault.kind in _ONLY_FILES:
            return not _ONLY_FILES[self.fault.kind].isdisjoint(operations)
        return self.fault.kind not in _NEVER_FILES or _FILE_METHODS.isdisjoint(operations)
