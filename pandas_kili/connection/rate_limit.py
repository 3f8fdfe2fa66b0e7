"""How many calls a minute one endpoint and key get from this process."""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections import deque
from concurrent.futures import CancelledError
from typing import Protocol, TypeAlias

__all__ = ["Budget", "Clock", "Limit", "RateLimit", "budget_of", "limit_of", "shared_rate_limit"]

Budget: TypeAlias = tuple[str, bytes]  # an endpoint, and the digest of a key


class Clock:
    """Time as it passes; tests bring their own."""

    def now(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Let time pass, or less of it where `stop` is set meanwhile.

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
    """What lets calls pass: the log of this process, or of several together."""

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait until one more call fits into the minute, and count it."""

    def pause(self, seconds: float, clock: Clock) -> None:
        """Hold every call back for so long."""


class RateLimit:
    """A log of the last minute's calls, that lets the next one pass as soon as it fits.

    The log is shared while each caller brings its own limit, so clients with different limits see each other's calls.
    """

    # A server counts arrivals: a call that was slow to arrive, and one that was quick a minute later, lie closer
    # together there than here. One second of slack costs 1.6 % of the throughput.
    WINDOW = 60.0 + 1.0
    # Long enough to make progress whatever the rounding of the clock.
    SHORTEST_WAIT = 0.001

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[float] = deque()
        self._paused_until = -math.inf

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait until one more call fits into the minute, and count it."""
        while (delay := self.claim(calls_per_minute, clock)) > 0:
            clock.wait(max(delay, self.SHORTEST_WAIT), stop)

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
        """Forget a lock that was held by a thread which a fork left behind."""
        self._lock = threading.Lock()


_LIMITS: dict[Budget, RateLimit] = {}


def budget_of(api_endpoint: str, api_key: str) -> Budget:
    """Say whose calls are counted together."""
    # By a digest, so that no list of keys lies about.
    return api_endpoint, hashlib.sha256(api_key.encode()).digest()


def limit_of(budget: Budget) -> RateLimit:
    """Return the one log of a budget in this process."""
    return _LIMITS.setdefault(budget, RateLimit())  # kept for good, as a new client must see the calls of the old


def shared_rate_limit(api_endpoint: str, api_key: str) -> RateLimit:
    """Return the one rate limit of this endpoint and key in this process."""
    return limit_of(budget_of(api_endpoint, api_key))


def _renew_locks() -> None:
    for limit in _LIMITS.values():
        limit.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
