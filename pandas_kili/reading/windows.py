"""Windows over a moving list, joined so that what stayed in it is read exactly once.

The server answers "rows `skip` to `skip + first` of what matches now". Rows that stop matching between two requests
shift the rest, so windows that merely touch lose rows. But the order of assets never changes: it is the order of their
creation. A window is therefore complete for the stretch of that order between its first and its last row, at the moment
it was read. Where two windows share a row, or the stretches overlap in time of creation, the two together are complete
for both stretches: an asset that matched all along lies in one of them. So windows are asked to overlap by one row,
and where a seam does not hold, the gap is read again from the left until it does.

Promised: an asset that matched throughout is read exactly once; one that came or went meanwhile at most once, in a
state that it had.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pandas_kili.catalog import PAGE_SIZE

_OVERLAP = 1  # row read twice, which proves the seam at the cost of 1 % more pages
_REMEMBERED = 40 * PAGE_SIZE  # rows whose ids are kept to know them again; older ones are known by their creation
_MOST_REPAIRS = 200  # requests spent on one seam before the rows are said to be in doubt


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `skip` to `skip + first` of the matching assets."""

    skip: int
    first: int


@dataclass(frozen=True, slots=True)
class Page:
    """What a window showed: ids and creation times (milliseconds) in order, and the rows themselves."""

    window: Window
    ids: list[str]
    created: list[int]
    table: pa.Table

    @property
    def is_last(self) -> bool:
        """Whether nothing followed it when it was read."""
        return len(self.ids) < self.window.first


def windows(start: int, rows: int | None, size: int = PAGE_SIZE) -> Iterator[Window]:
    """Yield windows that cover so many rows from `start`, each beginning with the row that ended the one before.

    The last one is as long as needed where the rows are limited on purpose; see `Seams` for the end of the list.
    """
    skip = start
    while rows is None:
        yield Window(skip, size)
        skip += size - _OVERLAP
    end = start + rows
    while skip + size < end:
        yield Window(skip, size)
        skip += size - _OVERLAP
    yield Window(skip, end - skip)


@dataclass(slots=True)
class Consistency:
    """What a read came across.

    Attributes
    ----------
    expected : int
        Rows counted when it began.
    read : int
        Rows that it gave.
    duplicates : int
        Rows that came again because others were put before them, and were left out.
    recovered : int
        Rows that had slipped out of their window, and were read again.
    in_doubt : int
        Rows of which it cannot be said that all are there.
    """

    expected: int = 0
    read: int = 0
    duplicates: int = 0
    recovered: int = 0
    in_doubt: int = 0


class Seams:
    """Joins the pages of one query, in order, into rows that come once.

    Parameters
    ----------
    fetch : callable
        Reads one window, for repairs.
    start : int
        Where the first window begins.
    found : Consistency, optional
        Takes up what is come across.
    """

    def __init__(self, fetch: Callable[[Window], Page], start: int, found: Consistency | None = None) -> None:
        self._fetch = fetch
        self._start = start
        self.found = found or Consistency()
        self._recent: dict[str, int] = {}  # id to creation time, in the order of their coming
        self._forgotten = -1  # no row created up to then is new
        self._tail: int | None = None  # creation time of the last row in order
        self._last = ""  # its id
        self._rank = start  # where that row stood when it was read
        self.complete = False

    def join(self, page: Page) -> Iterator[pa.Table]:
        """Yield the rows of a planned page that are new, after those of a gap before it."""
        if self.complete:
            return
        if not self._touches(page):
            yield from self._bridge(page)
        if not self.complete:
            yield from self._admit(page)

    def extend(self) -> Iterator[pa.Table]:
        """Yield what lies beyond the rows read so far, until the end of the list."""
        skip = self._rank
        while not self.complete:
            page = self._fetch(Window(skip, PAGE_SIZE))
            yield from self.join(page)
            # Where assets came in before it, the window lies to the left of what is sought.
            skip = max(self._rank, page.window.skip + len(page.ids) - 1)

    def _touches(self, page: Page) -> bool:
        """Whether the page's stretch of the order begins at or before the last row read."""
        if self._tail is None or page.window.skip == 0:
            return True
        if not page.ids:
            return False
        return page.created[0] < self._tail or any(id_ in self._recent for id_ in page.ids)

    def _bridge(self, page: Page) -> Iterator[pa.Table]:
        """Read from the last row known to the page that does not touch it."""
        step, skip = PAGE_SIZE // 2, max(self._start, self._rank - PAGE_SIZE // 2)
        for _ in range(_MOST_REPAIRS):
            patch = self._fetch(Window(skip, PAGE_SIZE))
            if self._touches(patch) or skip == self._start:
                for table in self._admit(patch):
                    self.found.recovered += len(table)
                    yield table
                if self.complete or self._touches(page):
                    return
                skip += max(1, len(patch.ids) - 1)
            else:
                step *= 2
                skip = max(self._start, skip - step)
        self.found.in_doubt += max(1, page.window.skip - self._rank)

    def _admit(self, page: Page) -> Iterator[pa.Table]:
        fresh = [
            row
            for row, (id_, created) in enumerate(zip(page.ids, page.created, strict=True))
            if id_ not in self._recent and created > self._forgotten
        ]
        if len({page.ids[row] for row in fresh}) < len(fresh):  # a server that joins tables may say a row twice
            first = {page.ids[row]: row for row in reversed(fresh)}
            fresh = sorted(first.values())
        overlap = bool(page.ids) and page.ids[0] == self._last
        self.found.duplicates += len(page.ids) - len(fresh) - overlap
        self._remember(page)
        if page.is_last:
            self.complete = True
        if not fresh:
            return
        if fresh[-1] - fresh[0] + 1 == len(fresh):
            yield page.table.slice(fresh[0], len(fresh))
        else:
            yield page.table.take(fresh)

    def _remember(self, page: Page) -> None:
        if not page.ids:
            return
        if self._tail is None or page.created[-1] >= self._tail:
            self._tail, self._last = page.created[-1], page.ids[-1]
            self._rank = page.window.skip + len(page.ids) - 1
        self._recent.update(zip(page.ids, page.created, strict=True))
        if len(self._recent) > 2 * _REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        """Drop the ids of long ago, all rows of one creation time together, so that time alone tells them."""
        times = sorted(self._recent.values())
        limit = times[-_REMEMBERED] - 1
        if bisect.bisect_right(times, limit):
            self._forgotten = max(self._forgotten, limit)
            self._recent = {id_: created for id_, created in self._recent.items() if created > limit}
