"""The way back: from columns of annotations to the JSON values of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.annotation_keys import POINT_KEYS
from pandas_kili.tidy.answers.geometry import is_number
from pandas_kili.tidy.answers.json_values import parse
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, JOB, LABEL, RANK, TEXT
from pandas_kili.tidy.answers.walk import EMPTY_FRAMES

Values = dict[str, list[Any]]

_PLAIN = {
    "mid": "mid",
    "tool": "type",
    "isKeyFrame": "isKeyFrame",
    "content": "content",
    "beginOffset": "beginOffset",
    "endOffset": "endOffset",
    "beginId": "beginId",
    "endId": "endId",
}
_CHOICES = {"category": "code", "firstId": "firstId", "secondId": "secondId"}
_NOTHING: dict[str, Any] = {}
_PLACE = ("parentRow", "parentPoint", "frame", "level")
_ROW = ("kind", "job", "extra", "row")
_TOP = (None,) * len(_PLACE)
_WRITTEN = frozenset(
    {*_PLACE, *_ROW, *_PLAIN, *_CHOICES, "hasChildren", "confidence", "score", "text", "rank", "elements", "mlTask"}
    | {"startMids", "endMids", "page", "x", "y", "points", "rangeStart", "rangeEnd"}
)
_SHOWN_IN_PART = frozenset({"type", "categories", "beginOffset", "endOffset"})


class _Vertex(msgspec.Struct, gc=False):
    """A vertex as it is written: made and encoded faster than a dict."""

    x: float
    y: float


class Answers:
    """Answers in the making.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Columns of annotations that have values, of the types of `ANNOTATION_SCHEMA`, and ``kind`` for each row.

    Attributes
    ----------
    roots : dict
        The answers, by what their rows have in common.
    orphans : list of int
        Rows of which the parent is not there.
    """

    def __init__(self, columns: Mapping[str, pa.Array], keys: Sequence[Any]) -> None:
        self.roots: dict[Any, dict[str, Any]] = {}
        self.orphans: list[int] = []
        self._below: dict[Any, dict[int, dict[str, Any]]] = {}
        self._values = {name: column.to_pylist() for name, column in columns.items() if name in _WRITTEN}
        nothing = [None] * len(keys)
        places, rows = (
            zip(*(self._values.get(name, nothing) for name in names), strict=True) for names in (_PLACE, _ROW)
        )
        self._has_children, self._is_key_frame = (
            self._values.get(name, nothing) for name in ("hasChildren", "isKeyFrame")
        )
        nodes = _annotations(self._values, columns)
        for at, (key, place, row, node) in enumerate(zip(keys, places, rows, nodes, strict=True)):
            root = self.roots.get(key)
            if root is None:
                root, self._below[key] = self.roots.setdefault(key, {}), {}
            jobs = root if place == _TOP else self._holder(at, key, root, *place)
            kind, name, extra_text, number = row
            extra = _NOTHING if extra_text is None else parse(extra_text)
            if kind == LABEL:
                for first, last in extra.get(EMPTY_FRAMES, ()):
                    jobs.update({str(empty): {} for empty in range(first, last + 1)})
            elif kind == JOB and type(extra) is not dict:
                jobs[name] = extra
            elif type(extra) is not dict:  # a class that stands in its list as a bare text
                jobs.setdefault(name, {}).setdefault("categories", []).append(
                    self._values.get("category", nothing)[at] or extra
                )
            else:
                job = jobs.get(name)
                if job is None:
                    job = jobs[name] = {}
                written = self._put(at, job, kind, node, extra)
                if number is not None:
                    self._below[key][number] = written

    def _put(
        self, at: int, job: dict[str, Any], kind: str, node: dict[str, Any] | None, extra: dict[str, Any]
    ) -> dict[str, Any]:
        """Put what a row says below its job, and return the object that it is written as."""
        if node is None:
            node = _WRITERS[kind](job, self._values, at)
        else:
            job.setdefault("annotations", []).append(node)
        if extra is not _NOTHING:
            _merge(node, extra, self._values, at)
        if self._has_children[at] is not None:
            node["children"] = {}
        if self._is_key_frame[at] is not None and kind not in {ANNOTATION, JOB}:
            job["isKeyFrame"] = self._is_key_frame[at]
        return node

    def _holder(
        self,
        at: int,
        key: Any,
        root: dict[str, Any],
        parent: int | None,
        point: int | None,
        frame: int | None,
        level: str | None,
    ) -> dict[str, Any]:
        """Return the object within an answer that holds the row's job."""
        if parent is not None:
            above = self._below[key].get(parent)
            if above is None or (point is not None and point >= len(above.get("points", ()))):
                self.orphans.append(at)
                return {}
            holder = above if point is None else above["points"][point]
            return holder.setdefault("children", {})  # type: ignore[no-any-return]  # a dict, as the default is
        if frame is not None:
            return root.setdefault(str(frame), {})  # type: ignore[no-any-return]  # a dict, as the default is
        return root if level is None else root.setdefault(level, {})


def _merge(node: dict[str, Any], extra: dict[str, Any], values: Values, at: int) -> None:
    """Take up what `extra` keeps, but for what was changed in the columns that show it."""
    listed, own, tool = extra.get("categories"), node.get("categories"), extra.get("type")
    if type(tool) is str and tool.lower() == node.get("type", tool).lower():
        node["type"] = tool
    if own and type(listed) is list and listed and "name" in own[0]:
        first = own[0]["name"] if type(listed[0]) is str else listed[0]
        node["categories"] = [{**first, **own[0]} if type(first) is dict and "name" in first else first, *listed[1:]]
    for key, column in (("beginOffset", "rangeStart"), ("endOffset", "rangeEnd")):  # seconds of speech
        if column in values and values[column][at] is not None and is_number(extra.get(key)):
            node[key] = values[column][at]
            node.pop("range", None)
    node.update({key: value for key, value in extra.items() if key not in node or key not in _SHOWN_IN_PART})


def _annotations(values: Values, columns: Mapping[str, pa.Array]) -> list[dict[str, Any] | None]:
    """Return the annotation of each row, column by column; None for rows of other kinds."""
    nodes: list[Any] = [{} if kind == ANNOTATION else None for kind in values["kind"]]
    for key, found in (*_said(values), *_drawn(values, columns)):
        for node, value in zip(nodes, found, strict=True):
            if value is not None and node is not None:
                node[key] = value
    for name, side in (("startMids", "start"), ("endMids", "end")):
        if name in values:
            _put_ends(nodes, values, name, side)
    if "rings" in columns:
        _put_shapes(nodes, columns["rings"], values.get("page"))
    return nodes


def _said(values: Values) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield keys of annotations, each with its value in every row."""
    yield from ((key, values[name]) for name, key in _PLAIN.items() if name in values)
    if "category" in values:
        yield "categories", [None if each is None else [each] for each in _classes(values)]
    if "score" in values:
        yield "score", [None if score is None else _number(score) for score in values["score"]]


def _drawn(values: Values, columns: Mapping[str, pa.Array]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield keys of shapes other than outlines, each with its value in every row."""
    if "x" in values and "y" in values:
        pairs = zip(values["x"], values["y"], strict=True)
        yield "point", [None if x is None or y is None else {"x": x, "y": y} for x, y in pairs]
    if "polyline" in columns:
        yield "polyline", _lines(columns["polyline"])
    if "points" in values:
        yield "points", [None if points is None else _pose(points) for points in values["points"]]
    if "rangeStart" in values and "rangeEnd" in values:
        pairs = zip(values["rangeStart"], values["rangeEnd"], strict=True)
        yield "range", [None if a is None or b is None else [_number(a), _number(b)] for a, b in pairs]


def _classes(values: Values) -> list[dict[str, Any] | None]:
    """Return the class of each row, with its confidence where there is one."""
    if "confidence" not in values:
        return [None if name is None else {"name": name} for name in values["category"]]
    pairs = zip(values["category"], values["confidence"], strict=True)
    return [
        name if name is None else {"name": name} if sure is None else {"name": name, "confidence": _number(sure)}
        for name, sure in pairs
    ]


def _number(value: float) -> float:
    """Write whole numbers as such: Kili's own percentages have no decimals."""
    return int(value) if value.is_integer() else value


def _pose(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "children": {},
            **{key: point[key] for key in POINT_KEYS if point.get(key) is not None},
            "point": {"x": point["x"], "y": point["y"]},
            "type": "marker",
        }
        for point in points
    ]


def _put_ends(nodes: Sequence[dict[str, Any] | None], values: Values, name: str, side: str) -> None:
    tasks = values.get("mlTask", [None] * len(nodes))
    for node, task, mids in zip(nodes, tasks, values[name], strict=True):
        if node is not None and mids is not None:
            node[f"{side}{'Objects' if task == 'OBJECT_RELATION' else 'Entities'}"] = [{"mid": mid} for mid in mids]


def _put_shapes(nodes: Sequence[dict[str, Any] | None], rings: pa.Array, pages: Sequence[int | None] | None) -> None:
    lines = _lines(pc.list_flatten(rings))
    counts = pc.list_value_length(rings).to_pylist()
    at = 0
    for row, (node, count) in enumerate(zip(nodes, counts, strict=True)):
        if count is None:
            continue
        shape = [{"normalizedVertices": line} for line in lines[at : at + count]]
        at += count
        page = pages[row] if pages is not None else None
        if node is not None and page is None:
            node["boundingPoly"] = shape
        elif node is not None:
            node["annotations"] = [{"boundingPoly": shape, "polys": shape, "pageNumberArray": [page]}]


def _lines(lists: pa.Array) -> list[Any]:
    """Return lists of vertices as JSON values; None for null."""
    flat = pc.list_flatten(lists)
    xs, ys = (pc.struct_field(flat, name).to_numpy(zero_copy_only=False).tolist() for name in ("x", "y"))
    vertices = list(map(_Vertex, xs, ys))
    counts = pc.list_value_length(lists)
    ends = np.cumsum(pc.fill_null(counts, 0).to_numpy(zero_copy_only=False)).tolist()
    return [
        None if count is None else vertices[end - count : end]
        for end, count in zip(ends, counts.to_pylist(), strict=True)
    ]


def _write_category(job: dict[str, Any], values: Values, at: int) -> dict[str, Any]:
    name = values["category"][at] if "category" in values else None
    sure = values["confidence"][at] if "confidence" in values else None
    node = {} if name is None else {"name": name}
    if sure is not None:
        node["confidence"] = _number(sure)
    job.setdefault("categories", []).append(node)
    return node


def _write_text(job: dict[str, Any], values: Values, at: int) -> dict[str, Any]:
    job["text"] = (values["text"][at] if "text" in values else None) or ""
    return job


def _write_choice(job: dict[str, Any], values: Values, at: int) -> dict[str, Any]:
    node: dict[str, Any] = job.setdefault("choice", {})
    given = {key: values[name][at] for name, key in _CHOICES.items() if name in values}
    node.update({key: value for key, value in given.items() if value is not None})
    return node


def _write_rank(job: dict[str, Any], values: Values, at: int) -> dict[str, Any]:
    names = ("rank", "elements")
    node = {name: values[name][at] for name in names if name in values and values[name][at] is not None}
    job.setdefault("orders", []).append(node)
    return node


_WRITERS: dict[str, Callable[[dict[str, Any], Values, int], dict[str, Any]]] = {
    CATEGORY: _write_category,
    TEXT: _write_text,
    CHOICE: _write_choice,
    RANK: _write_rank,
    JOB: lambda job, _values, _at: job,
}
