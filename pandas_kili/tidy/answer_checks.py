"""Answers held to what a project asks, before they are sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pandas_kili.tidy.answers.geometry import box
from pandas_kili.tidy.answers.read import distinct, read_answers
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, JOB, RANK, TEXT, UNREADABLE
from pandas_kili.tidy.interface_checks import interface_misfits, missing_answers
from pandas_kili.tidy.jobs import Job
from pandas_kili.tidy.offsets import utf16_length
from pandas_kili.tidy.shape_checks import Coordinates, Misfit, shape_misfits

_PLACES = {CATEGORY: "categories", ANNOTATION: "annotations", RANK: "orders"}
_SINGLE = {TEXT: "text", CHOICE: "choice"}
_AS_ANSWERED = {  # columns by the keys that users wrote
    **dict.fromkeys(("xmin", "ymin", "xmax", "ymax", "rings"), "boundingPoly"),
    **dict.fromkeys(("x", "y"), "point"),
    "category": "name",
    "tool": "type",
    "rangeStart": "range",
    "rangeEnd": "range",
    "startMids": "startEntities",
    "endMids": "endEntities",
    **dict.fromkeys(("kind", "job", "parentJob", "parentCategories", "extra", "text"), ""),
}


class AnswerMisfit(NamedTuple):
    """A value of an answer that does not fit.

    Attributes
    ----------
    answer : int
        Position of the answer.
    path : str
        Where it stands, such as ``JOB_0.annotations[2].categories[0].name``.
    check : str
        What was expected.
    value : object
        The value itself; None where something is missing.
    """

    answer: int
    path: str
    check: str
    value: Any


def answer_misfits(
    answers: Sequence[str | None],
    jobs: Mapping[str, Job] | None,
    *,
    is_whole: bool = True,
    coordinates: Coordinates = "shares",
    texts: Sequence[str | None] | None = None,
) -> list[AnswerMisfit]:
    """Return what of answers does not fit, in their order.

    Parameters
    ----------
    answers : sequence of str
        JSON texts, jobs by their names.
    jobs : mapping of str to Job or None
        The questions of the project; None where names are not to be checked.
    is_whole : bool
        Whether required jobs must be answered, as by people; models answer what they can.
    coordinates : {"shares", "degrees"}
        What shapes are drawn in: shares of a picture, or longitude and latitude on a map.
    texts : sequence of str, optional
        The text that each answer is about, where it is known: offsets must lie within it.
    """
    to_read, of_answer = distinct(pa.array(answers, pa.string()))
    columns, counts = read_answers(to_read)
    columns |= box(columns["rings"]) if "rings" in columns else {}
    length = int(counts.sum())
    labels = pa.array(np.repeat(np.arange(len(counts)), counts))
    columns["row"] = pa.array(np.arange(length) - np.repeat(np.cumsum(counts) - counts, counts))
    misfits = [*shape_misfits(columns, length, coordinates)]
    if jobs is not None:
        misfits += interface_misfits(columns, length, jobs, labels)
    found: dict[int, list[tuple[str, str, Any]]] = defaultdict(list)
    if misfits:
        path_of = _paths(columns, labels, length)
        for misfit in misfits:
            found[labels[misfit.row].as_py()].append((path_of(misfit), misfit.check, misfit.value))
    if jobs is not None and is_whole:
        for label, path in missing_answers(columns, length, jobs, labels, range(len(counts))):
            found[label].append((path.replace("/", "."), "expected an answer, as the project requires one", None))
    codes = of_answer.tolist()
    misfitting = [AnswerMisfit(at, *misfit) for at, code in enumerate(codes) for misfit in found.get(code, ())]
    if texts is not None and "endOffset" in columns:
        misfitting += _beyond_texts(columns, labels, length, codes, texts)
        misfitting.sort(key=lambda misfit: misfit.answer)
    return misfitting


def _beyond_texts(
    columns: Mapping[str, pa.Array], labels: pa.Array, length: int, codes: Sequence[int], texts: Sequence[str | None]
) -> Iterator[AnswerMisfit]:
    """Yield offsets beyond the text that they are of; those within blocks of rich text are left alone."""
    path_of = _paths(columns, labels, length)
    rows_of: dict[int, list[tuple[int, int]]] = defaultdict(list)
    in_block = columns["endId"].is_valid().to_pylist() if "endId" in columns else [False] * length
    ends = columns["endOffset"].to_pylist()
    for row, (label, end, block) in enumerate(zip(labels.to_pylist(), ends, in_block, strict=True)):
        if end is not None and not block:
            rows_of[label].append((row, end))
    for at, (code, text) in enumerate(zip(codes, texts, strict=True)):
        if text is None:
            continue
        most = utf16_length(text)
        for row, end in rows_of[code]:
            if end > most:
                check = f"expected an offset within the text, of {most:,} UTF-16 units"
                yield AnswerMisfit(at, path_of(Misfit(row, "endOffset", check, end)), check, end)


def _paths(columns: Mapping[str, pa.Array], labels: pa.Array, length: int) -> Callable[[Misfit], str]:
    """Return a function that gives the place of a misfit's value in its answer."""
    names = ("kind", "job", "row", "parentRow", "parentPoint", "frame", "level")
    nothing = [None] * length
    values = [columns[name].to_pylist() if name in columns else nothing for name in names]
    rows = list(zip(labels.to_pylist(), *values, strict=True))
    row_of = {(label, row): at for at, (label, _, _, row, *_) in enumerate(rows)}
    places: dict[tuple[Any, ...], int] = defaultdict(int)
    numbers = []
    for label, kind, job, _, *where in rows:
        numbers.append(places[label, kind, job, *where])
        places[label, kind, job, *where] += 1

    def place(at: int) -> str:
        label, kind, job, _, parent, point, frame, level = rows[at]
        above = "" if frame is None and level is None else f"{level if frame is None else frame}."
        if parent is not None:
            above = place(row_of[label, parent]) + ("" if point is None else f".points[{point}]") + ".children."
        if kind == UNREADABLE:
            return ""
        if kind in _PLACES:
            return f"{above}{job}.{_PLACES[kind]}[{numbers[at]}]"
        return f"{above}{job}.{_SINGLE[kind]}" if kind in _SINGLE else f"{above}{job}"

    def path_of(misfit: Misfit) -> str:
        kind = rows[misfit.row][1]
        key = _AS_ANSWERED.get(misfit.column, misfit.column)
        if misfit.column in {"category", "confidence"} and kind == ANNOTATION:
            key = f"categories[0].{key}"
        own = place(misfit.row)
        return f"{own}.{key}" if key and kind != JOB and own else own

    return path_of
