"""Looks once more at a list: at what does not add up after a walk, and where it is not in the order of creation."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pandas_kili.catalog import PAGE_SIZE
from pandas_kili.reading.accounts import Consistency, Given
from pandas_kili.reading.windows import Listing, Page, Window

_FEW = 8  # instants that are looked into one by one; more are counted first
_CAREFUL = 10  # rows that pages share where the order within an instant is watched
_FEWEST_SHARED = 3  # of them, which must be in the same order
_MOST_LOOKS = 8  # times that a stretch is read through before its rows are said to be in doubt


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
    """Looks at stretches of a list of which some rows were given, and gives the others.

    Parameters
    ----------
    listing : Listing
        The list.
    given : Given
        The rows that were given.
    found : Consistency
        Where the looks count what they come across.
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

    def compare(self, since: int | None = None, until: int | None = None) -> Generator[pa.Table]:
        """Read stretches again of which the server counts more rows than were given."""
        counted = self._listing.count(since, until) - (self._start if since is None else 0)
        given = self._given.within(since, until)
        if counted <= len(given):
            return
        middle = _split(given, since, until, 1 / 2) if len(given) > PAGE_SIZE // 2 else None
        if middle is None or not self._is_bounded or self._start:
            yield from self.through(since, until)
        else:
            yield from self.compare(since, middle)
            yield from self.compare(middle + 1, until)

    def at(self, instants: list[int]) -> Generator[pa.Table]:
        """Read instants anew, leaving out stretches of many that add up."""
        if len(instants) <= _FEW:
            for instant in instants:
                yield from self.through(instant, instant)
            return
        since, until = instants[0], instants[-1]
        if self._listing.count(since, until) != len(self._given.within(since, until)):
            middle = len(instants) // 2
            yield from self.at(instants[:middle])
            yield from self.at(instants[middle:])

    def through(self, since: int | None = None, until: int | None = None) -> Generator[pa.Table]:
        """Yield what is new in a stretch whose order is not trusted, until nothing of it can be hidden."""
        skip = self._start if since is None else 0
        counted, seen = -1, set[str]()
        for _ in range(_MOST_LOOKS):
            look = _Pass(skip, self._longest)
            while look.goes_on:
                page = self._listing.page(Window(look.skip, since=since, until=until))
                fresh = self._given.take(page, self._given.lacks(page))
                if fresh is not None:
                    self._found.recovered += len(fresh)
                    yield fresh
                look.note(page)
            if look.is_whole:
                return
            before, counted = counted, self._listing.count(since, until) - skip
            if look.in_line and counted <= len(look.shown):
                return
            seen = seen | look.shown if counted == before else set()
            if counted == len(seen):
                return  # nothing moved between two counts, and in one order or another all of it was seen
        self._found.in_doubt += max(1, counted - len(seen))

    def by_time(self, expected: int) -> Generator[pa.Table]:
        """Read a list of so many rows by stretches of time alone, each shown whole by one page."""
        stretches: list[tuple[int | None, int | None]] = [(None, None)]
        while stretches:
            since, until = stretches.pop()
            page = self._listing.page(Window(0, since=since, until=until))
            self._longest = max(self._longest, len(page.ids))
            rows = len(page.ids)
            if page.is_far_from_full(self._longest) or (page.is_short and self._listing.count(since, until) <= rows):
                fresh = self._given.take(page, self._given.lacks(page))
                if fresh is not None:
                    yield fresh
            elif (middle := _split(page.created, since, until, 4 / 5)) is None:
                yield from self.through(since, until)
            else:
                stretches += [(middle + 1, until), (since, middle)]
        missing = min(expected, self._listing.count()) - len(self._given)
        self._found.in_doubt += max(0, missing)


def _among(ids: Iterable[str], chosen: set[str]) -> list[str]:
    return [name for name in ids if name in chosen]


def _split(created: npt.NDArray[np.int64], since: int | None, until: int | None, share: float) -> int | None:
    """Return the instant that ends the first part of a stretch, with such a share of the rows; None for one instant."""
    if since is not None and since == until:
        return None
    created = created[
        (created >= (created if since is None else since)) & (created < (np.inf if until is None else until))
    ]
    if len(created):
        return int(np.quantile(created, share, method="lower"))
    return since if until is None else until - 1  # all rows lie beside the stretch, or at its end
