"""A walk over a list that changes meanwhile: what stays in it is read exactly once.

The server answers "rows `skip` to `skip + first` of what matches now". Rows that stop matching between two requests
shift the rest, so windows that merely touch lose rows. But the instant of an asset's creation never changes, and the
list is in the order of creation. So a page shows, at one moment, everything that was created between the instants of
its first and its last row, however the server orders assets of one instant. Where the next page begins before the
instant at which the last one ended, no asset that matched all along can lie between them. Pages overlap by two rows to
make this so: two calls in a hundred buy the proof.

Where a page begins later, rows have moved. Then the list is read from the last instant on, with no offset, so that
movement before it hides nothing. A page may begin at that very instant, where many assets share it. It is taken if it
begins with the last two rows in their order, and the instant is noted. At the end, if anything moved or the rows
do not add up to the count, each noted instant is read again by itself.

A short page is not the end. The end is where nothing moved and as many rows were read as were counted, or where the
server counts nothing beyond the last row.

Promised: an asset that matched throughout is read exactly once; one that came or went meanwhile at most once, in a
state that it had. What cannot be settled is counted as in doubt.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np
import pyarrow as pa

from pandas_kili.catalog import PAGE_SIZE
from pandas_kili.errors import KiliGraphQLError
from pandas_kili.reading.looks import Looks, filters_by_time
from pandas_kili.reading.tally import Consistency, Given
from pandas_kili.reading.windows import OVERLAP, WHOLE, Listing, Page, Stretch, Window, windows

_MOST_PATCHES = 2  # pages read to close a gap before the rest is planned anew
_MOST_IDLE = 4  # plans without a new row, where the server counts more, before the walk gives up
_MOST_AHEAD = 2**20  # windows in a plan
_ROUND = 5  # servers that limit pages limit them to a multiple of this


class _OutOfOrderError(Exception):
    """The list is not in the order of creation."""


class ListWalk:
    """Reads a list from its row `skip` on, and counts what happens.

    Parameters
    ----------
    listing : Listing
        The list.
    counted : callable
        Gives the number of rows that match when the walk begins; asked once the first page is under way.
    found : Consistency
        The counters of the read, which the walk raises.
    skip, first : int, int or None
        Where it begins, and how many rows are wanted.
    """

    def __init__(
        self,
        listing: Listing,
        counted: Callable[[], int],
        found: Consistency,
        skip: int = 0,
        first: int | None = None,
    ) -> None:
        self.found = found
        self._listing, self._counted = listing, counted
        self._start, self._first = skip, first
        self._expected = 0
        self._given = Given()
        self._edge: int | None = None  # the instant of the last row: what was created before it has been read
        self._at_edge: set[str] = set()  # ids of that instant that were given
        self._last: list[str] = []  # ids of the last rows, in their order
        self._place = Window(skip)  # where the last row stood: rows of a stretch, skipped ones before it
        self._page: Page | None = None  # the page before
        self._inside: dict[int, bool] = {}  # instants within which pages were joined, and whether they were in line
        self._cut_short: Counter[int] = Counter()  # lengths of short pages that were not the last
        self._longest = self._short_pages = 0
        self._moved = False
        self._can_be_bounded: bool | None = None  # not asked yet

    def tables(self) -> Generator[pa.Table]:
        """Yield the rows in the order of creation, those that had slipped away at the end."""
        try:
            yield from self._onwards()
        except _OutOfOrderError:
            if self._start or self._first is not None or not self._is_bounded():
                yield from self._looks().through()
            else:
                yield from self._looks().by_time(self._expected)
        else:
            yield from self._settled()

    # -- page after page ------------------------------------------------------------------------------------------

    def _onwards(self) -> Generator[pa.Table]:
        planned: Iterable[Window] = self._whole_plan()
        length, idle = 1, 0
        while True:
            before = len(self._given)
            is_calm = yield from self._joined(planned)
            if self._has_all() or (is_calm and self._is_end()):
                return
            idle = idle + 1 if len(self._given) == before else 0
            if idle > _MOST_IDLE:
                self._give_up()
                return
            length = min(2 * length, _MOST_AHEAD) if is_calm else 1
            planned = itertools.islice(self._rest(), length)

    def _whole_plan(self) -> Iterator[Window]:
        """Yield the first window at once, and the others when the count is known."""
        yield next(windows(self._start, min(PAGE_SIZE, self._first or PAGE_SIZE)))
        rows = max(0, self._counted() - self._start)
        self._expected = rows if self._first is None else min(rows, self._first)
        self.found.expected += self._expected
        is_limited = self._first is not None and self._first <= rows
        for window in itertools.islice(windows(self._start, self._first if is_limited else None), 1, None):
            # One window goes beyond the last row if that ends a page: what follows is asked beside it, not after it.
            if window.skip + OVERLAP > self._start + rows:
                break
            yield window
        if not is_limited and 0 < rows < PAGE_SIZE and rows % _ROUND == 0:
            yield Window(self._start + rows - OVERLAP)  # the server may have cut the only page there

    def _rest(self) -> Iterator[Window]:
        """Yield windows from the last row on, over as many rows as are still expected, and one page at least."""
        within, skip = self._resume()
        known = len(self._at_edge) if within.since == self._edge and not skip else OVERLAP
        rows = max(PAGE_SIZE, self._expected - len(self._given) + known)
        return windows(skip, PAGE_SIZE * (1 + (rows - 1) // PAGE_SIZE), within=within)

    def _joined(self, planned: Iterable[Window]) -> Generator[pa.Table, None, bool]:
        """Yield the new rows of planned windows; the result says whether all of them could be used."""
        before: Page | None = None
        with contextlib.closing(self._listing.pages(planned)) as pages:
            for page in pages:
                if not page.ids and before is not None and before.is_short:
                    continue  # it lies beyond the end, if the short page was the end
                if before is not None and _repeats(before, page):
                    return False
                if not self._touches(page):
                    self._learn_length(before)
                    if not (yield from self._bridged(page)):
                        return False
                self._note_seam(page)
                fresh, dropped = self._admitted(page)
                self.found.duplicates += max(0, dropped - OVERLAP)
                if fresh is not None:
                    yield fresh
                before = self._page = page
                self._short_pages += page.is_short
                if self._first is not None and len(self._given) >= self._first:
                    return True
        return True

    def _has_all(self) -> bool:
        """Whether the walk is done without a further question: nothing moved, and the rows add up."""
        if self._first is not None and len(self._given) >= self._first:
            return True
        ended = self._page is None or (self._page.is_short and self._short_pages == 1)
        return ended and not self._moved and len(self._given) == self._expected

    def _is_end(self) -> bool:
        """Whether the last page ends the list: far shorter than what was asked for, and than the server may give."""
        return self._page is not None and self._page.is_far_from_full(self._longest)

    def _give_up(self) -> None:
        """End a walk that comes no further, though the server counts more rows."""
        within, skip = self._resume()
        here, there = (self._listing.page(Window(place, within=within)) for place in (skip, skip + PAGE_SIZE))
        if here.ids and here.ids == there.ids:
            raise KiliGraphQLError(
                f"The server shows the same assets for skip={here.window.skip} and skip={there.window.skip}, so those"
                f" after the first {len(self._given):,} cannot be read: it ignores `skip`, or limits it."
                " Narrow the filters, created_at_gte and created_at_lte for example, to read fewer at a time."
            )
        self.found.in_doubt += max(0, self._listing.count(within) - self._place.skip - 1)

    # -- how pages join ---------------------------------------------------------------------------------------------

    def _touches(self, page: Page) -> bool:
        """Whether no row can lie between those that were read and this page."""
        since, skip, edge = page.window.within.since, page.window.skip, self._edge
        if edge is None or (since is None and skip <= self._start):
            return True
        if since is not None and since <= edge and not skip:
            return True
        if not page.ids or page.created[0] > edge:
            return False
        return bool(page.created[0] < edge) or self._goes_on(page) or self._is_within(page)

    def _goes_on(self, page: Page) -> bool:
        """Whether a page begins with the last rows, in their order."""
        return page.ids[: len(self._last)] == self._last

    def _is_within(self, page: Page) -> bool:
        """Whether a page of an instant of many assets shows some that were read.

        So does one where time tells nothing, on a server that does not filter by it.
        """
        return (self._is_crowded or self._can_be_bounded is False) and not self._at_edge.isdisjoint(page.ids)

    @property
    def _is_crowded(self) -> bool:
        """Whether more than half a page was created in the last instant, as far as it was read."""
        return 2 * len(self._at_edge) > self._longest

    def _note_seam(self, page: Page) -> None:
        """Note the instant within which a page joins the one before."""
        window, edge = page.window, self._edge
        if edge is None or not page.ids or page.created[0] < edge:
            return
        if window.within.since is not None and not window.skip and page.created[-1] > edge:
            return  # it shows this instant whole
        in_line = self._goes_on(page)
        self._moved |= not in_line
        self._inside[edge] = self._inside.get(edge, True) and in_line

    def _admitted(self, page: Page) -> tuple[pa.Table | None, int]:
        """Take the new rows of a page that touches; return them, and how many were known."""
        if not page.ids:
            self._place = Window(page.window.skip - 1, within=page.window.within)
            return None, 0
        if not page.is_ordered:
            raise _OutOfOrderError
        ids, created, edge = page.ids, page.created, self._edge
        self._longest = max(self._longest, len(ids))
        is_new = np.ones(len(ids), bool) if edge is None else created > edge
        for row in np.flatnonzero(created == edge):
            is_new[row] = ids[row] not in self._at_edge
        fresh = np.flatnonzero(is_new).tolist()
        if len(set(ids)) < len(ids):  # a server that joins tables may say a row twice
            fresh = sorted({ids[row]: row for row in reversed(fresh)}.values())
        if not fresh and created[-1] < edge and len(self._given.lacks(page)) == len(ids):
            raise _OutOfOrderError  # it lies among rows that were read, and none of its own was
        if edge is None or created[-1] >= edge:
            if created[-1] != edge:
                self._at_edge.clear()
            self._edge = int(created[-1])
            self._at_edge.update(ids[int(np.searchsorted(created, created[-1])) :])
            self._last = ids[-OVERLAP:]
            self._place = Window(page.window.skip + len(ids) - 1, within=page.window.within)
        return self._given.take(page, fresh), len(ids) - len(fresh)

    # -- where they do not -------------------------------------------------------------------------------------------

    def _bridged(self, page: Page) -> Generator[pa.Table, None, bool]:
        """Read from the last row to a page that does not touch it; the result says whether it does then."""
        self._moved = True
        for _ in range(_MOST_PATCHES):
            patch = self._patch()
            self._note_seam(patch)
            fresh, _ = self._admitted(patch)
            if fresh is None:
                return False
            self.found.recovered += len(fresh)
            yield fresh
            if self._touches(page):
                return True
            self._learn_length(patch)
        return False

    def _learn_length(self, page: Page | None) -> None:
        """Ask for fewer rows at once where pages of one length leave gaps: the server gives no more."""
        if page is not None and page.is_short and page.ids:
            self._cut_short[len(page.ids)] += 1
            if self._cut_short[len(page.ids)] > 1:
                self._listing.shorten_pages(len(page.ids))

    def _patch(self) -> Page:
        """Read a page that touches the last row: from half a page before it, and further back until it touches."""
        within, skip = self._resume()
        step = PAGE_SIZE // 2
        while True:
            skip = max(self._start if within == WHOLE else 0, skip - step)
            page = self._listing.page(Window(skip, within=within))
            if self._touches(page):
                return page
            step *= 2

    def _resume(self) -> tuple[Stretch, int]:
        """Return where to go on: what is asked for, and how many rows of it are skipped."""
        edge = self._edge
        if edge is None or not self._is_bounded():
            return WHOLE, max(self._start, self._place.skip - OVERLAP + 1)
        rank = 0
        if self._is_crowded:
            rank = self._place.skip if self._place.within.since == edge else len(self._at_edge) - 1
        return Stretch(edge), max(0, rank - OVERLAP + 1)

    def _is_bounded(self) -> bool:
        """Whether windows can be bounded by instants; the server is asked once that is needed."""
        if self._can_be_bounded is None and self._edge is not None:
            self._can_be_bounded = filters_by_time(self._listing, self._edge)
        return bool(self._can_be_bounded)

    # -- what does not add up ----------------------------------------------------------------------------------------

    def _settled(self) -> Generator[pa.Table]:
        """Yield rows that were hidden at the instants within which pages were joined."""
        if self._first is not None:
            self.found.in_doubt += sum(not in_line for in_line in self._inside.values())
        elif self._moved or len(self._given) != self._expected:
            is_bounded, looks = self._is_bounded(), self._looks()
            if is_bounded:
                yield from looks.at(sorted(self._inside))
            if len(self._given) < self._expected:
                yield from looks.compare()
            if not self._moved:  # only the count differs from what was read
                self.found.in_doubt = min(self.found.in_doubt, max(0, self._expected - len(self._given)))

    def _looks(self) -> Looks:
        """Return what looks once more at the list, now that all pages were read."""
        return Looks(
            self._listing,
            self._given,
            self.found,
            start=self._start,
            longest=self._longest,
            is_bounded=bool(self._can_be_bounded),
        )


def _repeats(before: Page, page: Page) -> bool:
    """Whether the server showed the same rows for another offset."""
    if not page.ids or before.ids != page.ids:
        return False
    return page.window.within == before.window.within and page.window.skip != before.window.skip
