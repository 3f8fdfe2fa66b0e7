"""Views of the past: what a replica shows that lags behind the primary."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Replicas"]


class Replicas:
    """Snapshots of the database: one before each write, kept as long as a lag can need it.

    Parameters
    ----------
    connect : callable
        Opens one more connection to the database.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self.longest_lag = 0.0
        self._connect = connect
        self._snapshots: deque[tuple[float, sqlite3.Connection]] = deque()

    def before_write(self) -> None:
        """Keep the state that the write to come will replace."""
        self._forget_old()
        if not self.longest_lag:
            return
        connection = self._connect()
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM settings").fetchone()  # a snapshot begins with its first read
        self._snapshots.append((time.monotonic(), connection))

    def as_of(self, lag: float) -> sqlite3.Connection | None:
        """Return the state of `lag` seconds ago, None where nothing was written since."""
        then = time.monotonic() - lag
        return next((connection for written, connection in self._snapshots if written > then), None)

    def close(self) -> None:
        """Close all snapshots."""
        while self._snapshots:
            self._snapshots.popleft()[1].close()

    def _forget_old(self) -> None:
        while self._snapshots and self._snapshots[0][0] < time.monotonic() - self.longest_lag:
            self._snapshots.popleft()[1].close()
