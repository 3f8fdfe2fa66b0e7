"""Work cut into parts and done side by side, handed over in order or as it is done."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


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


def as_done(work: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int) -> Generator[tuple[Task, Result]]:
    """Yield each task with its result as soon as it is done, so that a slow one holds up no other.

    Tasks are drawn lazily and at most four rounds of workers ahead. Closing the iterator is as for `in_order`.
    """
    executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="pandas_kili")
    done: SimpleQueue[tuple[Task, Future[Result]]] = SimpleQueue()
    under_way = 0

    def hand_over(task: Task, future: Future[Result]) -> None:
        done.put((task, future))

    try:
        for task in tasks:
            executor.submit(work, task).add_done_callback(functools.partial(hand_over, task))
            under_way += 1
            while under_way >= 4 * workers or not done.empty():
                under_way -= 1
                finished, future = done.get()
                yield finished, future.result()
        for _ in range(under_way):
            finished, future = done.get()
            yield finished, future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _take(pending: deque[tuple[Task, Future[Result]]]) -> tuple[Task, Result]:
    task, future = pending.popleft()
    return task, future.result()
