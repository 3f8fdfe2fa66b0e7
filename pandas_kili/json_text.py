"""What metadata and answers can hold: values as JSON text, and the errors of those that JSON has no word for."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, NoReturn

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import python_cells, python_value
from pandas_kili.messages import kind_of
from pandas_kili.scalars import is_whole_decimal

_EXACT = 2**53  # beyond, a double does not hold every whole number


_HALF_PAIR = "half a surrogate pair, which is no Unicode text"


class NotJsonError(ValueError):
    """A value that JSON cannot hold; the text says which key holds what."""


def json_text(value: Any) -> str:
    """Write a value as JSON text.

    Scalars, arrays and columns of numpy, pandas and Arrow are taken. Dates become ISO text, whole decimals numbers,
    UUIDs and paths text.

    Raises
    ------
    NotJsonError
        For NaN, infinity, time spans, bytes, and whatever else has no plain form in JSON.
    """
    try:
        text = _ENCODER.encode(value)
        text.encode()  # half a surrogate pair is no text
    except RecursionError:
        raise NotJsonError("it nests too deeply, or holds itself") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise NotJsonError(next(_faults(value, ""), str(error))) from None
    return text


def json_texts(values: Sequence[Any]) -> list[str]:
    """Write each value as `json_text` does, all at once: less than half the time.

    Raises
    ------
    NotJsonError
        As `json_text`.
    """
    if not values:
        return []
    # Between the values stands a text that JSON escapes; values that hold it too are more parts than there are values.
    joined = json_text([part for value in values for part in (value, _SEAM)])
    texts = joined[1 : -len(_SEAM_WRITTEN) - 1].split(f"{_SEAM_WRITTEN}, ")
    return texts if len(texts) == len(values) else list(map(json_text, values))


def parsed(text: str) -> Any:
    """Read JSON text, in which NaN and infinity are refused.

    Raises
    ------
    NotJsonError
        Where it is none; the error says which key holds NaN or infinity.
    """
    try:
        return _QUICK.decode(text)
    except _ODD:
        pass
    try:
        return _STRICT.decode(text)
    except RecursionError:
        raise NotJsonError("it nests too deeply") from None
    except _ConstantError:
        raise NotJsonError(next(_faults(json.loads(text), ""), "it holds NaN or infinity")) from None
    except ValueError as error:
        raise NotJsonError(f"it is not JSON: {error}") from None


def stored(text: str) -> Any:
    """Read JSON text that a server shows, in which NaN and infinity may be.

    Raises
    ------
    ValueError, RecursionError
        Where it is none.
    """
    try:
        return _QUICK.decode(text)
    except _ODD:
        return json.loads(text)


def as_written(texts: Sequence[str | None], *, from_structs: bool) -> list[str | None]:
    """Undo what Parquet, merges and missing values do to the values of a column, given as JSON text.

    Numbers are whole where all of them are and some are missing: missing values turn integers into floats. With
    `from_structs`, this holds for each key too, and keys with a null value are left out: Parquet gives each dict the
    keys of all.
    """
    if not any(text is None or (from_structs and "null" in text) for text in texts):
        return list(texts)
    values = [None if text is None else json.loads(text) for text in texts]
    found: dict[_Path, _Numbers] = {}
    for value in values:
        _survey(value, (), found)
    nulls = {path for path, numbers in found.items() if numbers.has_null}
    whole = {
        path
        for path, numbers in found.items()
        if numbers.is_float and (from_structs or not path) and not nulls.isdisjoint(_holders(path))
    }
    return [
        text if text is None or not (from_structs or whole) else json_text(_restored(value, (), whole, from_structs))
        for text, value in zip(texts, values, strict=True)
    ]


def are_structs(cells: Sequence[Any]) -> bool:
    """Return whether the dicts among cells look as Parquet gives them back: several, all with the same keys."""
    if not any(issubclass(kind, dict) for kind in set(map(type, cells))):
        return False
    dicts = [tuple(cell) for cell in cells if isinstance(cell, dict)]
    return len(dicts) > 1 and len(set(dicts)) == 1


def is_whole_float(value: Any) -> bool:
    """Return whether a value is a float that stands for a whole number, exactly."""
    return isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT


_Path = tuple[str, ...]


class _Numbers(NamedTuple):
    """What the rows of a column say of one key."""

    has_null: bool = False
    has_float: bool = False  # one that stands for a whole number
    has_other: bool = False  # a fraction, text, ...

    @property
    def is_float(self) -> bool:
        return self.has_float and not self.has_other


def _holders(path: _Path) -> Iterator[_Path]:
    """Yield a path and the structs around it, up to the items of a list: where one is null, so are its values."""
    while True:
        yield path
        if not path or path[-1] == "":
            return
        path = path[:-1]


def _survey(value: Any, path: _Path, found: dict[_Path, _Numbers]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _survey(item, (*path, key), found)
    elif isinstance(value, list):
        for item in value:
            _survey(item, (*path, ""), found)
    else:
        kind = (
            value is None,
            is_whole_float(value),
            value is not None and not is_whole_float(value) and type(value) is not int,
        )
        found[path] = _Numbers(*map(max, found.get(path, _Numbers()), kind))


def _restored(value: Any, path: _Path, whole: set[_Path], from_structs: bool) -> Any:
    if isinstance(value, dict):
        return {
            key: _restored(item, (*path, key), whole, from_structs)
            for key, item in value.items()
            if not (from_structs and item is None)
        }
    if isinstance(value, list):
        return [_restored(item, (*path, ""), whole, from_structs) for item in value]
    return int(value) if path in whole and isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """Give the encoder what it does not know itself."""
    if value is pd.NA or value is pd.NaT:
        return None
    for types, convert in _FORMS:
        if isinstance(value, types):
            return convert(value)
    raise TypeError(f"it holds {kind_of(value)}")


def _no_form(value: Any) -> NoReturn:
    raise TypeError(f"it holds {kind_of(value)}")


def _items(array: np.ndarray) -> Any:
    if array.dtype.kind in "mMV":  # their `.tolist()` gives numbers and tuples
        return list(array) if array.ndim else array[()]
    return array.tolist()


def _moment(value: np.datetime64) -> Any:
    """Return the day or the instant; where numpy has only a number for it, pandas has a timestamp."""
    plain = value.item()
    return pd.Timestamp(value) if isinstance(plain, int) else plain


def _whole(value: decimal.Decimal) -> int:
    return int(value) if is_whole_decimal(value) else _no_form(value)


# The first form that fits the type of a value is taken; its result may have a form in turn.
_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (np.ndarray, _items),
    (np.datetime64, _moment),
    (np.longdouble, float),  # its `.item()` is itself
    ((np.timedelta64, np.void, np.complexfloating), _no_form),
    (np.generic, lambda value: value.item()),
    ((pd.Timestamp, dt.date), lambda value: value.isoformat()),
    (decimal.Decimal, _whole),
    (uuid.UUID, str),
    (PurePath, str),
    (pa.MonthDayNanoIntervalScalar, _no_form),
    (pa.Scalar, python_value),
    ((pa.Array, pa.ChunkedArray), list),
    ((pd.Series, pd.Index, pd.api.extensions.ExtensionArray), lambda values: python_cells(pd.Series(values))),
    (Mapping, dict),
    ((set, frozenset), sorted),
)


def _faults(value: Any, key: str) -> Iterator[str]:
    """Say which keys hold what JSON cannot."""
    try:
        _ENCODER.encode(value).encode()
    except (TypeError, ValueError, ArithmeticError, RecursionError):
        pass
    else:
        return
    plain = value
    if not isinstance(value, (Mapping, list, tuple, str, bytes, float)):
        try:
            plain = _plain(value)
        except (TypeError, ValueError, ArithmeticError, RecursionError):
            plain = None
    if isinstance(plain, Mapping):
        for name, item in plain.items():
            if fault := _fault_of_key(name):
                yield fault
            yield from _faults(item, f"{key}.{name}" if key else str(name))
    elif isinstance(plain, (list, tuple)):
        for item in plain:
            yield from _faults(item, key)
    where = f"key {key!r} holds " if key else "it is "
    yield f"{where}{_described(value)}"


def _described(value: Any) -> str:
    if isinstance(value, float):
        return "NaN" if value != value else "infinity"  # noqa: PLR0124 - NaN is what differs from itself
    if isinstance(value, str):
        return _HALF_PAIR
    return kind_of(value)


def _fault_of_key(name: Any) -> str | None:
    if isinstance(name, str):
        return None if name == name.encode("utf-8", "replace").decode() else f"the key {name!r} holds {_HALF_PAIR}"
    return None if isinstance(name, (int, float)) or name is None else f"a key is {kind_of(name)}"


class _ConstantError(ValueError):
    """NaN or infinity in JSON text."""


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


_SEAM = "\0"
_SEAM_WRITTEN = r', "\u0000"'
# Made once: `json.dumps` and `json.loads` make one a call.
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, default=_plain)
_STRICT = json.JSONDecoder(parse_constant=_refuse)
_QUICK = msgspec.json.Decoder()  # reads what Python's own decoder reads, but for some errors, in half the time
_ODD = (ValueError, RecursionError, msgspec.DecodeError)  # what it leaves to Python's; a ValueError in newer versions
