"""Labels that are likely wrong, by what a model says of the same assets."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import did_you_mean, nearest, warn
from pandas_kili.tidy.annotations import annotations_table
from pandas_kili.tidy.answers.schema import CATEGORY
from pandas_kili.tidy.labels import labels_of_assets, lacking
from pandas_kili.tidy.people import MODEL_TYPES, SUBMITTED, labeler_names, latest_of_each, of_types

_LEAST_CLASSES = 2


def label_errors(
    frame: pd.DataFrame, *, model: str, job: str, label_types: Collection[str] | None = SUBMITTED
) -> pd.DataFrame:
    """Return the assets with a label that is likely wrong, the likeliest first.

    The parameters and columns are those of ``df.kili.label_errors()``.

    Raises
    ------
    ImportError
        Where cleanlab is not installed: ``pip install 'pandas-kili[quality]'``.
    KiliFieldError
        Where the frame lacks labels, answers, authors, types of labels or names of models.
    KiliValidationError
        For a model that made no predictions, or a job that is not answered by one class.

    Warns
    -----
    UserWarning
        Where labels are left out: those of several classes, and those of assets without a prediction.
    """
    if importlib.util.find_spec("cleanlab") is None:
        raise ImportError("label_errors needs cleanlab: pip install 'pandas-kili[quality]'.")
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 - optional, and slow to import
    from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415 - the same

    people, predictions = _both_sides(frame, model, label_types)
    given, several = _given(people, job)
    if not len(given) and not several:
        raise KiliValidationError(f"no label answers job {job!r} with a class.")
    shares = _shares(predictions, job)
    known = given[given["asset"].isin(shares.index)]
    left_out = several + len(given) - len(known)
    if left_out:
        warn(f"{left_out:,} labels are left out: of several classes, or of assets without a prediction of {model!r}.")
    classes = sorted({*given["category"], *shares.columns})
    if len(classes) < _LEAST_CLASSES or not len(known):
        return _rows(frame, known.iloc[:0].assign(suggested="", quality=0.0))
    probabilities = _filled(shares.reindex(columns=classes).loc[known["asset"]].to_numpy(np.float64))
    codes = pd.Categorical(known["category"], classes).codes.astype(np.int64)
    wrong = find_label_issues(codes, probabilities, n_jobs=1)
    found = known.assign(
        suggested=np.array(classes, object)[probabilities.argmax(axis=1)],
        quality=get_label_quality_scores(codes, probabilities),
    )
    return _rows(frame, found[np.asarray(wrong, bool)])


def _both_sides(
    frame: pd.DataFrame, model: str, label_types: Collection[str] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels of people and the predictions of a model, of each labeler and asset the latest."""
    labels = labels_of_assets(frame)
    for name in ("jsonResponse", "labelType", "modelName"):
        if name not in labels:
            raise lacking(name, labels.columns)
    is_model = labels["labelType"].isin(list(MODEL_TYPES)).to_numpy(bool, na_value=False)
    is_this = is_model & (labels["modelName"] == model).to_numpy(bool, na_value=False)
    if not is_this.any():
        near = nearest(str(model), labels.loc[is_model, "modelName"].dropna().unique())
        raise KiliValidationError(f"the frame holds no predictions of model {model!r}.{did_you_mean(near)}")
    people = of_types(labels[~is_model], label_types)
    sides = (latest_of_each(side, side["asset"]) for side in (people, labels[is_this]))
    first, second = (side.reset_index(drop=True) for side in sides)
    return first.assign(labeler=labeler_names(first).to_pylist()), second


def _given(people: pd.DataFrame, job: str) -> tuple[pd.DataFrame, int]:
    """Return the class that each label gives, and how many labels give several."""
    rows = _classes(people, job)
    several = rows["label"].duplicated(keep=False)
    single = rows[~several]
    at = single["label"].to_numpy()
    given = pd.DataFrame({"asset": people["asset"].to_numpy()[at], "labeler": people["labeler"].to_numpy()[at]})
    return given.assign(category=single["category"].to_numpy()), rows.loc[several, "label"].nunique()


def _shares(predictions: pd.DataFrame, job: str) -> pd.DataFrame:
    """Return the probability of each class (columns) of each asset (index); NaN where the model says nothing."""
    rows = _classes(predictions, job)
    rows["asset"] = predictions["asset"].to_numpy()[rows["label"].to_numpy()]
    rows["share"] = rows["confidence"].fillna(100) / 100
    return rows.pivot_table(index="asset", columns="category", values="share", aggfunc="max")


def _classes(labels: pd.DataFrame, job: str) -> pd.DataFrame:
    """Return the classes that labels give to a job: ``label`` (its position), ``category`` and ``confidence``."""
    rows = annotations_table(labels[["jsonResponse"]], job=job)
    is_class = ((rows["kind"] == CATEGORY) & (rows["job"] == job)).to_numpy(bool, na_value=False)
    chosen = rows[is_class]
    return pd.DataFrame(
        {
            "label": chosen.index.to_numpy(np.int64),
            "category": chosen["category"].to_numpy(object),
            "confidence": chosen["confidence"].to_numpy(np.float64, na_value=np.nan),
        }
    ).drop_duplicates(["label", "category"])


def _filled(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return probabilities that sum to 1: what a model leaves open is shared by the classes that it does not name."""
    named = np.nan_to_num(shares, nan=0.0)
    open_classes = np.isnan(shares)
    left = np.clip(1 - named.sum(axis=1, keepdims=True), 0, None)
    each = left / np.maximum(open_classes.sum(axis=1, keepdims=True), 1)
    filled = np.where(open_classes, each, named) + np.finfo(float).tiny
    total: npt.NDArray[np.float64] = filled / filled.sum(axis=1, keepdims=True)
    return total


def _rows(frame: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the frame, one an asset, the likeliest errors first."""
    ranked = found.sort_values("quality", kind="stable").drop_duplicates("asset")
    rows = frame.iloc[ranked["asset"].to_numpy(np.int64)]
    texts = {name: ranked[name].tolist() for name in ("labeler", "category", "suggested")}
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns["quality"] = pa.array(ranked["quality"].tolist(), pa.float64())
    names = {"category": "given"}
    return rows.assign(
        **{
            names.get(name, name): pd.Series(array, index=rows.index, dtype=pd.ArrowDtype(array.type))
            for name, array in columns.items()
        }
    )
