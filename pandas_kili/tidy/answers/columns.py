"""Columns of annotations, out of the JSON values of rows: what columns cannot hold stays JSON text in `extra`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.annotation_keys import RELATIONS, read_annotations
from pandas_kili.tidy.answers.geometry import is_number
from pandas_kili.tidy.answers.json_values import encode, is_text, is_whole
from pandas_kili.tidy.answers.kind_rows import KindRows
from pandas_kili.tidy.answers.schema import (
    ANNOTATION,
    ANNOTATION_SCHEMA,
    CATEGORY,
    CHOICE,
    JOB,
    LABEL,
    RANK,
    TEXT,
)
from pandas_kili.tidy.answers.walk import Slot, Walk

Whole = npt.NDArray[np.int64]
Columns = dict[str, pa.Array]

_RELATION_TASKS = [*dict.fromkeys(task for _, task in RELATIONS.values())]
TASKS = {CATEGORY: "CLASSIFICATION", TEXT: "TRANSCRIPTION", CHOICE: "COMPARISON", RANK: "RANKING"}


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
    columns = places(walk.slots, slot_of)
    kinds = np.array([slot.kind for slot in walk.slots], object)[slot_of]
    columns["kind"] = pa.array(kinds, pa.string())
    parts = []
    for kind, read in _KINDS.items():
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            parts.append(KindRows(walk, rows))
            read(parts[-1])
    length = len(walk.nodes)
    for name in dict.fromkeys(chain.from_iterable(part.columns for part in parts)):
        columns[name] = _merged([placed for part in parts for placed in part.placed(name)], length)
    if walk.key_frames:
        flags = placed([row for row, _ in walk.key_frames], pa.array([flag for _, flag in walk.key_frames]), length)
        columns["isKeyFrame"] = pc.coalesce(flags, columns["isKeyFrame"]) if "isKeyFrame" in columns else flags
    columns["mlTask"] = _ml_task(walk, slot_of, columns.get("mlTask", pa.nulls(length, pa.string())), tasks)
    problems = {row: problem for part in parts for row, problem in part.problems.items()} | walk.problems
    extra = {row: encode(rest) for part in parts for row, rest in part.ordered_rest()}
    for name, texts in (("extra", extra), ("problem", problems)):
        if texts:
            columns[name] = placed(list(texts), pa.array(list(texts.values()), pa.string()), length)
    return columns


def places(slots: Sequence[Slot], slot_of: Whole) -> Columns:
    """Return the columns that follow from where rows stand."""
    names = ("frame", "level", "parentRow", "parentPoint", "parentMid", "parentJob", "parentCategories")
    found = [slot.place for slot in slots]
    values = {name: [place[number] for place in found] for number, name in enumerate(names)}
    values["job"] = [slot.job for slot in slots]
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
    return placed(rows, values, length)


def placed(rows: Sequence[int] | Whole, values: pa.Array, length: int) -> pa.Array:
    """Return a column of which some rows, in any order, have values."""
    places = np.full(length, -1, np.int64)
    places[rows] = np.arange(len(rows))
    if len(rows) == length and np.array_equal(places, np.arange(length)):
        return values
    return pc.take(values, pa.array(places, mask=places < 0))


def _read_categories(table: KindRows) -> None:
    table.put("mlTask", [TASKS[CATEGORY]] * len(table.nodes))
    table.scalar("name", "category", is_text, str)
    table.scalar("confidence", "confidence", is_number, float)
    words = [at for at, node in enumerate(table.nodes) if type(node) is str]
    table.put("category", [table.nodes[at] for at in words], words)
    for at, node in enumerate(table.nodes):
        if type(node) is dict and type(node.get("name")) is not str:
            table.problem(at, "a category of job {job} has no name")
    table.children()
    table.keep_others({"name", "confidence", "children"})


def _read_choices(table: KindRows) -> None:
    table.put("mlTask", [TASKS[CHOICE]] * len(table.nodes))
    columns = {"code": "category", "firstId": "firstId", "secondId": "secondId"}
    for key, column in columns.items():
        table.scalar(key, column, is_text, str)
    table.keep_others(columns)


def _read_ranks(table: KindRows) -> None:
    table.put("mlTask", [TASKS[RANK]] * len(table.nodes))
    table.scalar("rank", "rank", is_whole)
    table.scalar("elements", "elements", lambda value: type(value) is list and {str}.issuperset(map(type, value)))
    table.keep_others({"rank", "elements"})


def _read_texts(table: KindRows) -> None:
    table.put("mlTask", [TASKS[TEXT]] * len(table.nodes))
    table.put("text", table.nodes)


def _read_jobs(table: KindRows) -> None:
    table.children()
    table.keep_others({"children"})


_KINDS: dict[str, Callable[[KindRows], None]] = {
    ANNOTATION: read_annotations,
    CATEGORY: _read_categories,
    TEXT: _read_texts,
    CHOICE: _read_choices,
    RANK: _read_ranks,
    JOB: _read_jobs,
    LABEL: KindRows.keep_others,
}
