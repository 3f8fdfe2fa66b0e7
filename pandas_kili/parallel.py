"""Work done side by side, handed over in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


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
    it does not wait for what has.
    """
    executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="pandas_kili")
    pending: deque[tuple[Task, Future[Result]]] = deque()
    ahead = 2 * workers
    try:
        for task in tasks:
            pending.append((task, executor.submit(work, task)))
            while len(pending) >= ahead:
                done, result = _take(pending)
                if weigh is not None:
                    ahead = max(1, min(ahead, budget // max(1, weigh(result))))
                yield done, result
        while pending:
            yield _take(pending)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _take(pending: deque[tuple[Task, Future[Result]]]) -> tuple[Task, Result]:
    task, future = pending.popleft()
    return task, future.result()
