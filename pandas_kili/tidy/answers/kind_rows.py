"""Rows of one kind, and what has been read of them: columns, and the JSON that no column holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pandas_kili.tidy.answers.json_values import are_objects, is_said, kind_of
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA
from pandas_kili.tidy.answers.walk import Walk

_NONE = type(None)


class KindRows:
    """Rows of one kind, and what has been read of them.

    Attributes
    ----------
    nodes : list
        The value of each row.
    columns : dict of str to list of tuple
        By name, positions among the rows (None: all of them) and their values; later ones go before earlier ones.
    rest : dict of int to object
        By row, what columns do not hold.
    problems : dict of int to str
        By row, what could not be understood.
    """

    def __init__(self, walk: Walk, rows: npt.NDArray[np.int64]) -> None:
        nodes = self.nodes = [walk.nodes[row] for row in rows.tolist()]
        self.columns: dict[str, list[tuple[Sequence[int] | None, pa.Array]]] = {}
        self.rest: dict[int, Any] = {}
        self.problems: dict[int, str] = {}
        self._walk, self._rows = walk, rows
        self.layouts = [tuple(node) if type(node) is dict else () for node in nodes]
        self._layouts = dict.fromkeys(self.layouts)
        self.keys = dict.fromkeys(chain.from_iterable(self._layouts))

    def ordered_rest(self) -> Iterator[tuple[int, Any]]:
        """Yield what columns do not hold of each row, its keys in the order in which they were answered."""
        for row, rest in self.rest.items():
            node = self._walk.nodes[row]
            yield row, {key: rest[key] for key in node if key in rest} if type(node) is dict else rest

    def placed(self, name: str) -> Iterator[tuple[npt.NDArray[np.int64], pa.Array]]:
        """Yield the values of a column with the rows that they are of."""
        for at, values in self.columns.get(name, ()):
            yield (self._rows if at is None else self._rows[np.array(at, np.int64)]), values

    def values(self, key: str) -> list[Any]:
        """Return what each row has under a key; None where it has nothing. A null is kept beside the columns."""
        if all(key in layout for layout in self._layouts):
            found = list(map(itemgetter(key), self.nodes))
        else:
            found = [node.get(key) if type(node) is dict else None for node in self.nodes]
        if None in found:
            self.keep(key, [at for at, value in enumerate(found) if value is None and key in self.layouts[at]])
        return found

    def keep(self, key: str, at: Sequence[int], values: Sequence[Any] | None = None) -> None:
        """Keep what rows have under a key, or other values in its place, as JSON."""
        for each, value in zip(at, [self.nodes[each][key] for each in at] if values is None else values, strict=True):
            self.rest.setdefault(int(self._rows[each]), {})[key] = value

    def keep_others(self, known: Collection[str] = ()) -> None:
        """Keep what rows have under other keys, and rows that are no objects."""
        for key in self.keys:
            if key not in known:
                self.keep(key, [at for at, layout in enumerate(self.layouts) if key in layout])
        for at in [at for at, node in enumerate(self.nodes) if type(node) is not dict]:
            self.rest[int(self._rows[at])] = self.nodes[at]

    def problem(self, at: int, text: str) -> None:
        """Say what of a row could not be understood, with ``{job}`` in place of its job; the first problem stays."""
        row = int(self._rows[at])
        self.problems.setdefault(row, text.format(job=repr(self._walk.slots[self._walk.slot_of[row]].job)))

    def put(self, name: str, values: Sequence[Any] | pa.Array, at: Sequence[int] | None = None) -> None:
        """Give rows their values in a column."""
        array = values if isinstance(values, pa.Array) else pa.array(values, ANNOTATION_SCHEMA.field(name).type)
        self.columns.setdefault(name, []).append((at, array))

    def scalar(self, key: str, column: str, fits: Callable[[Any], bool], *quick: type) -> list[int]:
        """Read a key that holds one value, and return the positions of values that do not fit the column.

        Values of the types `quick` fit in any case.
        """
        found, odd = self.values(key), []
        if not {_NONE, *quick}.issuperset(map(type, found)):
            odd = [at for at, value in enumerate(found) if value is not None and not fits(value)]
            for at in odd:
                found[at] = None
            self.keep(key, odd)
        self.put(column, found)
        return odd

    def children(self) -> None:
        """Read whether rows have children; what is no object of jobs is kept."""
        if "children" in self.keys:
            found, odd = self.values("children"), []
            if not {dict, _NONE}.issuperset(map(type, found)):
                odd = [at for at, value in enumerate(found) if value is not None and type(value) is not dict]
                self.keep("children", odd)
            for at in odd:
                if is_said(found[at]):
                    self.problem(at, f"'children' holds {kind_of(found[at])} where an object is expected")
                found[at] = None
            has = [None if value is None else bool(value) for value in found]
            if "points" in self.keys:
                points: list[Any] = [node.get("points") if type(node) is dict else None for node in self.nodes]
                below = [are_objects(each) and any(point.get("children") for point in each) for each in points]
                has = [own if own is None else own or other for own, other in zip(has, below, strict=True)]
            self.put("hasChildren", has)
