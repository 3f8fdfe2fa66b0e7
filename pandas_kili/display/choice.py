"""Which labels of an asset are shown, and the rows of their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import arrow_array
from pandas_kili.tidy import (
    MODEL_TYPES,
    SUBMITTED,
    annotations_table,
    author_names,
    labeler_names,
    labels_table,
    lacking,
    of_types,
)

Row = dict[str, Any]
LabelChoice = Literal["latest", "all"]

PER_ASSET = ("asset",)
PER_LABELER = ("asset", "labeler")
_PER_TYPE = ("asset", "author", "type", "model")

_NEEDED = (
    *("kind", "mid", "parentMid", "job", "parentJob", "mlTask", "tool", "category", "parentCategories", "confidence"),
    *("text", "beginOffset", "endOffset", "beginId", "endId", "content", "startMids", "endMids", "firstId", "secondId"),
    *("rank", "elements", "page", "frame", "isKeyFrame", "xmin", "ymin", "xmax", "ymax", "x", "y", "rings"),
    *("polyline", "points", "rangeStart", "rangeEnd", "problem", "assetRotation"),
)
_DRAWN = ("rings", "polyline", "points", "x")


@dataclass(frozen=True)
class ShownLabel:
    """One label: its author, type, model and time, and its rows as `annotations_table` lays them out."""

    author: str
    type: str
    model: str
    created: str
    rows: tuple[Row, ...]


def chosen_labels(frame: pd.DataFrame, of_each: Sequence[str], label_types: Collection[str] | None) -> pd.DataFrame:
    """Return the latest labels of assets, indexed by the position of the asset.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with labels.
    of_each : sequence of str
        The latest label is taken of each asset, of each asset and labeler, or of each asset, author, type and model.
        Submitted labels go before drafts and predictions.

    Returns
    -------
    pandas.DataFrame
        Assets in their order; of each asset people by name, then models by name.
    label_types : collection of str or None
        Labels of other types are left out; None takes all.
    """
    table = of_types(labels_table(frame.set_axis(pd.RangeIndex(len(frame)), axis=0)), label_types)
    if not len(table):
        return table
    order = pd.DataFrame({"asset": table.index, "author": _authors(table), "type": _texts(table, "labelType")})
    order["model"] = _texts(table, "modelName")
    if "labeler" in of_each:
        order["labeler"] = labelers(table)
    order["is_model"] = order["type"].isin(MODEL_TYPES)
    order["drafted"] = ~order["type"].isin([*SUBMITTED, ""])
    order["created"] = table["createdAt"].array if "createdAt" in table else pd.NaT
    order = order.sort_values(["drafted", "created"], ascending=[False, True], kind="stable", na_position="first")
    kept = order.drop_duplicates(list(of_each), keep="last")
    return table.iloc[kept.sort_values(["asset", "is_model", "model", "author", "type"], kind="stable").index]


def shown_labels(
    frame: pd.DataFrame,
    labels: LabelChoice,
    label_types: Collection[str] | None,
    job: str | Collection[str] | None = None,
) -> dict[int, list[ShownLabel]]:
    """Return the labels of assets that are shown, with what they answer to some jobs, by the position of the asset."""
    chosen = chosen_labels(frame, PER_ASSET if labels == "latest" else _PER_TYPE, label_types)
    if not len(chosen):
        return {}
    if "jsonResponse" not in chosen:
        raise lacking("jsonResponse", chosen.columns)
    table = annotations_table(chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0), job=job)
    columns = [arrow_array(table[name]).to_pylist() for name in _NEEDED]
    rows: list[list[Row]] = [[] for _ in range(len(chosen))]
    for label, *values in zip(table.index, *columns, strict=True):
        rows[label].append(dict(zip(_NEEDED, values, strict=True)))
    created = chosen["createdAt"].dt.strftime("%Y-%m-%d %H:%M") if "createdAt" in chosen else None
    times = [""] * len(chosen) if created is None else created.fillna("").tolist()
    types, models = _texts(chosen, "labelType"), _texts(chosen, "modelName")
    shown = map(ShownLabel, _authors(chosen), types, models, times, map(tuple, rows))
    found: dict[int, list[ShownLabel]] = {}
    for asset, label in zip(chosen.index, shown, strict=True):
        found.setdefault(asset, []).append(label)
    return found


def labelers(table: pd.DataFrame) -> list[str]:
    """Return who made each label, models by their names; empty if unknown."""
    return _filled(labeler_names(table), len(table))


def _authors(table: pd.DataFrame) -> list[str]:
    return _filled(author_names({str(name): arrow_array(column) for name, column in table.items()}), len(table))


def _texts(table: pd.DataFrame, name: str) -> list[str]:
    return _filled(arrow_array(table[name]) if name in table else None, len(table))


def _filled(texts: pa.Array | None, length: int) -> list[str]:
    return [""] * length if texts is None else ["" if text is None else str(text) for text in texts.to_pylist()]


def is_drawn(row: Row) -> bool:
    """Return whether a row has a shape."""
    return any(row[name] is not None for name in _DRAWN)


def is_marked(row: Row) -> bool:
    """Return whether a row has a shape, a span of text, or a picture of its own because the labeler turned it."""
    return is_drawn(row) or row["beginOffset"] is not None or bool(row["assetRotation"])


def part_shown(labels: Sequence[ShownLabel]) -> tuple[int | None, int | None]:
    """Return the first frame and page with the most shapes; None where there are none."""
    rows = [row for label in labels for row in label.rows]
    for several in (
        [row for row in rows if is_drawn(row) and row["isKeyFrame"] is not False],
        [row for row in rows if is_drawn(row)],
        rows,
    ):
        parts = Counter((row["frame"], row["page"]) for row in several if (row["frame"], row["page"]) != (None, None))
        if parts:
            return min(parts, key=lambda part: (-parts[part], part[0] or 0, part[1] or 0))
    return None, None


def in_part(row: Row, frame: int | None, page: int | None) -> bool:
    """Return whether a row is about a part, or about the whole."""
    return row["frame"] in {None, frame} and row["page"] in {None, page}
