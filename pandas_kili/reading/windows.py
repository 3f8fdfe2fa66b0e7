"""Stretches of a list of assets, windows over it, and the pages that they show."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pandas_kili.catalog import PAGE_SIZE

OVERLAP = 2  # rows read twice: two instants, so that the one before the end of a page is seen whole by the next page


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was created from `since` to `until`, both included: milliseconds since 1970, or None where it is open.

    The server is asked for one more on either side, as it may keep times more finely than it shows them.
    """

    since: int | None = None
    until: int | None = None

    def holds(self, created: npt.NDArray[np.int64], wider: int = 0) -> npt.NDArray[np.bool_]:
        """Tell which instants lie in the stretch, or in one that is wider by so much on either side."""
        inside = np.ones(len(created), bool)
        if self.since is not None:
            inside &= created >= self.since - wider
        if self.until is not None:
            inside &= created <= self.until + wider
        return inside

    def split(self, created: npt.NDArray[np.int64], share: float) -> tuple[Stretch, Stretch] | None:
        """Split it so that the first part holds such a share of the rows; None where it is but one instant."""
        if self.since is not None and self.since == self.until:
            return None
        inside = created[self.holds(created) & (created != self.until)]
        if len(inside):
            middle = int(np.quantile(inside, share, method="lower"))
        elif self.until is not None:  # all rows lie beside the stretch, or at its end
            middle = self.until - 1
        elif self.since is not None:
            middle = self.since
        else:
            return None
        return Stretch(self.since, middle), Stretch(middle + 1, self.until)


WHOLE = Stretch()


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `skip` to `skip + first` of those of a stretch."""

    skip: int
    first: int = PAGE_SIZE
    within: Stretch = WHOLE


@dataclass(frozen=True, slots=True)
class Page:
    """What a window showed: ids and instants of creation in order, and the rows themselves."""

    window: Window
    ids: list[str]
    created: npt.NDArray[np.int64]
    table: pa.Table

    @property
    def is_short(self) -> bool:
        """Whether it holds fewer rows than asked for; the list need not end there."""
        return len(self.ids) < self.window.first

    def is_far_from_full(self, longest: int) -> bool:
        """Whether it holds less than half of what it could, where the server has given pages of so many rows."""
        return 2 * len(self.ids) < min(longest, self.window.first)

    @property
    def is_ordered(self) -> bool:
        """Whether its rows are in the order of their creation."""
        return bool((self.created[1:] >= self.created[:-1]).all())


class Listing(Protocol):
    """The list that is read: any call may find it changed."""

    def page(self, window: Window) -> Page:
        """Return what a window shows, or its first part."""

    def pages(self, planned: Iterable[Window]) -> Generator[Page]:
        """Yield what windows show, in their order; several are asked for at the same time."""

    def count(self, within: Stretch = WHOLE) -> int:
        """Count what matches, an instant more on either side of a stretch."""

    def shorten_pages(self, rows: int) -> None:
        """Ask for no more rows at once: the server gives no more."""


def windows(skip: int, rows: int | None, size: int = PAGE_SIZE, within: Stretch = WHOLE) -> Iterator[Window]:
    """Yield windows over so many rows from `skip`, or without end, each beginning with the last rows of the one before.

    The last window ends with the last row.
    """
    end = None if rows is None else skip + rows
    while end is None or skip + size < end:
        yield Window(skip, size, within)
        skip += max(1, size - OVERLAP)
    yield Window(skip, end - skip, within)
