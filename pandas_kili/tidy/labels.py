"""One row per label, out of the labels that a frame of assets nests."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array, cells_to_array
from pandas_kili.errors import KiliFieldError
from pandas_kili.json_text import json_text
from pandas_kili.messages import did_you_mean, nearest

_LISTS = ("labels", "latestLabels")
_SINGLE = "latestLabel."
_TEXTS = ("jsonResponse", "response", "search")  # JSON text on the wire, which other readers turn into objects


@dataclasses.dataclass(frozen=True, slots=True)
class LabelRows:
    """The labels of a frame, as Arrow columns.

    Attributes
    ----------
    parents : pyarrow.Array
        Position of the asset's row in the frame, per label.
    fields : dict of str to pyarrow.Array
        Dotted fields of the label.
    """

    parents: pa.Array
    fields: dict[str, pa.Array]


def labels_table(frame: pd.DataFrame, fields: Iterable[str] | None = None) -> pd.DataFrame:
    """Lay the labels of assets out, one row per label.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets, as `read_kili` gives them: with a column ``labels`` (or ``latestLabels``) of lists of structs, or with
        columns ``latestLabel.*``; the first of these that is there is used. Columns of Python objects (lists of dicts),
        as parquet readers of other settings give them, are converted.
    fields : iterable of str, optional
        Dotted fields of the label to keep, in this order, such as ``author.email``; by default all that were read.

    Returns
    -------
    pandas.DataFrame
        ``assetId`` and ``externalId`` (where the frame has ``id`` and ``externalId``), then the fields of the label.
        All columns are `pandas.ArrowDtype`, of the types that the frame nests. The index repeats the asset's index, so
        that ``assets.join(...)`` works; assets without labels give no row.

    Raises
    ------
    KiliFieldError
        Where the frame holds no labels, or they lack a field that is asked for.

    Examples
    --------
    >>> import pandas as pd, pyarrow as pa
    >>> labels = pa.array([[{"author": {"email": "ada@example.com"}, "id": "l1"}], []])
    >>> assets = pd.DataFrame({"id": ["a1", "a2"], "labels": pd.Series(labels, dtype=pd.ArrowDtype(labels.type))})
    >>> labels_table(assets).loc[0].to_dict()
    {'assetId': 'a1', 'author.email': 'ada@example.com', 'id': 'l1'}
    """
    rows = label_rows(frame)
    names = list(rows.fields) if fields is None else _wanted(fields, rows.fields)
    table = {name: asset_column(frame, column, rows.parents) for name, column in identities(frame).items()}
    table.update({name: rows.fields[name] for name in names if fields is not None or name not in table})
    return to_frame(table, frame, rows.parents)


def identities(frame: pd.DataFrame) -> dict[str, str]:
    """Return which columns of a frame name the asset and the author of a label, by the names that tidy tables have."""
    source = "id" if holds_assets(frame) else "assetId"
    return {name: column for name, column in {"assetId": source, "externalId": "externalId"}.items() if column in frame}


def asset_column(frame: pd.DataFrame, name: str, parents: pa.Array) -> pa.Array:
    """Return a column of the assets, repeated for each of their labels."""
    return pc.take(arrow_array(frame[name]), parents)


def to_frame(table: Mapping[str, pa.Array], frame: pd.DataFrame, parents: pa.Array) -> pd.DataFrame:
    """Turn columns into a frame; its index repeats that of the assets."""
    tidy: pd.DataFrame = pa.table(dict(table)).to_pandas(types_mapper=pd.ArrowDtype)
    tidy.index = frame.index.take(parents.to_numpy(zero_copy_only=False))
    tidy.attrs = dict(frame.attrs)
    return tidy


def label_rows(frame: pd.DataFrame) -> LabelRows:
    """Return the labels that a frame of assets nests; a frame that is one of labels already is taken as it is.

    Raises
    ------
    KiliFieldError
        Where it holds none.
    """
    for name in _LISTS:
        if name in frame:
            return _nested(_label_lists(frame[name]))
    single = [str(name) for name in frame.columns if str(name).startswith(_SINGLE)]
    if single:
        return _one_each(frame, single)
    if "jsonResponse" in frame:
        everything = pa.array(np.arange(len(frame)))
        return LabelRows(everything, {str(name): arrow_array(frame[name]) for name in frame.columns})
    raise KiliFieldError(
        "the frame holds no labels: read it with fields such as 'labels.id' and 'labels.jsonResponse'.",
        field="labels",
        suggestions=["labels.id", "labels.jsonResponse"],
    )


def holds_assets(frame: pd.DataFrame) -> bool:
    """Return whether a frame is one of assets that nest labels."""
    return any(str(name) in _LISTS or str(name).startswith(_SINGLE) for name in frame.columns)


def labels_of_assets(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of a frame of assets, with ``asset``: the position of the row that each label is of.

    Raises
    ------
    KiliFieldError
        Where the frame is one of labels, or holds none.
    """
    if not holds_assets(frame):
        raise KiliFieldError(
            "labels are compared within assets, and this is a frame of labels: call it on the frame of the assets.",
            field="labels",
        )
    labels = labels_table(frame.set_axis(pd.RangeIndex(len(frame)), axis=0))
    return labels.assign(asset=labels.index).reset_index(drop=True)


def _label_lists(series: pd.Series[Any]) -> pa.Array:
    if isinstance(series, pd.DataFrame) or series.dtype != object:
        return arrow_array(series)
    return cells_to_array([_plain_labels(cell) for cell in series], series.name)


def _plain_labels(cell: Any) -> list[Any] | str | None:
    """Return the labels of one Python cell, their answers as JSON text again; text is kept for the error."""
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, (list, tuple, np.ndarray)):
        return None
    return [_plain_label(label) if isinstance(label, dict) else label for label in cell]


def _plain_label(label: dict[str, Any]) -> dict[str, Any]:
    texts = {name: json_text(label[name]) for name in _TEXTS if isinstance(label.get(name), (dict, list))}
    return {**label, **texts}


def _nested(lists: pa.Array) -> LabelRows:
    is_list = pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)
    if not is_list and lists.null_count == len(lists):
        return LabelRows(pa.array([], pa.int64()), {})
    if not is_list:
        raise _no_labels(lists.type)
    parents, labels = pc.list_parent_indices(lists), pc.list_flatten(lists)
    if labels.null_count:
        present = labels.is_valid()
        parents, labels = parents.filter(present), labels.filter(present)
    if not pa.types.is_struct(labels.type) and len(labels):
        raise _no_labels(lists.type)
    return LabelRows(parents.cast(pa.int64()), dict(_leaves("", labels)))


def _no_labels(type_: pa.DataType) -> KiliFieldError:
    return KiliFieldError(
        f"labels are lists of structs; the column holds {type_}. CSV turns them into text: keep frames as Parquet, and "
        "read them with dtype_backend='pyarrow'.",
        field="labels",
    )


def _leaves(path: str, array: pa.Array) -> Iterable[tuple[str, pa.Array]]:
    """Yield the dotted leaves of a struct; what lies under a null parent is null."""
    if not pa.types.is_struct(array.type):
        if path:
            yield path, array
        return
    for child in array.type:
        yield from _leaves(f"{path}.{child.name}" if path else child.name, pc.struct_field(array, child.name))


def _one_each(frame: pd.DataFrame, names: list[str]) -> LabelRows:
    """Take the one label that columns `latestLabel.*` give each asset; assets without any value have no label."""
    columns = {name.removeprefix(_SINGLE): arrow_array(frame[name]) for name in names}
    there = np.any([column.is_valid().to_numpy(zero_copy_only=False) for column in columns.values()], axis=0)
    parents = pa.array(np.flatnonzero(there))
    return LabelRows(parents, {name: pc.take(column, parents) for name, column in columns.items()})


def _wanted(fields: Iterable[str], known: Mapping[str, pa.Array]) -> list[str]:
    if isinstance(fields, str):
        raise KiliFieldError(f"fields is a list, such as [{fields!r}]; got the string {fields!r}.", field=fields)
    names = list(dict.fromkeys(fields))
    for name in names:
        if name not in known:
            raise lacking(name, known)
    return names


def lacking(name: str, known: Iterable[Hashable]) -> KiliFieldError:
    """Return the error of a label's field that was not read."""
    near = nearest(str(name), map(str, known))
    hint = did_you_mean(near) or f" Read it: fields=[…, 'labels.{name}']."
    return KiliFieldError(
        f"the labels of this frame have no field {name!r}.{hint}",
        field=str(name),
        suggestions=near,
    )
