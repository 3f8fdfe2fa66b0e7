"""Who agrees with whom: the answers of labelers about the same assets, side by side."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import arrow_array
from pandas_kili.catalog import LABEL_TYPES
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy.annotations import annotations_table, author_names
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, RANK, TEXT, UNREADABLE
from pandas_kili.tidy.labels import holds_assets, labels_table, lacking

SUBMITTED = ("DEFAULT", "REVIEW")
_NEEDED = (
    *("author", "kind", "job", "mlTask", "parentMid", "frame", "page", "category", "text", "rank", "elements"),
    *("firstId", "secondId", "beginId", "beginOffset", "endId", "endOffset", "xmin", "ymin", "xmax", "ymax"),
)
_SCHEMA = pa.schema(
    [
        ("labeler_a", pa.string()),
        ("labeler_b", pa.string()),
        ("job", pa.string()),
        ("mlTask", pa.string()),
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
    frame: pd.DataFrame, *, label_types: Collection[str] = SUBMITTED, iou_threshold: float = 0.5
) -> pd.DataFrame:
    """Measure how far labelers agree, two by two and job by job.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels, as `read_kili` gives them: ``labels.author.email`` (or ``.id``) and
        ``labels.jsonResponse`` are needed, ``labels.labelType`` and ``labels.createdAt`` are used where they are there.
    label_types : collection of str
        Labels of other types are left out; where ``labels.labelType`` was not read, none are, predictions neither.
        Of each labeler the latest label of an asset counts.
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
        Where the frame lacks labels, answers or authors.
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
    ...     return {"author": {"email": name}, "jsonResponse": answer}
    >>> kinds = [("CAT", "CAT"), ("CAT", "DOG")]
    >>> assets = pd.DataFrame({"labels": [[label("ada", one), label("bob", other)] for one, other in kinds]})
    >>> agreement(assets)[["labeler_a", "labeler_b", "percent"]].loc[0].tolist()
    ['ada', 'bob', 50.0]
    """
    tallies: dict[tuple[str, str, str, str], _Tally] = defaultdict(_Tally)
    for comparison in _comparisons(frame, label_types, iou_threshold):
        tallies[comparison.labelers + comparison.job].add(comparison)
    rows = [
        {"labeler_a": first, "labeler_b": second, "job": job, "mlTask": task, **tally.measures()}
        for (first, second, job, task), tally in sorted(tallies.items())
    ]
    table: pd.DataFrame = pa.Table.from_pylist(rows, _SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    return table


def disagreements(
    frame: pd.DataFrame, *, label_types: Collection[str] = SUBMITTED, iou_threshold: float = 0.5
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
        Where the frame lacks labels, answers or authors.
    KiliValidationError
        For types of labels that there are not, or a threshold beyond 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> def label(name, kind):
    ...     answer = '{"KIND": {"categories": [{"name": "%s"}]}}' % kind
    ...     return {"author": {"email": name}, "jsonResponse": answer}
    >>> kinds = [("CAT", "CAT"), ("CAT", "DOG")]
    >>> assets = pd.DataFrame({"labels": [[label("ada", one), label("bob", other)] for one, other in kinds]})
    >>> disagreements(assets)["disagreement"].to_dict()
    {1: 1.0}
    """
    scores: dict[int, dict[tuple[str, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for comparison in _comparisons(frame, label_types, iou_threshold):
        scores[comparison.asset][comparison.labelers + comparison.job].append(comparison.score)
    missed = {
        asset: 1 - float(np.mean([np.mean(values) for values in by_job.values()])) for asset, by_job in scores.items()
    }
    ranked = sorted((asset for asset in missed if missed[asset] > 0), key=lambda asset: (-missed[asset], asset))
    rows = frame.iloc[ranked]
    values = [missed[asset] for asset in ranked]
    return rows.assign(disagreement=pd.Series(values, index=rows.index, dtype=pd.ArrowDtype(pa.float64())))


@dataclasses.dataclass(frozen=True, slots=True)
class _Comparison:
    """Two labelers' answers to one job about one thing."""

    asset: int
    labelers: tuple[str, str]
    job: tuple[str, str]
    score: float
    equal: bool | None = None
    classes: tuple[Hashable, Hashable] | None = None
    overlaps: tuple[float, ...] | None = None
    both: int | None = None
    of: int = 0


class _Tally:
    """Comparisons of one pair of labelers and one job."""

    def __init__(self) -> None:
        self.comparisons: list[_Comparison] = []

    def add(self, comparison: _Comparison) -> None:
        self.comparisons.append(comparison)

    def measures(self) -> dict[str, float | None]:
        equal = [one.equal for one in self.comparisons if one.equal is not None]
        classes = [one.classes for one in self.comparisons if one.classes is not None]
        overlaps = [overlap for one in self.comparisons for overlap in one.overlaps or ()]
        found = [one for one in self.comparisons if one.both is not None]
        total = sum(one.of for one in found)
        return {
            "n": len(self.comparisons),
            "percent": 100 * sum(equal) / len(equal) if equal else None,
            "kappa": cohen_kappa(classes),
            "iou": sum(overlaps) / len(overlaps) if overlaps else None,
            "f1": 2 * sum(one.both or 0 for one in found) / total if total else None,
        }


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
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
    chosen = overlaps[np.arange(len(overlaps)), _assignment(-overlaps)]
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


def _assignment(cost: Floats) -> npt.NDArray[np.int64]:
    """Return the column of each row (at most as many rows as columns) with the least sum of costs.

    The Hungarian method with potentials, one shortest augmenting path per row: exact, and cubic in the number of rows.
    """
    rows, columns = cost.shape
    row_potential, potential = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, np.int64)  # 1-based; column 0 holds the row that is being placed
    for row in range(1, rows + 1):
        row_of[0], here = row, 0
        least, before = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.int64)
        used = np.zeros(columns + 1, bool)
        while row_of[here]:
            used[here] = True
            reduced = cost[row_of[here] - 1] - row_potential[row_of[here]] - potential[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better], before[1:][better] = reduced[better], here
            step_to = int(np.argmin(np.where(used[1:], np.inf, least[1:]))) + 1
            step = least[step_to]
            row_potential[row_of[used]] += step
            potential[used] -= step
            least[~used] -= step
            here = step_to
        while here:
            row_of[here] = row_of[before[here]]
            here = before[here]
    return np.argsort(row_of[1:], kind="stable")[columns - rows :]


def _comparisons(frame: pd.DataFrame, label_types: Collection[str], iou_threshold: float) -> Iterator[_Comparison]:
    _check(label_types, iou_threshold)
    for asset, answers in sorted(_answers(frame, label_types).items()):
        for first, second in itertools.combinations(sorted(answers), 2):
            for job, unit in sorted({*answers[first], *answers[second]}, key=repr):
                rows = answers[first].get((job, unit), []), answers[second].get((job, unit), [])
                yield from _compared(asset, (first, second), job, rows, iou_threshold)


def _check(label_types: Collection[str], iou_threshold: float) -> None:
    if isinstance(label_types, str):
        raise KiliValidationError(f"label_types is a list, such as [{label_types!r}]; got the string {label_types!r}.")
    for name in label_types:
        if name not in LABEL_TYPES:
            raise KiliValidationError(f"label_types are of {', '.join(LABEL_TYPES)}; got {name!r}.")
    if not 0 <= iou_threshold <= 1:
        raise KiliValidationError(f"iou_threshold is a share of overlap, from 0 to 1; got {iou_threshold!r}.")


def _answers(frame: pd.DataFrame, label_types: Collection[str]) -> dict[int, dict[str, dict[Any, list[Row]]]]:
    """Return rows by asset, labeler, and job with frame and page."""
    annotations = annotations_table(_counted(frame, label_types))
    unreadable = annotations["kind"] == UNREADABLE
    if unreadable.any():
        warnings.warn(
            f"{int(unreadable.sum())} labels are left out, as their answers cannot be read.",
            UserWarning,
            stacklevel=5,  # where `df.kili.agreement()` is called
        )
    found: dict[int, dict[str, dict[Any, list[Row]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    columns = [arrow_array(annotations[name]).to_pylist() for name in _NEEDED]
    for asset, *values in zip(annotations.index, *columns, strict=True):
        row = dict(zip(_NEEDED, values, strict=True))
        if row["kind"] == UNREADABLE or row["author"] is None:
            continue
        answers = found[asset][row["author"]]  # whoever looked and found nothing is compared too
        if row["parentMid"] is None and (what := _what(row)):
            answers[(row["job"], what), (row["frame"], row["page"])].append(row)
    return found


def _counted(frame: pd.DataFrame, label_types: Collection[str]) -> pd.DataFrame:
    """Return the labels that count, indexed by the position of their asset: of each labeler the latest."""
    labels = labels_table(frame.set_axis(pd.RangeIndex(len(frame)), axis=0))
    if not holds_assets(frame):
        raise KiliFieldError(
            "labelers are compared within assets, and this is a frame of labels: call it on the frame of the assets.",
            field="labels",
        )
    if "jsonResponse" not in labels and len(labels):
        raise lacking("jsonResponse", [str(name) for name in labels.columns])
    authors = author_names({str(name): arrow_array(column) for name, column in labels.items()})
    if authors is None and len(labels):
        raise KiliFieldError(
            "the labels have no author: read the frame with 'labels.author.email'.", field="labels.author.email"
        )
    order = labels.assign(_asset=labels.index, _author=None if authors is None else authors.to_pylist())
    if "labelType" in order:
        order = order[order["labelType"].isin(list(label_types))]
    if not len(order):
        return labels[:0].assign(jsonResponse=pd.Series(dtype=pd.ArrowDtype(pa.string())))
    if "createdAt" in order:
        order = order.sort_values("createdAt", kind="stable", na_position="first")
    latest = order.drop_duplicates(["_asset", "_author"], keep="last")
    return latest.drop(columns=["_asset", "_author"]).sort_index(kind="stable")


def _what(row: Row) -> str | None:
    """Return how a row is compared; None where it is not."""
    if row["kind"] == ANNOTATION:
        if row["beginOffset"] is not None:
            return "spans"
        return "boxes" if row["xmin"] is not None else None
    return {CATEGORY: "classes", CHOICE: "classes", TEXT: "values", RANK: "values"}.get(row["kind"])


def _compared(
    asset: int,
    labelers: tuple[str, str],
    job: tuple[str, str],
    rows: tuple[list[Row], list[Row]],
    iou_threshold: float,
) -> Iterator[_Comparison]:
    name, what = job
    known = (asset, labelers, (name, next(row["mlTask"] or "" for row in itertools.chain(*rows))))
    if what == "boxes":
        overlaps = tuple(_matched(*rows))
        most, total = max(map(len, rows)), sum(map(len, rows))
        same = sum(overlap >= iou_threshold for overlap in overlaps)
        yield _Comparison(*known, score=sum(overlaps) / most, overlaps=overlaps, both=same, of=total)
    elif what == "spans":
        first, second = (Counter(_span(row) for row in side) for side in rows)
        both, total = (first & second).total(), sum(map(len, rows))
        yield _Comparison(*known, score=2 * both / total, both=both, of=total)
    else:
        first_said, second_said = (frozenset(_said(row) for row in side) for side in rows)
        equal = first_said == second_said
        classes = (first_said, second_said) if what == "classes" else None
        yield _Comparison(*known, score=float(equal), equal=equal, classes=classes)


def _matched(first: list[Row], second: list[Row]) -> Iterator[float]:
    for category in dict.fromkeys(row["category"] for row in [*first, *second]):
        yield from match_boxes(*(_boxes(side, category) for side in (first, second)))


def _boxes(rows: list[Row], category: str | None) -> Floats:
    boxes = [[row[edge] for edge in ("xmin", "ymin", "xmax", "ymax")] for row in rows if row["category"] == category]
    return np.array(boxes, np.float64).reshape(-1, 4)


def _span(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("beginId", "beginOffset", "endId", "endOffset", "category"))


def _said(row: Mapping[str, Any]) -> Hashable:
    elements = None if row["elements"] is None else tuple(row["elements"])
    return (row["category"], row["text"], row["rank"], elements, row["firstId"], row["secondId"])
