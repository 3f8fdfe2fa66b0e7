"""The shapes of objects, on the picture as it is stored: boxes, rings of vertices, and points of poses."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

SHAPE_COLUMNS = ("rings", "points", "assetRotation", "extra")
_FARTHEST = 1.0  # share of a side; what lies farther beyond the picture is longitude and latitude


@dataclasses.dataclass(frozen=True)
class Rings:
    """The vertices of objects, flat; shares of the picture.

    Attributes
    ----------
    ring_ends : array of int
        Of each object, where its rings end.
    vertex_ends : array of int
        Of each ring, where its vertices end.
    xy : array of float, shape (vertices, 2)
    """

    ring_ends: Whole
    vertex_ends: Whole
    xy: Floats

    def __getitem__(self, position: int) -> list[Floats]:
        ends = self.vertex_ends
        first = int(self.ring_ends[position - 1]) if position else 0
        rings = range(first, int(self.ring_ends[position]))
        return [self.xy[(ends[ring - 1] if ring else 0) : ends[ring]] for ring in rings]

    def single(self) -> tuple[Whole, Whole]:
        """Return where the vertices of each object with one ring start, and how many they are; 0 of other objects."""
        ends = np.concatenate([[0], self.vertex_ends])
        starts, stops = ends[np.maximum(self.ring_ends - 1, 0)], ends[self.ring_ends]
        return starts, np.where(np.diff(self.ring_ends, prepend=0) == 1, stops - starts, 0)


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Shapes of rows, flat.

    Attributes
    ----------
    fits : array of bool
        Whether a row has a shape with an area on the picture.
    problems : dict of str to array of bool
        By the reason, which rows have none.
    cut : array of bool
        Whether a part of the shape lies beyond the edge of the picture.
    box, xy : array of float
        Boxes (left, top, right, bottom) and vertices, as shares of the picture as it is stored.
    ring_counts, vertex_counts : array of int
        Rings of each row, and vertices of each ring.
    parts : dict of int to list of int
        Of rows with several outlines, how many rings each part has: an outline, then its holes.
    points : dict of int to list
        Points of poses, by row.
    """

    fits: npt.NDArray[np.bool_]
    problems: dict[str, npt.NDArray[np.bool_]]
    cut: npt.NDArray[np.bool_]
    box: Floats
    ring_counts: Whole
    vertex_counts: Whole
    xy: Floats
    parts: dict[int, list[int]]
    points: dict[int, list[dict[str, Any]]]

    def rings(self, kept: Whole) -> Rings:
        """Return the rings of some objects, in their order."""
        first = np.cumsum(self.ring_counts) - self.ring_counts
        rings = ranges(first[kept], self.ring_counts[kept])
        start = np.cumsum(self.vertex_counts) - self.vertex_counts
        vertices = ranges(start[rings], self.vertex_counts[rings])
        return Rings(np.cumsum(self.ring_counts[kept]), np.cumsum(self.vertex_counts[rings]), self.xy[vertices])


def ranges(starts: Whole, counts: Whole) -> Whole:
    """Return the numbers from each start on, as many as it counts, one after the other."""
    ends = np.cumsum(counts)
    numbers: Whole = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
    return numbers


def read_shapes(rows: pd.DataFrame) -> Shapes:
    """Return shapes on the picture as it is stored, cut at its edges; of rows with `SHAPE_COLUMNS`."""
    lists = arrow_array(rows["rings"])
    ring_counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    lines = pc.list_flatten(lists)
    vertex_counts = pc.fill_null(pc.list_value_length(lines), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(lines)
    xy = np.stack([pc.struct_field(flat, axis).to_numpy(zero_copy_only=False) for axis in "xy"], axis=1)
    owner = np.repeat(np.repeat(np.arange(len(rows)), ring_counts), vertex_counts)
    points = {
        row: [dict(point) for point in cell if point["x"] is not None and point["y"] is not None]
        for row, cell in enumerate(arrow_array(rows["points"]).to_pylist())
        if cell
    }
    turns = np.nan_to_num(numbers_of(rows, "assetRotation")) % 360
    xy = _turned_back(xy, turns[owner])
    for row, cell in points.items():
        for point in cell:
            point["x"], point["y"] = _turned_back(np.array([[point["x"], point["y"]]]), turns[[row]])[0].tolist()
    box = np.full((len(rows), 4), np.nan)
    counts = np.bincount(owner, minlength=len(rows))
    there = np.flatnonzero(counts)
    if len(there):
        starts = (np.cumsum(counts) - counts)[there]
        box[there, :2] = np.minimum.reduceat(xy, starts)
        box[there, 2:] = np.maximum.reduceat(xy, starts)
    for row, cell in points.items():
        if cell:
            places = np.array([[point["x"], point["y"]] for point in cell])
            box[row] = [*places.min(axis=0), *places.max(axis=0)]
    with np.errstate(invalid="ignore"):
        nowhere = ~np.isfinite(box).all(axis=1)
        on_map = ~nowhere & ((box < -_FARTHEST) | (box > 1 + _FARTHEST)).any(axis=1)
        beyond = ((box < 0) | (box > 1)).any(axis=1)
        box, xy = np.clip(box, 0.0, 1.0), np.clip(xy, 0.0, 1.0)
        sides = box[:, 2:] - box[:, :2]
        flat_ones = ~nowhere & ~on_map & ~np.isin(np.arange(len(rows)), list(points)) & (sides <= 0).any(axis=1)
    problems = {
        "a shape without vertices": nowhere,
        "a shape in longitudes and latitudes": on_map,
        "a shape without an area on the picture": flat_ones,
    }
    fits = ~(nowhere | on_map | flat_ones)
    return Shapes(fits, problems, beyond & fits, box, ring_counts, vertex_counts, xy, parts_of(rows), points)


def parts_of(rows: pd.DataFrame) -> dict[int, list[int]]:
    """Return of rows with several outlines how many rings each part has, as importers of maps write them."""
    found = {}
    counts = pc.list_value_length(arrow_array(rows["rings"])).to_pylist()
    extra = arrow_array(rows["extra"])
    for row in np.flatnonzero(extra.is_valid().to_numpy(zero_copy_only=False)).tolist():
        whole = json.loads(extra[row].as_py())
        parts = whole.get("boundingPoly") if isinstance(whole, dict) else None
        if isinstance(parts, list) and any(isinstance(part, list) for part in parts):
            sizes = [len(part) if isinstance(part, list) else 1 for part in parts]
            if sum(sizes) == counts[row] and len(sizes) > 1:
                found[row] = sizes
    return found


def _turned_back(xy: Floats, turns: Floats) -> Floats:
    """Return places on the picture as it is stored, of places on a picture turned clockwise by so many degrees."""
    if not turns.any():
        return xy
    x, y = xy[:, 0], xy[:, 1]
    ways = [turns == 90, turns == 180, turns == 270]  # noqa: PLR2004 - quarters of a turn
    return np.stack([np.select(ways, [y, 1 - x, 1 - y], x), np.select(ways, [1 - x, 1 - y, x], y)], axis=1)


def numbers_of(rows: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats; NaN for null."""
    values: Floats = arrow_array(rows[name]).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
