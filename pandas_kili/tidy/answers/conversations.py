"""Answers about conversations: Kili serves them as annotations with values, beside an answer that holds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pandas_kili.tidy.answers.json_values import parse


def answer_of(annotations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return annotations as one answer, as the official SDK puts them together.

    Parameters
    ----------
    annotations : iterable of mapping
        Each with ``id``, ``job``, ``path`` (pairs of the annotation and the category above) and ``annotationValue``,
        the last two as JSON text.

    Raises
    ------
    ValueError
        For texts that are no JSON.
    """
    read = [
        {**each, "path": parse(each["path"] or "[]"), "value": parse(each["annotationValue"] or "{}")}
        for each in annotations
    ]
    return _jobs([each for each in read if not each["path"]], read)


def _jobs(found: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    jobs: dict[str, dict[str, Any]] = {}
    for each in found:
        job, value = jobs.setdefault(each["job"], {}), each["value"]
        for name in value.get("categories") or ():
            below = [other for other in others if other["path"] == [*each["path"], [each["id"], name]]]
            children = _jobs(below, others)
            job.setdefault("categories", []).append({"name": name, **({"children": children} if children else {})})
        if "orders" in value:
            job["orders"] = sorted(value["orders"], key=lambda order: int(order["rank"]))
        job.update({key: value[key] for key in ("choice", "text") if key in value})
    return jobs
