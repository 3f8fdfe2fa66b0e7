"""A client that goes into graphs, and the limit of calls that the workers of a cluster share."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from pandas_kili.connection import Budget, Client, Clock, limit_of, wait_for_turn
from pandas_kili.errors import KiliAuthenticationError


class Connection:
    """A client that goes into graphs: in another process it is made anew, with the key that is found there."""

    def __init__(self, client: Client) -> None:
        self._settings = client.__getstate__()
        self._client: Client | None = client
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return self._settings

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self._settings, self._client, self._lock = settings, None, threading.Lock()

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return tuple(self._settings.items())

    def open(self) -> Client:
        """Return the client, its calls counted by the cluster where there is one."""
        with self._lock:
            self._client = client = self._client or _made_here(self._settings)
        cluster = _cluster()
        if cluster is None:
            return client
        return client._counted_by(functools.partial(_ClusterLimit, cluster))  # noqa: SLF001 - the package's own


def _made_here(settings: dict[str, Any]) -> Client:
    try:
        return Client(**settings)
    except KiliAuthenticationError as error:
        raise KiliAuthenticationError(
            f"{error} A key is never sent to the workers of a cluster: set KILI_API_KEY in the environment of each,"
            " such as LocalCluster(env={'KILI_API_KEY': ...})."
        ) from None


def _cluster() -> Any:
    """Return the connection to the scheduler of `distributed`: a worker's own, else the one in use; None without."""
    if "distributed" not in sys.modules:
        return None
    import distributed  # noqa: PLC0415 - loaded already, or not in use

    try:
        return distributed.get_client()
    except ValueError:
        return None


class _ClusterLimit:
    """The rate limit of all workers of a cluster: its scheduler keeps the log of the last minute's calls."""

    def __init__(self, cluster: Any, budget: Budget) -> None:
        self._cluster, self._budget = cluster, budget

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait until one more call fits into the minute, and count it."""
        while (delay := self._cluster.run_on_scheduler(_claim, self._budget, calls_per_minute)) > 0:
            wait_for_turn(delay, clock, stop)

    def pause(self, seconds: float, clock: Clock) -> None:  # noqa: ARG002 - the scheduler has a clock of its own
        """Hold every call back for so long: the server said so to one of them."""
        self._cluster.run_on_scheduler(_pause, self._budget, seconds)


def _claim(budget: Budget, calls_per_minute: int) -> float:
    return limit_of(budget).claim(calls_per_minute, Clock())


def _pause(budget: Budget, seconds: float) -> None:
    limit_of(budget).pause(seconds, Clock())
