"""Rows of annotations held to what a shape, an offset or a confidence must be: all misfits at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.messages import did_you_mean, nearest
from pandas_kili.tidy.answers.geometry import is_number
from pandas_kili.tidy.answers.json_values import parse
from pandas_kili.tidy.answers.schema import (
    ANNOTATION_SCHEMA,
    TOOLS,
)

Coordinates = Literal["shares", "degrees"]
Columns = Mapping[str, pa.Array]
Flags = npt.NDArray[np.bool_]

_CLOSED = frozenset({"rectangle", "polygon", "semantic"})
_BEYOND = 1e-6  # how far beyond the picture a share may be: what arithmetic leaves behind
_BOX = ("xmin", "ymin", "xmax", "ymax")


class Misfit(NamedTuple):
    """A value that does not fit, with its row and column, and what was expected."""

    row: int
    column: str
    check: str
    value: Any


class CheckedRows:
    """Columns of annotations; those that are not there are null."""

    def __init__(self, columns: Columns, length: int) -> None:
        self._columns, self.length = columns, length

    def __contains__(self, name: str) -> bool:
        return name in self._columns and self._columns[name].null_count < self.length

    def __getitem__(self, name: str) -> pa.Array:
        if name in self._columns:
            return self._columns[name]
        return pa.nulls(self.length, ANNOTATION_SCHEMA.field(name).type)

    def there(self, name: str) -> Flags:
        """Return which rows have a value."""
        flags: Flags = self[name].is_valid().to_numpy(zero_copy_only=False)
        return flags

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column of numbers, NaN for null."""
        numbers: npt.NDArray[np.float64] = self[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers

    def at(self, name: str, row: int) -> Any:
        """Return one value."""
        return self[name][row].as_py() if name in self._columns else None

    def codes(self, *names: str) -> tuple[npt.NDArray[np.int64], list[tuple[Any, ...]]]:
        """Return for each row the number of its combination of values, and these combinations."""
        combined = np.zeros(self.length, np.int64)
        values: list[list[Any]] = []
        for name in names:
            column = self[name]
            if pa.types.is_list(column.type):  # only the innermost category decides
                column = _last(column)
            encoded = column.dictionary_encode(null_encoding="encode")
            values.append(encoded.dictionary.to_pylist())
            combined = combined * max(len(values[-1]), 1) + encoded.indices.to_numpy(zero_copy_only=False)
        distinct, numbers = np.unique(combined, return_inverse=True)
        places = np.unravel_index(distinct, [max(len(choices), 1) for choices in values])
        combinations = list(
            zip(*([choices[at] for at in place] for choices, place in zip(values, places, strict=True)), strict=True)
        )
        return numbers, combinations


def _last(lists: pa.Array) -> pa.Array:
    """Return the last item of each list."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths) - 1
    return pc.list_flatten(lists).take(pa.array(ends, pa.int64(), mask=lengths == 0))


def shape_misfits(columns: Columns, length: int, coordinates: Coordinates = "shares") -> Iterator[Misfit]:
    """Yield what is wrong with rows whatever the project asks: shapes, offsets, pages, confidences.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Columns of annotations, of the types of `ANNOTATION_SCHEMA`.
    length : int
        Number of rows.
    coordinates : {"shares", "degrees"}
        Whether shapes are drawn on pictures, in shares of width and height, or on maps, in longitude and latitude.
    """
    rows = CheckedRows(columns, length)
    for row in np.flatnonzero(rows.there("problem")).tolist():
        yield Misfit(row, "extra", f"expected a known structure: {rows.at('problem', row)}", rows.at("extra", row))
    yield from _outside(rows, "confidence", 0, 100, "a confidence from 0 to 100, in percent")
    yield from _outside(rows, "page", 1, np.inf, "a page from 1")
    yield from _outside(rows, "frame", 0, np.inf, "a frame from 0")
    yield from _outside(rows, "beginOffset", 0, np.inf, "an offset from 0")
    yield from _order(rows, "beginOffset", "endOffset", "an end at or after the beginning", same_block=True)
    yield from _order(rows, "rangeStart", "rangeEnd", "an end at or after the beginning")
    yield from _order(rows, "xmin", "xmax", "xmax at or right of xmin")
    yield from _order(rows, "ymin", "ymax", "ymax at or below ymin")
    limits = (
        {"x": (0.0, 1.0), "y": (0.0, 1.0)} if coordinates == "shares" else {"x": (-180.0, 180.0), "y": (-90.0, 90.0)}
    )
    for side, (least, most) in limits.items():
        name = (
            "a share of the picture, from 0 to 1" if coordinates == "shares" else f"degrees from {least:g} to {most:g}"
        )
        for column in (f"{side}min", f"{side}max", side):
            yield from _outside(rows, column, least - _BEYOND, most + _BEYOND, name)
        for column in ("rings", "polyline", "points"):
            yield from _vertices_outside(rows, column, side, least - _BEYOND, most + _BEYOND, name)
        yield from _areas_outside(rows, side, least - _BEYOND, most + _BEYOND, name)
    yield from _corners(rows)


def _outside(rows: CheckedRows, name: str, least: float, most: float, expected: str) -> Iterator[Misfit]:
    if name in rows:
        numbers = rows.numbers(name)
        for row in np.flatnonzero((numbers < least) | (numbers > most)).tolist():
            yield Misfit(row, name, f"expected {expected}", rows.at(name, row))


def _order(rows: CheckedRows, first: str, last: str, expected: str, *, same_block: bool = False) -> Iterator[Misfit]:
    if first in rows and last in rows:
        wrong = rows.numbers(first) > rows.numbers(last)
        for row in np.flatnonzero(wrong).tolist():
            if not same_block or rows.at("beginId", row) == rows.at("endId", row):
                yield Misfit(row, last, f"expected {expected} ({rows.at(first, row)!r})", rows.at(last, row))


def _vertices_outside(
    rows: CheckedRows, column: str, side: str, least: float, most: float, expected: str
) -> Iterator[Misfit]:
    if column not in rows:
        return
    lists = rows[column]
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(lists)
    if column == "rings":
        parents = parents[pc.list_parent_indices(flat).to_numpy(zero_copy_only=False)]
        flat = pc.list_flatten(flat)
    numbers = pc.struct_field(flat, side).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((numbers < least) | (numbers > most))
    firsts, at = np.unique(parents[wrong], return_index=True)
    for row, number in zip(firsts.tolist(), numbers[wrong[at]].tolist(), strict=True):
        if column != "rings" or rows.at(f"{side}min", row) is None:  # else the box around them has said it
            yield Misfit(row, column, f"expected {expected}, as {side} of each vertex", number)


def _corners(rows: CheckedRows) -> Iterator[Misfit]:
    """Yield outlines of rectangles that have not four corners, and of polygons that have fewer than three."""
    if "rings" not in rows or "tool" not in rows:
        return
    lists = rows["rings"]
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    counts = pc.list_value_length(pc.list_flatten(lists)).to_numpy(zero_copy_only=False)
    tools = pc.utf8_lower(rows["tool"])
    for tool, wrong, expected in (
        ("rectangle", counts != 4, "four corners"),  # noqa: PLR2004 - as said beside it
        ("polygon", counts < 3, "at least three corners"),  # noqa: PLR2004 - as said beside it
    ):
        is_tool = pc.fill_null(pc.equal(tools, tool), fill_value=False).to_numpy(zero_copy_only=False)
        found = np.flatnonzero(wrong & is_tool[parents])
        firsts, at = np.unique(parents[found], return_index=True)
        for row, count in zip(firsts.tolist(), counts[found[at]].tolist(), strict=True):
            yield Misfit(row, "rings", f"expected {expected}, as a {tool} has", count)


def _areas_outside(rows: CheckedRows, side: str, least: float, most: float, expected: str) -> Iterator[Misfit]:
    """Yield vertices of the areas of documents that no column holds."""
    if "extra" not in rows:
        return
    holds = pc.fill_null(pc.match_substring(rows["extra"], '"normalizedVertices"'), fill_value=False)
    for row in np.flatnonzero(holds.to_numpy(zero_copy_only=False)).tolist():
        numbers = [value for key, value in _leaves(_areas(rows.at("extra", row))) if key == side and is_number(value)]
        wrong = [number for number in numbers if not least <= number <= most]
        if wrong:
            yield Misfit(row, "extra", f"expected {expected}, as {side} of each vertex of its areas", wrong[0])


def _areas(extra: str) -> Any:
    try:
        found = parse(extra)
    except (ValueError, RecursionError):  # said elsewhere
        return None
    return found.get("annotations") if type(found) is dict else None


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values within a JSON value, each with the key that it stands under."""
    if type(value) is dict:
        for name, held in value.items():
            yield from _leaves(held, name)
    elif type(value) is list:
        for held in value:
            yield from _leaves(held, key)
    else:
        yield key, value


def tool_misfits(columns: Columns, length: int) -> Iterator[Misfit]:
    """Yield unknown tools, and shapes that are not those of their tool, or not whole.

    What the reader of answers gives has been drawn in Kili, or is kept as it was; this is for rows of other makers.
    """
    rows = CheckedRows(columns, length)
    tools = pc.utf8_lower(rows["tool"]).to_pylist() if "tool" in rows else [None] * length
    there = {
        name: rows.there(name) for name in ("rings", "x", "y", "polyline", "points", *_BOX, "rangeStart", "rangeEnd")
    }
    edges = np.sum([there[name] for name in _BOX], axis=0)
    for row in np.flatnonzero((edges > 0) & (edges < len(_BOX))).tolist():
        missing = [name for name in _BOX if not there[name][row]]
        yield Misfit(row, missing[0], "expected xmin, ymin, xmax and ymax, or none of them", None)
    for first, second in (("x", "y"), ("rangeStart", "rangeEnd")):
        for row in np.flatnonzero(there[first] & ~there[second]).tolist():
            yield Misfit(row, second, f"expected both {first} and {second}", None)
        for row in np.flatnonzero(~there[first] & there[second]).tolist():
            yield Misfit(row, first, f"expected both {first} and {second}", None)
    closed, boxed = there["rings"], edges > 0
    needs = {
        **dict.fromkeys(_CLOSED, ("rings", "rings: the outline, then its holes", closed)),
        "rectangle": ("xmin", "xmin, ymin, xmax and ymax, or rings", closed | boxed),
        "marker": ("x", "x and y", there["x"] | there["y"]),
        "polyline": ("polyline", "a polyline", there["polyline"]),
        "vector": ("polyline", "a polyline", there["polyline"]),
        "pose": ("points", "points", there["points"]),
        "range": ("rangeStart", "rangeStart and rangeEnd", there["rangeStart"] | there["rangeEnd"]),
    }
    for row, tool in enumerate(tools):
        if tool is None:
            continue
        if tool not in TOOLS:
            hint = did_you_mean(nearest(tool, TOOLS, most=1), "; did")
            yield Misfit(row, "tool", f"expected one of {', '.join(TOOLS)}{hint}", rows.at("tool", row))
        elif not needs[tool][2][row]:
            column, shape, _ = needs[tool]
            yield Misfit(row, column, f"expected {shape} for a {tool}", None)
