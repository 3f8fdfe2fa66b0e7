"""The columns of annotations that users made, as the types of the schema; what does not fit is noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array, python_cells, python_value
from pandas_kili.errors import KiliValidationError
from pandas_kili.scalars import flag, number, text
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA, RING
from pandas_kili.tidy.shape_checks import Misfit

RINGS = pa.list_(RING)


def schema_columns(annotations: pd.DataFrame, misfits: list[Misfit]) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns that have values; values that do not fit become misfits, and null."""
    for field in ANNOTATION_SCHEMA:
        if field.name not in annotations:
            continue
        try:
            array = arrow_array(annotations[field.name])
        except KiliValidationError:  # values of several types
            yield field.name, _each(python_cells(annotations[field.name]), field, misfits)
            continue
        if pa.types.is_floating(array.type):  # NaN is how other columns say null
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        if array.null_count < len(array):
            yield field.name, _fitted(array, field, misfits)


def _fitted(array: pa.Array, field: pa.Field, misfits: list[Misfit]) -> pa.Array:
    is_no_text = pa.types.is_floating(array.type) or pa.types.is_boolean(array.type) or pa.types.is_temporal(array.type)
    if array.type != field.type and (_holds_vertices(field.type) or (pa.types.is_string(field.type) and is_no_text)):
        return _each([python_value(scalar) for scalar in array], field, misfits)
    try:
        fitted = array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _each([python_value(scalar) for scalar in array], field, misfits)
    return _finite(fitted, field, misfits)


def _each(cells: list[Any], field: pa.Field, misfits: list[Misfit]) -> pa.Array:
    """Return a column read value by value; what does not fit becomes a misfit, and null."""
    read, expected = _READERS.get(field.name) or _SCALARS[field.type]
    values = []
    for row, value in enumerate(cells):
        try:
            values.append(None if _is_null(value) else read(value))
            pa.scalar(values[-1], field.type)
        except (pa.ArrowException, TypeError, ValueError, LookupError, ArithmeticError):
            del values[row:]
            values.append(None)
            flat = isinstance(value, list) and value and all(isinstance(each, int | float) for each in value)
            coco = "; a flat list of numbers is how COCO writes polygons" if flat and field.name == "rings" else ""
            misfits.append(Misfit(row, field.name, f"expected {expected}{coco}", value))
    return _finite(pa.array(values, field.type), field, misfits)


def _holds_vertices(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) and not pa.types.is_string(type_.value_type)


def _finite(array: pa.Array, field: pa.Field, misfits: list[Misfit]) -> pa.Array:
    """Return a column without numbers that JSON does not have, nor vertices that lack a side."""
    if pa.types.is_floating(array.type):
        bad = np.flatnonzero(np.isinf(array.to_numpy(zero_copy_only=False)))
    elif _holds_vertices(array.type):
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        flat = pc.list_flatten(array)
        if array.type == RINGS:
            parents = parents[pc.list_parent_indices(flat).to_numpy(zero_copy_only=False)]
            flat = pc.list_flatten(flat)
        sides = [pc.struct_field(flat, side).to_numpy(zero_copy_only=False) for side in "xy"]
        bad = np.unique(parents[~(np.isfinite(sides[0]) & np.isfinite(sides[1]))])
    else:
        return array
    check = "expected finite numbers, which NaN and infinity are not"
    misfits += [Misfit(row, field.name, check, array[row].as_py()) for row in bad.tolist()]
    return _without(array, bad) if len(bad) else array


def _without(array: pa.Array, rows: npt.NDArray[np.int64]) -> pa.Array:
    """Return a column in which some rows are null."""
    places = np.arange(len(array))
    return pc.take(array, pa.array(places, mask=np.isin(places, rows)))


def _is_null(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _whole(value: Any) -> int:
    plain = number(value)
    if int(plain) != plain:
        raise ValueError
    return int(plain)


def _list_of_words(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError
    return [text(each) for each in value]


def _vertex(value: Any) -> dict[str, float]:
    return {"x": float(number(value["x"])), "y": float(number(value["y"]))}


def _line(value: Any) -> list[dict[str, float]]:
    if not isinstance(value, list):
        raise TypeError
    return [_vertex(each) for each in value]


def _pose(value: Any) -> list[dict[str, Any]]:
    return [{**{key: each[key] for key in each if isinstance(each[key], str)}, **_vertex(each)} for each in value]


_Reader = tuple[Callable[[Any], Any], str]
_SCALARS: dict[pa.DataType, _Reader] = {
    pa.int64(): (_whole, "a whole number"),
    pa.float64(): (lambda value: float(number(value)), "a number"),
    pa.bool_(): (flag, "true or false"),
    pa.string(): (text, "a text"),
    pa.list_(pa.string()): (_list_of_words, "a list of texts"),
    pa.timestamp("ms", "UTC"): (pd.Timestamp, "a date"),
}
_READERS: dict[str, _Reader] = {
    "rings": (lambda value: [_line(each) for each in value], "a list of rings, each a list of vertices {x, y}"),
    "polyline": (_line, "a list of vertices {x, y}"),
    "points": (_pose, "a list of points {code, name, x, y}"),
}
