"""Who agrees with whom: the answers of labelers about the same assets, side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import plain_frame
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import did_you_mean, nearest, plural, shown, warn
from pandas_kili.tidy.annotations import annotations_table
from pandas_kili.tidy.answers.schema import UNREADABLE
from pandas_kili.tidy.chance import cohen_kappa, fleiss_kappa, krippendorff_alpha
from pandas_kili.tidy.comparison import MEASURES, comparisons_of, in_words, questions_of
from pandas_kili.tidy.labels import labels_of_assets, lacking
from pandas_kili.tidy.people import MODEL_TYPES, SUBMITTED, check_label_types, labeler_names, latest_of_each, of_types

By = Literal["day", "week", "month"]
Among = Literal["pairs", "all"]

_PERIODS = {"day": "D", "week": "W", "month": "M"}
_PAIR = [("labeler_a", pa.string()), ("labeler_b", pa.string())]
_QUESTION = [("job", pa.string()), ("mlTask", pa.string()), ("measure", pa.string())]
_MEASURES = [
    ("n", pa.int64()),
    ("percent", pa.float64()),
    ("kappa", pa.float64()),
    ("iou", pa.float64()),
    ("f1", pa.float64()),
]
_AMONG_ALL = [
    ("labelers", pa.int64()),
    ("n", pa.int64()),
    ("percent", pa.float64()),
    ("alpha", pa.float64()),
    ("fleiss", pa.float64()),
]
_SAID_ALIKE = frozenset({"classes", "texts", "ranks"})


class _Compared(NamedTuple):
    """Labels of a frame, and their answers side by side.

    Attributes
    ----------
    labels : pandas.DataFrame
        The labels that count: ``asset`` (position of the frame's row), ``labeler``, and ``period`` with ``by=``.
    pairs : pandas.DataFrame
        Labels ``a`` and ``b`` of one asset (positions within `labels`), ``labeler_a`` and ``labeler_b``.
    table : pandas.DataFrame
        What `comparisons_of` gives, with what was asked.
    words : list of list of str
        What each label says.
    """

    labels: pd.DataFrame
    pairs: pd.DataFrame
    table: pd.DataFrame
    words: list[list[str]]


def agreement(
    frame: pd.DataFrame,
    *,
    job: str | Collection[str] | None = None,
    label_types: Collection[str] | None = SUBMITTED,
    against: str | None = None,
    by: By | None = None,
    among: Among = "pairs",
    iou_threshold: float = 0.5,
) -> pd.DataFrame:
    """Measure how far labelers agree, job by job: two by two, or all of them at once.

    The parameters, the columns and how boxes are matched are those of ``df.kili.agreement()``.

    Raises
    ------
    KiliFieldError
        Where the frame lacks labels, answers, authors or types of labels.
    KiliValidationError
        For unknown jobs, labelers or types of labels, or a threshold below 0 or above 1.

    Warns
    -----
    UserWarning
        Where labels are left out because their answers cannot be read.

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
    _check("among", among, ("pairs", "all"))
    compared = _compared(frame, job, label_types, against, by, iou_threshold)
    period = [(by, pa.timestamp("ms"))] if by else []
    keys = [name for name, _ in [*period, *([] if among == "all" else _PAIR), *_QUESTION]]
    measures = _among_all if among == "all" else _between_two
    rows = [
        {**dict(zip(keys, key, strict=True)), **measures(group, compared)}
        for key, group in compared.table.groupby(keys, sort=True)
    ]
    schema = [*period, *([] if among == "all" else _PAIR), *_QUESTION, *(_AMONG_ALL if among == "all" else _MEASURES)]
    table: pd.DataFrame = pa.Table.from_pylist(rows, pa.schema(schema)).to_pandas(types_mapper=pd.ArrowDtype)
    return table


def _between_two(group: pd.DataFrame, _: _Compared) -> dict[str, Any]:
    """Return what comparisons of one pair of labelers and one job come to."""
    measure = group["measure"].iloc[0]
    ours, theirs = group["said_a"].to_numpy(), group["said_b"].to_numpy()
    matched, of = int(group["matched"].sum()), int(group["of"].sum())
    found = measure in {"spans", "boxes"}
    return {
        "n": len(group),
        "percent": 100 * float(np.mean(ours == theirs)) if measure in _SAID_ALIKE else None,
        "kappa": cohen_kappa(ours, theirs) if measure == "classes" else None,
        "iou": float(group["overlap"].sum()) / matched if matched else None,
        "f1": 2 * int(group["both"].sum()) / of if found and of else None,
    }


def _among_all(group: pd.DataFrame, compared: _Compared) -> dict[str, Any]:
    """Return what the answers of all labelers to one job come to."""
    answers = pd.concat(
        [
            pd.DataFrame(
                {
                    "asset": group["asset"],
                    "question": group["question"],
                    "label": compared.pairs[side].to_numpy()[group["pair"].to_numpy()],
                    "said": group[f"said_{side}"],
                }
            )
            for side in "ab"
        ]
    ).drop_duplicates(["question", "label"])
    units = answers.groupby(["asset", "question"], sort=False).ngroup().to_numpy().astype(np.int64)
    said = answers["said"].to_numpy(np.int64)
    alike = group["measure"].iloc[0] in _SAID_ALIKE
    labelers = compared.labels["labeler"].to_numpy()[answers["label"].to_numpy()]
    return {
        "labelers": len(set(labelers)),
        "n": int(units.max()) + 1,
        "percent": 100 * float((group["said_a"] == group["said_b"]).mean()) if alike else None,
        "alpha": krippendorff_alpha(units, said) if alike else None,
        "fleiss": fleiss_kappa(units, said) if alike else None,
    }


def disagreements(
    frame: pd.DataFrame,
    *,
    job: str | Collection[str] | None = None,
    label_types: Collection[str] | None = SUBMITTED,
    against: str | None = None,
    iou_threshold: float = 0.5,
) -> pd.DataFrame:
    """Return the assets on which labelers disagree, the largest disagreement first.

    The parameters and columns are those of ``df.kili.disagreements()``.

    Raises
    ------
    KiliFieldError
        Where the frame lacks labels, answers, authors or types of labels.
    KiliValidationError
        For unknown jobs, labelers or types of labels, or a threshold below 0 or above 1.

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
    compared = _compared(frame, job, label_types, against, None, iou_threshold)
    scored = compared.table[compared.table["score"].notna()]
    per_job = scored.groupby(["asset", "labeler_a", "labeler_b", "job", "mlTask"], sort=False)["score"].mean()
    missed = 1 - per_job.groupby("asset").mean()
    missed = missed[missed > 0].sort_index().sort_values(ascending=False, kind="stable")
    rows = plain_frame(frame).iloc[missed.index.to_numpy(np.int64)]
    found = {"disagreement": pd.Series(missed.to_numpy(), index=rows.index, dtype=pd.ArrowDtype(pa.float64()))}
    if against is not None:
        found |= _beside_each_other(compared, missed.index, rows.index, against)
    return rows.assign(**found)


def _beside_each_other(
    compared: _Compared, assets: pd.Index, index: pd.Index, against: str
) -> dict[str, pd.Series[Any]]:
    """Return what the one labeler says of each asset, and what the others say."""
    is_one = (compared.labels["labeler"] == against).to_numpy()
    said: dict[str, dict[int, list[str]]] = {"against": {}, "others": {}}
    for asset, labeler, one, words in zip(
        compared.labels["asset"], compared.labels["labeler"], is_one, compared.words, strict=True
    ):
        lines = words if one else [f"{labeler}: {line}" for line in words or ["nothing"]]
        said["against" if one else "others"].setdefault(asset, []).extend(lines)
    type_ = pd.ArrowDtype(pa.list_(pa.string()))
    return {
        name: pd.Series([cells.get(asset, []) for asset in assets], index=index, dtype=type_)
        for name, cells in said.items()
    }


def _compared(
    frame: pd.DataFrame,
    job: str | Collection[str] | None,
    label_types: Collection[str] | None,
    against: str | None,
    by: By | None,
    iou_threshold: float,
) -> _Compared:
    if not isinstance(iou_threshold, int | float) or not 0 <= iou_threshold <= 1:
        raise KiliValidationError(f"iou_threshold is a share of overlap, from 0 to 1; got {shown(iou_threshold)}.")
    _check("by", by, (None, *_PERIODS))
    labels = _counted(frame, label_types, against, by)
    annotations = annotations_table(labels[["jsonResponse"]], job=job)
    label_of = annotations.index.to_numpy(np.int64)
    unreadable = np.unique(label_of[(annotations["kind"] == UNREADABLE).to_numpy(bool, na_value=False)])
    if len(unreadable):
        warn(f"{plural(len(unreadable), 'label is', 'labels are')} left out, as the answer cannot be read.")
    questions = questions_of(annotations, label_of)
    pairs = _pairs(labels[~labels.index.isin(unreadable)], against)
    table = comparisons_of(questions, pairs, iou_threshold)
    asked = questions.table.iloc[table["question"].to_numpy(np.int64)].reset_index(drop=True)
    asked["measure"] = np.array(MEASURES, object)[asked["measure"].to_numpy(np.int64)]
    if by:
        pairs[by] = pairs[["period_a", "period_b"]].max(axis=1)
    about = pairs.iloc[table["pair"].to_numpy(np.int64)][["asset", "labeler_a", "labeler_b", *([by] if by else [])]]
    table = pd.concat([table.reset_index(drop=True), asked, about.reset_index(drop=True)], axis=1)
    words = [] if against is None else in_words(annotations, label_of, len(labels))
    return _Compared(labels, pairs, table, words)


def _check(name: str, value: object, known: Sequence[object]) -> None:
    if value not in known:
        raise KiliValidationError(f"{name} is one of {', '.join(map(repr, known))}; got {shown(value)}.")


def _counted(
    frame: pd.DataFrame, label_types: Collection[str] | None, against: str | None, by: By | None
) -> pd.DataFrame:
    """Return the labels that count: of each labeler and asset the latest."""
    labels = labels_of_assets(frame)
    for name in ["jsonResponse", *(["createdAt"] if by else [])]:
        if len(labels) and name not in labels:
            raise lacking(name, labels.columns)
    labels = of_types(labels, label_types) if against is None else _with_one(labels, label_types, against)
    if not len(labels):
        empty = pd.Series(dtype=pd.ArrowDtype(pa.string()))
        return pd.DataFrame(
            {"jsonResponse": empty, "asset": pd.Series(dtype="int64"), "labeler": empty, "period": empty}
        )
    labels = latest_of_each(labels, labels["asset"]).reset_index(drop=True)
    labels = labels.assign(labeler=np.array(labeler_names(labels).to_pylist(), object))
    if by:
        when = pd.Series(labels["createdAt"].to_numpy("datetime64[ns]", na_value=np.datetime64("NaT")))
        labels["period"] = when.dt.to_period(_PERIODS[by]).dt.start_time
    return labels[["jsonResponse", "asset", "labeler", *(["period"] if by else [])]]


def _with_one(labels: pd.DataFrame, label_types: Collection[str] | None, against: str) -> pd.DataFrame:
    """Return the labels of some types, and those of one labeler or model whatever their type."""
    check_label_types(label_types)
    if not len(labels):
        return labels
    if "labelType" not in labels:
        raise lacking("labelType", labels.columns)
    names = pd.Series(labeler_names(labels).to_pylist(), index=labels.index, dtype=object)
    if against not in set(names):
        near = nearest(str(against), names.dropna().unique())
        raise KiliValidationError(
            f"against= names a labeler or a model; there is no {against!r} here.{did_you_mean(near)}"
        )
    is_model = labels["labelType"].isin(list(MODEL_TYPES)).to_numpy(bool, na_value=False)
    wanted = labels.index.isin(of_types(labels, label_types).index) & ~(is_model & (names != against).to_numpy())
    return labels[wanted | (names == against).to_numpy()]


def _pairs(labels: pd.DataFrame, against: str | None) -> pd.DataFrame:
    """Return all pairs of labels of one asset, the labelers of each in the order of their names."""
    own = pd.DataFrame({"asset": labels["asset"], "label": labels.index, "labeler": labels["labeler"]})
    if "period" in labels:
        own["period"] = labels["period"]
    pairs = own.merge(own, on="asset", suffixes=("_a", "_b"))
    pairs = pairs[pairs["labeler_a"] < pairs["labeler_b"]]
    if against is not None:
        pairs = pairs[(pairs["labeler_a"] == against) | (pairs["labeler_b"] == against)]
    return pairs.rename(columns={"label_a": "a", "label_b": "b"}).reset_index(drop=True)
