"""Columns of any dtype as Arrow arrays, and their cells as plain Python values."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.errors import KiliError, KiliFieldError, KiliValidationError


def arrow_array(series: pd.Series[Any]) -> pa.Array:
    """Return a column as one Arrow array, whatever its dtype.

    Raises
    ------
    KiliFieldError
        Where several columns have the name.
    KiliValidationError
        Where its cells have no type in common.
    """
    if isinstance(series, pd.DataFrame):
        raise KiliFieldError(f"the frame has {series.shape[1]} columns {series.columns[0]!r}.")
    array = cells_to_array(series.array, series.name)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def cells_to_array(cells: Any, name: Any) -> pa.Array | pa.ChunkedArray:
    """Return cells as Arrow values; `name` is the column that the error names."""
    try:
        return pa.array(cells, from_pandas=True)
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
        raise KiliValidationError(f"the cells of {name!r} have no type in common: {error}.") from None


def plain_cells(series: pd.Series[Any]) -> list[Any]:
    """Return the cells of a column as Python's own values."""
    try:
        cells: list[Any] = arrow_array(series).to_pylist()
    except (LookupError, OverflowError, ValueError) as error:  # a date beyond the year 9999, a time zone of nowhere
        if isinstance(error, KiliError):
            raise
        raise KiliValidationError(f"the cells of {series.name!r} cannot be shown: {error}.") from None
    return cells
