"""Reads a list again where a walk does not add up, or where it is not in the order of creation."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable

import numpy as np
import pyarrow as pa

from pandas_kili.catalog import PAGE_SIZE
from pandas_kili.errors import KiliGraphQLError
from pandas_kili.reading.tally import Consistency, Given
from pandas_kili.reading.windows import WHOLE, Listing, Page, Stretch, Window

_FEW = 8  # instants that are looked into one by one; more are counted first
_CAREFUL = 10  # rows that pages share where the order within an instant is watched
_FEWEST_SHARED = 3  # of them, which must be in the same order
_MOST_TRIES = 4  # times that it is asked whether the server filters by time
_MOST_LOOKS = 8  # times that a stretch is read through before its rows count as in doubt


def filters_by_time(listing: Listing, instant: int) -> bool:
    """Whether the server filters by the time of creation: some know no such filter, ignore it, or go by days."""
    with contextlib.suppress(KiliGraphQLError):
        for _ in range(_MOST_TRIES):
            ahead = listing.page(Window(0, within=Stretch(instant)))
            if not ahead.ids or ahead.created.min() < instant - 1:
                return not ahead.ids
            first = int(ahead.created[0])
            here = listing.page(Window(0, within=Stretch(first, first)))
            if here.ids:  # else what stood there may have gone
                return bool((np.abs(here.created - first) <= 1).all())
    return False


class _Pass:
    """One way through a stretch, which watches whether its pages lie in one line.

    Attributes
    ----------
    skip : int
        Where the next page begins.
    shown : set of str
        Ids that the pages showed.
    in_line : bool
        Whether each page began with rows of the one before, in their order.
    is_whole : bool
        Whether one page, far shorter than the server gives, showed the stretch: at that moment there was no more.
    goes_on : bool
        Whether another page is needed.
    """

    def __init__(self, skip: int, longest: int) -> None:
        self.skip = skip
        self.shown: set[str] = set()
        self.in_line, self.is_whole, self.goes_on = True, False, True
        self._longest = longest
        self._overlap = min(_CAREFUL, max(_FEWEST_SHARED, longest // 5))
        self._before: list[str] = []
        self._went_back = False

    def note(self, page: Page) -> None:
        """Decide by a page whether it joins the one before, and where the next one begins."""
        ids, before = page.ids, self._before
        shared = set(before).intersection(ids)
        joins = len(shared) >= _FEWEST_SHARED and _among(before, shared) == _among(ids, shared)
        if before and not joins and self.in_line and not self._went_back:
            self.skip, self._went_back = max(0, self.skip - PAGE_SIZE // 2), True
            return
        leads_nowhere = len(ids) > self._overlap and shared == set(ids) == set(before)  # whatever is skipped
        self.is_whole = not before and page.is_far_from_full(self._longest)
        self.in_line, self._went_back = self.in_line and (joins or not before) and not leads_nowhere, False
        self.goes_on = len(ids) > self._overlap and not (leads_nowhere or self.is_whole)
        self.shown.update(ids)
        self._before = ids
        self.skip += max(1, len(ids) - self._overlap)


class Looks:
    """Reads stretches of a list again, and gives the rows that were not given yet.

    Parameters
    ----------
    listing : Listing
        The list.
    given : Given
        The rows that were given.
    found : Consistency
        The counters of the looks.
    start : int
        Rows left out at the beginning of the list.
    longest : int
        Rows of the longest page that the server gave.
    is_bounded : bool
        Whether the server filters by the time of creation.
    """

    def __init__(
        self, listing: Listing, given: Given, found: Consistency, *, start: int, longest: int, is_bounded: bool
    ) -> None:
        self._listing, self._given, self._found = listing, given, found
        self._start, self._longest, self._is_bounded = start, longest, is_bounded

    def compare(self, stretch: Stretch = WHOLE) -> Generator[pa.Table]:
        """Read the stretches again where the server counts more rows than were given."""
        given = self._given.within(stretch)
        if self._counted(stretch) <= len(given):
            return
        may_split = self._is_bounded and not self._start and len(given) > PAGE_SIZE // 2
        halves = stretch.split(given, 1 / 2) if may_split else None
        if halves is None:
            yield from self.through(stretch)
        else:
            for half in halves:
                yield from self.compare(half)

    def at(self, instants: list[int]) -> Generator[pa.Table]:
        """Read instants anew, leaving out stretches of many that add up."""
        if len(instants) <= _FEW:
            for instant in instants:
                yield from self.through(Stretch(instant, instant))
            return
        around = Stretch(instants[0], instants[-1])
        if self._listing.count(around) != len(self._given.within(around)):
            middle = len(instants) // 2
            yield from self.at(instants[:middle])
            yield from self.at(instants[middle:])

    def through(self, stretch: Stretch = WHOLE) -> Generator[pa.Table]:
        """Yield what is new in a stretch without a trusted order, until nothing of it can be hidden."""
        counted, seen = -1, set[str]()
        for _ in range(_MOST_LOOKS):
            look = _Pass(self._start if stretch.since is None else 0, self._longest)
            while look.goes_on:
                page = self._listing.page(Window(look.skip, within=stretch))
                fresh = self._given.take(page, self._given.lacks(page))
                if fresh is not None:
                    self._found.recovered += len(fresh)
                    yield fresh
                look.note(page)
            if look.is_whole:
                return
            before, counted = counted, self._counted(stretch)
            if look.in_line and counted <= len(look.shown):
                return
            seen = seen | look.shown if counted == before else set()
            if counted == len(seen):
                return  # nothing moved between two counts, and in one order or another all of it was seen
        self._found.in_doubt += max(1, counted - len(seen))

    def by_time(self, expected: int) -> Generator[pa.Table]:
        """Read a list of so many rows by stretches of time alone, each shown whole by one page."""
        stretches = [WHOLE]
        while stretches:
            stretch = stretches.pop()
            page = self._listing.page(Window(0, within=stretch))
            rows = len(page.ids)
            self._longest = max(self._longest, rows)
            if page.is_far_from_full(self._longest) or (page.is_short and self._listing.count(stretch) <= rows):
                fresh = self._given.take(page, self._given.lacks(page))
                if fresh is not None:
                    yield fresh
            elif (parts := stretch.split(page.created, 4 / 5)) is None:
                yield from self.through(stretch)
            else:
                stretches += reversed(parts)
        missing = min(expected, self._listing.count()) - len(self._given)
        self._found.in_doubt += max(0, missing)

    def _counted(self, stretch: Stretch) -> int:
        return self._listing.count(stretch) - (self._start if stretch.since is None else 0)


def _among(ids: Iterable[str], chosen: set[str]) -> list[str]:
    return [name for name in ids if name in chosen]
