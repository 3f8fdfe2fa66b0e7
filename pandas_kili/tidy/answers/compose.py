"""The way back: from rows of annotations to the JSON text of answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy.answers.columns import POINT_KEYS
from pandas_kili.tidy.answers.geometry import is_number
from pandas_kili.tidy.answers.json_values import encode
from pandas_kili.tidy.answers.schema import (
    ANNOTATION,
    ANNOTATION_SCHEMA,
    CATEGORY,
    CHOICE,
    JOB,
    LABEL,
    RANK,
    TEXT,
    UNREADABLE,
)
from pandas_kili.tidy.answers.walk import EMPTY_FRAMES

_BOX = ("xmin", "ymin", "xmax", "ymax")
_PLAIN = {
    "mid": "mid",
    "tool": "type",
    "isKeyFrame": "isKeyFrame",
    "content": "content",
    "beginOffset": "beginOffset",
    "endOffset": "endOffset",
    "beginId": "beginId",
    "endId": "endId",
    "polyline": "polyline",
}
_SHOWN = 5
_SHOWN_IN_PART = {"type", "categories", "beginOffset", "endOffset"}

Row = dict[str, Any]


def to_json_response(annotations: pd.DataFrame, by: str | None = None) -> pd.Series[str]:
    """Write annotations as the answers of labels: the inverse of `annotations_table`.

    Parameters
    ----------
    annotations : pandas.DataFrame
        Rows as `annotations_table` gives them, whole or filtered or edited, or made by a model: then columns that do
        not apply can be left out, ``job`` and what is said are enough, such as ``category`` for a classification, or
        ``tool="rectangle"``, ``category`` and ``xmin, ymin, xmax, ymax`` for a box.
    by : str, optional
        Column that says which rows make one answer; by default ``labelId``, else ``assetId``, else ``externalId``.

    Returns
    -------
    pandas.Series
        JSON text (``string[pyarrow]``), named ``jsonResponse``, with the values of `by` as its index, in the order of
        their first rows.

    Raises
    ------
    KiliFieldError
        Where no column says which rows belong together.
    KiliValidationError
        For rows that cannot be written: of unreadable answers, without a job, with a parent that is not there.

    Notes
    -----
    For answers that could be read, ``to_json_response(annotations_table(x))`` equals ``x`` up to the order of keys.
    A key that stands in ``extra`` is written as it stands there. A rectangle's corners are those of ``rings`` as long
    as these span the box; where the box was changed, the box is written.

    Examples
    --------
    >>> import pandas as pd
    >>> boxes = pd.DataFrame({"assetId": ["a1"], "job": ["KIND"], "category": ["CAT"], "confidence": [100]})
    >>> to_json_response(boxes)["a1"]
    '{"KIND":{"categories":[{"name":"CAT","confidence":100}]}}'
    """
    by = by or _grouping(annotations)
    answers: dict[Any, _Answer] = {}
    for key, row in zip(arrow_array(annotations[by]).to_pylist(), _rows(annotations), strict=True):
        if key not in answers:
            answers[key] = _Answer(key)
        answers[key].add(row)
    _refuse_all([problem for answer in answers.values() for problem in answer.problems])
    texts = [_text(answer) for answer in answers.values()]
    index = pd.Index(list(answers), name=by)
    return pd.Series(texts, index=index, name="jsonResponse", dtype=pd.ArrowDtype(pa.string()))


def _text(answer: _Answer) -> str:
    try:
        return encode(answer.root)
    except ValueError:
        raise KiliValidationError(f"the answer of {answer.key!r} holds NaN or infinity, which JSON cannot.") from None


def _grouping(annotations: pd.DataFrame) -> str:
    for name in ("labelId", "assetId", "externalId"):
        if name in annotations and annotations[name].notna().any():
            return name
    if "labelId" in annotations:
        return "labelId"
    raise KiliFieldError(
        "no column says which annotations make one answer: give labelId, assetId or externalId, or by=…",
        field="labelId",
    )


def _rows(annotations: pd.DataFrame) -> Iterable[Row]:
    """Yield rows as dicts of what they say: nulls are left out."""
    names = [name for name in ANNOTATION_SCHEMA.names if name in annotations]
    columns = [_values(annotations[name]) for name in names]
    filled = [(name, values) for name, values in zip(names, columns, strict=True) if values is not None]
    for position in range(len(annotations)):
        yield {name: values[position] for name, values in filled if values[position] is not None}


def _values(series: pd.Series[Any]) -> list[Any] | None:
    array = arrow_array(series)
    if pa.types.is_floating(array.type):  # NaN is how other columns say null
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    if array.null_count == len(array):
        return None
    type_ = ANNOTATION_SCHEMA.field(str(series.name)).type
    values: list[Any] = (array if pa.types.is_nested(type_) else array.cast(type_)).to_pylist()
    return values


def _refuse_all(problems: list[str]) -> None:
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise KiliValidationError(f"{len(problems)} rows cannot be written: {'; '.join(problems[:_SHOWN])}{more}.")


class _Answer:
    """One answer in the making."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.root: dict[str, Any] = {}
        self.problems: list[str] = []
        self._nodes: dict[int, dict[str, Any]] = {}

    def add(self, row: Row) -> None:
        """Put a row in its place."""
        kind = row.get("kind") or _kind_of(row)
        extra = json.loads(row["extra"]) if "extra" in row else {}
        if kind == UNREADABLE:
            self.problems.append(f"the answer of {self.key!r} was not readable ({row.get('problem')})")
        elif kind == LABEL:
            for first, last in extra.get(EMPTY_FRAMES, ()):
                self.root.update({str(frame): {} for frame in range(first, last + 1)})
        elif "job" not in row:
            self.problems.append(f"a row of {self.key!r} names no job")
        elif "parentRow" in row and row["parentRow"] not in self._nodes:
            self.problems.append(f"a row of {self.key!r} is a child of row {row['parentRow']}, which is not there")
        else:
            self._add(kind, row, extra)

    def _add(self, kind: str, row: Row, extra: Any) -> None:
        jobs = self._jobs(row)
        if type(extra) is not dict and kind == JOB:
            jobs[row["job"]] = extra
            return
        job = jobs.setdefault(row["job"], {})
        if type(extra) is str:  # a class that stands in its list as a bare text
            job.setdefault("categories", []).append(row.get("category", extra))
            return
        node = _WRITERS[kind](job, row)
        _merge(node, extra, row)
        if "hasChildren" in row:
            node["children"] = {}
        if kind not in {ANNOTATION, JOB} and "isKeyFrame" in row:
            job["isKeyFrame"] = row["isKeyFrame"]
        if "row" in row:
            self._nodes[row["row"]] = node

    def _jobs(self, row: Row) -> dict[str, Any]:
        """Return the object that holds the row's job."""
        if "parentRow" in row:
            parent = self._nodes[row["parentRow"]]
            if "parentPoint" in row:
                parent = parent["points"][row["parentPoint"]]
            return parent.setdefault("children", {})  # type: ignore[no-any-return]
        if "frame" in row:
            return self.root.setdefault(str(row["frame"]), {})  # type: ignore[no-any-return]
        return self.root.setdefault(row["level"], {}) if "level" in row else self.root


def _kind_of(row: Row) -> str:
    """Return what a row is that does not say it."""
    if "text" in row:
        return TEXT
    if "firstId" in row or "secondId" in row:
        return CHOICE
    if "rank" in row or "elements" in row:
        return RANK
    drawn = {*_PLAIN, *_BOX, "rings", "points", "x", "startMids", "rangeStart", "page", "score"} - {"isKeyFrame"}
    return CATEGORY if "category" in row and not drawn & row.keys() else ANNOTATION


def _merge(node: dict[str, Any], extra: dict[str, Any], row: Row) -> None:
    """Take up what `extra` keeps, but for what was changed in the columns that show it."""
    listed, own, tool = extra.get("categories"), node.get("categories"), extra.get("type")
    if type(tool) is str and tool.lower() == node.get("type", tool).lower():
        node["type"] = tool
    if own and type(listed) is list and listed and "name" in own[0]:
        first = own[0]["name"] if type(listed[0]) is str else listed[0]
        node["categories"] = [{**first, **own[0]} if type(first) is dict and "name" in first else first, *listed[1:]]
    for key, column in (("beginOffset", "rangeStart"), ("endOffset", "rangeEnd")):  # seconds of speech
        if column in row and is_number(extra.get(key)):
            node[key] = row[column]
            node.pop("range", None)
    node.update({key: value for key, value in extra.items() if key not in node or key not in _SHOWN_IN_PART})


def _write_annotation(job: dict[str, Any], row: Row) -> dict[str, Any]:
    node = {key: row[name] for name, key in _PLAIN.items() if name in row}
    if "category" in row:
        node["categories"] = [_class(row)]
    if "score" in row:
        node["score"] = _number(row["score"])
    if "x" in row and "y" in row:
        node["point"] = {"x": row["x"], "y": row["y"]}
    if "points" in row:
        node["points"] = [_pose_point(point) for point in row["points"]]
    if "rangeStart" in row and "rangeEnd" in row:
        node["range"] = [_number(row["rangeStart"]), _number(row["rangeEnd"])]
    ends = "Objects" if row.get("mlTask") == "OBJECT_RELATION" else "Entities"
    for name, key in (("startMids", f"start{ends}"), ("endMids", f"end{ends}")):
        if name in row:
            node[key] = [{"mid": mid} for mid in row[name]]
    node.update(_shape(row))
    job.setdefault("annotations", []).append(node)
    return node


def _shape(row: Row) -> dict[str, Any]:
    shape = _rings(row)
    if shape is None:
        return {}
    polygons = [{"normalizedVertices": ring} for ring in shape]
    if "page" not in row:
        return {"boundingPoly": polygons}
    return {"annotations": [{"boundingPoly": polygons, "polys": polygons, "pageNumberArray": [row["page"]]}]}


def _rings(row: Row) -> list[list[dict[str, float]]] | None:
    rings: list[list[dict[str, float]]] | None = row.get("rings")
    if not all(name in row for name in _BOX) or (rings is not None and row.get("tool", "rectangle") != "rectangle"):
        return rings
    box: list[float] = [row[name] for name in _BOX]
    if rings is not None and _spans(rings, box):
        return rings
    xmin, ymin, xmax, ymax = box
    corners = [(xmin, ymax), (xmin, ymin), (xmax, ymin), (xmax, ymax)]
    return [[{"x": x, "y": y} for x, y in corners]]


def _spans(rings: list[list[dict[str, float]]], box: list[float]) -> bool:
    xs = [vertex["x"] for ring in rings for vertex in ring]
    ys = [vertex["y"] for ring in rings for vertex in ring]
    return bool(xs) and [min(xs), min(ys), max(xs), max(ys)] == box


def _pose_point(point: dict[str, Any]) -> dict[str, Any]:
    named = {key: point[key] for key in POINT_KEYS if point.get(key) is not None}
    return {"children": {}, **named, "point": {"x": point["x"], "y": point["y"]}, "type": "marker"}


def _write_category(job: dict[str, Any], row: Row) -> dict[str, Any]:
    node = _class(row)
    job.setdefault("categories", []).append(node)
    return node


def _class(row: Row) -> dict[str, Any]:
    node = {"name": row["category"]} if "category" in row else {}
    return {**node, "confidence": _number(row["confidence"])} if "confidence" in row else node


def _number(value: float) -> float:
    """Write whole numbers as such: Kili's own percentages have no decimals."""
    return int(value) if value.is_integer() else value


def _write_text(job: dict[str, Any], row: Row) -> dict[str, Any]:
    job["text"] = row.get("text", "")
    return job


def _write_choice(job: dict[str, Any], row: Row) -> dict[str, Any]:
    keys = {"category": "code", "firstId": "firstId", "secondId": "secondId"}
    node: dict[str, Any] = job.setdefault("choice", {})
    node.update({key: row[name] for name, key in keys.items() if name in row})
    return node


def _write_rank(job: dict[str, Any], row: Row) -> dict[str, Any]:
    node: dict[str, Any] = {name: row[name] for name in ("rank", "elements") if name in row}
    job.setdefault("orders", []).append(node)
    return node


def _write_job(job: dict[str, Any], row: Row) -> dict[str, Any]:  # noqa: ARG001 - all writers are called alike
    return job


_WRITERS = {
    ANNOTATION: _write_annotation,
    CATEGORY: _write_category,
    TEXT: _write_text,
    CHOICE: _write_choice,
    RANK: _write_rank,
    JOB: _write_job,
}
