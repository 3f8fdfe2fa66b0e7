"""Shapes on maps: their coordinates are longitudes and latitudes, not shares of a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pandas_kili.display.choice import Row

Vertex = Mapping[str, Any]

_FARTHEST = 1.0  # share of a side; shapes on pictures do not reach that far beyond them
_FAR = 1e8  # degrees, or meters of projected maps; beyond it, a coordinate has no place
_MARGIN = 0.08  # share of the sheet around the shapes
_LONGEST_SIDE = 400.0
_NARROWEST = 1 / 3  # ratio of the sides of a sheet
_SMALLEST_SPAN = 1e-9  # degrees; a single point has none


def are_on_map(rows: Sequence[Row]) -> bool:
    """Return whether shapes have coordinates that cannot be shares of a picture."""
    return any(not -_FARTHEST <= vertex[axis] <= 1 + _FARTHEST for vertex in vertices_of(rows) for axis in "xy")


def on_sheet(rows: Sequence[Row]) -> tuple[list[Row], float, float]:
    """Return rows with shares of a sheet around all shapes, north at the top, and the width and height of the sheet."""
    vertices = list(vertices_of(rows))
    west, east = (edge(vertex["x"] for vertex in vertices) for edge in (min, max))
    south, north = (edge(vertex["y"] for vertex in vertices) for edge in (min, max))
    across, down = max(east - west, _SMALLEST_SPAN), max(north - south, _SMALLEST_SPAN)
    shrinking = max(math.cos(math.radians(max(-90.0, min(90.0, (south + north) / 2)))), _SMALLEST_SPAN)
    ratio = min(max(across * shrinking / down, _NARROWEST), 1 / _NARROWEST)
    scale = 1 - 2 * _MARGIN

    def place(vertex: Vertex) -> dict[str, Any]:
        x, y = (vertex["x"] - west) / across, (north - vertex["y"]) / down
        return {**vertex, "x": _MARGIN + scale * x, "y": _MARGIN + scale * y}

    width, height = _LONGEST_SIDE * min(1.0, ratio), _LONGEST_SIDE * min(1.0, 1 / ratio)
    return [_placed(row, place) for row in rows], width, height


def _placed(row: Row, place: Any) -> Row:
    placed = dict(row)
    if row["rings"] is not None:
        placed["rings"] = [[place(vertex) for vertex in ring] for ring in row["rings"]]
        edges = [vertex for ring in placed["rings"] for vertex in ring]
        if edges:
            placed |= {f"{axis}min": min(vertex[axis] for vertex in edges) for axis in "xy"}
            placed |= {f"{axis}max": max(vertex[axis] for vertex in edges) for axis in "xy"}
    for name in ("polyline", "points"):
        if row[name] is not None:
            placed[name] = [place(vertex) if _is_placed(vertex) else vertex for vertex in row[name]]
    return place(placed) if _is_placed(placed) else placed


def vertices_of(rows: Sequence[Row]) -> Iterator[Vertex]:
    """Yield the vertices of shapes that have a place."""
    for row in rows:
        lines = [*(row["rings"] or ()), row["polyline"] or (), row["points"] or (), [row]]
        yield from (vertex for line in lines for vertex in line if _is_placed(vertex))


def _is_placed(vertex: Vertex) -> bool:
    return all(vertex[axis] is not None and abs(vertex[axis]) < _FAR for axis in "xy")
