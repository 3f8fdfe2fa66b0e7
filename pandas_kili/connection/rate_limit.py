"""How many calls a minute one endpoint and key get from this process."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Protocol, TypeAlias

__all__ = [
    "Budget",
    "Clock",
    "Limit",
    "RateLimit",
    "budget_of",
    "limit_of",
    "shared_rate_limit",
    "showing_waits",
    "wait_for_turn",
]

_LOGGER = logging.getLogger("pandas_kili")
_SHORTEST_WAIT = 0.001  # seconds; long enough to make progress whatever the rounding of the clock
_LONG_WAIT = 1.0  # seconds; shorter waits are the ordinary pace of the limit

Budget: TypeAlias = tuple[str, bytes]  # an endpoint, and the digest of a key


class Clock:
    """Time as it passes; tests bring their own."""

    def now(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Let time pass, until `stop` is set.

        Raises
        ------
        concurrent.futures.CancelledError
            Where `stop` is set.
        """
        if stop is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise CancelledError


class Limit(Protocol):
    """Lets calls pass one by one: the log of this process, or of several together."""

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait until one more call fits into the minute, and count it."""

    def pause(self, seconds: float, clock: Clock) -> None:
        """Hold every call back for so long."""


class _Waiting:
    """Tells who looks that calls wait for the rate limit: the log once, and progress bars from the first to the last.

    Attributes
    ----------
    displays : list of callable
        Each takes the text to show, which is empty when the wait is over.
    """

    def __init__(self) -> None:
        self.displays: list[Callable[[str], object]] = []
        self._calls = 0
        self._lock = threading.Lock()

    @contextmanager
    def call(self, seconds: float) -> Iterator[None]:
        """Show that a call waits for so long."""
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                _LOGGER.info("Calls wait for the rate limit, the first one for %.0f s", seconds)
                self._show("waiting for the rate limit")
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._show("")

    def _show(self, text: str) -> None:
        for display in self.displays:
            display(text)

    def renew_lock(self) -> None:
        """Forget what threads did that a fork left behind."""
        self._lock, self._calls = threading.Lock(), 0


_WAITING = _Waiting()


@contextmanager
def showing_waits(display: Callable[[str], object]) -> Iterator[None]:
    """Call `display` when calls of this process begin to wait for a rate limit, and with an empty text at the end."""
    _WAITING.displays.append(display)
    try:
        yield
    finally:
        _WAITING.displays.remove(display)


def wait_for_turn(seconds: float, clock: Clock, stop: threading.Event | None = None) -> None:
    """Wait for the rate limit; a long wait is shown."""
    if seconds < _LONG_WAIT:
        clock.wait(max(seconds, _SHORTEST_WAIT), stop)
        return
    with _WAITING.call(seconds):
        clock.wait(seconds, stop)


class RateLimit:
    """A log of the last minute's calls. It lets the next call pass as soon as it fits.

    The log is shared while each caller brings its own limit, so clients with different limits see each other's calls.
    """

    # A server counts arrivals: a call that was slow to arrive, and one that was quick a minute later, lie closer
    # together there than here. One second of slack costs 1.6 % of the throughput.
    WINDOW = 60.0 + 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[float] = deque()
        self._paused_until = -math.inf

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait until one more call fits into the minute, and count it."""
        while (delay := self.claim(calls_per_minute, clock)) > 0:
            wait_for_turn(delay, clock, stop)

    def pause(self, seconds: float, clock: Clock) -> None:
        """Hold every call back for so long: the server said so to one of them."""
        with self._lock:
            self._paused_until = max(self._paused_until, clock.now() + seconds)

    def claim(self, calls_per_minute: int, clock: Clock) -> float:
        """Count one more call where it fits into the minute, else return after how many seconds to ask again."""
        with self._lock:
            now = clock.now()
            while self._calls and self._calls[0] + self.WINDOW <= now:
                self._calls.popleft()
            if now < self._paused_until:
                return self._paused_until - now
            if len(self._calls) >= calls_per_minute:
                return self._calls[-calls_per_minute] + self.WINDOW - now
            self._calls.append(now)
            return 0.0

    def renew_lock(self) -> None:
        """Forget a lock that is held by a thread which a fork left behind."""
        self._lock = threading.Lock()


_LIMITS: dict[Budget, RateLimit] = {}


def budget_of(api_endpoint: str, api_key: str) -> Budget:
    """Return which calls are counted together: those of one key on one host."""
    # By a digest, so that no list of keys stays in memory.
    return api_endpoint, hashlib.sha256(api_key.encode()).digest()


def limit_of(budget: Budget) -> RateLimit:
    """Return the one log of a budget in this process."""
    return _LIMITS.setdefault(budget, RateLimit())  # kept for good, as a new client must see the calls of the old


def shared_rate_limit(api_endpoint: str, api_key: str) -> RateLimit:
    """Return the one rate limit of this endpoint and key in this process."""
    return limit_of(budget_of(api_endpoint, api_key))


def _renew_locks() -> None:
    _WAITING.renew_lock()
    for limit in _LIMITS.values():
        limit.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
