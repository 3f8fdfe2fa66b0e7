"""Boxes given by their edges: from pixels to shares, and drawn as rings, which answers hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.tidy.answers.geometry import box, turned_forth
from pandas_kili.tidy.answers.schema import RING, VERTEX
from pandas_kili.tidy.schema_columns import RINGS
from pandas_kili.tidy.shape_checks import Misfit

Columns = dict[str, pa.Array]
Flags = npt.NDArray[np.bool_]

BOX = ("xmin", "ymin", "xmax", "ymax")
_PIXELS = {f"pixel{edge[0].upper()}{edge[1:]}": edge for edge in BOX}
_RESOLUTION = ("resolution.width", "resolution.height")


def boxes_in_shares(columns: Columns, annotations: pd.DataFrame) -> Iterator[Misfit]:
    """Turn boxes in pixels into shares, where rows give no shares."""
    length = len(annotations)
    given = {edge: columns[pixels] for pixels, edge in _PIXELS.items() if pixels in columns}
    if not given:
        return
    open_rows = ~np.any([_there(columns, name, length) for name in (*BOX, "rings")], axis=0)
    wanted = open_rows & np.any([_there(columns, name, length) for name in _PIXELS], axis=0)
    if not wanted.any():
        return
    sizes = []
    for name in _RESOLUTION:
        size = (
            arrow_array(annotations[name]).cast(pa.float64()) if name in annotations else pa.nulls(length, pa.float64())
        )
        sizes.append(size)
        bad = ~pc.fill_null(pc.greater(size, 0.0), fill_value=False).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(wanted & bad).tolist():
            yield Misfit(
                row, name, "expected the size of the picture in pixels, as the box is in pixels", size[row].as_py()
            )
    nothing = pa.nulls(length, pa.float64())
    shares = {edge: pc.divide(given.get(edge, nothing), sizes[edge[0] == "y"]) for edge in BOX}
    turns = columns.get("assetRotation", pa.nulls(length, pa.int64()))
    for edge, share in turned_forth(shares, turns).items():
        columns[edge] = pc.if_else(pa.array(wanted), share, columns.get(edge, nothing))


def _there(columns: Mapping[str, pa.Array], name: str, length: int) -> Flags:
    if name not in columns:
        return np.zeros(length, bool)
    flags: Flags = columns[name].is_valid().to_numpy(zero_copy_only=False)
    return flags


def draw_boxes(columns: Columns, length: int, *, has_edges: bool) -> Flags:
    """Draw the rings of boxes that have none, or no longer those; return these rows, and those that lost an edge."""
    sides: Any = np.stack([_there(columns, name, length) for name in BOX])
    boxed: Flags = sides.all(axis=0)
    lost: Flags = sides.any(axis=0) & ~boxed if has_edges else np.zeros(length, bool)
    edges = [columns[name].to_numpy(zero_copy_only=False) for name in BOX if name in columns]
    if "rings" in columns:
        spans = box(columns["rings"])
        tool = pc.utf8_lower(columns["tool"]) if "tool" in columns else pa.nulls(length, pa.string())
        is_box = pc.fill_null(pc.equal(tool, "rectangle"), fill_value=True).to_numpy(zero_copy_only=False)
        same = boxed.copy()
        for name, edge in zip(BOX, edges, strict=False):
            same &= spans[name].to_numpy(zero_copy_only=False) == edge
        boxed &= ~_there(columns, "rings", length) | (is_box & ~same)
    rows = np.flatnonzero(boxed)
    if not len(rows):
        return lost
    xmin, ymin, xmax, ymax = (edge[rows] for edge in edges)
    xs, ys = np.stack([xmin, xmin, xmax, xmax], axis=1), np.stack([ymax, ymin, ymin, ymax], axis=1)
    vertices = pa.StructArray.from_arrays([pa.array(xs.ravel()), pa.array(ys.ravel())], fields=list(VERTEX))
    lines = pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1, dtype=np.int32) * 4), vertices, type=RING)
    drawn = pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1, dtype=np.int32)), lines, type=RINGS)
    places = np.arange(length)
    places[rows] = length + np.arange(len(rows))
    columns["rings"] = pa.concat_arrays([columns.get("rings", pa.nulls(length, RINGS)), drawn]).take(pa.array(places))
    return boxed | lost
