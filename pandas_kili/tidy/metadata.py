"""The keys of the assets' metadata, as typed columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import python_cells
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.json_text import json_text
from pandas_kili.messages import FailureCase, kind_of, label_at, listed, shown, validation_error, warn

_COLUMN = "jsonMetadata"
_EXACT = 2**53  # beyond, a double does not hold every whole number
_MOST = 2**63
_NAMES = {bool: "bool", int: "int", float: "float", str: "string", dict: "object", list: "list"}


def metadata_table(frame: pd.DataFrame, schema: Mapping[str, pa.DataType] | None = None) -> pd.DataFrame:
    """Lay the keys of ``jsonMetadata`` out as typed columns, row by row.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets, with a column ``jsonMetadata`` of JSON text, as `read_kili` gives it, or of dicts. Null and empty text
        are metadata without keys.
    schema : mapping of str to pyarrow.DataType, optional
        Types of keys that the values do not show, such as ``{"taken": pa.timestamp("ms"), "zip": pa.string()}``.
        These columns come first and are there in any case; other keys follow.

    Returns
    -------
    pandas.DataFrame
        One row per row of the frame, on the same index; a `pandas.ArrowDtype` column per key, in the order in which
        keys are met. Types follow from the values of the whole column: whole numbers ``int64``, numbers ``double``,
        truth ``bool``, text ``string`` (dates in it stay text), objects and lists JSON text (``string``), keys without
        any value ``string``. Where these mix, every value is JSON text. A key that is missing or null is null.

    Warns
    -----
    UserWarning
        Where the values of a key are of several types, which are named.

    Raises
    ------
    KiliFieldError
        Where the frame has no ``jsonMetadata``.
    KiliValidationError
        For metadata that is not a JSON object, or a value that does not fit the schema, naming rows; all failures are
        in ``failure_cases``.

    Examples
    --------
    >>> import pandas as pd
    >>> assets = pd.DataFrame({"jsonMetadata": ['{"site": "Lyon", "floor": 3}', '{"site": "Brest"}']})
    >>> metadata_table(assets).dtypes.astype(str).to_dict()
    {'site': 'string[pyarrow]', 'floor': 'int64[pyarrow]'}
    """
    if _COLUMN not in frame:
        raise KiliFieldError(
            f"the frame has no column {_COLUMN!r}: read it with that field.", field=_COLUMN, suggestions=[_COLUMN]
        )
    schema = {} if schema is None else schema
    if not isinstance(schema, Mapping):
        raise KiliValidationError(
            f"schema gives keys their types, as {{'floor': pa.int64()}} does; got {kind_of(schema)}."
        )
    objects, position_of = _objects(frame)
    values = _by_key(objects, schema)
    known = {key: _typed(key, values[key], type_, frame, position_of) for key, type_ in schema.items()}
    conflicts: dict[str, list[str]] = {}
    found = {key: _inferred(key, column, conflicts) for key, column in values.items() if key not in schema}
    _warn_of(conflicts)
    wanted = pa.array(position_of)
    series = {
        key: pd.Series(array.take(wanted), index=frame.index, dtype=pd.ArrowDtype(array.type))
        for key, array in (known | found).items()
    }
    table = pd.DataFrame(series, index=frame.index)
    table.attrs = dict(frame.attrs)
    return table


def _objects(frame: pd.DataFrame) -> tuple[list[dict[str, Any]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the distinct metadata, and for each row which of them it has: equal texts are read once."""
    objects: list[dict[str, Any]] = []
    seen: dict[Any, int] = {}
    position_of = np.empty(len(frame), np.int64)
    cases: list[FailureCase] = []
    if list(frame.columns).count(_COLUMN) > 1:
        raise KiliFieldError(f"the frame has several columns {_COLUMN!r}.", field=_COLUMN)
    for row, cell in enumerate(python_cells(frame[_COLUMN])):
        text = cell if isinstance(cell, str) else None
        if text is None or text not in seen:
            seen[text] = len(objects)
            try:
                objects.append(_object(cell))
            except (TypeError, ValueError, RecursionError) as error:
                objects.append({})
                cases.append(FailureCase(label_at(frame.index, row), row, _COLUMN, str(error), cell))
        position_of[row] = seen[text]
    _refuse(cases, "metadata is a JSON object per asset")
    return objects, position_of


def _object(cell: Any) -> dict[str, Any]:
    """Return the metadata of a cell; null and empty text are metadata without keys."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return {}
    if isinstance(cell, str):
        value = json.loads(cell)
    else:
        value = json.loads(json_text(cell)) if isinstance(cell, Mapping) else cell
    if not isinstance(value, dict | None):
        raise TypeError("is not an object")
    return value or {}


def _by_key(objects: list[dict[str, Any]], first: Iterable[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {key: [None] * len(objects) for key in first}
    for position, item in enumerate(objects):
        for key, value in item.items():
            if key not in columns:
                columns[key] = [None] * len(objects)
            columns[key][position] = value
    return columns


def _inferred(key: str, values: list[Any], conflicts: dict[str, list[str]]) -> pa.Array:
    """Return the values of a key as the only type of a column that holds them all; else as JSON text."""
    types = {type(value) for value in values if value is not None}
    for type_, holds in _RULES:
        if holds(types, values):
            return _texts(values) if type_ == pa.string() else pa.array(values, type_)
    if types <= {int, float}:
        conflicts[key] = ["numbers that no column holds exactly"]
    elif not types <= {dict, list}:
        conflicts[key] = sorted(_NAMES.get(type_, type_.__name__) for type_ in types)
    return _texts([None if value is None else _json(value) for value in values])


# Which type holds the values of a key, by their Python types and by the values; no two rules hold at once.
_RULES: tuple[tuple[pa.DataType, Callable[[set[type], list[Any]], bool]], ...] = (
    (pa.bool_(), lambda types, _: types == {bool}),
    (pa.string(), lambda types, _: types <= {str}),  # a key without values too
    (pa.int64(), lambda types, values: types == {int} and all(_is_long(value) for value in values)),
    (
        pa.float64(),
        lambda types, values: {float} <= types <= {int, float} and all(_is_double(value) for value in values),
    ),
)


def _is_long(value: Any) -> bool:
    return value is None or -_MOST <= value < _MOST


def _is_double(value: Any) -> bool:
    return not isinstance(value, int) or -_EXACT <= value <= _EXACT


def _texts(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half a surrogate pair is no Unicode text
        return pa.array(
            [value and value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for value in values]
        )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _warn_of(conflicts: Mapping[str, list[str]]) -> None:
    if conflicts:
        named = "; ".join(f"{key!r} ({', '.join(types)})" for key, types in conflicts.items())
        warn(f"metadata of several types is given as JSON text: {named}. A schema gives its type.")


def _typed(
    key: str, values: list[Any], type_: pa.DataType, frame: pd.DataFrame, position_of: np.ndarray[Any, Any]
) -> pa.Array:
    if not isinstance(type_, pa.DataType):
        raise KiliValidationError(f"the type of {key!r} must be a pyarrow type such as pa.string(); got {type_!r}.")
    try:
        return _cast(values, type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        cases = [
            FailureCase(label_at(frame.index, row), row, key, f"is no {type_}", values[position])
            for row, position in enumerate(position_of)
            if not _fits(values[position], type_)
        ]
        _refuse(cases, f"values of {key!r} do not fit {type_}")
        raise


def _cast(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return _texts([value if value is None or isinstance(value, str) else _json(value) for value in values]).cast(
            type_
        )
    if all(value is None or isinstance(value, str) for value in values):
        return _texts(values).cast(type_)
    return pa.array([_cast([value], type_)[0].as_py() if isinstance(value, str) else value for value in values], type_)


def _fits(value: Any, type_: pa.DataType) -> bool:
    try:
        _cast([value], type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _refuse(cases: Sequence[FailureCase], rule: str) -> None:
    if cases:
        told = [f"row {case.index!r}: {shown(case.failure_case)} ({case.check})" for case in cases]
        raise validation_error(f"{rule}; {listed(told, where=' in .failure_cases')}.", cases)
