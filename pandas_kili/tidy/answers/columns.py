"""Columns of annotations, out of the JSON values of rows: what columns cannot hold stays JSON text in `extra`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.geometry import Coordinates, is_number, rings, vertices
from pandas_kili.tidy.answers.json_values import are_objects, encode, is_said, is_whole, kind_of, mids
from pandas_kili.tidy.answers.schema import (
    ANNOTATION,
    ANNOTATION_SCHEMA,
    CATEGORY,
    CHOICE,
    JOB,
    LABEL,
    RANK,
    RING,
    TEXT,
    TOOLS,
    VERTEX,
)
from pandas_kili.tidy.answers.walk import Walk

Whole = npt.NDArray[np.int64]
Columns = dict[str, pa.Array]

RELATIONS = {
    "startEntities": ("startMids", "NAMED_ENTITIES_RELATION"),
    "endEntities": ("endMids", "NAMED_ENTITIES_RELATION"),
    "startObjects": ("startMids", "OBJECT_RELATION"),
    "endObjects": ("endMids", "OBJECT_RELATION"),
}
POINT_KEYS = ("code", "name", "mid", "jobName")
_RELATION_TASKS = [*dict.fromkeys(task for _, task in RELATIONS.values())]
_AREA = frozenset({"boundingPoly", "polys", "pageNumberArray"})
_SHAPES = frozenset({"boundingPoly", "point", "polyline", "points", "type"})
_TASKS = {CATEGORY: "CLASSIFICATION", TEXT: "TRANSCRIPTION", CHOICE: "COMPARISON", RANK: "RANKING"}
_PLAIN_CLASSES = {("name",), ("name", "confidence"), ("confidence", "name")}
_PAIR = 2
_NONE = type(None)


def columns_of(walk: Walk, tasks: Mapping[str, Any] | None) -> Columns:
    """Return the columns that rows have values in.

    Parameters
    ----------
    walk : Walk
        Rows of answers.
    tasks : mapping of str to str, optional
        ML task by job, where the interface of the project is known.
    """
    slot_of = np.array(walk.slot_of, np.int64)
    columns = _places(walk, slot_of)
    kinds = np.array([slot.kind for slot in walk.slots], object)[slot_of]
    columns["kind"] = pa.array(kinds, pa.string())
    parts = []
    for kind, read in _KINDS.items():
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            parts.append(_Table(walk, rows))
            read(parts[-1])
    length = len(walk.nodes)
    for name in dict.fromkeys(chain.from_iterable(part.columns for part in parts)):
        columns[name] = _merged([placed for part in parts for placed in part.placed(name)], length)
    if walk.key_frames:
        flags = _placed([row for row, _ in walk.key_frames], pa.array([flag for _, flag in walk.key_frames]), length)
        columns["isKeyFrame"] = pc.coalesce(flags, columns["isKeyFrame"]) if "isKeyFrame" in columns else flags
    columns["mlTask"] = _ml_task(walk, slot_of, columns.get("mlTask", pa.nulls(length, pa.string())), tasks)
    problems = {row: problem for part in parts for row, problem in part.problems.items()} | walk.problems
    extra = {row: encode(rest) for part in parts for row, rest in part.ordered_rest()}
    for name, texts in (("extra", extra), ("problem", problems)):
        if texts:
            columns[name] = _placed(list(texts), pa.array(list(texts.values()), pa.string()), length)
    return columns


def _places(walk: Walk, slot_of: Whole) -> Columns:
    """Return the columns that follow from where rows stand."""
    names = ("frame", "level", "parentRow", "parentPoint", "parentMid", "parentJob", "parentCategories")
    places = [slot.place for slot in walk.slots]
    values = {name: [place[number] for place in places] for number, name in enumerate(names)}
    values["job"] = [slot.job for slot in walk.slots]
    of = pa.array(slot_of)
    return {
        name: pc.take(pa.array(column, ANNOTATION_SCHEMA.field(name).type), of)
        for name, column in values.items()
        if name == "job" or any(value is not None for value in column)
    }


def _ml_task(walk: Walk, slot_of: Whole, found: pa.Array, tasks: Mapping[str, Any] | None) -> pa.Array:
    """Return the ML task of rows: that of the interface, but for relations, which the structure tells."""
    if tasks is None:
        return found
    known = pa.array([tasks.get(slot.job or "") for slot in walk.slots], pa.string()).take(pa.array(slot_of))
    is_relation = pc.is_in(found, pa.array(_RELATION_TASKS))
    return pc.if_else(is_relation, found, pc.coalesce(known, found))


def _merged(parts: Sequence[tuple[Whole, pa.Array]], length: int) -> pa.Array:
    rows = np.concatenate([rows for rows, _ in parts])
    values = parts[0][1] if len(parts) == 1 else pa.concat_arrays([values for _, values in parts])
    return _placed(rows, values, length)


def _placed(rows: Sequence[int] | Whole, values: pa.Array, length: int) -> pa.Array:
    """Return a column of which some rows, in any order, have values."""
    places = np.full(length, -1, np.int64)
    places[rows] = np.arange(len(rows))
    if len(rows) == length and np.array_equal(places, np.arange(length)):
        return values
    return pc.take(values, pa.array(places, mask=places < 0))


class _Table:
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

    def __init__(self, walk: Walk, rows: Whole) -> None:
        nodes = self.nodes = [walk.nodes[row] for row in rows.tolist()]
        self.columns: dict[str, list[tuple[Sequence[int] | None, pa.Array]]] = {}
        self.rest: dict[int, Any] = {}
        self.problems: dict[int, str] = {}
        self._walk, self._rows = walk, rows
        self.layouts = [tuple(node) if type(node) is dict else () for node in nodes]
        self.keys = dict.fromkeys(chain.from_iterable(dict.fromkeys(self.layouts)))

    def ordered_rest(self) -> Iterator[tuple[int, Any]]:
        """Yield what columns do not hold of each row, its keys in the order in which they were answered."""
        for row, rest in self.rest.items():
            node = self._walk.nodes[row]
            yield row, {key: rest[key] for key in node if key in rest} if type(node) is dict else rest

    def placed(self, name: str) -> Iterator[tuple[Whole, pa.Array]]:
        """Yield the values of a column with the rows that they are of."""
        for at, values in self.columns.get(name, ()):
            yield (self._rows if at is None else self._rows[np.array(at, np.int64)]), values

    def values(self, key: str) -> list[Any]:
        """Return what each row has under a key; None where it has nothing. A null is kept beside the columns."""
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
                points = [node.get("points") for node in self.nodes]
                below = [are_objects(each) and any(point.get("children") for point in each) for each in points]
                has = [own if own is None else own or other for own, other in zip(has, below, strict=True)]
            self.put("hasChildren", has)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_flag(value: Any) -> bool:
    return type(value) is bool


# --- annotations: a reader a key, which returns the positions of values that no column shows ---


def _text(key: str, column: str) -> Callable[[_Table], list[int]]:
    return lambda table: table.scalar(key, column, _is_text, str)


def _mid(table: _Table) -> list[int]:
    odd = table.scalar("mid", "mid", _is_text, str)
    numbers = [at for at in odd if is_whole(table.nodes[at]["mid"])]
    table.put("mid", [str(table.nodes[at]["mid"]) for at in numbers], numbers)
    return [at for at in odd if at not in set(numbers)]


def _tool(table: _Table) -> list[int]:
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


def _offset(key: str, seconds: str) -> Callable[[_Table], list[int]]:
    """Return the reader of an offset: within a text a whole number of units, within speech a number of seconds."""

    def read(table: _Table) -> list[int]:
        odd = table.scalar(key, key, is_whole)
        spoken = [at for at in odd if is_number(table.nodes[at][key])]
        if spoken:
            table.put(seconds, [float(table.nodes[at][key]) for at in spoken], spoken)
        return [at for at in odd if at not in set(spoken)]

    return read


def _categories(table: _Table) -> list[int]:
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


def _odd_categories(table: _Table, found: list[Any]) -> list[int]:
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


def _bounding_poly(table: _Table) -> list[int]:
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
    return pa.ListArray.from_arrays(_offsets(list(map(len, values))), array, type=pa.list_(RING))


def _lines(lines: list[Any]) -> pa.Array | None:
    """Return lists of vertices as one array; None where one of them is something else or more."""
    if not {list}.issuperset(map(type, lines)):
        return None
    found = vertices(list(chain.from_iterable(lines)))
    if found is None:
        return None
    return pa.ListArray.from_arrays(_offsets(list(map(len, lines))), _vertex_array(*found), type=RING)


def _ring_array(shapes: Sequence[Sequence[Coordinates]]) -> pa.Array:
    lines = _line_array(list(chain.from_iterable(shapes)))
    return pa.ListArray.from_arrays(_offsets(list(map(len, shapes))), lines, type=pa.list_(RING))


def _line_array(lines: Sequence[Coordinates]) -> pa.Array:
    xs, ys = (list(chain.from_iterable(line[side] for line in lines)) for side in (0, 1))
    return pa.ListArray.from_arrays(_offsets([len(line[0]) for line in lines]), _vertex_array(xs, ys), type=RING)


def _vertex_array(xs: Sequence[float], ys: Sequence[float]) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array(np.array(each, np.float64)) for each in (xs, ys)], fields=list(VERTEX))


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32))


def _areas(table: _Table) -> list[int]:
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


def _polyline(table: _Table) -> list[int]:
    found = [(at, value) for at, value in enumerate(table.values("polyline")) if value is not None]
    shapes = [(at, vertices(value) if type(value) is list else None) for at, value in found]
    good = [(at, shape) for at, shape in shapes if shape is not None]
    bad = [at for at, shape in shapes if shape is None]
    table.put("polyline", _line_array([shape for _, shape in good]), [at for at, _ in good])
    table.keep("polyline", bad)
    return bad


def _point(table: _Table) -> list[int]:
    found = [(at, vertices([value])) for at, value in enumerate(table.values("point")) if value is not None]
    good = [(at, shape) for at, shape in found if shape is not None]
    bad = [at for at, shape in found if shape is None]
    for side, name in enumerate("xy"):
        table.put(name, [float(shape[side][0]) for _, shape in good], [at for at, _ in good])
    table.keep("point", bad)
    return bad


def _points(table: _Table) -> list[int]:
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


def _range(table: _Table) -> list[int]:
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


def _relation(key: str, column: str, task: str) -> Callable[[_Table], list[int]]:
    def read(table: _Table) -> list[int]:
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


_READERS: dict[str, Callable[[_Table], list[int]]] = {
    "mid": _mid,
    "type": _tool,
    "categories": _categories,
    "boundingPoly": _bounding_poly,
    "isKeyFrame": lambda table: table.scalar("isKeyFrame", "isKeyFrame", _is_flag, bool),
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


def _read_annotations(table: _Table) -> None:
    _read_tasks(table)
    for key, read in _READERS.items():
        if key in table.keys:
            for at in read(table):
                if is_said(table.nodes[at][key]):
                    table.problem(at, f"{key!r} of an annotation of job {{job}} is of an unknown structure")
    table.children()
    table.keep_others({*_READERS, "children"})


def _read_tasks(table: _Table) -> None:
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


def _read_categories(table: _Table) -> None:
    table.put("mlTask", [_TASKS[CATEGORY]] * len(table.nodes))
    table.scalar("name", "category", _is_text, str)
    table.scalar("confidence", "confidence", is_number, float)
    words = [at for at, node in enumerate(table.nodes) if type(node) is str]
    table.put("category", [table.nodes[at] for at in words], words)
    for at, node in enumerate(table.nodes):
        if type(node) is dict and type(node.get("name")) is not str:
            table.problem(at, "a category of job {job} has no name")
    table.children()
    table.keep_others({"name", "confidence", "children"})


def _read_choices(table: _Table) -> None:
    table.put("mlTask", [_TASKS[CHOICE]] * len(table.nodes))
    columns = {"code": "category", "firstId": "firstId", "secondId": "secondId"}
    for key, column in columns.items():
        table.scalar(key, column, _is_text, str)
    table.keep_others(columns)


def _read_ranks(table: _Table) -> None:
    table.put("mlTask", [_TASKS[RANK]] * len(table.nodes))
    table.scalar("rank", "rank", is_whole)
    table.scalar("elements", "elements", lambda value: type(value) is list and {str}.issuperset(map(type, value)))
    table.keep_others({"rank", "elements"})


def _read_texts(table: _Table) -> None:
    table.put("mlTask", [_TASKS[TEXT]] * len(table.nodes))
    table.put("text", table.nodes)


def _read_jobs(table: _Table) -> None:
    table.children()
    table.keep_others({"children"})


_KINDS: dict[str, Callable[[_Table], None]] = {
    ANNOTATION: _read_annotations,
    CATEGORY: _read_categories,
    TEXT: _read_texts,
    CHOICE: _read_choices,
    RANK: _read_ranks,
    JOB: _read_jobs,
    LABEL: _Table.keep_others,
}
