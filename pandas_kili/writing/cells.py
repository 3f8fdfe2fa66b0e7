"""From the cells of a column to values on the wire: checked first, all failures at once."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from pandas.api.types import is_hashable

from pandas_kili import scalars
from pandas_kili.arrow import Unreadable, python_cells
from pandas_kili.catalog import STATUSES
from pandas_kili.errors import KiliValidationError
from pandas_kili.json_text import NotJsonError, are_structs, as_written, json_text, json_texts, parsed
from pandas_kili.messages import FailureCase, did_you_mean, kind_of, label_at, nearest, plural, shown, validation_error

_SHOWN = 3  # reasons, and rows of each, in a message
_INT32 = 2**31  # the range of GraphQL's Int


@dataclass(frozen=True, slots=True)
class CellType:
    """What the cells of a property may hold, and how one is read."""

    expected: str
    read: Callable[[Any], Any]
    holds_json: bool = False  # read as JSON text, so that the column as a whole tells what Parquet did to its values
    read_all: Callable[[list[Any]], list[Any] | None] = lambda _: None  # a whole column, where a glance tells it fits


class Removal(enum.Enum):
    """The one value of `REMOVE`; an enumeration, so that it is itself after pickling too."""

    REMOVE = "REMOVE"

    def __repr__(self) -> str:
        return "pandas_kili.REMOVE"


REMOVE = Removal.REMOVE
"""A cell of `merge_metadata` that removes its key; null leaves the key as it is."""


class Columns:
    """The columns of a frame that a mutation needs, read into wire values.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any index; it is only used to name rows in errors.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self._read: dict[tuple[str, Hashable], list[Any]] = {}  # so that no failure is noted twice
        self._misfits: dict[str, set[int]] = {}  # by property, of the columns read
        self._problems: list[FailureCase] = []

    def has(self, label: Hashable) -> bool:
        """Return whether the frame has a column of that label."""
        return label in self.frame.columns

    def read(self, name: str, label: Any) -> list[Any]:
        """Read a column as the property `name`: a null cell is None; one that does not fit is noted for `check`.

        Metadata may be read from a list of columns, which become its keys.
        """
        if isinstance(label, list):
            return self._read_keys(label)
        require_column(self.frame, label)
        if (name, label) not in self._read:
            self._read[name, label] = self._read_cells(name, label)
        return self._read[name, label]

    def _read_cells(self, name: str, label: Hashable) -> list[Any]:
        type_ = CELL_TYPES[name]
        misfits = self._misfits.setdefault(name, set())
        cells = self.cells(label)
        plain = type_.read_all(cells)
        values = [None] * len(cells) if plain is None else plain
        for row, cell in enumerate(cells if plain is None else ()):
            if cell is None:
                continue
            try:
                values[row] = type_.read(cell)
            except NotJsonError as error:
                misfits.add(row)
                self.problem([row], label, [cell], f"expected {type_.expected}; {error}")
            except (TypeError, ValueError, ArithmeticError, RecursionError):
                misfits.add(row)
                self.problem([row], label, [cell], f"expected {type_.expected}{_hint(name, cell)}")
        if not type_.holds_json or not any(
            value is None or (value is not REMOVE and "null" in value) for value in values
        ):
            return values
        dtype = self.frame[label].dtype
        is_arrows = isinstance(dtype, pd.ArrowDtype) and pa.types.is_struct(dtype.pyarrow_dtype)
        return _restored(values, cells, from_structs=is_arrows or are_structs(cells))

    def cells(self, label: Hashable) -> list[Any]:
        """Return the cells of the only column of that label as Python has them: None where null."""
        require_column(self.frame, label)
        return python_cells(self.frame[label])

    def fits(self, name: str, row: int) -> bool:
        """Return whether a cell fits its property, as far as its column was read."""
        return row not in self._misfits.get(name, ())

    def problem(self, rows: Sequence[int], label: Hashable, cells: Sequence[Any], expected: str) -> None:
        """Note rows that are wrong, for `check`."""
        self._problems += [
            FailureCase(label_at(self.frame.index, row), row, label, expected, cell)
            for row, cell in zip(rows, cells, strict=True)
        ]

    def check(self) -> None:
        """Raise every failure noted so far.

        Raises
        ------
        KiliValidationError
            With ``failure_cases``: ``index`` (label of the row), ``row`` (its position), ``column``, ``check``,
            ``failure_case``.
        """
        if self._problems:
            told = {
                (case.row, repr(case.column), case.check): case for case in self._problems
            }  # a column may be read twice
            cases = sorted(told.values(), key=lambda case: case.row or 0)
            raise validation_error(_headline(cases), cases)

    def _read_keys(self, labels: Sequence[Hashable]) -> list[str | None]:
        """Read columns as the keys of metadata: a row of null cells has none."""
        keys = {key: self.read("metadataKey", key) for key in metadata_keys(self.frame, labels)}
        rows: list[str | None] = []
        for cells in zip(*keys.values(), strict=True):
            entries = [f"{json_text(key)}: {cell}" for key, cell in zip(keys, cells, strict=True) if cell is not None]
            rows.append(f"{{{', '.join(entries)}}}" if entries else None)
        return rows


def metadata_keys(frame: pd.DataFrame, labels: Sequence[Hashable]) -> list[str]:
    """Return the columns that are named after keys of metadata.

    Raises
    ------
    KiliValidationError
        Where one is not there, or its label is not text.
    """
    for label in labels:
        if isinstance(label, (list, tuple)):
            raise KiliValidationError(f"Columns are named one by one, such as 'site', 'day'; got {label!r}.")
        if not isinstance(label, str):
            raise KiliValidationError(f"A key of metadata is text; the column {label!r} has another label.")
        require_column(frame, label)
    return [str(label) for label in labels]


def _restored(values: list[Any], cells: Sequence[Any], *, from_structs: bool) -> list[Any]:
    """Return JSON values with what Parquet did to them undone; what was given as text of JSON stays."""
    pairs = zip(values, cells, strict=True)
    given = [value is REMOVE or (isinstance(cell, str) and value == cell) for value, cell in pairs]
    texts = [None if stays else value for value, stays in zip(values, given, strict=True)]
    if not any(texts):
        return values
    restored = as_written(texts, from_structs=from_structs)
    return [value if stays else new for value, new, stays in zip(values, restored, given, strict=True)]


def _hint(name: str, cell: Any) -> str:
    if isinstance(cell, (str, Mapping, Unreadable)):
        return ""
    what = f"; it is {kind_of(cell)}"
    if name in {"id", "externalId", "newExternalId"} and not isinstance(cell, (bytes, list)):
        return f"{what}: .astype('string') makes the column text"
    return what


def _headline(cases: Sequence[FailureCase]) -> str:
    """Say what is wrong once per reason, with the first rows of each."""
    reasons: dict[tuple[str, str], list[FailureCase]] = {}
    for case in cases:
        reasons.setdefault((repr(case.column), case.check), []).append(case)
    told = []
    for (column, check), group in list(reasons.items())[:_SHOWN]:
        rows = ", ".join(f"{case.index!r}: {shown(case.failure_case)}" for case in group[:_SHOWN])
        more = f" and {len(group) - _SHOWN:,} more" if len(group) > _SHOWN else ""
        told.append(f"column {column}: {check}; row {rows}{more}")
    rest = f"; and {len(reasons) - _SHOWN} more reasons" if len(reasons) > _SHOWN else ""
    count = plural(len(cases), "value does not fit", "values do not fit")
    return f"Nothing was sent, {count}. {'. '.join(told)}{rest}. All are in .failure_cases."


def require_property(frame: pd.DataFrame, name: str, label: Any) -> None:
    """Raise unless the frame has what a property is read from: a column, or for metadata also a list of them."""
    if name == "jsonMetadata" and isinstance(label, list) and label:
        metadata_keys(frame, label)
    else:
        require_column(frame, label)


def require_column(frame: pd.DataFrame, label: Hashable) -> None:
    """Raise unless the frame has exactly one column of that label."""
    count = _count(frame, label)
    if count == 1:
        return
    if count:
        raise KiliValidationError(f"The frame has {count} columns {label!r}; which one is meant?")
    names = {str(name): name for name in frame.columns}
    near = [names[text] for text in nearest(str(label), names, cutoff=0.5)]
    hint = did_you_mean(near, "did") or f"there are {', '.join(map(repr, names.values())) or 'none'}."
    raise KiliValidationError(f"The frame has no column {label!r}; {hint}")


def _count(frame: pd.DataFrame, label: Hashable) -> int:
    """Count the columns of a label."""
    if not is_hashable(label):
        raise KiliValidationError(f"A column is named by its label; got {kind_of(label)}.")
    try:
        return int(label in frame.columns) if isinstance(label, tuple) else int((frame.columns == label).sum())
    except (TypeError, ValueError, ArithmeticError, NotImplementedError):  # it cannot be compared, so no column has it
        return 0


def _plain_names(cells: list[Any]) -> list[Any] | None:
    are_plain = set(map(type, cells)) == {str} and all(map(str.strip, cells)) and all(map(str.isascii, cells))
    return cells if are_plain else None


def _plain_numbers(cells: list[Any]) -> list[Any] | None:
    return cells if set(map(type, cells)) == {int} and -_INT32 <= min(cells) <= max(cells) < _INT32 else None


def _plain_values(cells: list[Any]) -> list[Any] | None:
    """Return the JSON text of values that are all text, or all whole numbers."""
    return _texts(cells) if set(map(type, cells)) in ({str}, {int}) else None


def _plain_objects(cells: list[Any]) -> list[Any] | None:
    """Return the JSON text of dicts with keys that are text."""
    is_plain = set(map(type, cells)) == {dict} and set(map(type, set().union(*cells))) <= {str}
    return _texts(cells) if is_plain else None


def _texts(cells: list[Any]) -> list[Any] | None:
    try:
        return json_texts(cells)
    except NotJsonError:  # some do not fit: each cell is read by itself
        return None


def _name(value: Any) -> str:
    if not scalars.text(value).strip():
        raise ValueError
    return str(value)


def _status(value: Any) -> str:
    if value not in STATUSES:
        raise ValueError
    return str(value)


def _whole(value: Any) -> int:
    number = scalars.number(value)
    if number != int(number) or not -_INT32 <= number < _INT32:
        raise ValueError
    return int(number)


def _seconds(value: Any) -> float:
    if scalars.number(value) < 0:
        raise ValueError
    return float(value)


def _json(value: Any) -> str:
    """Return JSON text of an object or array; text is checked and kept as it is."""
    if isinstance(value, str):
        if not isinstance(parsed(value), (dict, list)):
            raise TypeError
        return scalars.text(value)
    text = json_text(value)
    if text[0] not in "{[":
        raise TypeError
    for key in value if isinstance(value, Mapping) else ():
        if not isinstance(key, str):
            raise NotJsonError(f"the key {shown(key)} is {kind_of(key)}, and keys are text")
    return text


def _metadata(value: Any) -> str | None:
    """Return metadata as JSON text; empty text, as old assets have it, is null."""
    return None if isinstance(value, str) and not value.strip() else _json(value)


def _rich_text(value: Any) -> str:
    return scalars.text(value) if isinstance(value, str) else _json(value)


def _entry(value: Any) -> str | Removal:
    return REMOVE if value is REMOVE else json_text(value)


def _answer(value: Any) -> str:
    """Return an answer as JSON text; a job that is null was not answered."""
    text = _json(value)
    jobs = json.loads(text)
    if not isinstance(jobs, dict):
        raise TypeError
    return json_text({job: said for job, said in jobs.items() if said is not None}) if None in jobs.values() else text


def _emails(value: Any) -> list[str]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError
    return list(dict.fromkeys(_email(item) for item in value))


def _email(value: Any) -> str:
    """Return an address, also out of what `read_kili` gives: ``{"user": {"email": ...}}``."""
    while isinstance(value, Mapping):
        value = value["user"] if "user" in value else value.get("email")
    if "@" not in _name(value):
        raise ValueError
    return str(value)


_NAME = "text that is not empty"
_FLAG = CellType("True or False", scalars.flag)
_MARK = CellType("a number within 0 and 1", scalars.mark)
_VALUE = "a value that JSON can hold, without NaN or infinity"
_OBJECT = "a dict, a list, or JSON text of one, without NaN or infinity"

CELL_TYPES: dict[str, CellType] = {
    "id": CellType(f"an asset id: {_NAME}", _name, read_all=_plain_names),
    "externalId": CellType(f"an external id: {_NAME}", _name, read_all=_plain_names),
    "newExternalId": CellType(f"an external id: {_NAME}", _name, read_all=_plain_names),
    "jsonResponse": CellType(
        "an answer: a dict, or JSON text of an object, without NaN or infinity", _answer, holds_json=True
    ),
    "secondsToLabel": CellType("a number of seconds that is not negative", _seconds),
    "metadataKey": CellType(_VALUE, json_text, holds_json=True, read_all=_plain_values),
    "metadataEntry": CellType(f"{_VALUE}, or pandas_kili.REMOVE", _entry, holds_json=True, read_all=_plain_values),
    "priority": CellType("a whole number of 32 bits", _whole, read_all=_plain_numbers),
    "jsonMetadata": CellType(_OBJECT, _metadata, holds_json=True, read_all=_plain_objects),
    "consensusMark": _MARK,
    "honeypotMark": _MARK,
    "toBeLabeledBy": CellType("a list of e-mail addresses", _emails),
    "content": CellType("text", scalars.text),
    "jsonContent": CellType("text, a dict or a list", _rich_text),
    "status": CellType(f"one of {', '.join(STATUSES)}", _status),
    "isUsedForConsensus": _FLAG,
    "isHoneypot": _FLAG,
}
