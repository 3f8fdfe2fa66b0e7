"""What an annotation says of itself, key by key: into columns where they hold all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pandas_kili.tidy.answers.geometry import is_number, rings, vertices
from pandas_kili.tidy.answers.json_values import are_objects, first_category, is_whole, mids
from pandas_kili.tidy.answers.rows import Rows

# A reader puts into columns what it can, and says whether they hold all of the value.
Reader = Callable[[Rows, int, Any], bool]

RELATIONS = {
    "startEntities": ("startMids", "NAMED_ENTITIES_RELATION"),
    "endEntities": ("endMids", "NAMED_ENTITIES_RELATION"),
    "startObjects": ("startMids", "OBJECT_RELATION"),
    "endObjects": ("endMids", "OBJECT_RELATION"),
}
POINT_KEYS = ("code", "name", "mid", "jobName")
AREA = frozenset({"boundingPoly", "polys", "pageNumberArray"})
_SHAPES = ("boundingPoly", "point", "polyline", "points", "type")
_PAIR = 2


def task_of(item: dict[str, Any]) -> str | None:
    """Return the ML task that the structure of an annotation tells."""
    for key, (_, task) in RELATIONS.items():
        if key in item:
            return task
    if "beginOffset" in item or "beginId" in item:
        return "NAMED_ENTITIES_RECOGNITION"
    if any(key in item for key in _SHAPES):
        return "OBJECT_DETECTION"
    if "annotations" in item:
        return "NAMED_ENTITIES_RECOGNITION" if item.get("content") else "OBJECT_DETECTION"
    return None


def _text(column: str) -> Reader:
    def read(rows: Rows, row: int, value: Any) -> bool:
        if type(value) is not str:
            return False
        rows.put(column, row, value)
        return True

    return read


def _whole(column: str) -> Reader:
    def read(rows: Rows, row: int, value: Any) -> bool:
        if not is_whole(value):
            return False
        rows.put(column, row, value)
        return True

    return read


def _flag(rows: Rows, row: int, value: Any) -> bool:
    if type(value) is not bool:
        return False
    rows.put("isKeyFrame", row, value)
    return True


def _score(rows: Rows, row: int, value: Any) -> bool:
    if not is_number(value):
        return False
    rows.put("score", row, value)
    return True


def _categories(rows: Rows, row: int, value: Any) -> bool:
    name = first_category(value)
    if name is None:
        return False
    rows.put("category", row, name)
    first, known = value[0], 1
    if "confidence" in first and is_number(first["confidence"]):
        rows.put("confidence", row, first["confidence"])
        known = 2
    return len(value) == 1 and len(first) == known


def _bounding_poly(rows: Rows, row: int, value: Any) -> bool:
    found, whole = rings(value)
    if found is None or rows.rings.rows[-1:] == [row]:
        return False
    rows.rings.put(row, found)
    return whole


def _areas(rows: Rows, row: int, value: Any) -> bool:
    """Read the areas of a PDF annotation: the first is shown, and a plain single one is held."""
    if not are_objects(value) or rows.rings.rows[-1:] == [row]:
        return False
    area = value[0]
    pages = area.get("pageNumberArray")
    found, whole = rings(area.get("polys", area.get("boundingPoly")))
    if found is None or type(pages) is not list or not pages or not is_whole(pages[0]):
        return False
    rows.put("page", row, pages[0])
    rows.rings.put(row, found)
    plain = whole and len(value) == 1 and len(pages) == 1 and area.keys() == AREA
    return plain and bool(area["polys"] == area["boundingPoly"])


def _point(rows: Rows, row: int, value: Any) -> bool:
    found = vertices([value])
    if found is None:
        return False
    rows.put("x", row, found[0][0])
    rows.put("y", row, found[1][0])
    return True


def _polyline(rows: Rows, row: int, value: Any) -> bool:
    found = vertices(value) if type(value) is list else None
    if found is None:
        return False
    rows.polylines.put(row, *found)
    return True


def _points(rows: Rows, row: int, value: Any) -> bool:
    if not are_objects(value) or any(vertices([point.get("point")]) is None for point in value):
        return False
    rows.put("points", row, [_pose_point(point) for point in value])
    return all(map(_is_plain, value))


def _is_plain(point: dict[str, Any]) -> bool:
    """Return whether columns hold all of a pose's point: those of Kili are markers without children."""
    if point.get("type") != "marker" or point.get("children") != {}:
        return False
    named = point.keys() - {"type", "children", "point"}
    return named <= set(POINT_KEYS) and all(type(point[key]) is str for key in named)


def _pose_point(point: dict[str, Any]) -> dict[str, Any]:
    names = {key: point[key] for key in POINT_KEYS if type(point.get(key)) is str}
    return {**names, "x": point["point"]["x"], "y": point["point"]["y"]}


def _range(rows: Rows, row: int, value: Any) -> bool:
    if type(value) is not list or len(value) != _PAIR or not all(map(is_number, value)):
        return False
    rows.put("rangeStart", row, value[0])
    rows.put("rangeEnd", row, value[1])
    return True


def _relation(column: str) -> Reader:
    def read(rows: Rows, row: int, value: Any) -> bool:
        found = mids(value)
        if found is None:
            return False
        rows.put(column, row, found)
        return True

    return read


READERS: dict[str, Reader] = {
    "mid": _text("mid"),
    "type": _text("tool"),
    "categories": _categories,
    "boundingPoly": _bounding_poly,
    "isKeyFrame": _flag,
    "score": _score,
    "content": _text("content"),
    "beginOffset": _whole("beginOffset"),
    "endOffset": _whole("endOffset"),
    "beginId": _text("beginId"),
    "endId": _text("endId"),
    "annotations": _areas,
    "point": _point,
    "polyline": _polyline,
    "points": _points,
    "range": _range,
    **{key: _relation(column) for key, (column, _) in RELATIONS.items()},
}
