"""What a read counts, and which rows it gave."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pandas_kili.reading.windows import Page, Stretch


@dataclass(slots=True)
class Consistency:
    """The counters of a read.

    Attributes
    ----------
    expected : int
        Rows counted when it began.
    read : int
        Rows that it gave.
    duplicates : int
        Rows that came again because others moved, and were left out.
    recovered : int
        Rows that had slipped out of their window, and were read again.
    in_doubt : int
        Rows that may be missing, or not up to date.
    """

    expected: int = 0
    read: int = 0
    duplicates: int = 0
    recovered: int = 0
    in_doubt: int = 0


class Given:
    """Which rows were given: 16 bytes each, a hash of the id and the instant of creation."""

    def __init__(self) -> None:
        self._names, self._instants = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._names)

    def within(self, stretch: Stretch) -> npt.NDArray[np.int64]:
        """Return the instants of the rows in a stretch and an instant beside it, as the server is asked for them."""
        instants = np.frombuffer(self._instants, np.int64)
        return instants[stretch.holds(instants, wider=1)]

    def lacks(self, page: Page) -> list[int]:
        """Return the positions of the rows of a page that were not given, each id once."""
        if not page.ids:
            return []
        instants = np.frombuffer(self._instants, np.int64)
        near = (instants >= page.created.min()) & (instants <= page.created.max())
        known = set(np.frombuffer(self._names, np.int64)[near].tolist())
        first = {name: row for row, name in reversed(list(enumerate(map(hash, page.ids)))) if name not in known}
        return sorted(first.values())

    def take(self, page: Page, rows: list[int]) -> pa.Table | None:
        """Note rows of a page as given, and return them; None for no rows."""
        if not rows:
            return None
        if rows[-1] - rows[0] + 1 == len(rows):
            part = slice(rows[0], rows[-1] + 1)
            ids, created, table = page.ids[part], page.created[part], page.table.slice(rows[0], len(rows))
        else:
            ids, created, table = [page.ids[row] for row in rows], page.created[rows], page.table.take(rows)
        self._names.extend(map(hash, ids))
        self._instants.frombytes(created.tobytes())
        return table
