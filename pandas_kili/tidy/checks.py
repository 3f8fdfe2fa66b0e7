"""Rows of annotations held to what a project asks, and to what a shape must be: all misfits at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.messages import nearest
from pandas_kili.tidy.answers.geometry import is_number
from pandas_kili.tidy.answers.json_values import parse
from pandas_kili.tidy.answers.schema import (
    ANNOTATION,
    ANNOTATION_SCHEMA,
    CATEGORY,
    CHOICE,
    JOB,
    LABEL,
    RANK,
    TEXT,
    TOOLS,
    UNREADABLE,
)
from pandas_kili.tidy.jobs import Job

Coordinates = Literal["shares", "degrees"]
Columns = Mapping[str, pa.Array]
Flags = npt.NDArray[np.bool_]

IGNORED_JOBS = frozenset(
    {"ROTATION_JOB", "ANNOTATION_JOB_COUNTER", "ANNOTATION_NAMES_JOB"}
)  # Kili's own, in no interface
_KINDS = {
    "CLASSIFICATION": CATEGORY,
    "PAGE_LEVEL_CLASSIFICATION": CATEGORY,
    "TRANSCRIPTION": TEXT,
    "PAGE_LEVEL_TRANSCRIPTION": TEXT,
    "COMPARISON": CHOICE,
    "RANKING": RANK,
    "OBJECT_DETECTION": ANNOTATION,
    "POSE_ESTIMATION": ANNOTATION,
    "NAMED_ENTITIES_RECOGNITION": ANNOTATION,
    "SPEECH_TO_TEXT": ANNOTATION,
    "NAMED_ENTITIES_RELATION": ANNOTATION,
    "OBJECT_RELATION": ANNOTATION,
}
_SAID = {
    ANNOTATION: "annotations",
    CATEGORY: "categories",
    TEXT: "a text",
    CHOICE: "a comparison",
    RANK: "a ranking",
}
_RELATIONS = frozenset({"NAMED_ENTITIES_RELATION", "OBJECT_RELATION"})
_CLOSED = frozenset({"rectangle", "polygon", "semantic"})
_BEYOND = 1e-6  # how far beyond the picture a share may be: what arithmetic leaves behind
_BOX = ("xmin", "ymin", "xmax", "ymax")


class Misfit(NamedTuple):
    """A value that does not fit: in which row and column, and what was expected."""

    row: int
    column: str
    check: str
    value: Any


class _Rows:
    """Columns of annotations; those that are not there are null."""

    def __init__(self, columns: Columns, length: int) -> None:
        self._columns, self.length = columns, length

    def __contains__(self, name: str) -> bool:
        return name in self._columns and self._columns[name].null_count < self.length

    def __getitem__(self, name: str) -> pa.Array:
        if name in self._columns:
            return self._columns[name]
        return pa.nulls(self.length, ANNOTATION_SCHEMA.field(name).type)

    def there(self, name: str) -> Flags:
        """Return which rows have a value."""
        flags: Flags = self[name].is_valid().to_numpy(zero_copy_only=False)
        return flags

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column of numbers, NaN for null."""
        numbers: npt.NDArray[np.float64] = self[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers

    def at(self, name: str, row: int) -> Any:
        """Return one value."""
        return self[name][row].as_py() if name in self._columns else None

    def codes(self, *names: str) -> tuple[npt.NDArray[np.int64], list[tuple[Any, ...]]]:
        """Return for each row the number of its combination of values, and these combinations."""
        combined = np.zeros(self.length, np.int64)
        values: list[list[Any]] = []
        for name in names:
            column = self[name]
            if pa.types.is_list(column.type):  # only the innermost category decides
                column = _last(column)
            encoded = column.dictionary_encode(null_encoding="encode")
            values.append(encoded.dictionary.to_pylist())
            combined = combined * max(len(values[-1]), 1) + encoded.indices.to_numpy(zero_copy_only=False)
        distinct, numbers = np.unique(combined, return_inverse=True)
        places = np.unravel_index(distinct, [max(len(choices), 1) for choices in values])
        combinations = list(
            zip(*([choices[at] for at in place] for choices, place in zip(values, places, strict=True)), strict=True)
        )
        return numbers, combinations


def _last(lists: pa.Array) -> pa.Array:
    """Return the last item of each list."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths) - 1
    return pc.list_flatten(lists).take(pa.array(ends, pa.int64(), mask=lengths == 0))


def shape_misfits(columns: Columns, length: int, coordinates: Coordinates = "shares") -> Iterator[Misfit]:
    """Yield what is wrong with rows whatever the project asks: shapes, offsets, pages, confidences.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Columns of annotations, of the types of `ANNOTATION_SCHEMA`.
    length : int
        Number of rows.
    coordinates : {"shares", "degrees"}
        Whether shapes are drawn on pictures, in shares of width and height, or on maps, in longitude and latitude.
    """
    rows = _Rows(columns, length)
    for row in np.flatnonzero(rows.there("problem")).tolist():
        yield Misfit(row, "extra", f"expected a known structure: {rows.at('problem', row)}", rows.at("extra", row))
    yield from _outside(rows, "confidence", 0, 100, "a confidence from 0 to 100, in percent")
    yield from _outside(rows, "page", 1, np.inf, "a page from 1")
    yield from _outside(rows, "frame", 0, np.inf, "a frame from 0")
    yield from _outside(rows, "beginOffset", 0, np.inf, "an offset from 0")
    yield from _order(rows, "beginOffset", "endOffset", "an end at or after the beginning", same_block=True)
    yield from _order(rows, "rangeStart", "rangeEnd", "an end at or after the beginning")
    yield from _order(rows, "xmin", "xmax", "xmax at or right of xmin")
    yield from _order(rows, "ymin", "ymax", "ymax at or below ymin")
    limits = (
        {"x": (0.0, 1.0), "y": (0.0, 1.0)} if coordinates == "shares" else {"x": (-180.0, 180.0), "y": (-90.0, 90.0)}
    )
    for side, (least, most) in limits.items():
        name = (
            "a share of the picture, from 0 to 1" if coordinates == "shares" else f"degrees from {least:g} to {most:g}"
        )
        for column in (f"{side}min", f"{side}max", side):
            yield from _outside(rows, column, least - _BEYOND, most + _BEYOND, name)
        for column in ("rings", "polyline", "points"):
            yield from _vertices_outside(rows, column, side, least - _BEYOND, most + _BEYOND, name)
        yield from _areas_outside(rows, side, least - _BEYOND, most + _BEYOND, name)
    yield from _corners(rows)


def _outside(rows: _Rows, name: str, least: float, most: float, expected: str) -> Iterator[Misfit]:
    if name in rows:
        numbers = rows.numbers(name)
        for row in np.flatnonzero((numbers < least) | (numbers > most)).tolist():
            yield Misfit(row, name, f"expected {expected}", rows.at(name, row))


def _order(rows: _Rows, first: str, last: str, expected: str, *, same_block: bool = False) -> Iterator[Misfit]:
    if first in rows and last in rows:
        wrong = rows.numbers(first) > rows.numbers(last)
        for row in np.flatnonzero(wrong).tolist():
            if not same_block or rows.at("beginId", row) == rows.at("endId", row):
                yield Misfit(row, last, f"expected {expected} ({rows.at(first, row)!r})", rows.at(last, row))


def _vertices_outside(
    rows: _Rows, column: str, side: str, least: float, most: float, expected: str
) -> Iterator[Misfit]:
    if column not in rows:
        return
    lists = rows[column]
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(lists)
    if column == "rings":
        parents = parents[pc.list_parent_indices(flat).to_numpy(zero_copy_only=False)]
        flat = pc.list_flatten(flat)
    numbers = pc.struct_field(flat, side).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((numbers < least) | (numbers > most))
    firsts, at = np.unique(parents[wrong], return_index=True)
    for row, number in zip(firsts.tolist(), numbers[wrong[at]].tolist(), strict=True):
        if column != "rings" or rows.at(f"{side}min", row) is None:  # else the box around them has said it
            yield Misfit(row, column, f"expected {expected}, as {side} of each vertex", number)


def _corners(rows: _Rows) -> Iterator[Misfit]:
    """Yield outlines of rectangles that have not four corners, and of polygons that have fewer than three."""
    if "rings" not in rows or "tool" not in rows:
        return
    lists = rows["rings"]
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    counts = pc.list_value_length(pc.list_flatten(lists)).to_numpy(zero_copy_only=False)
    tools = pc.utf8_lower(rows["tool"])
    for tool, wrong, expected in (
        ("rectangle", counts != 4, "four corners"),  # noqa: PLR2004 - as said beside it
        ("polygon", counts < 3, "at least three corners"),  # noqa: PLR2004 - as said beside it
    ):
        is_tool = pc.fill_null(pc.equal(tools, tool), fill_value=False).to_numpy(zero_copy_only=False)
        found = np.flatnonzero(wrong & is_tool[parents])
        firsts, at = np.unique(parents[found], return_index=True)
        for row, count in zip(firsts.tolist(), counts[found[at]].tolist(), strict=True):
            yield Misfit(row, "rings", f"expected {expected}, as a {tool} has", count)


def _areas_outside(rows: _Rows, side: str, least: float, most: float, expected: str) -> Iterator[Misfit]:
    """Yield vertices of the areas of documents that no column holds."""
    if "extra" not in rows:
        return
    holds = pc.fill_null(pc.match_substring(rows["extra"], '"normalizedVertices"'), fill_value=False)
    for row in np.flatnonzero(holds.to_numpy(zero_copy_only=False)).tolist():
        numbers = [value for key, value in _leaves(_areas(rows.at("extra", row))) if key == side and is_number(value)]
        wrong = [number for number in numbers if not least <= number <= most]
        if wrong:
            yield Misfit(row, "extra", f"expected {expected}, as {side} of each vertex of its areas", wrong[0])


def _areas(extra: str) -> Any:
    try:
        found = parse(extra)
    except (ValueError, RecursionError):  # said elsewhere
        return None
    return found.get("annotations") if type(found) is dict else None


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values within a JSON value, each with the key that it stands under."""
    if type(value) is dict:
        for name, held in value.items():
            yield from _leaves(held, name)
    elif type(value) is list:
        for held in value:
            yield from _leaves(held, key)
    else:
        yield key, value


def interface_misfits(columns: Columns, length: int, jobs: Mapping[str, Job], labels: pa.Array) -> Iterator[Misfit]:
    """Yield what a project does not ask: unknown jobs and categories, other tasks and tools, too many classes.

    Parameters
    ----------
    columns, length
        As for `shape_misfits`.
    jobs : mapping of str to Job
        The questions of the project.
    labels : pyarrow.Array
        Of which label each row is.
    """
    rows = _Rows(columns, length)
    structure = np.zeros(length, np.int64)
    for bit, names in enumerate((("startMids", "endMids"), ("beginOffset", "beginId", "content"), _SHAPE_COLUMNS)):
        for name in names:
            if name in rows:
                structure |= rows.there(name).astype(np.int64) << bit
    inner = _Rows({**dict(columns), "row": pa.array(structure)}, length)
    numbers, combinations = inner.codes("kind", "job", "parentJob", "parentCategories", "tool", "category", "row")
    misfitting = {
        number: misfits
        for number, combination in enumerate(combinations)
        if (misfits := list(_combination_misfits(jobs, *combination)))
    }
    for row in np.flatnonzero(np.isin(numbers, list(misfitting))).tolist():
        for column, check in misfitting[numbers[row]]:
            yield Misfit(row, column, check, rows.at(column, row))
    yield from _too_many(rows, jobs, labels)
    yield from _relation_misfits(rows, jobs, labels)
    yield from _value_misfits(rows, jobs)


_SHAPE_COLUMNS = ("rings", "x", "polyline", "points", "xmin")
_RELATED, _SPAN, _DRAWN = 1, 2, 4


def _combination_misfits(
    jobs: Mapping[str, Job],
    kind: str,
    name: str | None,
    parent: str | None,
    parent_category: str | None,
    tool: str | None,
    category: str | None,
    structure: int,
) -> Iterator[tuple[str, str]]:
    """Yield column and expectation for rows that have these names in common."""
    if kind in {LABEL, UNREADABLE} or name in IGNORED_JOBS or name is None:
        return
    job = jobs.get(name)
    if job is None:
        yield "job", f"expected a job of the project{_hint(name, jobs)}"
        return
    yield from _place_misfits(job, parent, parent_category)
    if kind == JOB:
        return
    expected = _KINDS.get(job.task, kind)
    if kind != expected:
        yield "kind", f"expected {_SAID[expected]} for job {name!r} ({job.task}); got {_SAID[kind]}"
        return
    if kind == ANNOTATION:
        yield from _annotation_misfits(job, tool, structure)
    if job.categories and kind in {ANNOTATION, CATEGORY}:
        if category is None and not (kind == ANNOTATION and job.task == "SPEECH_TO_TEXT"):
            yield "category", f"expected a category of job {name!r}"
        elif category is not None and category not in job.categories:
            yield "category", f"expected a category of job {name!r}{_hint(category, job.categories)}"


def _place_misfits(job: Job, parent: str | None, parent_category: str | None) -> Iterator[tuple[str, str]]:
    above = dict(job.parents)
    if parent == job.name:  # words of speech stand below their own job
        return
    if parent is None:
        if above:
            yield "job", f"expected below job {' or '.join(map(repr, above))}"
    elif parent not in above:
        where = f"below job {' or '.join(map(repr, above))}" if above else "beside the others, below no job"
        yield "parentJob", f"expected job {job.name!r} {where}"
    elif parent_category is not None and parent_category not in above[parent]:
        names = " or ".join(map(repr, above[parent]))
        yield "parentCategories", f"expected job {job.name!r} below category {names} of job {parent!r}"


def _annotation_misfits(job: Job, tool: str | None, structure: int) -> Iterator[tuple[str, str]]:
    if job.task in _RELATIONS:
        if not structure & _RELATED:
            yield "startMids", f"expected the ends of a relation for job {job.name!r} ({job.task})"
    elif job.task == "OBJECT_DETECTION":
        if structure & _RELATED or not structure & _DRAWN:
            yield "tool", f"expected a shape for job {job.name!r} (OBJECT_DETECTION)"
        known = (tool or "").lower()
        is_pose_point = known == "marker" and "pose" in job.tools
        if tool is not None and job.tools and known not in job.tools and not is_pose_point:
            yield "tool", f"expected a tool of job {job.name!r}: {', '.join(job.tools)}"
    elif job.task == "NAMED_ENTITIES_RECOGNITION" and not structure & (_SPAN | _DRAWN):
        yield "beginOffset", f"expected a span of text for job {job.name!r} (NAMED_ENTITIES_RECOGNITION)"


def _hint(name: str, known: Mapping[str, Any]) -> str:
    near = nearest(name, known)
    if near:
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f": {', '.join(list(known)[:_FEW])}{', …' if len(known) > _FEW else ''}"


_FEW = 5


def _too_many(rows: _Rows, jobs: Mapping[str, Job], labels: pa.Array) -> Iterator[Misfit]:
    """Yield classes beyond the first, of jobs that take one, and those said twice, of jobs that take several."""
    closed = [name for name, job in jobs.items() if job.categories and job.input]
    is_class = pc.and_(pc.equal(rows["kind"], CATEGORY), pc.is_in(rows["job"], pa.array(closed, pa.string())))
    at = np.flatnonzero(pc.fill_null(is_class, fill_value=False).to_numpy(zero_copy_only=False))
    if not len(at):
        return
    chosen = pa.array(at)
    places = [rows[name].take(chosen).to_pylist() for name in ("parentRow", "parentPoint", "frame", "level")]
    names, classes = (rows[name].take(chosen).to_pylist() for name in ("job", "category"))
    seen: set[tuple[Any, ...]] = set()
    for row, label, name, category, *place in zip(
        at.tolist(), labels.take(chosen).to_pylist(), names, classes, *places, strict=True
    ):
        several = jobs[name].multiple
        key = (label, name, category if several else None, *place)
        if key in seen:
            expected = "each class once" if several else "one class"
            yield Misfit(row, "category", f"expected {expected} for job {name!r}", category)
        seen.add(key)


def _relation_misfits(rows: _Rows, jobs: Mapping[str, Job], labels: pa.Array) -> Iterator[Misfit]:
    """Yield ends of relations that are no annotations of the same label, or of a category that may not be there."""
    if "startMids" not in rows and "endMids" not in rows:
        return
    at = np.flatnonzero(rows.there("startMids") | rows.there("endMids")).tolist()
    of_label = labels.to_pylist()
    concerned = {of_label[row] for row in at}
    categories: dict[Any, dict[str, str | None]] = defaultdict(dict)
    for label, mid, category in zip(of_label, rows["mid"].to_pylist(), rows["category"].to_pylist(), strict=True):
        if label in concerned and mid is not None:
            categories[label][mid] = category
    for row in at:
        job = jobs.get(rows.at("job", row) or "")
        relation = job.categories.get(rows.at("category", row) or "") if job else None
        for column, allowed in (
            ("startMids", relation.starts if relation else ()),
            ("endMids", relation.ends if relation else ()),
        ):
            known = categories[of_label[row]]
            for mid in rows.at(column, row) or ():
                if mid not in known:
                    yield Misfit(row, column, "expected the mid of an annotation of the same label", mid)
                elif allowed and known[mid] not in allowed:
                    yield Misfit(
                        row, column, f"expected an annotation of category {' or '.join(map(repr, allowed))}", mid
                    )


def _value_misfits(rows: _Rows, jobs: Mapping[str, Job]) -> Iterator[Misfit]:
    """Yield texts that are no numbers where numbers are asked, and points that a pose does not have."""
    numeric = [name for name, job in jobs.items() if job.input == "number"]
    if "text" in rows and numeric:
        asked = pc.and_(rows["text"].is_valid(), pc.is_in(rows["job"], pa.array(numeric, pa.string())))
        for row in np.flatnonzero(asked.to_numpy(zero_copy_only=False)).tolist():
            text = rows.at("text", row)
            try:
                float(text)
            except ValueError:
                yield Misfit(row, "text", f"expected a number for job {rows.at('job', row)!r}", text)
    if "points" in rows:
        for row in np.flatnonzero(rows.there("points")).tolist():
            job = jobs.get(rows.at("job", row) or "")
            pose = job.categories.get(rows.at("category", row) or "") if job else None
            codes = {code: "" for code, _ in pose.points} if pose else {}
            for point in rows.at("points", row) if codes else ():
                if point["code"] not in codes:
                    yield Misfit(
                        row, "points", f"expected a point of the pose{_hint(str(point['code']), codes)}", point["code"]
                    )


def missing_answers(
    columns: Columns, length: int, jobs: Mapping[str, Job], labels: pa.Array, names: Sequence[Any]
) -> Iterator[tuple[Any, str]]:
    """Yield the labels that lack a required answer, each with the job: ``"JOB"``, or ``"JOB/CATEGORY/CHILD"``.

    Parameters
    ----------
    columns, length, jobs, labels
        As for `interface_misfits`.
    names : sequence
        All labels, those without rows too.
    """
    rows = _Rows(columns, length)
    of_label = labels.to_pylist()
    kinds, job_of = rows["kind"].to_pylist(), rows["job"].to_pylist()
    required = [job for job in jobs.values() if job.required]
    top = [job.name for job in required if not job.parents]
    if top:
        answered = {
            (label, job)
            for label, job, kind in zip(of_label, job_of, kinds, strict=True)
            if kind not in {JOB, LABEL, UNREADABLE}
        }
        unreadable = {label for label, kind in zip(of_label, kinds, strict=True) if kind == UNREADABLE}
        for label in names:
            if label not in unreadable:
                yield from ((label, job) for job in top if (label, job) not in answered)
    below: dict[tuple[str, str], list[str]] = defaultdict(list)
    for job in required:
        for parent, categories in job.parents:
            for category in categories:
                below[parent, category].append(job.name)
    if below:
        yield from _missing_below(rows, of_label, job_of, below)


def _missing_below(
    rows: _Rows, of_label: list[Any], job_of: list[Any], below: Mapping[tuple[str, str], list[str]]
) -> Iterator[tuple[Any, str]]:
    kinds, numbers, parents = (rows[name].to_pylist() for name in ("kind", "row", "parentRow"))
    classes = rows["category"].to_pylist()
    above = rows["parentCategories"].to_pylist()
    given = {
        (label, parent, job)
        for label, parent, job, kind in zip(of_label, parents, job_of, kinds, strict=True)
        if parent is not None and kind != JOB
    }
    rests = {(label, number) for label, number, kind in zip(of_label, numbers, kinds, strict=True) if kind == JOB}
    beside = {  # children that hang on the job, beside its categories
        (label, job, tuple(path or ())[-1:])
        for label, job, parent, path, kind in zip(of_label, job_of, parents, above, kinds, strict=True)
        if kind != JOB and (label, parent) in rests
    }
    for label, job, category, number, kind in zip(of_label, job_of, classes, numbers, kinds, strict=True):
        for child in below.get((job, category), ()) if kind in {ANNOTATION, CATEGORY} else ():
            if (label, number, child) not in given and (label, child, (category,)) not in beside:
                yield label, f"{job}/{category}/{child}"


def tool_misfits(columns: Columns, length: int) -> Iterator[Misfit]:
    """Yield tools that there are not, and shapes that are not those of their tool or not whole.

    What the reader of answers gives has been drawn in Kili, or is kept as it was; this is for rows of other makers.
    """
    rows = _Rows(columns, length)
    tools = pc.utf8_lower(rows["tool"]).to_pylist() if "tool" in rows else [None] * length
    there = {
        name: rows.there(name) for name in ("rings", "x", "y", "polyline", "points", *_BOX, "rangeStart", "rangeEnd")
    }
    edges = np.sum([there[name] for name in _BOX], axis=0)
    for row in np.flatnonzero((edges > 0) & (edges < len(_BOX))).tolist():
        missing = [name for name in _BOX if not there[name][row]]
        yield Misfit(row, missing[0], "expected xmin, ymin, xmax and ymax, or none of them", None)
    for first, second in (("x", "y"), ("rangeStart", "rangeEnd")):
        for row in np.flatnonzero(there[first] & ~there[second]).tolist():
            yield Misfit(row, second, f"expected both {first} and {second}", None)
        for row in np.flatnonzero(~there[first] & there[second]).tolist():
            yield Misfit(row, first, f"expected both {first} and {second}", None)
    closed, boxed = there["rings"], edges > 0
    needs = {
        **dict.fromkeys(_CLOSED, ("rings", "rings: the outline, then its holes", closed)),
        "rectangle": ("xmin", "xmin, ymin, xmax and ymax, or rings", closed | boxed),
        "marker": ("x", "x and y", there["x"] | there["y"]),
        "polyline": ("polyline", "a polyline", there["polyline"]),
        "vector": ("polyline", "a polyline", there["polyline"]),
        "pose": ("points", "points", there["points"]),
        "range": ("rangeStart", "rangeStart and rangeEnd", there["rangeStart"] | there["rangeEnd"]),
    }
    for row, tool in enumerate(tools):
        if tool is None:
            continue
        if tool not in TOOLS:
            yield Misfit(row, "tool", f"expected one of {', '.join(TOOLS)}{_near(tool)}", rows.at("tool", row))
        elif not needs[tool][2][row]:
            column, shape, _ = needs[tool]
            yield Misfit(row, column, f"expected {shape} for a {tool}", None)


def _near(tool: str) -> str:
    found = nearest(tool, TOOLS, most=1)
    return f"; did you mean {found[0]!r}?" if found else ""
