"""Small files fetched side by side: as many at a time as their hosts can take, with one bound for the whole process."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pandas_kili.errors import KiliError

__all__ = ["Pace", "current_pace", "resting", "side_by_side"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_MOST = 256  # files under way; at 80 ms each that is four times what the call budget allows at one label an asset
_FIRST = 8  # files under way at the start
_STEEP = 4  # times as many after each round at the start
_STEEP_UNTIL = 128  # from there on twice as many
_DESCRIPTORS = 4  # one in so many that the system allows goes to a file
_BYTES_UNDER_WAY = 256 * 2**20
_GROWTH = 1.1  # the rate must grow by so much for the number to grow on
_ROUNDS_WITHOUT = 2  # rounds without growth end it: in the first one with more at a time, connections are made
_ROUNDS_UNTIL_RETRY = 16
_LOOK = 0.25  # seconds between looks whether a caller gave up, also by Ctrl-C
_IDLE = 2.0  # seconds that a thread without work waits for more


class Pace:
    """How many files may be under way at a time.

    The number is multiplied as long as the rate grows, and goes back to the last one that made it grow: more at a time
    only cost switches between threads. The number is halved where a host asks for fewer (429, 503), does not respond in
    time or refuses connections; from then on it grows by an eighth at a time. It is bounded by the descriptors
    that the system allows and by the bytes under way.

    Attributes
    ----------
    limit : int
        Files that may be under way now.
    """

    def __init__(self, most: int = _MOST, now: Callable[[], float] = time.monotonic) -> None:
        self.limit = min(_FIRST, most)
        self._most, self._now = most, now
        self._changed = threading.Condition()
        self._under_way: Counter[Hashable] = Counter()
        self._total = self._capped = 0
        self._mean_size = 0.0
        self._careful = False  # after trouble: growth in small steps
        self._earlier = 0  # files that began before the last cut: they say nothing of what came after it
        self._best_rate, self._best_limit, self._flat = 0.0, self.limit, 0
        self._begin_round()

    def enter(self, owner: Hashable, most: int | None = None, stop: threading.Event | None = None) -> None:
        """Wait until one more file may be under way, and no more than `most` of this owner.

        Raises
        ------
        concurrent.futures.CancelledError
            Where `stop` is set.
        """
        with self._changed:
            self._capped += most is not None
            try:
                while self._total >= self.limit or (most is not None and self._under_way[owner] >= most):
                    if stop is not None and stop.is_set():
                        raise CancelledError
                    self._changed.wait(_LOOK)
            finally:
                self._capped -= most is not None
            self._total += 1
            self._under_way[owner] += 1

    def leave(self, owner: Hashable, *, size: int | None = None, trouble: bool = False) -> None:
        """Note that a file came, with its `size`, or that it did not, with `trouble` that fewer at a time may cure."""
        with self._changed:
            before = self.limit
            self._total -= 1
            if self._earlier:
                self._earlier -= 1
                if not self._earlier:
                    self._begin_round()
            elif trouble:
                self._careful = True
                self._cut(max(1, self.limit // 2))
            elif size is not None:
                self._count(size)
            self._under_way[owner] -= 1
            if not self._under_way[owner]:
                del self._under_way[owner]
            # A thread that waits for its owner's own bound must not take the only wake-up.
            self._changed.notify(1 + max(0, self.limit - before) if not self._capped else _MOST)

    def _count(self, size: int) -> None:
        self._mean_size += (size - self._mean_size) / _FIRST
        self._done += 1
        self._full += 4 * (self._total + 1) >= 3 * self.limit  # some are on their way from one file to the next
        if self._done >= self.limit:
            if 2 * self._full >= self._done:  # else there was less to fetch than allowed
                self._grow(self._done / max(self._now() - self._start, 1e-9))
            self._begin_round()

    def _grow(self, rate: float) -> None:
        self._flat += 1
        if rate > _GROWTH * self._best_rate or self._flat > _ROUNDS_UNTIL_RETRY:
            self._best_rate, self._best_limit, self._flat = rate, self.limit, 0
        if self._careful:
            self.limit += max(1, self.limit // 8)
        elif not self._flat:
            self.limit = min(_STEEP * self.limit, max(_STEEP_UNTIL, 2 * self.limit))
        elif self._flat == _ROUNDS_WITHOUT:
            self._cut(self._best_limit)
        self.limit = max(1, min(self.limit, self._most, int(_BYTES_UNDER_WAY / max(self._mean_size, 1))))

    def _cut(self, limit: int) -> None:
        self.limit, self._earlier = limit, self._total
        self._begin_round()

    def _begin_round(self) -> None:
        self._start, self._done, self._full = self._now(), 0, 0


class Crew:
    """Threads that come with the work and go some time after it. They do not hold up the end of the process.

    Parameters
    ----------
    most : callable
        Gives how many may be at work now; a thread too many goes once it has done its work. One that only waited for
        its turn would cost a switch between threads with each file.
    idle : float
        Seconds that a thread without work waits for more.
    """

    def __init__(self, most: Callable[[], int], idle: float = _IDLE) -> None:
        self._most, self._idle = most, idle
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._unfinished = self._resting = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Have work done, which raises nothing; in the calling thread where no other can be started."""
        self._work.put(work)
        with self._lock:
            self._unfinished += 1
        if not self._has_hands():
            with contextlib.suppress(Empty):  # a thread that another caller started took it
                self._do()

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Let another thread work while this one waits for something other than its host."""
        with self._lock:
            self._resting += 1
        self._has_hands()
        try:
            yield
        finally:
            with self._lock:
                self._resting -= 1

    def _has_hands(self) -> bool:
        """Start a thread if one is missing; return whether there is any."""
        with self._lock:
            if self._threads >= min(self._unfinished, self._most() + self._resting):
                return True
            self._threads += 1
        try:
            threading.Thread(target=self._serve, name="pandas_kili", daemon=True).start()
        except RuntimeError:  # the interpreter shuts down, or the system allows no more threads
            with self._lock:
                self._threads -= 1
                return self._threads > 0
        return True

    def _serve(self) -> None:
        is_idle = False
        while True:
            with self._lock:
                if self._threads > self._most() + self._resting or (is_idle and self._work.empty()):
                    self._threads -= 1
                    return
            try:
                self._do(timeout=self._idle)
            except Empty:
                is_idle = True
            else:
                is_idle = False

    def _do(self, timeout: float = 0) -> None:
        self._work.get(block=bool(timeout), timeout=timeout)()
        with self._lock:
            self._unfinished -= 1


def current_pace() -> Pace:
    """Return the one pace of this process."""
    return _shared()[0]


def resting() -> AbstractContextManager[None]:
    """Say that the calling thread waits for something other than a host: others may fetch meanwhile."""
    return _shared()[1].resting()


def side_by_side(
    work: Callable[[Task], Result], tasks: Iterable[Task], stop: threading.Event | None = None
) -> Generator[tuple[Task, Result | KiliError]]:
    """Yield each task with its result, or the error that it ended with, as they come.

    Tasks are drawn lazily, some more than may be under way. Closing the iterator leaves out those that have not begun,
    and does not wait for the others.

    Raises
    ------
    concurrent.futures.CancelledError
        Once `stop` is set.
    """
    pace, crew = _shared()
    done: SimpleQueue[tuple[Task, Any]] = SimpleQueue()
    closed = threading.Event()

    def run(task: Task) -> None:
        try:
            done.put((task, None if closed.is_set() else work(task)))
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are taken
            done.put((task, error))

    def taken() -> tuple[Task, Result | KiliError]:
        while True:
            if stop is not None and stop.is_set():
                raise CancelledError
            with contextlib.suppress(Empty):
                task, outcome = done.get(timeout=_LOOK)
                break
        if isinstance(outcome, BaseException) and not isinstance(outcome, KiliError):
            raise outcome
        return task, outcome

    waiting = 0
    try:
        for task in tasks:
            crew.submit(functools.partial(run, task))
            waiting += 1
            while waiting >= 2 * pace.limit:
                waiting -= 1
                yield taken()
        for _ in range(waiting):
            yield taken()
    finally:
        closed.set()


def _allowed() -> int:
    """Return how many files may be under way by the descriptors that the system allows."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return _MOST
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if soft == resource.RLIM_INFINITY else max(1, min(_MOST, soft // _DESCRIPTORS))


@functools.cache
def _shared() -> tuple[Pace, Crew]:
    pace = Pace(_allowed())
    return pace, Crew(lambda: pace.limit)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.cache_clear)  # the threads stay with the parent
