"""Who made a label: people and models, and never one for the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.catalog import LABEL_TYPES
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import did_you_mean, nearest
from pandas_kili.tidy.labels import lacking

SUBMITTED = ("DEFAULT", "REVIEW")
MODEL_TYPES = ("PREDICTION", "INFERENCE")
_AUTHORS = ("author.email", "author.id", "authorId")


def check_label_types(label_types: Collection[str] | None) -> None:
    """Refuse types that no label has.

    Raises
    ------
    KiliValidationError
        Naming the type, and the nearest one.
    """
    if isinstance(label_types, str):
        raise KiliValidationError(f"label_types is a list, such as [{label_types!r}]; got the string {label_types!r}.")
    for name in label_types or ():
        if name not in LABEL_TYPES:
            near = nearest(str(name), LABEL_TYPES, most=1)
            raise KiliValidationError(f"label_types are of {', '.join(LABEL_TYPES)}; got {name!r}.{did_you_mean(near)}")


def of_types(labels: pd.DataFrame, label_types: Collection[str] | None) -> pd.DataFrame:
    """Return the labels of some types.

    Parameters
    ----------
    labels : pandas.DataFrame
        Labels, as `labels_table` gives them.
    label_types : collection of str or None
        Such as `SUBMITTED`, what people submitted; None takes all labels.

    Raises
    ------
    KiliFieldError
        Where the labels were read without ``labelType``: then nothing tells people from models.
    KiliValidationError
        For types that no label has.
    """
    check_label_types(label_types)
    if label_types is None or not len(labels):
        return labels
    if "labelType" not in labels:
        raise lacking("labelType", labels.columns)
    return labels[labels["labelType"].isin(list(label_types)).to_numpy(bool, na_value=False)]


def author_names(fields: Mapping[str, pa.Array]) -> pa.Array | None:
    """Return the author of each label: the address, or the id where there is none; None where neither was read."""
    known = [fields[name].cast(pa.string()) for name in _AUTHORS if name in fields]
    return pc.coalesce(*known) if known else None


def labeler_names(labels: pd.DataFrame) -> pa.Array:
    """Return who made each label: a model by its name, a person by the address or id; null where no author is known.

    Parameters
    ----------
    labels : pandas.DataFrame
        Labels, as `labels_table` gives them. Where some are of models, ``modelName`` is needed: their author is the
        person who uploaded them.

    Raises
    ------
    KiliFieldError
        Where the labels were read without author, or those of models without ``modelName``.
    """
    names = author_names({str(name): arrow_array(column) for name, column in labels.items() if name in _AUTHORS})
    if names is None:
        if len(labels):
            raise lacking("author.email", labels.columns)
        names = pa.nulls(0, pa.string())
    if "labelType" not in labels:
        return names
    is_model = labels["labelType"].isin(list(MODEL_TYPES)).to_numpy(bool, na_value=False)
    if not is_model.any():
        return names
    if "modelName" not in labels:
        raise lacking("modelName", labels.columns)
    return pc.if_else(pa.array(is_model), pc.coalesce(arrow_array(labels["modelName"]).cast(pa.string()), names), names)


def latest_of_each(labels: pd.DataFrame, assets: pd.Series[Any]) -> pd.DataFrame:
    """Return of each asset and labeler the latest label, by ``createdAt`` where it was read, else by their order.

    Parameters
    ----------
    labels : pandas.DataFrame
        Labels, as `labels_table` gives them. Labels without a known author or model are left out.
    assets : pandas.Series
        Which asset each label is of, on the same index.
    """
    names = pd.Series(labeler_names(labels).to_pylist(), index=labels.index, dtype=object)
    order = pd.DataFrame({"asset": assets, "labeler": names, "at": range(len(labels))})
    if "createdAt" in labels:
        order["createdAt"] = labels["createdAt"]
        order = order.sort_values("createdAt", kind="stable", na_position="first")
    kept = order[order["labeler"].notna()].drop_duplicates(["asset", "labeler"], keep="last")
    return labels.iloc[kept["at"].sort_values()]
