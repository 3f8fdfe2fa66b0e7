"""Plain answers, read many at once: jobs, or frames of jobs, with annotations that have nothing unusual about them.

Most answers of most projects are of this form, and Arrow reads them several times faster than Python walks them. Every
doubt (a null, a key or a type that is not expected, children, several classes) leaves an answer to the reader of single
answers, which knows all forms; so what is read here is read the same way there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from pandas_kili.tidy.answers.json_values import encode, is_frame
from pandas_kili.tidy.answers.parse import ASSET_LEVEL, EMPTY_FRAMES
from pandas_kili.tidy.answers.schema import ANNOTATION, LABEL, RING, VERTEX

_TEXTS = {"mid": "mid", "type": "tool", "content": "content", "beginId": "beginId", "endId": "endId"}
_OTHERS = {"beginOffset": "beginOffset", "endOffset": "endOffset", "score": "score", "isKeyFrame": "isKeyFrame"}
_ITEM = pa.struct(
    [
        *((key, pa.string()) for key in _TEXTS),
        *((key, pa.int64()) for key in ("beginOffset", "endOffset")),
        ("score", pa.float64()),
        ("isKeyFrame", pa.bool_()),
        ("children", pa.struct([])),
        ("categories", pa.list_(pa.struct([("name", pa.string()), ("confidence", pa.float64())]))),
        ("boundingPoly", pa.list_(pa.struct([("normalizedVertices", RING)]))),
        ("polyline", RING),
        ("point", VERTEX),
    ]
)
_JOB = pa.struct([("annotations", pa.list_(_ITEM))])
_UNUSUAL = r'null|"children"\s*:\s*\{\s*"|"assetLevel"'
_FRAME_FIRST = r'^\{\s*"(\d+)"\s*:'
_FRAME_NEXT = r',\s*"(\d+)"\s*:'
_SAMPLE = 32
_MOST_JOBS = 32
_BATCH = 4096  # answers read at once
_LEAST = 128  # a batch is not cut smaller to find what is unusual in it
_PATIENCE = 8  # batches without a plain answer, after which no more are tried
_EXACT = 2**53

Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]
Columns = dict[str, pa.Array]


@dataclasses.dataclass(frozen=True, slots=True)
class PlainRows:
    """Rows of plain answers.

    Attributes
    ----------
    columns : dict of str to pyarrow.Array
        The columns that have values.
    answers : ndarray of int64
        Position of the answer of each row.
    """

    columns: Columns
    answers: Whole


@dataclasses.dataclass(frozen=True, slots=True)
class _Units:
    """What holds jobs: answers, or the frames of answers.

    Attributes
    ----------
    jobs : dict of str to pyarrow.StructArray
        The jobs of each unit.
    answers : ndarray of int64
        Position of each unit's answer within the batch.
    plain : ndarray of bool
        Whether nothing unusual was met in the unit.
    frames : pyarrow.Array or None
        Number of each unit's frame.
    """

    jobs: dict[str, pa.StructArray]
    answers: Whole
    plain: Flags
    frames: pa.Array | None = None


def read_plain(texts: pa.Array, tasks: Mapping[str, str] | None) -> list[PlainRows]:
    """Read the plain ones among answers; all others give no rows."""
    still, video = _jobs(texts, tasks)
    found: list[PlainRows] = []
    if not still and not video:
        return found
    usual = pc.and_(
        pc.and_(pc.starts_with(texts, "{"), pc.ends_with(texts, "}")),
        pc.invert(pc.match_substring_regex(texts, _UNUSUAL)),
    )
    framed = pc.match_substring_regex(texts, _FRAME_FIRST)
    for jobs, units, wanted in ((still, _answers, pc.invert(framed)), (video, _frames, framed)):
        if jobs:
            chosen = pc.indices_nonzero(pc.fill_null(pc.and_(usual, wanted), fill_value=False))
            found += _read(texts, chosen.to_numpy(zero_copy_only=False).astype(np.int64), _Form(jobs, units, tasks))
    return found


def _jobs(texts: pa.Array, tasks: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """Return the names of jobs with annotations, of answers and of frames, from a sample of the answers."""
    still: dict[str, None] = {}
    video: dict[str, None] = {}
    for text in texts[:: max(1, len(texts) // _SAMPLE)].to_pylist():
        try:
            answer = json.loads(text or "{}")
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict):
            still |= _annotated(answer, tasks)
            for key, value in answer.items():
                video |= _annotated(value, tasks) if is_frame(key, value) else {}
    return tuple([*names] if len(names) <= _MOST_JOBS else [] for names in (still, video))  # type: ignore[return-value]


def _annotated(jobs: Mapping[str, Any], tasks: Mapping[str, str] | None) -> dict[str, None]:
    names = (name for name, job in jobs.items() if isinstance(job, dict) and [*job] == ["annotations"])
    return {
        name: None
        for name in names
        if name != ASSET_LEVEL and not name.isdecimal() and (tasks is None or tasks.get(name))
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Form:
    """What answers are taken to hold."""

    jobs: Sequence[str]
    units: Callable[[pa.Array, Sequence[str]], _Units]
    tasks: Mapping[str, str] | None


def _read(texts: pa.Array, positions: Whole, form: _Form) -> Iterator[PlainRows]:
    failures = 0
    for start in range(0, len(positions), _BATCH):
        rows = list(_batch(texts, positions[start : start + _BATCH], form))
        yield from rows
        failures = 0 if rows else failures + 1
        if failures == _PATIENCE:
            break


def _batch(texts: pa.Array, positions: Whole, form: _Form) -> Iterator[PlainRows]:
    try:
        units = form.units(texts.take(pa.array(positions)), form.jobs)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(positions) > _LEAST:
            half = len(positions) // 2
            yield from _batch(texts, positions[:half], form)
            yield from _batch(texts, positions[half:], form)
        return
    parts = [_job_rows(units.jobs[job], units.plain) for job in form.jobs]
    fine = np.ones(len(positions), bool)
    fine[units.answers[~units.plain]] = False
    plain = fine[units.answers]
    kept = [_kept(*part, plain, job, form.tasks) for job, part in zip(form.jobs, parts, strict=True)]
    rows = pa.concat_tables([pa.table(columns) for columns, _ in kept]).combine_chunks()
    of_unit = np.concatenate([parents for _, parents in kept])
    if len(of_unit):
        order = np.argsort(of_unit, kind="stable")
        ordered = rows.take(pa.array(order)) if len(kept) > 1 else rows
        columns = {name: ordered[name].combine_chunks() for name in ordered.column_names}
        if units.frames is not None:
            columns["frame"] = units.frames.take(pa.array(of_unit[order]))
        yield PlainRows(columns, positions[units.answers[of_unit[order]]])
    if units.frames is not None:
        yield from _empty_frames(units, plain, positions)


def _answers(texts: pa.Array, jobs: Sequence[str]) -> _Units:
    read = _table(texts, pa.schema([(job, _JOB) for job in jobs]))
    return _Units(read, np.arange(len(texts)), _in_order(texts, read))


def _frames(texts: pa.Array, jobs: Sequence[str]) -> _Units:
    """Read answers of frames, their keys turned to values: a schema cannot name thousands of frames.

    Only a key stands between a comma and a colon, as strings hold no bare quotes. A key of digits that is no frame's
    gives text that is no JSON, or fields that the schema does not have.
    """
    lists = pc.replace_substring_regex(texts, _FRAME_FIRST, r'{"frames":[{"frame":\1,"jobs":')
    lists = pc.replace_substring_regex(lists, _FRAME_NEXT, r'},{"frame":\1,"jobs":')
    lists = pc.replace_substring_regex(lists, r"\}$", "}]}")
    frame = pa.struct([("frame", pa.int64()), ("jobs", pa.struct([(job, _JOB) for job in jobs]))])
    read = _table(lists, pa.schema([("frames", pa.list_(frame))]))["frames"]
    units, answers = pc.list_flatten(read), pc.list_parent_indices(read).to_numpy(zero_copy_only=False)
    held = pc.struct_field(units, "jobs")
    by_job = {job: pc.struct_field(held, job) for job in jobs}
    number = pc.struct_field(units, "frame")
    several = np.sum([~_null(job) for job in by_job.values()], axis=0) > 1  # their order within a frame is not known
    pairs = pd.DataFrame({"answer": answers, "frame": number.to_numpy(zero_copy_only=False)})
    plain = ~(_null(held) | _null(number) | several | pairs.duplicated(keep=False).to_numpy())
    return _Units(by_job, answers.astype(np.int64), plain, number)


def _empty_frames(units: _Units, plain: Flags, positions: Whole) -> Iterator[PlainRows]:
    """Give answers with frames that hold no job the row that says so, after their others."""
    empty = plain & np.all([_null(job) for job in units.jobs.values()], axis=0)
    answers, numbers = units.answers[empty], units.frames.to_numpy(zero_copy_only=False)[empty]  # type: ignore[union-attr]
    if not len(answers):
        return
    heads = np.flatnonzero((np.diff(answers, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 1))
    tails = np.append(heads[1:], len(answers)) - 1
    runs: dict[int, list[list[int]]] = {}
    for answer, first, last in zip(
        *(values.tolist() for values in (answers[heads], numbers[heads], numbers[tails])), strict=True
    ):
        runs.setdefault(answer, []).append([first, last])
    texts = [encode({EMPTY_FRAMES: empty_runs}) for empty_runs in runs.values()]
    yield PlainRows({"extra": pa.array(texts), "kind": pa.repeat(LABEL, len(texts))}, positions[list(runs)])


def _table(texts: pa.Array, schema: pa.Schema) -> dict[str, pa.Array]:
    # Texts begin with { and end with }, and no JSON document holds } followed by {: as many documents as texts means
    # one each. JSON strings hold no raw line breaks: those of a text are layout.
    lines = [text.replace("\n", " ").replace("\r", " ") for text in texts.to_pylist()]
    body = "\n".join(lines).encode()
    read = pj.read_json(
        pa.BufferReader(body),
        read_options=pj.ReadOptions(block_size=max(1 << 20, 4 * max(map(len, lines)) + 2)),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
    )
    if len(read) != len(lines):
        raise pa.ArrowInvalid("an answer holds other than one document")
    return {name: pa.concat_arrays(read[name].chunks) for name in schema.names}


def _in_order(texts: pa.Array, table: Mapping[str, pa.StructArray]) -> Flags:
    """Return which answers hold jobs, and these in the order of the table, so that rows come as they were answered."""
    latest = np.full(len(texts), -1)
    fine = np.ones(len(texts), bool)
    for job, column in table.items():
        there = ~_null(column)
        place = pc.find_substring(texts, f"{json.dumps(job, ensure_ascii=False)}:").to_numpy(zero_copy_only=False)
        fine &= ~there | (place > latest)
        latest = np.where(there, place, latest)
    return fine & (latest >= 0)


def _job_rows(job: pa.StructArray, plain: Flags) -> tuple[pa.StructArray, Whole]:
    """Return the annotations of a job; answers that are not plain are marked."""
    lists = pc.struct_field(job, "annotations")
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    plain &= ~job.is_valid().to_numpy(zero_copy_only=False) | (counts > 0)
    items = pc.list_flatten(lists)
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    plain[parents[_odd_items(items)]] = False
    return items, parents


def _odd_items(items: pa.StructArray) -> Flags:
    """Return which annotations are not as plain as they seem."""
    categories = pc.struct_field(items, "categories")
    odd: Flags = pc.fill_null(pc.not_equal(pc.list_value_length(categories), 1), fill_value=False).to_numpy(
        zero_copy_only=False
    )
    odd = odd | _within(categories, _null(pc.struct_field(pc.list_flatten(categories), "name")))
    confidence = pc.struct_field(pc.list_flatten(categories), "confidence")
    odd |= _within(categories, _beyond(confidence)) | _beyond(pc.struct_field(items, "score"))
    polygons = pc.struct_field(items, "boundingPoly")
    lines = pc.struct_field(pc.list_flatten(polygons), "normalizedVertices")
    odd |= _within(polygons, _null(lines) | _within(lines, _odd_vertices(pc.list_flatten(lines))))
    polyline = pc.struct_field(items, "polyline")
    odd |= _within(polyline, _odd_vertices(pc.list_flatten(polyline)))
    point = pc.struct_field(items, "point")
    return odd | (~_null(point) & _odd_vertices(point))


def _odd_vertices(vertices: pa.StructArray) -> Flags:
    xs, ys = pc.struct_field(vertices, "x"), pc.struct_field(vertices, "y")
    return _null(xs) | _null(ys) | _beyond(xs) | _beyond(ys)


def _null(array: pa.Array) -> Flags:
    flags: Flags = array.is_null().to_numpy(zero_copy_only=False)
    return flags


def _beyond(numbers: pa.Array) -> Flags:
    """Return which numbers are none, or beyond what a double holds exactly."""
    fine = pc.less_equal(pc.abs(numbers), float(_EXACT))  # false for NaN too
    flags: Flags = ~pc.fill_null(fine, fill_value=True).to_numpy(zero_copy_only=False)
    return flags


def _within(lists: pa.ListArray, flags: Flags) -> Flags:
    """Return which lists hold a flagged item."""
    found = np.zeros(len(lists), bool)
    found[pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)[flags]] = True
    return found


def _kept(
    items: pa.StructArray, parents: Whole, plain: Flags, job: str, tasks: Mapping[str, str] | None
) -> tuple[Columns, Whole]:
    keep = plain[parents]
    columns = {name: pc.struct_field(items, key) for key, name in (_TEXTS | _OTHERS).items()}
    categories = pc.struct_field(items, "categories")
    for key, name in (("name", "category"), ("confidence", "confidence")):
        columns[name] = _first_of(categories, key, keep)
    polygons, point, children = (pc.struct_field(items, key) for key in ("boundingPoly", "point", "children"))
    columns["rings"] = _rings(polygons)
    columns["polyline"] = pc.struct_field(items, "polyline")
    columns["x"], columns["y"] = pc.struct_field(point, "x"), pc.struct_field(point, "y")
    columns["hasChildren"] = pc.if_else(children.is_null(), pa.scalar(None, pa.bool_()), pa.scalar(value=False))
    columns["mlTask"] = _tasks(columns, polygons, tasks[job] if tasks else None)
    columns["kind"], columns["job"] = pa.repeat(ANNOTATION, len(items)), pa.repeat(job, len(items))
    mask = pa.array(keep)
    return {name: column.filter(mask) for name, column in columns.items()}, parents[keep]


def _first_of(lists: pa.ListArray, key: str, keep: Flags) -> pa.Array:
    """Return a field of the first item of each list; only those that are kept are known to have one at most."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths) - lengths
    values = pc.struct_field(pc.list_flatten(lists), key)
    return values.take(pa.array(starts, pa.int64(), mask=(lengths == 0) | ~keep))


def _rings(polygons: pa.ListArray) -> pa.ListArray:
    lines = pc.struct_field(polygons.values, "normalizedVertices")
    mask = polygons.is_null() if polygons.null_count else None
    return pa.ListArray.from_arrays(polygons.offsets, lines, type=pa.list_(RING), mask=mask)


def _tasks(columns: Columns, polygons: pa.Array, known: str | None) -> pa.Array:
    """Return the ML task of each annotation: the known one, or the one that its structure tells."""
    length = len(polygons)
    if known:
        return pa.repeat(known, length)
    text = pc.or_(columns["beginOffset"].is_valid(), columns["beginId"].is_valid())
    drawn = polygons.is_valid()
    for name in ("tool", "polyline", "x"):
        drawn = pc.or_(drawn, columns[name].is_valid())
    unknown = pa.scalar(None, pa.string())
    return pc.if_else(text, "NAMED_ENTITIES_RECOGNITION", pc.if_else(drawn, "OBJECT_DETECTION", unknown))
