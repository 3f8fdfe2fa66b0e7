"""How far answers agree, as marks from 0 to 1: an approximation of Kili's formulas, which are not published in full.

The likeness of two answers is the mean over the jobs that either of them has:

* classes: those chosen by both, as a share of those chosen by either;
* boxes and shapes: overlap of bounding boxes of one class, matched one to one, as a share of the larger number;
* spans of text: those equal in class and place, as a share of those in either;
* texts: 1 where they are equal, else 0;
* a job that only one of them answers: 0.

The consensus mark of an asset is the mean likeness of its labelers' latest answers, two by two. Its honeypot mark is
the mean likeness to the known answer, its inference mark the mean likeness to the latest prediction. Each label has the
marks of its own answer.
"""

from __future__ import annotations

import itertools
import json
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.store import one_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pandas_kili.sandbox.store import Row, Store

__all__ = ["likeness", "update_marks"]

_MARKED = (
    "isUsedForConsensus OR isHoneypot OR EXISTS (SELECT 1 FROM labels"
    " WHERE assetId = assets.id AND labelType IN ('PREDICTION', 'INFERENCE'))"
)


def update_marks(store: Store, asset_ids: Collection[str]) -> None:
    """Compute the marks of assets that have just received labels, and those of their labels."""
    assets = store.rows(
        f"SELECT id, isUsedForConsensus FROM assets WHERE id IN (SELECT value FROM json_each(?)) AND ({_MARKED})",
        (one_of(asset_ids),),
    )
    for asset in assets:
        labels = store.rows("SELECT * FROM labels WHERE assetId = ? ORDER BY createdAt, rank", (asset["id"],))
        _mark(store, asset, labels)


def _mark(store: Store, asset: Row, labels: list[Row]) -> None:
    people = {label["authorId"]: label for label in labels if label["labelType"] == "DEFAULT"}
    known = [label for label in labels if label["isHoneypot"] and label["labelType"] == "REVIEW"]
    predicted = [label for label in labels if label["labelType"] in {"PREDICTION", "INFERENCE"}]
    marks: dict[str, dict[str, float]] = {}
    if asset["isUsedForConsensus"] and len(people) > 1:
        marks["consensusMark"] = _mean_of_pairs(people)
    for name, references in {"honeypotMark": known, "inferenceMark": predicted}.items():
        if references and people:
            reference = json.loads(references[-1]["jsonResponse"])
            marks[name] = {
                label["id"]: likeness(json.loads(label["jsonResponse"]), reference) for label in people.values()
            }
    for name, by_label in marks.items():
        store.change(f"UPDATE assets SET {name} = ? WHERE id = ?", (fmean(by_label.values()), asset["id"]))
        for label_id, mark in by_label.items():
            store.change(f"UPDATE labels SET {name} = ? WHERE id = ?", (mark, label_id))


def _mean_of_pairs(people: dict[str, Row]) -> dict[str, float]:
    answers = {label["id"]: json.loads(label["jsonResponse"]) for label in people.values()}
    pairs = {frozenset(pair): likeness(*(answers[one] for one in pair)) for pair in itertools.combinations(answers, 2)}
    return {one: fmean(mark for pair, mark in pairs.items() if one in pair) for one in answers}


def likeness(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return how alike two answers are, from 0 to 1; two empty ones are equal."""
    jobs = sorted({*one, *other} - {"ROTATION_JOB"})
    return fmean(_likeness_of_job(one.get(job), other.get(job)) for job in jobs) if jobs else 1.0


def _likeness_of_job(one: Any, other: Any) -> float:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return 0.0
    if "categories" in one or "categories" in other:
        return _share(_names(one), _names(other))
    if "annotations" in one or "annotations" in other:
        return _likeness_of_objects(one.get("annotations") or [], other.get("annotations") or [])
    return float(one.get("text") == other.get("text"))


def _likeness_of_objects(one: list[Row], other: list[Row]) -> float:
    if not one and not other:
        return 1.0
    if not any(_box(each) for each in (*one, *other)):
        return _share(map(_span, one), map(_span, other))
    overlaps = sorted(
        (
            (_overlap(_box(a), _box(b)), i, j)
            for i, a in enumerate(one)
            for j, b in enumerate(other)
            if _names(a) == _names(b)
        ),
        reverse=True,
    )
    total, left, right = 0.0, set[int](), set[int]()
    for overlap, i, j in overlaps:
        if i not in left and j not in right:
            total += overlap
            left.add(i)
            right.add(j)
    return total / max(len(one), len(other))


def _names(answer: Row) -> frozenset[str]:
    return frozenset(str(each.get("name")) for each in answer.get("categories") or () if isinstance(each, dict))


def _span(annotation: Row) -> tuple[Any, ...]:
    place = annotation.get("beginOffset"), annotation.get("endOffset"), annotation.get("content")
    return (_names(annotation), *place)


def _share(one: Iterable[Any], other: Iterable[Any]) -> float:
    first, second = frozenset(one), frozenset(other)
    return len(first & second) / len(first | second) if first | second else 1.0


def _box(annotation: Row) -> tuple[float, float, float, float] | None:
    """Return the bounding box of a shape: left, top, right, bottom."""
    try:
        points = [(p["x"], p["y"]) for ring in annotation["boundingPoly"] for p in ring["normalizedVertices"]]
        xs, ys = zip(*points, strict=True)
    except (KeyError, TypeError, ValueError):
        return None
    return min(xs), min(ys), max(xs), max(ys)


def _overlap(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> float:
    """Return intersection over union of two boxes."""
    if one is None or other is None:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)
