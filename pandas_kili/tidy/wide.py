"""One row a label, one column a job: the answers as most models and tables want them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, RANK, TEXT
from pandas_kili.tidy.jobs import Job

_IDENTITY = ("assetId", "externalId", "labelId", "labelType", "author", "modelName", "createdAt", "stepName")


def wide_columns(
    annotations: Mapping[str, pa.Array], label_of: Collection[int], labels: int, jobs: Mapping[str, Job] | None
) -> dict[str, pa.Array]:
    """Return a column per job, with a value per label.

    Parameters
    ----------
    annotations : mapping of str to pyarrow.Array
        Columns of annotations.
    label_of : collection of int
        Position of the label of each row.
    labels : int
        How many labels there are.
    jobs : mapping of str to Job, optional
        The questions of the project: all of them become columns, and those of several classes lists in any case.
    """
    names = ("kind", "job", "category", "text", "elements")
    nothing = [None] * len(label_of)
    values = [annotations[name].to_pylist() if name in annotations else nothing for name in names]
    found: dict[str, dict[int, list[Any]]] = {name: defaultdict(list) for name in jobs or ()}
    lists = {name for name, job in (jobs or {}).items() if job.multiple or job.tools}
    for label, kind, job, category, text, elements in zip(label_of, *values, strict=True):
        if kind not in {ANNOTATION, CATEGORY, CHOICE, RANK, TEXT}:
            continue
        said = {TEXT: [text], RANK: elements or []}.get(kind, [] if category is None else [category])
        cell = found.setdefault(job, defaultdict(list))[label]
        if kind in {ANNOTATION, RANK}:
            lists.add(job)
            cell += said
        else:
            cell += [each for each in said if each not in cell]  # frames of a video say the same again
            if len(cell) > 1:
                lists.add(job)
    columns: dict[str, pa.Array] = {}
    for job, cells in found.items():
        name = f"{job} (job)" if job in _IDENTITY else job
        values = [cells.get(label) for label in range(labels)]
        if job in lists:
            columns[name] = pa.array(values, pa.list_(pa.string()))
        else:
            columns[name] = pa.array([value[0] if value else None for value in values], pa.string())
    return columns


def identifying(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Return the columns that identify a label: its asset, its author, its type."""
    return {name: columns[name] for name in _IDENTITY if name in columns}
