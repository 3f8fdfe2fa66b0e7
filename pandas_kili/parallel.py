"""Work cut into parts and done side by side; results come in order."""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from pandas_kili.messages import held_warnings, warn

Task = TypeVar("Task")
Result = TypeVar("Result")
_Done: TypeAlias = tuple[Result, list[tuple[str | Warning, type[Warning]]]]  # a result, and the warnings for its taker

# Seconds between looks for Ctrl-C. It does not end a wait without limit on Windows, nor where another thread gets the
# signal.
_LOOK = 0.25


class Workers(ThreadPoolExecutor):
    """Threads that work side by side; where no thread can be started, the calling thread does the work.

    Python starts no threads while it shuts down (in functions of `atexit`, in ``__del__``), and the system none beyond
    its limit.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most, thread_name_prefix="pandas_kili")

    def submit(self, work: Callable[..., Result], /, *args: Any, **options: Any) -> Future[Result]:
        """Schedule work, or do it at once."""
        claim = threading.Lock()  # the executor may have queued work before it failed to start a thread for it

        def claimed() -> Result:
            if not claim.acquire(blocking=False):
                raise CancelledError
            return work(*args, **options)

        try:
            return super().submit(claimed)
        except RuntimeError:
            if self._shutdown:
                raise
            future: Future[Result] = Future()
            try:
                future.set_result(claimed())
            except Exception as error:  # noqa: BLE001 - the future holds it, as that of a thread would
                future.set_exception(error)
            return future


def next_of(queue: SimpleQueue[Result]) -> Result:
    """Wait for the next item of a queue, and let Ctrl-C end the wait on every system."""
    while True:
        with contextlib.suppress(Empty):
            return queue.get(timeout=_LOOK)


def result_of(future: Future[Result]) -> Result:
    """Wait for a result, and let Ctrl-C end the wait on every system."""
    while not future.done():
        wait([future], timeout=_LOOK)
    return future.result()


@functools.cache
def imported(name: str) -> Any:
    """Import a module in a thread, while other threads may import, too.

    Ctrl-C strikes the main thread. Where that waits for the lock of all imports, it can take the lock and be
    interrupted before it would release it: no thread imports any more, and the process cannot end.
    """
    return result_of(Workers(1).submit(importlib.import_module, name))


def chunked(items: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    """Cut a sequence into parts of `size` items; the last part may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


def in_order(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    weigh: Callable[[Result], int] | None = None,
    budget: int = 0,
) -> Generator[tuple[Task, Result]]:
    """Yield each task with its result, in the order of the tasks, while later ones are under way.

    Tasks are drawn lazily and at most two rounds of workers ahead of what was handed over; fewer where results are so
    heavy, as `weigh` finds them, that more would exceed the `budget`. Closing the iterator cancels what has not begun;
    it does not wait for what has. What a task warns of is warned of when its result is handed over.
    """
    executor = Workers(workers)
    pending: deque[tuple[Task, Future[_Done[Result]]]] = deque()
    ahead = 2 * workers
    try:
        for task in tasks:
            pending.append((task, executor.submit(_done, work, task)))
            while len(pending) >= ahead:
                done, result = _take(pending)
                if weigh is not None:
                    ahead = max(1, min(ahead, budget // max(1, weigh(result))))
                yield done, result
        while pending:
            yield _take(pending)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _take(pending: deque[tuple[Task, Future[_Done[Result]]]]) -> tuple[Task, Result]:
    task, future = pending.popleft()
    return task, _result(future)


def _done(work: Callable[[Task], Result], task: Task) -> _Done[Result]:
    with held_warnings() as held:
        return work(task), held


def _result(future: Future[_Done[Result]]) -> Result:
    result, held = result_of(future)
    for message, category in held:
        warn(message, category)
    return result
