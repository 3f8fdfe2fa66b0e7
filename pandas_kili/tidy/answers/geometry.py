"""Shapes: the vertices that an answer holds, and what boxes they span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.schema import VERTEX

Coordinates = tuple[list[float], list[float]]
Floats = npt.NDArray[np.float64]

_NUMBERS = frozenset({float, int})
EXACT = 2**53  # beyond, a double does not hold every whole number
_CORNERS = 4


def is_number(value: Any) -> bool:
    """Return whether a double holds a JSON value as it is."""
    kind = type(value)
    return kind is float or (kind is int and -EXACT <= value <= EXACT)


def vertices(value: Any) -> Coordinates | None:
    """Return the coordinates of a list of ``{"x": …, "y": …}``, or None where it is something else or more."""
    try:
        xs = [vertex["x"] for vertex in value]
        ys = [vertex["y"] for vertex in value]
        if sum(map(len, value)) != 2 * len(xs):
            return None
    except (TypeError, KeyError, IndexError):
        return None
    kinds = set(map(type, xs)) | set(map(type, ys))
    if not kinds <= _NUMBERS or (int in kinds and not all(map(is_number, xs + ys))):
        return None
    return xs, ys


def rings(value: Any, *, reading_order: bool = False) -> tuple[list[Coordinates] | None, bool]:
    """Return the rings of a ``boundingPoly``, and whether they say all of it.

    An item holds one ring, or several of them in a list, as those of text over several lines do. Items may stand in
    lists themselves, as the parts of semantic shapes do that importers of maps write.

    Parameters
    ----------
    value : object
        What stands under ``boundingPoly`` or ``polys``.
    reading_order : bool
        Whether boxes around words may name their corners line by line: such ones are put in the order of an outline.
    """
    if type(value) is not list:
        return None, False
    items = [each for part in value for each in (part if type(part) is list else [part])]
    whole = len(items) == len(value) and all(item is each for item, each in zip(items, value, strict=True))
    found: list[Coordinates] = []
    for item in items:
        if type(item) is not dict or type(item.get("normalizedVertices")) is not list:
            return None, False
        lines = item["normalizedVertices"]
        if lines and type(lines[0]) is list:
            whole, several = False, [vertices(line) for line in lines]
        else:
            whole, several = whole and len(item) == 1, [vertices(lines)]
        for line in several:
            if line is None:
                return None, False
            found.append(line)
    if reading_order:
        outlines = [_outline(line) for line in found]
        return outlines, whole and outlines == found
    return found, whole


def vertex_array(xs: Sequence[float], ys: Sequence[float]) -> pa.Array:
    """Return vertices as an Arrow array."""
    return pa.StructArray.from_arrays([pa.array(np.array(each, np.float64)) for each in (xs, ys)], fields=list(VERTEX))


def offsets(lengths: Sequence[int]) -> pa.Array:
    """Return the offsets of an Arrow array of lists."""
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32))


def _outline(line: Coordinates) -> Coordinates:
    """Return a box that names top left, bottom left, top right and bottom right with its last corners exchanged."""
    xs, ys = line
    if len(xs) != _CORNERS or xs[0] == xs[2] or ys[0] == ys[1]:
        return line
    if (xs[0], xs[2], ys[0], ys[1]) != (xs[1], xs[3], ys[2], ys[3]):
        return line
    return [*xs[:2], xs[3], xs[2]], [*ys[:2], ys[3], ys[2]]


def box(shape: pa.Array) -> dict[str, pa.Array]:
    """Return the box that rings span, per row; null where there is none."""
    counts, xs, ys = _flat(shape)
    there = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[there])])[:-1]
    reduced = {
        "xmin": _reduced(np.minimum, xs, starts),
        "ymin": _reduced(np.minimum, ys, starts),
        "xmax": _reduced(np.maximum, xs, starts),
        "ymax": _reduced(np.maximum, ys, starts),
    }
    return {name: _spread(values, there, len(counts)) for name, values in reduced.items()}


def turned_back(spans: dict[str, pa.Array], turns: pa.Array) -> dict[str, pa.Array]:
    """Return boxes on the picture as it is stored, of boxes on a picture that was turned when people drew on it.

    Parameters
    ----------
    spans : dict of str to pyarrow.Array
        Edges as shares of the turned picture.
    turns : pyarrow.Array of int64
        By how many degrees the picture was turned, clockwise; null for none.
    """
    xmin, ymin, xmax, ymax = (spans[name] for name in ("xmin", "ymin", "xmax", "ymax"))
    left, top, right, bottom = (pc.subtract(1.0, each) for each in (xmax, ymax, xmin, ymin))
    ways = {90: (ymin, left, ymax, right), 180: (left, top, right, bottom), 270: (top, xmin, bottom, xmax)}
    found = [xmin, ymin, xmax, ymax]
    for turn, edges in ways.items():
        is_turned = pc.fill_null(pc.equal(turns, turn), fill_value=False)
        found = [pc.if_else(is_turned, edge, before) for edge, before in zip(edges, found, strict=True)]
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), found, strict=True))


def turned_forth(spans: dict[str, pa.Array], turns: pa.Array) -> dict[str, pa.Array]:
    """Return boxes on the picture as people see it, turned, of boxes on the picture as it is stored."""
    return turned_back(spans, pc.subtract(360, turns))


def rotation(shape: pa.Array, tool: pa.Array, width: Floats, height: Floats) -> pa.Array:
    """Return by how many degrees rectangles are turned, from -45 to 45; null where pixels are needed and not known."""
    counts, xs, ys = _flat(shape)
    is_box = pc.fill_null(pc.equal(tool, "rectangle"), fill_value=False).to_numpy(zero_copy_only=False)
    there = np.flatnonzero(is_box & (counts == _CORNERS))
    corners = (np.cumsum(counts) - counts)[there][:, None] + np.arange(_CORNERS)
    with np.errstate(over="ignore"):  # of numbers that are no shares of any picture
        dx, dy = (np.diff(values[corners], axis=1, append=values[corners][:, :1]) for values in (xs, ys))
    upright = np.all((dx == 0) | (dy == 0), axis=1)
    angle = np.degrees(np.arctan2(dy[:, 0] * height[there], dx[:, 0] * width[there]))
    turned = np.where(upright, 0.0, (angle + 45.0) % 90.0 - 45.0)
    return _spread(turned, there, len(counts))


def _flat(shape: pa.Array) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return the number of vertices of each row, and all their coordinates."""
    lines = pc.list_flatten(shape)
    per_line = pc.fill_null(pc.list_value_length(lines), 0).to_numpy(zero_copy_only=False)
    parents = pc.list_parent_indices(shape).to_numpy(zero_copy_only=False)
    counts = np.bincount(parents, weights=per_line, minlength=len(shape)).astype(np.int64)
    flat = pc.list_flatten(lines)
    xs, ys = (pc.struct_field(flat, name).to_numpy(zero_copy_only=False) for name in ("x", "y"))
    return counts, xs, ys


def _reduced(function: np.ufunc, values: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    return function.reduceat(values, starts) if len(starts) else np.zeros(0)


def _spread(values: Floats, rows: npt.NDArray[np.int64], length: int) -> pa.Array:
    column = np.full(length, np.nan)
    column[rows] = values
    return pa.array(column, from_pandas=True)
