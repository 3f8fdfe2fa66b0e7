"""The keys of an annotation: a reader for each, which returns the positions of values that no column shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from pandas_kili.tidy.answers.geometry import Coordinates, is_number, offsets, rings, vertex_array, vertices
from pandas_kili.tidy.answers.json_values import are_objects, is_flag, is_said, is_text, is_whole, mids
from pandas_kili.tidy.answers.kind_rows import KindRows
from pandas_kili.tidy.answers.schema import RING, TOOLS

RELATIONS = {
    "startEntities": ("startMids", "NAMED_ENTITIES_RELATION"),
    "endEntities": ("endMids", "NAMED_ENTITIES_RELATION"),
    "startObjects": ("startMids", "OBJECT_RELATION"),
    "endObjects": ("endMids", "OBJECT_RELATION"),
}
POINT_KEYS = ("code", "name", "mid", "jobName")
_AREA = frozenset({"boundingPoly", "polys", "pageNumberArray"})
_SHAPES = frozenset({"boundingPoly", "point", "polyline", "points", "type"})
_PLAIN_CLASSES = {("name",), ("name", "confidence"), ("confidence", "name")}
_PAIR = 2


def _text(key: str, column: str) -> Callable[[KindRows], list[int]]:
    return lambda table: table.scalar(key, column, is_text, str)


def _mid(table: KindRows) -> list[int]:
    odd = table.scalar("mid", "mid", is_text, str)
    numbers = [at for at in odd if is_whole(table.nodes[at]["mid"])]
    table.put("mid", [str(table.nodes[at]["mid"]) for at in numbers], numbers)
    return [at for at in odd if at not in set(numbers)]


def _tool(table: KindRows) -> list[int]:
    found = table.values("type")
    odd = [at for at, value in enumerate(found) if value is not None and type(value) is not str]
    for at in odd:
        found[at] = None
    other = [at for at, value in enumerate(found) if value not in TOOLS and value is not None]
    for at in other:  # such as the RECTANGLE of old exports
        if found[at].lower() in TOOLS:
            found[at] = found[at].lower()
            odd.append(at)
    table.keep("type", odd)
    table.put("tool", found)
    return [at for at in odd if found[at] is None]


def _offset(key: str, seconds: str) -> Callable[[KindRows], list[int]]:
    """Return the reader of an offset: within a text a whole number of units, within speech a number of seconds."""

    def read(table: KindRows) -> list[int]:
        odd = table.scalar(key, key, is_whole)
        spoken = [at for at in odd if is_number(table.nodes[at][key])]
        if spoken:
            table.put(seconds, [float(table.nodes[at][key]) for at in spoken], spoken)
        return [at for at in odd if at not in set(spoken)]

    return read


def _categories(table: KindRows) -> list[int]:
    found = table.values("categories")
    at = [number for number, value in enumerate(found) if value is not None] if None in found else None
    there = found if at is None else [found[number] for number in at]
    if (
        {list}.issuperset(map(type, there))
        and {1}.issuperset(map(len, there))
        and {dict}.issuperset(map(type, firsts := [value[0] for value in there]))
        and _PLAIN_CLASSES.issuperset(map(tuple, firsts))
        and {str}.issuperset(map(type, names := [first["name"] for first in firsts]))
    ):
        sure = [first.get("confidence") for first in firsts]
        if all(
            is_number(each) if each is not None else len(first) == 1 for each, first in zip(sure, firsts, strict=True)
        ):
            table.put("category", names, at)
            table.put("confidence", sure, at)
            return []
    return _odd_categories(table, found)


def _odd_categories(table: KindRows, found: list[Any]) -> list[int]:
    """Read categories that are not all of the usual form: the first is shown, and all are kept."""
    unknown, kept = [], []
    names: list[str | None] = [None] * len(found)
    sure: list[float | None] = [None] * len(found)
    for at, value in enumerate(found):
        if value is None:
            continue
        first = value[0] if type(value) is list and value else None
        names[at] = first if type(first) is str else first.get("name") if type(first) is dict else None
        if type(names[at]) is not str:
            names[at] = None
            kept.append(at)
            unknown.append(at)
            continue
        known = 1
        if type(first) is dict and is_number(first.get("confidence")):
            sure[at], known = first["confidence"], 2
        if type(first) is not dict or len(value) > 1 or len(first) > known:
            kept.append(at)
    table.keep("categories", kept)
    table.put("category", names)
    table.put("confidence", sure)
    return unknown


def _bounding_poly(table: KindRows) -> list[int]:
    found = table.values("boundingPoly")
    at = [number for number, value in enumerate(found) if value is not None] if None in found else None
    there = found if at is None else [found[number] for number in at]
    quick = _plain_rings(there)
    if quick is not None:
        table.put("rings", quick, at)
        return []
    shapes = [(number, rings(value)) for number, value in enumerate(found) if value is not None]
    good = [(number, read) for number, (read, _) in shapes if read is not None]
    table.keep("boundingPoly", [number for number, (read, whole) in shapes if read is None or not whole])
    table.put("rings", _ring_array([read for _, read in good]), [number for number, _ in good])
    return [number for number, (read, _) in shapes if read is None]


def _plain_rings(values: list[Any]) -> pa.Array | None:
    """Return rings all of the usual form at once; None where one of them is not."""
    if not {list}.issuperset(map(type, values)):
        return None
    polygons = list(chain.from_iterable(values))
    if not {dict}.issuperset(map(type, polygons)) or not {("normalizedVertices",)}.issuperset(map(tuple, polygons)):
        return None
    lines = [polygon["normalizedVertices"] for polygon in polygons]
    array = _lines(lines)
    if array is None:
        return None
    return pa.ListArray.from_arrays(offsets(list(map(len, values))), array, type=pa.list_(RING))


def _lines(lines: list[Any]) -> pa.Array | None:
    """Return lists of vertices as one array; None where one of them is something else or more."""
    if not {list}.issuperset(map(type, lines)):
        return None
    found = vertices(list(chain.from_iterable(lines)))
    if found is None:
        return None
    return pa.ListArray.from_arrays(offsets(list(map(len, lines))), vertex_array(*found), type=RING)


def _ring_array(shapes: Sequence[Sequence[Coordinates]]) -> pa.Array:
    lines = _line_array(list(chain.from_iterable(shapes)))
    return pa.ListArray.from_arrays(offsets(list(map(len, shapes))), lines, type=pa.list_(RING))


def _line_array(lines: Sequence[Coordinates]) -> pa.Array:
    xs, ys = (list(chain.from_iterable(line[side] for line in lines)) for side in (0, 1))
    return pa.ListArray.from_arrays(offsets([len(line[0]) for line in lines]), vertex_array(xs, ys), type=RING)


def _areas(table: KindRows) -> list[int]:
    """Read the areas of PDF annotations: the first is shown, and a plain single one is held."""
    found = table.values("annotations")
    drawn = {at for part, _ in table.columns.get("rings", ()) for at in (range(len(found)) if part is None else part)}
    kept, unknown, shapes = [], [], []
    for at, value in enumerate(found):
        if value is None:
            continue
        area = value[0] if are_objects(value) else {}
        pages = area.get("pageNumberArray", [area.get("pageNumber")])
        read, whole = rings(area.get("polys", area.get("boundingPoly")), reading_order=True)
        if read is None or type(pages) is not list or not pages or not is_whole(pages[0]):
            kept.append(at)
            unknown += [] if at in drawn else [at]
        elif at in drawn:
            kept.append(at)
        else:
            shapes.append((at, pages[0], read))
            plain = whole and len(value) == 1 and len(pages) == 1 and area.keys() == _AREA
            kept += [] if plain and area["polys"] == area["boundingPoly"] else [at]
    table.keep("annotations", kept)
    if shapes:
        places = [at for at, _, _ in shapes]
        table.put("page", [page for _, page, _ in shapes], places)
        table.put("rings", _ring_array([read for _, _, read in shapes]), places)
    return unknown


def _polyline(table: KindRows) -> list[int]:
    found = [(at, value) for at, value in enumerate(table.values("polyline")) if value is not None]
    shapes = [(at, vertices(value) if type(value) is list else None) for at, value in found]
    good = [(at, shape) for at, shape in shapes if shape is not None]
    bad = [at for at, shape in shapes if shape is None]
    table.put("polyline", _line_array([shape for _, shape in good]), [at for at, _ in good])
    table.keep("polyline", bad)
    return bad


def _point(table: KindRows) -> list[int]:
    found = [(at, vertices([value])) for at, value in enumerate(table.values("point")) if value is not None]
    good = [(at, shape) for at, shape in found if shape is not None]
    bad = [at for at, shape in found if shape is None]
    for side, name in enumerate("xy"):
        table.put(name, [float(shape[side][0]) for _, shape in good], [at for at, _ in good])
    table.keep("point", bad)
    return bad


def _points(table: KindRows) -> list[int]:
    kept, unknown, poses = [], [], []
    for at, value in enumerate(table.values("points")):
        if value is None:
            continue
        if not are_objects(value) or any(vertices([point.get("point")]) is None for point in value):
            unknown.append(at)
        else:
            poses.append((at, [_pose_point(point) for point in value]))
            kept += [] if all(map(_is_plain, value)) else [at]
    table.put("points", [points for _, points in poses], [at for at, _ in poses])
    kept += unknown
    table.keep("points", kept, [_childless(table.nodes[at]["points"]) for at in kept])
    return unknown


def _childless(points: Any) -> Any:
    """Return the points of a pose without their children, which have rows of their own."""
    if not are_objects(points):
        return points
    return [{**point, "children": {}} if type(point.get("children")) is dict else point for point in points]


def _is_plain(point: dict[str, Any]) -> bool:
    """Return whether columns and the rows of children hold all of a pose's point."""
    if point.get("type") != "marker" or type(point.get("children")) is not dict:
        return False
    named = point.keys() - {"type", "children", "point"}
    return named <= set(POINT_KEYS) and all(type(point[key]) is str for key in named)


def _pose_point(point: dict[str, Any]) -> dict[str, Any]:
    names = {key: point[key] for key in POINT_KEYS if type(point.get(key)) is str}
    return {**names, "x": point["point"]["x"], "y": point["point"]["y"]}


def _range(table: KindRows) -> list[int]:
    good, bad = [], []
    for at, value in enumerate(table.values("range")):
        if type(value) is list and len(value) == _PAIR and all(map(is_number, value)):
            good.append((at, value))
        elif value is not None:
            bad.append(at)
    for side, name in enumerate(("rangeStart", "rangeEnd")):
        table.put(name, [value[side] for _, value in good], [at for at, _ in good])
    table.keep("range", bad)
    return bad


def _relation(key: str, column: str, task: str) -> Callable[[KindRows], list[int]]:
    def read(table: KindRows) -> list[int]:
        good, bad = [], []
        for at, value in enumerate(table.values(key)):
            ends = mids(value) if _task_of(table.layouts[at]) == task else None
            if ends is not None:
                good.append((at, ends))
            elif value is not None:
                bad.append(at)
        table.put(column, [ends for _, ends in good], [at for at, _ in good])
        table.keep(key, bad)
        return bad

    return read


_READERS: dict[str, Callable[[KindRows], list[int]]] = {
    "mid": _mid,
    "type": _tool,
    "categories": _categories,
    "boundingPoly": _bounding_poly,
    "isKeyFrame": lambda table: table.scalar("isKeyFrame", "isKeyFrame", is_flag, bool),
    "score": lambda table: table.scalar("score", "score", is_number, float),
    "content": _text("content", "content"),
    "beginOffset": _offset("beginOffset", "rangeStart"),
    "endOffset": _offset("endOffset", "rangeEnd"),
    "beginId": _text("beginId", "beginId"),
    "endId": _text("endId", "endId"),
    "annotations": _areas,
    "point": _point,
    "polyline": _polyline,
    "points": _points,
    "range": _range,
    **{key: _relation(key, column, task) for key, (column, task) in RELATIONS.items()},
}


def read_annotations(table: KindRows) -> None:
    """Read all keys of annotations."""
    _read_tasks(table)
    for key, read in _READERS.items():
        if key in table.keys:
            for at in read(table):
                if is_said(table.nodes[at][key]):
                    table.problem(at, f"{key!r} of an annotation of job {{job}} is of an unknown structure")
    table.children()
    table.keep_others({*_READERS, "children"})


def _read_tasks(table: KindRows) -> None:
    """Read the ML task that the structure of an annotation tells."""
    tasks = {layout: _task_of(layout) for layout in dict.fromkeys(table.layouts)}
    found = [tasks[layout] for layout in table.layouts]
    if "annotations" in table.keys:  # areas of PDFs: around words that are there, or drawn
        for at, layout in enumerate(table.layouts):
            if found[at] is None and "annotations" in layout:
                found[at] = "NAMED_ENTITIES_RECOGNITION" if table.nodes[at].get("content") else "OBJECT_DETECTION"
    table.put("mlTask", found)


def _task_of(layout: Sequence[str]) -> str | None:
    for key, (_, task) in RELATIONS.items():
        if key in layout:
            return task
    if "beginOffset" in layout or "beginId" in layout:
        return "NAMED_ENTITIES_RECOGNITION"
    return None if _SHAPES.isdisjoint(layout) else "OBJECT_DETECTION"
