"""Columns of any dtype as Arrow arrays, and their cells as plain Python values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.errors import KiliError, KiliFieldError, KiliValidationError

_UNREADABLE = (ArithmeticError, LookupError, NotImplementedError, ValueError)  # what a cell of no Python value raises


def arrow_array(series: pd.Series[Any]) -> pa.Array:
    """Return a column as one Arrow array, whatever its dtype; see `plain_array` for its type.

    Raises
    ------
    KiliFieldError
        Where several columns have the name.
    KiliValidationError
        Where its cells have no type in common, or a text holds half a surrogate pair.
    """
    if isinstance(series, pd.DataFrame):
        raise KiliFieldError(f"the frame has {series.shape[1]} columns {series.columns[0]!r}.")
    array = cells_to_array(series.array, series.name)
    return plain_array(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)


def cells_to_array(cells: Any, name: Any) -> pa.Array | pa.ChunkedArray:
    """Return cells as Arrow values; `name` is the column that the error names."""
    try:
        return pa.array(cells, from_pandas=True)
    except UnicodeEncodeError as error:
        raise KiliValidationError(f"{name!r} holds {error.object!r}, which is no Unicode text.") from None
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
        raise KiliValidationError(f"the cells of {name!r} have no type in common: {error}.") from None


def plain_array(array: pa.Array) -> pa.Array:
    """Return an array of types that all of Arrow's functions know.

    Polars and DuckDB write views, lists of a fixed size, dictionaries, run-end encoded values and extension types.
    These become the plain type that they stand for, within lists and structs too. Other arrays are returned as they
    are.
    """
    type_ = array.type
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    elif pa.types.is_dictionary(type_):
        array = array.dictionary_decode()
    elif pa.types.is_run_end_encoded(type_):
        array = pc.run_end_decode(array)
    elif pa.types.is_string_view(type_) or pa.types.is_binary_view(type_):
        array = array.cast(pa.string() if pa.types.is_string_view(type_) else pa.binary())
    elif _is_list(type_) and not _is_plain(type_):
        array = _plain_lists(array)
    elif pa.types.is_struct(type_) and not _is_plain(type_):
        children = [plain_array(array.field(position)) for position in range(type_.num_fields)]
        array = pa.StructArray.from_arrays(children, [field.name for field in type_], mask=array.is_null())
    return array if _is_plain(array.type) else plain_array(array)


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame that pandas can take rows of: it cannot where columns hold views, as Polars writes them."""
    odd = [
        position
        for position, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, pd.ArrowDtype) and not _is_plain(dtype.pyarrow_dtype)
    ]
    if not odd:
        return frame
    out = frame.copy(deep=False)
    for position in odd:
        array = arrow_array(frame.iloc[:, position])
        out.isetitem(position, pd.arrays.ArrowExtensionArray(array))
    return out


def _plain_lists(array: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    values = plain_array(pc.list_flatten(array))
    lists = pa.LargeListArray.from_arrays(offsets, values, mask=array.is_null())
    return lists if len(values) > np.iinfo(np.int32).max else lists.cast(pa.list_(values.type))


def _is_plain(type_: pa.DataType) -> bool:
    """Return whether neither a type nor what it nests is for `plain_array` to change."""
    if pa.types.is_struct(type_):
        return all(_is_plain(field.type) for field in type_)
    if _is_list(type_):
        return not pa.types.is_fixed_size_list(type_) and not _is_list_view(type_) and _is_plain(type_.value_type)
    odd = (pa.types.is_dictionary, pa.types.is_run_end_encoded, pa.types.is_string_view, pa.types.is_binary_view)
    return not isinstance(type_, pa.BaseExtensionType) and not any(is_odd(type_) for is_odd in odd)


def _is_list(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(type_) for is_kind in kinds) or _is_list_view(type_)


def _is_list_view(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_))


class Unreadable:
    """Stands for a cell that Python cannot hold, such as a date before year 1 in Arrow."""

    def __repr__(self) -> str:
        return "a value that Python cannot hold"


def python_cells(series: pd.Series[Any]) -> list[Any]:
    """Return the cells of a column as Python's own values, None where null.

    A cell that Python cannot hold is `Unreadable`. Arrow's maps are dicts. Cells of object columns stay what they are,
    numpy's among them.
    """
    nulls, cells = _nulls(series), list(_cells(series))
    if any(nulls):
        cells = [None if null else cell for cell, null in zip(cells, nulls, strict=True)]
    if series.dtype == object:
        return [python_value(cell) if isinstance(cell, pa.Scalar) else cell for cell in cells]
    if isinstance(series.dtype, pd.ArrowDtype) and _holds_map(series.dtype.pyarrow_dtype):
        return [_with_maps(cell, series.dtype.pyarrow_dtype) for cell in cells]
    return cells


def python_value(scalar: pa.Scalar) -> Any:
    """Return a value of Arrow's as Python's own: maps are dicts, and what Python cannot hold is `Unreadable`."""
    try:
        return _with_maps(scalar.as_py(), scalar.type)
    except _UNREADABLE:
        return Unreadable()


def plain_cells(series: pd.Series[Any]) -> list[Any]:
    """Return the cells of a column as Python's own values.

    Raises
    ------
    KiliFieldError, KiliValidationError
        As `arrow_array`, and where Python cannot hold a cell.
    """
    try:
        cells: list[Any] = arrow_array(series).to_pylist()
    except (LookupError, OverflowError, ValueError) as error:  # a date beyond the year 9999, a time zone of nowhere
        if isinstance(error, KiliError):
            raise
        raise KiliValidationError(f"the cells of {series.name!r} cannot be shown: {error}.") from None
    return cells


def _cells(series: pd.Series[Any]) -> Iterable[Any]:
    if isinstance(series.dtype, pd.ArrowDtype):
        array, type_ = pa.array(series.array), series.dtype.pyarrow_dtype
        is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
        if is_text or (pa.types.is_integer(type_) and not array.null_count):  # at once, and not one by one
            return list(array.to_numpy(zero_copy_only=False).tolist())
    try:
        return series.tolist()
    except _UNREADABLE:
        return [_cell(series, row) for row in range(len(series))]


def _cell(series: pd.Series[Any], row: int) -> Any:
    try:
        return series.iloc[row]
    except _UNREADABLE:
        return Unreadable()


def _nulls(series: pd.Series[Any]) -> list[bool]:
    """Say which cells are null; one that pandas cannot even look at is not."""
    try:
        return list(series.isna().tolist())
    except ArithmeticError:
        return [_is_null(cell) for cell in series.tolist()]


def _is_null(cell: Any) -> bool:
    try:
        return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))
    except ArithmeticError:  # a signalling NaN
        return False


def _holds_map(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_) or _is_list(type_):
        return _holds_map(type_.value_type)
    return pa.types.is_map(type_) or (pa.types.is_struct(type_) and any(_holds_map(field.type) for field in type_))


def _with_maps(value: Any, type_: pa.DataType) -> Any:
    """Return a value with its maps as dicts: Python gets lists of pairs. A key given twice makes it `Unreadable`."""
    if value is None or isinstance(value, Unreadable) or not _holds_map(type_):
        return value
    if pa.types.is_map(type_):
        pairs = {key: _with_maps(item, type_.item_type) for key, item in value}
        return pairs if len(pairs) == len(value) else Unreadable()
    if pa.types.is_struct(type_):
        return {field.name: _with_maps(value[field.name], field.type) for field in type_}
    if pa.types.is_dictionary(type_):
        return _with_maps(value, type_.value_type)
    return [_with_maps(item, type_.value_type) for item in value]
