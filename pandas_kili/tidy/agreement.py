"""Who agrees with whom: the answers of labelers about the same assets, side by side."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.messages import warn
from pandas_kili.tidy.annotations import annotations_table
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, RANK, TEXT, UNREADABLE
from pandas_kili.tidy.assignment import assign
from pandas_kili.tidy.labels import holds_assets, labels_table, lacking
from pandas_kili.tidy.people import SUBMITTED, labeler_names, latest_of_each, of_types

_BOX = ("xmin", "ymin", "xmax", "ymax")
_SPAN = ("beginId", "beginOffset", "endId", "endOffset", "category")
_NEEDED = (
    *("kind", "job", "mlTask", "parentMid", "frame", "page", "category", "text", "rank", "elements"),
    *("firstId", "secondId", "beginId", "beginOffset", "endId", "endOffset", "xmin", "ymin", "xmax", "ymax"),
)
_SCHEMA = pa.schema(
    [
        ("labeler_a", pa.string()),
        ("labeler_b", pa.string()),
        ("job", pa.string()),
        ("mlTask", pa.string()),
        ("measure", pa.string()),
        ("n", pa.int64()),
        ("percent", pa.float64()),
        ("kappa", pa.float64()),
        ("iou", pa.float64()),
        ("f1", pa.float64()),
    ]
)

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]


def agreement(
    frame: pd.DataFrame, *, label_types: Collection[str] | None = SUBMITTED, iou_threshold: float = 0.5
) -> pd.DataFrame:
    """Measure how far labelers agree, two by two and job by job.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels, as `read_kili` gives them: ``labels.author.email`` (or ``.id``) and
        ``labels.jsonResponse`` and ``labels.labelType`` are needed, ``labels.createdAt`` is used where it is there.
    label_types : collection of str or None
        Labels of other types are left out; by default only what people submitted counts. With ``PREDICTION`` among
        them, models are compared too, each under its name (``labels.modelName``). None takes all labels. Of each
        labeler the latest label of an asset counts.
    iou_threshold : float
        Overlap, from 0 to 1, from which two matched boxes count as the same object in ``f1``.

    Returns
    -------
    pandas.DataFrame
        A row per pair of labelers and job that both could answer, ordered by them. Columns are `pandas.ArrowDtype`;
        a measure that a job does not have is null.

        ==========  ======  =========================================================================================
        column      type    meaning
        ==========  ======  =========================================================================================
        labeler_a   string  the one whose name comes first
        labeler_b   string  the other
        job         string  name of the job
        mlTask      string  its task
        measure     string  what is compared: classes, texts, ranks, boxes or spans; none for shapes without a box
                            (markers, polylines, poses), ranges and relations, which have no measure
        n           int64   assets (frames of videos, pages of PDFs) that both labeled and at least one answered
        percent     double  share of them with equal answers, 0 to 100: classes, comparisons, rankings, texts
        kappa       double  Cohen's kappa of the classes (of a comparison: the verdicts); no answer is a class of its
                            own, a set of several classes too; null where chance alone would always agree
        iou         double  mean overlap (intersection over union) of matched boxes, 0 to 1
        f1          double  share of what was found by both, ``2 * both / (a + b)``: boxes that overlap by the
                            threshold, spans of text with the same ends and category
        ==========  ======  =========================================================================================

    Raises
    ------
    KiliFieldError
        Where the frame lacks labels, answers, authors or types of labels.
    KiliValidationError
        For types of labels that there are not, or a threshold beyond 0 and 1.

    Warns
    -----
    UserWarning
        Where labels are left out because their answers cannot be read.

    Notes
    -----
    Boxes are matched within asset, frame, page, job and category, such that the sum of overlaps is the greatest
    possible; polygons count by the box around them. What hangs on an annotation (its own children) is not compared.

    Examples
    --------
    >>> import pandas as pd
    >>> def label(name, kind):
    ...     answer = '{"KIND": {"categories": [{"name": "%s"}]}}' % kind
    ...     return {"author": {"email": name}, "labelType": "DEFAULT", "jsonResponse": answer}
    >>> kinds = [("CAT", "CAT"), ("CAT", "DOG")]
    >>> assets = pd.DataFrame({"labels": [[label("ada", one), label("bob", other)] for one, other in kinds]})
    >>> agreement(assets)[["labeler_a", "labeler_b", "percent"]].loc[0].tolist()
    ['ada', 'bob', 50.0]
    """
    groups: dict[tuple[str, ...], list[_Comparison]] = defaultdict(list)
    for one in _comparisons(frame, label_types, iou_threshold):
        groups[*one.labelers, one.job, one.task, one.measure].append(one)
    rows = [
        {**dict(zip(_SCHEMA.names, group, strict=False)), **_measures(comparisons)}
        for group, comparisons in sorted(groups.items())
    ]
    table: pd.DataFrame = pa.Table.from_pylist(rows, _SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    return table


def disagreements(
    frame: pd.DataFrame, *, label_types: Collection[str] | None = SUBMITTED, iou_threshold: float = 0.5
) -> pd.DataFrame:
    """Return the assets whose labelers disagree, those that disagree most first.

    Parameters
    ----------
    frame, label_types, iou_threshold
        As for `agreement`.

    Returns
    -------
    pandas.DataFrame
        Rows of the frame, with their index and all their columns, and ``disagreement`` (``double``), above 0 and at
        most 1: one minus the mean agreement over pairs of labelers and jobs. An agreement is 1 or 0 for classes,
        comparisons, rankings and texts (their mean over frames or pages), ``f1`` for spans, and for boxes the sum of
        overlaps of matched ones by the number that the labeler with more boxes drew. Equal ones keep their order.

    Raises
    ------
    KiliFieldError
        Where the frame lacks labels, answers, authors or types of labels.
    KiliValidationError
        For types of labels that there are not, or a threshold beyond 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> def label(name, kind):
    ...     answer = '{"KIND": {"categories": [{"name": "%s"}]}}' % kind
    ...     return {"author": {"email": name}, "labelType": "DEFAULT", "jsonResponse": answer}
    >>> kinds = [("CAT", "CAT"), ("CAT", "DOG")]
    >>> assets = pd.DataFrame({"labels": [[label("ada", one), label("bob", other)] for one, other in kinds]})
    >>> disagreements(assets)["disagreement"].to_dict()
    {1: 1.0}
    """
    scores: dict[int, dict[tuple[str, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in _comparisons(frame, label_types, iou_threshold):
        if one.score is not None:
            scores[one.asset][*one.labelers, one.job, one.task].append(one.score)
    missed = {
        asset: 1 - float(np.mean([np.mean(values) for values in by_job.values()])) for asset, by_job in scores.items()
    }
    ranked = sorted((asset for asset in missed if missed[asset] > 0), key=lambda asset: (-missed[asset], asset))
    rows = frame.iloc[ranked]
    values = [missed[asset] for asset in ranked]
    return rows.assign(disagreement=pd.Series(values, index=rows.index, dtype=pd.ArrowDtype(pa.float64())))


@dataclasses.dataclass(frozen=True, slots=True)
class _Comparison:
    """Two labelers' answers to one job about one thing: an asset, a frame of a video or a page of a PDF.

    Attributes
    ----------
    score : float or None
        How far they agree, from 0 to 1; None where nothing measures it.
    said : tuple or None
        What each of them answered.
    overlaps : tuple of float or None
        Overlap of each matched pair of boxes.
    both, of : int
        Objects that both found, and objects found by either, counted on both sides.
    """

    asset: int
    labelers: tuple[str, str]
    job: str
    task: str
    measure: str
    score: float | None = None
    said: tuple[Hashable, ...] | None = None
    overlaps: tuple[float, ...] | None = None
    both: int = 0
    of: int = 0


def _measures(comparisons: Sequence[_Comparison]) -> dict[str, float | None]:
    """Return what comparisons of one pair of labelers, job and measure come to."""
    pairs = [one.said for one in comparisons if one.said is not None]
    overlaps = [overlap for one in comparisons for overlap in one.overlaps or ()]
    total = sum(one.of for one in comparisons)
    return {
        "n": len(comparisons),
        "percent": 100 * sum(first == second for first, second in pairs) / len(pairs) if pairs else None,
        "kappa": cohen_kappa(pairs) if comparisons[0].measure == "classes" else None,
        "iou": sum(overlaps) / len(overlaps) if overlaps else None,
        "f1": 2 * sum(one.both for one in comparisons) / total if total else None,
    }


def cohen_kappa(pairs: Sequence[tuple[Hashable, ...]]) -> float | None:
    """Return Cohen's kappa of paired classes, unweighted; None where it is not defined."""
    if not pairs:
        return None
    observed = sum(first == second for first, second in pairs) / len(pairs)
    firsts, seconds = (Counter(side) for side in zip(*pairs, strict=True))
    expected = sum(count * seconds[name] for name, count in firsts.items()) / len(pairs) ** 2
    return None if math.isclose(expected, 1) else (observed - expected) / (1 - expected)


def match_boxes(first: Floats, second: Floats) -> list[float]:
    """Return the overlaps of boxes matched one to one, such that their sum is the greatest; those without any left out.

    Parameters
    ----------
    first, second : ndarray of shape (n, 4) and (m, 4)
        Boxes as ``xmin, ymin, xmax, ymax``.
    """
    if not len(first) or not len(second):
        return []
    overlaps = _overlaps(first, second)
    if overlaps.shape[0] > overlaps.shape[1]:
        overlaps = overlaps.T
    chosen = overlaps[np.arange(len(overlaps)), assign(-overlaps)]
    return [float(overlap) for overlap in chosen if overlap > 0]


def _overlaps(first: Floats, second: Floats) -> Floats:
    a, b = first[:, None, :], second[None, :, :]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides[..., 0] * sides[..., 1]
    area_a, area_b = (np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (a, b))
    union = area_a + area_b - shared
    same = np.all(a == b, axis=-1).astype(np.float64)  # of two boxes without area, only equal ones overlap
    overlaps: Floats = np.divide(shared, union, out=same, where=union > 0)
    return overlaps


def _comparisons(
    frame: pd.DataFrame, label_types: Collection[str] | None, iou_threshold: float
) -> Iterator[_Comparison]:
    if not 0 <= iou_threshold <= 1:
        raise KiliValidationError(f"iou_threshold is a share of overlap, from 0 to 1; got {iou_threshold!r}.")
    for asset, answers in sorted(_answers(frame, label_types).items()):
        for labelers in itertools.combinations(sorted(answers), 2):
            first, second = (answers[labeler] for labeler in labelers)
            for question in sorted({*first, *second}, key=repr):
                rows = first.get(question, []), second.get(question, [])
                yield _compared(asset, labelers, question[0], question[1], rows, iou_threshold)


def _answers(frame: pd.DataFrame, label_types: Collection[str] | None) -> dict[int, dict[str, dict[Any, list[Row]]]]:
    """Return rows by asset, labeler, and job, measure, frame and page."""
    labels = _counted(frame, label_types)
    assets, labelers = labels.index.to_list(), labels.pop("labeler").to_list()
    annotations = annotations_table(labels.set_axis(pd.RangeIndex(len(labels)), axis=0))
    unreadable = int((annotations["kind"] == UNREADABLE).sum())
    if unreadable:
        warn(f"{unreadable} labels are left out, as their answers cannot be read.")
    found: dict[int, dict[str, dict[Any, list[Row]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    columns = [arrow_array(annotations[name]).to_pylist() for name in _NEEDED]
    for label, *values in zip(annotations.index, *columns, strict=True):
        row = dict(zip(_NEEDED, values, strict=True))
        if row["kind"] != UNREADABLE:
            answers = found[assets[label]][labelers[label]]  # a label without any answer is compared too
            if row["parentMid"] is None and (measure := _measure(row)):
                answers[row["job"], measure, row["frame"], row["page"]].append(row)
    return found


def _counted(frame: pd.DataFrame, label_types: Collection[str] | None) -> pd.DataFrame:
    """Return the labels that count, indexed by the position of their asset: of each labeler the latest."""
    if not holds_assets(frame):
        raise KiliFieldError(
            "labelers are compared within assets, and this is a frame of labels: call it on the frame of the assets.",
            field="labels",
        )
    labels = labels_table(frame.set_axis(pd.RangeIndex(len(frame)), axis=0))
    if len(labels) and "jsonResponse" not in labels:
        raise lacking("jsonResponse", [str(name) for name in labels.columns])
    labels = of_types(labels, label_types)
    if not len(labels):
        nothing = pd.Series(dtype=pd.ArrowDtype(pa.string()))
        return pd.DataFrame({"jsonResponse": nothing, "labeler": nothing}, index=labels.index)
    latest = latest_of_each(labels, labels.index.to_series())
    return latest[["jsonResponse"]].assign(labeler=labeler_names(latest).to_pylist())


def _measure(row: Row) -> str | None:
    """Return how a row is compared; None for what is no answer."""
    if row["kind"] == ANNOTATION:
        if row["beginOffset"] is not None:
            return "spans"
        return "boxes" if row["xmin"] is not None else "none"
    return {CATEGORY: "classes", CHOICE: "classes", TEXT: "texts", RANK: "ranks"}.get(row["kind"])


def _compared(
    asset: int, labelers: tuple[str, str], job: str, measure: str, rows: tuple[list[Row], list[Row]], threshold: float
) -> _Comparison:
    """Compare what two labelers answered to a job about the same thing."""
    task = next(row["mlTask"] or "" for row in itertools.chain(*rows))
    known = (asset, labelers, job, task, measure)
    total = sum(map(len, rows))
    if measure == "none":
        return _Comparison(*known)
    if measure == "boxes":
        overlaps = tuple(_matched(*rows))
        same = sum(overlap >= threshold for overlap in overlaps)
        score = sum(overlaps) / max(map(len, rows))
        return _Comparison(*known, score=score, overlaps=overlaps, both=same, of=total)
    if measure == "spans":
        first, second = (Counter(tuple(row[name] for name in _SPAN) for row in side) for side in rows)
        both = (first & second).total()
        return _Comparison(*known, score=2 * both / total, both=both, of=total)
    said = tuple(frozenset(map(_said, side)) for side in rows)
    return _Comparison(*known, score=float(said[0] == said[1]), said=said)


def _matched(*sides: list[Row]) -> Iterator[float]:
    for category in dict.fromkeys(row["category"] for side in sides for row in side):
        boxes = ([[row[edge] for edge in _BOX] for row in side if row["category"] == category] for side in sides)
        yield from match_boxes(*(np.array(side, np.float64).reshape(-1, 4) for side in boxes))


def _said(row: Row) -> Hashable:
    elements = None if row["elements"] is None else tuple(row["elements"])
    return (row["category"], row["text"], row["rank"], elements, row["firstId"], row["secondId"])
