"""Annotations become the answers of labels: every row is checked, then all are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliFieldError
from pandas_kili.messages import FailureCase, did_you_mean, label_at, listed, nearest, shown, validation_error
from pandas_kili.tidy.answers.compose import Answers
from pandas_kili.tidy.answers.json_values import encode, is_whole, parse
from pandas_kili.tidy.answers.read import without_collector
from pandas_kili.tidy.answers.schema import (
    ANNOTATION,
    ANNOTATION_SCHEMA,
    CATEGORY,
    CHOICE,
    JOB,
    KINDS,
    LABEL,
    RANK,
    TEXT,
    UNREADABLE,
)
from pandas_kili.tidy.answers.walk import EMPTY_FRAMES
from pandas_kili.tidy.drawn_boxes import BOX, boxes_in_shares, draw_boxes
from pandas_kili.tidy.interface_checks import interface_misfits
from pandas_kili.tidy.jobs import jobs_of
from pandas_kili.tidy.schema_columns import schema_columns
from pandas_kili.tidy.shape_checks import Coordinates, Misfit, shape_misfits, tool_misfits

Columns = dict[str, pa.Array]
Flags = npt.NDArray[np.bool_]

_SAID_BY = {TEXT: ("text",), CHOICE: ("firstId", "secondId"), RANK: ("rank", "elements")}
_DRAWN = (
    *("mid", "tool", "content", "beginOffset", "endOffset", "beginId", "endId", "rings", "polyline", "points"),
    *("x", "y", "startMids", "endMids", "rangeStart", "rangeEnd", "page", "score", *BOX),
)
_ALIKE = 0.8  # a name that is so like another is taken for a misspelled one


def to_json_response(
    annotations: pd.DataFrame,
    by: str | None = None,
    *,
    jobs: str | Mapping[str, Any] | pd.DataFrame | None = None,
    coordinates: Coordinates = "shares",
) -> pd.Series:
    """Write annotations as the answers of labels: the inverse of ``df.kili.annotations()``.

    Parameters
    ----------
    annotations : pandas.DataFrame
        Rows as ``df.kili.annotations()`` gives them, whole or filtered or edited, or made by a model. Then ``job`` and
        the answer are enough, such as ``category`` for a classification, or ``tool="rectangle"``, ``category`` and
        ``xmin, ymin, xmax, ymax`` for a box; columns that do not apply can be left out. Boxes may be given in pixels
        (``pixelXmin``, …) beside ``resolution.width`` and ``resolution.height``.
    by : str, optional
        Column that says which rows make one answer; by default ``labelId``, else ``assetId``, else ``externalId``.
    jobs : str, mapping or pandas.DataFrame, optional
        The project's questions, to which all rows are held: its id, its interface, or what `read_jobs` gives.
    coordinates : {"shares", "degrees"}
        What shapes are drawn in: shares of width and height from the top left, or longitude and latitude for
        GEOSPATIAL projects.

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
        For rows that cannot be written, all of them at once, with ``.failure_cases``: shapes that are not whole, shares
        outside 0 to 1, ends before beginnings, unknown tools and kinds, rows that say nothing, misspelled columns; with
        `jobs`, names that the project does not know.

    Notes
    -----
    For answers that could be read, ``to_json_response(df.kili.annotations())`` equals them up to the order of keys.
    A key in ``extra`` is written as it is there. A rectangle's corners are those of ``rings`` as long
    as these span the box; where the box was changed, the box is written. Rows that were read (they have a ``row``) and
    not changed are written as they are.

    Examples
    --------
    >>> import pandas as pd
    >>> boxes = pd.DataFrame({"assetId": ["a1"], "job": ["KIND"], "category": ["CAT"], "confidence": [100]})
    >>> to_json_response(boxes)["a1"]
    '{"KIND":{"categories":[{"name":"CAT","confidence":100}]}}'
    """
    by = by or _grouping(annotations)
    length = len(annotations)
    misfits = [*_misspelled(annotations, by)]
    columns = dict(schema_columns(annotations, misfits))
    columns["kind"] = _kinds(columns, length)
    misfits += boxes_in_shares(columns, annotations)
    keys = arrow_array(annotations[by]).to_pylist()
    made = columns["row"].is_null().to_numpy(zero_copy_only=False) if "row" in columns else np.ones(length, bool)
    misfits += _unwritable(columns, made)
    changed = draw_boxes(columns, length, has_edges=set(BOX) <= set(annotations.columns))
    misfits += _of_rows(columns, np.flatnonzero(made | changed), coordinates)
    if jobs is not None:
        of_label = pa.array(pd.factorize(pd.Series(keys, dtype=object))[0])
        misfits += interface_misfits(columns, length, jobs_of(jobs), of_label)
    _refuse(annotations, misfits)
    with without_collector():
        answers = Answers(columns, keys)
        _refuse(annotations, [_orphan(columns, row) for row in answers.orphans])
        texts = [encode(root) for root in answers.roots.values()]
    index = pd.Index(list(answers.roots), name=by)
    return pd.Series(texts, index=index, name="jsonResponse", dtype=pd.ArrowDtype(pa.string()))


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


def _misspelled(annotations: pd.DataFrame, by: str) -> Iterator[Misfit]:
    """Yield columns of other names that are nearly those of annotations that are not there."""
    missing = [name for name in ANNOTATION_SCHEMA.names if name not in annotations]
    for name in annotations.columns:
        if isinstance(name, str) and name not in ANNOTATION_SCHEMA.names and name != by:
            near = nearest(name, missing, most=1, cutoff=_ALIKE)
            if near:
                yield Misfit(-1, name, f"expected {near[0]!r}, or a name that is less like it", name)


def _kinds(columns: Columns, length: int) -> pa.Array:
    """Return what each row is; where it does not say it, its columns do."""
    there = {name: column.is_valid().to_numpy(zero_copy_only=False) for name, column in columns.items()}
    nothing = np.zeros(length, bool)
    drawn = np.any([nothing, *(there[name] for name in _DRAWN if name in there)], axis=0)
    found = np.where(there.get("category", nothing) & ~drawn, CATEGORY, ANNOTATION).astype(object)
    for kind, names in reversed(_SAID_BY.items()):
        found[np.any([nothing, *(there[name] for name in names if name in there)], axis=0)] = kind
    said = pa.array(found, pa.string())
    return pc.coalesce(columns["kind"], said) if "kind" in columns else said


def _unwritable(columns: Columns, made: Flags) -> Iterator[Misfit]:
    """Yield rows that cannot be written at all."""
    length = len(made)
    names = ("kind", "job", "extra", "problem", "parentRow", "parentPoint")
    values = [columns[name].to_pylist() if name in columns else [None] * length for name in names]
    said = [
        name for name in ("category", "text", *_DRAWN, *_SAID_BY[CHOICE], *_SAID_BY[RANK], "extra") if name in columns
    ]
    is_said = np.any(
        [np.zeros(length, bool), *(columns[name].is_valid().to_numpy(zero_copy_only=False) for name in said)], axis=0
    )
    for row, (kind, job, extra, problem, parent, point) in enumerate(zip(*values, strict=True)):
        if kind not in KINDS:
            hint = did_you_mean(nearest(kind, KINDS, most=1), "; did")
            yield Misfit(row, "kind", f"expected one of {', '.join(KINDS)}{hint}", kind)
        elif kind == UNREADABLE:
            yield Misfit(row, "kind", f"expected an answer that was readable; it was not: {problem}", kind)
        elif job is None and kind != LABEL:
            yield Misfit(row, "job", "expected the name of a job", None)
        elif made[row] and not is_said[row] and kind not in {JOB, LABEL}:
            yield Misfit(
                row, "category", "expected an answer: a category, a text, a shape, …; the row says nothing", None
            )
        if point is not None and parent is None:
            yield Misfit(row, "parentRow", "expected the row of the pose beside parentPoint", None)
        if extra is not None and (expected := _expected_extra(kind, extra)) is not None:
            yield Misfit(row, "extra", expected, extra)


def _expected_extra(kind: str, extra: str) -> str | None:
    """Return what a row of a kind keeps beside its columns, where that is something else than this."""
    try:
        value = parse(extra)
    except (ValueError, RecursionError) as error:
        return f"expected JSON text: {error}"
    return None if _takes(kind, value) else f"expected a JSON object, as rows of kind {kind!r} keep one"


def _takes(kind: str, extra: Any) -> bool:
    """Return whether a row of a kind can have this beside its columns."""
    if kind == LABEL:
        spans = extra.get(EMPTY_FRAMES, []) if type(extra) is dict else None
        return type(spans) is list and all(
            type(span) is list and len(span) == 2 and all(map(is_whole, span))  # noqa: PLR2004 - first and last
            for span in spans
        )
    return kind == JOB or type(extra) is dict or (kind == CATEGORY and type(extra) is str)


def _of_rows(columns: Columns, rows: npt.NDArray[np.int64], coordinates: Coordinates) -> Iterator[Misfit]:
    """Yield what is wrong with the shapes of some rows."""
    if not len(rows):
        return
    chosen = {name: column.take(pa.array(rows)) for name, column in columns.items() if name != "problem"}
    for check in (shape_misfits(chosen, len(rows), coordinates), tool_misfits(chosen, len(rows))):
        for misfit in check:
            yield misfit._replace(row=int(rows[misfit.row]))


def _orphan(columns: Columns, row: int) -> Misfit:
    parent = columns["parentRow"][row].as_py()
    return Misfit(
        row, "parentRow", f"expected row {parent} of the same answer, as this is a child of row {parent}", parent
    )


def _refuse(annotations: pd.DataFrame, misfits: list[Misfit]) -> None:
    if not misfits:
        return
    index = annotations.index
    cases = [
        FailureCase(None if row < 0 else label_at(index, row), None if row < 0 else row, column, check, value)
        for row, column, check, value in misfits
    ]
    texts = []
    for case in cases:
        where = "" if case.row is None else f"row {case.index!r}: "
        texts.append(f"{where}{case.column}: {case.check}; got {shown(case.failure_case)}")
    raise validation_error(
        f"annotations cannot be written as answers: {listed(texts, where=' in .failure_cases')}.", cases
    )
