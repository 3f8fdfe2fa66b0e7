"""Annotations as vector graphics over a picture. Kili gives coordinates as shares of width and height."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pandas_kili.display.choice import Row, is_drawn
from pandas_kili.display.escaping import name, plain_name
from pandas_kili.display.maps import vertices_of
from pandas_kili.display.palette import JobClass, Palette

Vertex = Mapping[str, Any]

_MOST_TAGS = 12  # more would hide the picture
_LONGEST_TAG = 24
_TAG_SHARE = 27  # of the longer side, for the height of a tag
_FAR = 1e6  # browsers do not draw paths with larger numbers


def category_of(row: Row) -> JobClass:
    """Return the job and class that decide the color of a row."""
    job = row["job"] or ""
    return job, row["category"] or job


def overlay(rows: Iterable[Row], palette: Palette, width: float, height: float) -> str:
    """Return the shapes of annotations as SVG, on a view box of the size of the picture."""
    shapes = [(row, path) for row in rows if is_drawn(row) and (path := _path(row))]
    shapes.sort(key=lambda shape: -_area(shape[0]))  # small shapes are on top
    drawn = "".join(_shape(row, path, palette) for row, path in shapes)
    if not drawn:
        return ""
    tags = "".join(_tag(row, width, height) for row, _ in shapes) if len(shapes) <= _MOST_TAGS else ""
    return f'<g transform="scale({_number(width)} {_number(height)})">{drawn}</g>{tags}'


def outside(rows: Iterable[Row]) -> list[Row]:
    """Return the shapes that cannot be seen: no vertex has a place, or all lie beyond one edge."""
    return [row for row in rows if is_drawn(row) and (not _path(row) or _is_beyond(row))]


def _is_beyond(row: Row) -> bool:
    vertices = list(vertices_of([row]))
    return any(
        all(vertex[axis] < 0 for vertex in vertices) or all(vertex[axis] > 1 for vertex in vertices) for axis in "xy"
    )


def _shape(row: Row, path: str, palette: Palette) -> str:
    kind = "kp-area" if row["rings"] is not None else "kp-dot" if row["polyline"] is None else "kp-line"
    tone = palette[category_of(row)]
    return (
        f'<g class="kp-shape {kind} {tone.classes}"><title>{name(described(row))}</title>'
        f'<path class="kp-halo" d="{path}"/><path class="kp-stroke" d="{path}"/></g>'
    )


def described(row: Row) -> str:
    """Return a description of a shape."""
    parts = [category_of(row)[1]]
    if row["tool"]:
        parts.append(row["tool"])
    if row["confidence"] is not None:
        parts.append(f"{row['confidence']:.3g} %")
    return ", ".join(parts)


def _path(row: Row) -> str:
    """Return the outline of a shape as an SVG path; empty if a vertex has no place."""
    if row["rings"] is not None:
        return "".join(_line(ring, closed=True) for ring in row["rings"])
    if row["polyline"] is not None:
        return _line(row["polyline"], closed=False)
    points: Sequence[Vertex] = row["points"] if row["points"] is not None else [row]
    return "".join(f"M{_place(point)}h0" for point in points if _is_placed(point))


def _line(vertices: Sequence[Vertex], *, closed: bool) -> str:
    if not vertices or not all(map(_is_placed, vertices)):
        return ""
    return "M" + "L".join(map(_place, vertices)) + ("Z" if closed else "")


def _is_placed(vertex: Vertex | None) -> bool:
    return vertex is not None and all(
        vertex[axis] is not None and math.isfinite(vertex[axis]) and abs(vertex[axis]) < _FAR for axis in "xy"
    )


def _place(vertex: Vertex) -> str:
    return f"{_number(vertex['x'])} {_number(vertex['y'])}"


def _number(value: float) -> str:
    # Six digits: less than a hundredth of a pixel of the largest pictures.
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


def _area(row: Row) -> float:
    if row["xmin"] is None:
        return 0.0
    area = (row["xmax"] - row["xmin"]) * (row["ymax"] - row["ymin"])
    return float(area) if math.isfinite(area) else 0.0


def _tag(row: Row, width: float, height: float) -> str:
    """Return the name of the category as SVG text, at the top left of its shape."""
    corner = _corner(row)
    if corner is None:
        return ""
    size = max(width, height) / _TAG_SHARE
    x = min(max(corner[0], 0.0), 1.0) * width
    y = min(max(corner[1], 0.0), 1.0) * height
    y = y - size * 0.4 if y > size * 1.4 else y + size * 1.1
    text = plain_name(category_of(row)[1])
    text = text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…"
    return (
        f'<text class="kp-tag" x="{_number(x + size * 0.15)}" y="{_number(y)}" font-size="{_number(size)}" '
        f'stroke-width="{_number(size / 4)}" aria-hidden="true">{name(text)}</text>'
    )


def _corner(row: Row) -> tuple[float, float] | None:
    vertices: Sequence[Vertex] = row["polyline"] or row["points"] or [row]
    corners = [{"x": row["xmin"], "y": row["ymin"]}] if row["xmin"] is not None else vertices
    placed = [vertex for vertex in corners if _is_placed(vertex)]
    if not placed:
        return None
    top = min(placed, key=lambda vertex: vertex["y"])
    return float(top["x"]), float(top["y"])
