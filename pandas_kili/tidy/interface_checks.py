"""Rows of annotations held to what a project asks: all misfits at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.messages import did_you_mean, nearest
from pandas_kili.tidy.answers.schema import (
    ANNOTATION,
    CATEGORY,
    CHOICE,
    JOB,
    LABEL,
    RANK,
    TEXT,
    UNREADABLE,
)
from pandas_kili.tidy.jobs import Category, Job
from pandas_kili.tidy.shape_checks import CheckedRows, Misfit

Columns = Mapping[str, pa.Array]
Flags = npt.NDArray[np.bool_]

# Kili's own jobs, which no interface holds.
IGNORED_JOBS = frozenset({"ROTATION_JOB", "ANNOTATION_JOB_COUNTER", "ANNOTATION_NAMES_JOB"})
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
_FEW = 5  # names in a hint
# What makes a row a relation, a span of text or a drawing: a bit of its structure, and the columns that set it.
_RELATED, _SPAN, _DRAWN = 1, 2, 4
_STRUCTURE = {
    _RELATED: ("startMids", "endMids"),
    _SPAN: ("beginOffset", "beginId", "content"),
    _DRAWN: ("rings", "x", "polyline", "points", "xmin"),
}
_RELATIONS = frozenset({"NAMED_ENTITIES_RELATION", "OBJECT_RELATION"})


def interface_misfits(columns: Columns, length: int, jobs: Mapping[str, Job], labels: pa.Array) -> Iterator[Misfit]:
    """Yield what a project does not ask: unknown jobs and categories, other tasks and tools, too many classes.

    Parameters
    ----------
    columns, length
        As for `shape_misfits`.
    jobs : mapping of str to Job
        The questions of the project.
    labels : pyarrow.Array
        The label of each row.
    """
    rows = CheckedRows(columns, length)
    structure = np.zeros(length, np.int64)
    for bit, names in _STRUCTURE.items():
        for name in names:
            if name in rows:
                structure |= bit * rows.there(name).astype(np.int64)
    structured = CheckedRows({**columns, "structure": pa.array(structure)}, length)
    numbers, combinations = structured.codes(
        "kind", "job", "parentJob", "parentCategories", "tool", "category", "structure"
    )
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
    yield from _number_misfits(rows, jobs)
    yield from _pose_misfits(rows, jobs)


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
    return did_you_mean(near, "; did") or f": {', '.join(list(known)[:_FEW])}{', …' if len(known) > _FEW else ''}"


def _too_many(rows: CheckedRows, jobs: Mapping[str, Job], labels: pa.Array) -> Iterator[Misfit]:
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


def _relation_misfits(rows: CheckedRows, jobs: Mapping[str, Job], labels: pa.Array) -> Iterator[Misfit]:
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
        relation = _category_of(row, rows, jobs)
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


def _category_of(row: int, rows: CheckedRows, jobs: Mapping[str, Job]) -> Category | None:
    """Return what the interface says of a row's category."""
    job = jobs.get(rows.at("job", row) or "")
    return job.categories.get(rows.at("category", row) or "") if job else None


def _number_misfits(rows: CheckedRows, jobs: Mapping[str, Job]) -> Iterator[Misfit]:
    """Yield texts that are no numbers where numbers are asked."""
    numeric = [name for name, job in jobs.items() if job.input == "number"]
    if "text" not in rows or not numeric:
        return
    asked = pc.and_(rows["text"].is_valid(), pc.is_in(rows["job"], pa.array(numeric, pa.string())))
    for row in np.flatnonzero(asked.to_numpy(zero_copy_only=False)).tolist():
        text = rows.at("text", row)
        try:
            float(text)
        except ValueError:
            yield Misfit(row, "text", f"expected a number for job {rows.at('job', row)!r}", text)


def _pose_misfits(rows: CheckedRows, jobs: Mapping[str, Job]) -> Iterator[Misfit]:
    """Yield points that a pose does not have."""
    if "points" not in rows:
        return
    for row in np.flatnonzero(rows.there("points")).tolist():
        pose = _category_of(row, rows, jobs)
        codes = {code: "" for code, _ in pose.points} if pose else {}
        for point in rows.at("points", row) if codes else ():
            if point["code"] not in codes:
                hint = _hint(str(point["code"]), codes)
                yield Misfit(row, "points", f"expected a point of the pose{hint}", point["code"])


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
    rows = CheckedRows(columns, length)
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
    rows: CheckedRows, of_label: list[Any], job_of: list[Any], below: Mapping[tuple[str, str], list[str]]
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
    beside = {  # children of the job itself, beside its categories
        (label, job, tuple(path or ())[-1:])
        for label, job, parent, path, kind in zip(of_label, job_of, parents, above, kinds, strict=True)
        if kind != JOB and (label, parent) in rests
    }
    for label, job, category, number, kind in zip(of_label, job_of, classes, numbers, kinds, strict=True):
        for child in below.get((job, category), ()) if kind in {ANNOTATION, CATEGORY} else ():
            if (label, number, child) not in given and (label, child, (category,)) not in beside:
                yield label, f"{job}/{category}/{child}"
