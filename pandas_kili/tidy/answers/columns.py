"""Columns that grow value by value, most of them with few values, into Arrow arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.schema import RING, VERTEX


class SparseColumn:
    """A column of which only some rows have a value."""

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.values: list[Any] = []

    def put(self, row: int, value: Any) -> None:
        """Give a row its value."""
        self.rows.append(row)
        self.values.append(value)

    def array(self, length: int, type_: pa.DataType) -> pa.Array:
        """Return the whole column."""
        return _scatter(pa.array(self.values, type_), self.rows, length)


class LineColumn:
    """A sparse column of lists of vertices.

    Coordinates are kept in flat lists: a million small dicts would cost more than all other columns together.
    """

    __slots__ = ("lengths", "rows", "xs", "ys")

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.lengths: list[int] = []
        self.xs: list[float] = []
        self.ys: list[float] = []

    def put(self, row: int, xs: list[float], ys: list[float]) -> None:
        """Give a row its line."""
        self.rows.append(row)
        self.lengths.append(len(xs))
        self.xs += xs
        self.ys += ys

    def array(self, length: int) -> pa.Array:
        """Return the whole column."""
        return _scatter(self.lines(), self.rows, length)

    def lines(self) -> pa.Array:
        """Return the lines alone."""
        coordinates = [pa.array(np.array(values, np.float64)) for values in (self.xs, self.ys)]
        vertices = pa.StructArray.from_arrays(coordinates, fields=list(VERTEX))
        return pa.ListArray.from_arrays(_offsets(self.lengths), vertices, type=RING)


class RingsColumn:
    """A sparse column of lists of rings."""

    __slots__ = ("counts", "rings", "rows")

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.counts: list[int] = []
        self.rings = LineColumn()

    def put(self, row: int, rings: list[tuple[list[float], list[float]]]) -> None:
        """Give a row its rings, each as its abscissas and ordinates."""
        self.rows.append(row)
        self.counts.append(len(rings))
        for xs, ys in rings:
            self.rings.put(row, xs, ys)

    def array(self, length: int) -> pa.Array:
        """Return the whole column."""
        lists = pa.ListArray.from_arrays(_offsets(self.counts), self.rings.lines(), type=pa.list_(RING))
        return _scatter(lists, self.rows, length)


def _offsets(lengths: list[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32))


def _scatter(values: pa.Array, rows: list[int], length: int) -> pa.Array:
    if len(rows) == length and rows == list(range(length)):
        return values
    places = np.full(length, -1, np.int64)
    places[rows] = np.arange(len(rows))
    return pc.take(values, pa.array(places, mask=places < 0))
