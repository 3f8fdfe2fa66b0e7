"""From the cells of a column to values on the wire: checked first, all failures at once."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import numbers
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_hashable

from pandas_kili.catalog import STATUSES
from pandas_kili.errors import KiliValidationError

_SHOWN = 3  # reasons, and rows of each, in a message
_INT32 = 2**31  # the range of GraphQL's Int


@dataclass(frozen=True, slots=True)
class Kind:
    """What the cells of a property may hold, and how one is read."""

    expected: str
    read: Callable[[Any], Any]


class Columns:
    """The columns of a frame that a mutation needs, read into wire values.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any index; it is never used but to name rows in errors.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.values: dict[str, list[Any]] = {}
        self._labels: dict[str, Hashable] = {}
        self._fits: dict[str, np.ndarray] = {}
        self._problems: list[tuple[Sequence[int], Hashable, Sequence[Any], str]] = []

    def has(self, label: Hashable) -> bool:
        """Whether the frame has a column of that label."""
        return label in self.frame.columns

    def read(self, name: str, label: Hashable) -> list[Any]:
        """Read a column as the property `name`; a null cell is None, one that does not fit is told by `check`."""
        series = self.series(label)
        kind = KINDS[name]
        fits = np.ones(len(series), dtype=bool)
        values: list[Any] = [None] * len(series)
        nulls = nulls_of(series)
        cells = cells_of(series)
        for row in np.flatnonzero(~nulls).tolist():
            try:
                values[row] = kind.read(cells[row])
            except (TypeError, ValueError, OverflowError, RecursionError):
                fits[row] = False
        self.values[name], self._labels[name], self._fits[name] = values, label, fits
        return values

    def fits(self, name: str, row: int) -> bool:
        """Whether a cell that was read fits its property, as those of columns that were not read do."""
        return name not in self._fits or bool(self._fits[name][row])

    def problem(self, rows: Sequence[int], label: Hashable, cells: Sequence[Any], expected: str) -> None:
        """Note rows that are wrong for a reason beyond one cell; told by `check`."""
        if len(rows):
            self._problems.append((rows, label, cells, expected))

    def check(self) -> None:
        """Raise every failure noted so far.

        Raises
        ------
        KiliValidationError
            With ``failure_cases``: ``index`` (label of the row), ``row`` (its position), ``column``, ``check``,
            ``failure_case``.
        """
        cases = [*self._misfits(), *self._noted()]
        if not cases:
            return
        cases.sort(key=lambda case: case["row"])
        columns = ["index", "row", "column", "check", "failure_case"]
        failures = pd.DataFrame({name: pd.Series([case[name] for case in cases], dtype=object) for name in columns})
        raise KiliValidationError(_headline(cases), failure_cases=failures)

    def _misfits(self) -> list[dict[str, Any]]:
        """Let pandera hold each column to its kind; rows are positions there, as labels may repeat.

        It sees which cells fit and not the cells: it writes what it complains of as text, and some cannot be written.
        """
        if all(fits.all() for fits in self._fits.values()):
            return []
        import pandera.pandas as pandera  # noqa: PLC0415 - costs more to import than the check takes
        from pandera.errors import SchemaErrors  # noqa: PLC0415

        schema = pandera.DataFrameSchema(
            {
                name: pandera.Column(bool, pandera.Check(_itself, error=f"expected {KINDS[name].expected}"))
                for name in self._fits
            }
        )
        try:
            schema.validate(pd.DataFrame(self._fits), lazy=True)
        except SchemaErrors as error:
            failures = error.failure_cases
            cells = {name: cells_of(self.series(self._labels[name])) for name in failures["column"].unique()}
            found = zip(failures["index"], failures["column"], failures["check"], strict=True)
            return [self._case(int(row), self._labels[name], cells[name][row], check) for row, name, check in found]
        return []

    def _noted(self) -> list[dict[str, Any]]:
        return [
            self._case(row, label, cell, expected)
            for rows, label, cells, expected in self._problems
            for row, cell in zip(rows, cells, strict=True)
        ]

    def _case(self, row: int, label: Hashable, cell: Any, check: str) -> dict[str, Any]:
        (index,) = self.frame.index[[row]].tolist()  # the plain value, where an index gives numpy's
        return {"index": index, "row": row, "column": label, "check": check, "failure_case": cell}

    def series(self, label: Hashable) -> pd.Series:
        """Return the only column of that label, or say why there is none."""
        require_column(self.frame, label)
        return self.frame[label]


def _headline(cases: Sequence[Mapping[str, Any]]) -> str:
    """Say what is wrong once per reason, with the first rows of each."""
    reasons: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for case in cases:
        reasons.setdefault((repr(case["column"]), case["check"]), []).append(case)
    shown = []
    for (column, check), group in list(reasons.items())[:_SHOWN]:
        rows = ", ".join(f"{case['index']!r}: {_short(case['failure_case'])}" for case in group[:_SHOWN])
        more = f" and {len(group) - _SHOWN:,} more" if len(group) > _SHOWN else ""
        shown.append(f"column {column}: {check}; row {rows}{more}")
    rest = f"; and {len(reasons) - _SHOWN} more reasons" if len(reasons) > _SHOWN else ""
    return f"Nothing was sent, {len(cases):,} values do not fit. {'. '.join(shown)}{rest}. All are in .failure_cases."


def require_column(frame: pd.DataFrame, label: Hashable) -> None:
    """Raise unless the frame has exactly one column of that label."""
    count = _count(frame, label)
    if count == 1:
        return
    if count:
        raise KiliValidationError(f"The frame has {count} columns {label!r}; which one is meant?")
    names = {str(name): name for name in frame.columns}
    near = [repr(names[text]) for text in difflib.get_close_matches(str(label), names, n=3, cutoff=0.5)]
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(map(repr, names.values())) or 'none'}."
    )
    raise KiliValidationError(f"The frame has no column {label!r}; {hint}")


def _count(frame: pd.DataFrame, label: Hashable) -> int:
    """Count the columns of a label."""
    if not is_hashable(label):
        raise KiliValidationError(f"A column is named by its label; got a {type(label).__name__}.")
    try:
        return int(label in frame.columns) if isinstance(label, tuple) else int((frame.columns == label).sum())
    except (TypeError, ValueError, ArithmeticError, NotImplementedError):  # it cannot be compared, so it is none
        return 0


class _Unreadable:
    """In the place of a cell that Python cannot hold, such as a date of Arrow's before year 1."""

    def __repr__(self) -> str:
        return "a value that Python cannot hold"


def cells_of(series: pd.Series) -> list[Any]:
    """Return the cells as Python has them."""
    try:
        return list(series.tolist())
    except (ArithmeticError, ValueError, NotImplementedError):
        return [_cell(series, row) for row in range(len(series))]


def _cell(series: pd.Series, row: int) -> Any:
    try:
        return series.iloc[row]
    except (ArithmeticError, ValueError, NotImplementedError):
        return _Unreadable()


def nulls_of(series: pd.Series) -> np.ndarray:
    """Say which cells are null; one that pandas cannot even look at is not."""
    try:
        return np.asarray(series.isna(), dtype=bool)
    except ArithmeticError:
        return np.array([_is_null(cell) for cell in series.tolist()], dtype=bool)


def _is_null(cell: Any) -> bool:
    try:
        return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))
    except ArithmeticError:  # a signalling NaN
        return False


def json_text(value: Any) -> str:
    """Write a value as JSON text: numpy and pandas scalars are taken, NaN and infinity refused."""
    return _ENCODER.encode(value)


def _itself(fits: pd.Series) -> pd.Series:
    return fits


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = f"a {type(value).__name__} of great depth"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line of a terminal


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half a surrogate pair is no text
    return str(value)


def _name(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError
    return str(value)


def _status(value: Any) -> str:
    if value not in STATUSES:
        raise ValueError
    return str(value)


def _whole(value: Any) -> int:
    number = _number(value)
    if not number.is_integer() or not -_INT32 <= number < _INT32:
        raise ValueError
    return int(number)


def _mark(value: Any) -> float:
    if not 0 <= _number(value) <= 1:
        raise ValueError
    return _number(value)


def _number(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.number)):
        raise TypeError
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError
    return bool(value)


def _json(value: Any) -> str:
    """Return JSON text of an object or array; text is checked and kept as it is."""
    if isinstance(value, str):
        if not isinstance(_DECODER.decode(value), (dict, list)):
            raise TypeError
        return _text(value)
    return _text(json_text(_container(value)))


def _answer(value: Any) -> str:
    text = _json(value)
    if not isinstance(json.loads(text), dict):
        raise TypeError
    return text


def _seconds(value: Any) -> float:
    if not 0 <= _number(value) < float("inf"):
        raise ValueError
    return _number(value)


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError
        return dict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return list(value)
    raise TypeError


def _plain(value: Any) -> Any:
    """Give `json` what it does not know itself."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (pd.Timestamp, dt.date, dt.datetime)) and not pd.isna(value):
        return value.isoformat()
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


# Made once: `json.dumps` and `json.loads` make one a call.
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, default=_plain)
_DECODER = json.JSONDecoder(parse_constant=_refuse)


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


_TEXT = Kind("text", _text)
_JSON = Kind("a dict, a list, or JSON text of one, without NaN or infinity", _json)
_FLAG = Kind("True or False", _flag)
_MARK = Kind("a number within 0 and 1", _mark)

KINDS: dict[str, Kind] = {
    "id": Kind("an asset id: text that is not empty", _name),
    "externalId": Kind("an external id: text that is not empty", _name),
    "newExternalId": Kind("an external id: text that is not empty", _name),
    "jsonResponse": Kind("an answer: a dict, or JSON text of an object, without NaN or infinity", _answer),
    "secondsToLabel": Kind("a number of seconds that is not negative", _seconds),
    "metadataEntry": Kind("a value that JSON can hold, without NaN or infinity", json_text),
    "priority": Kind("a whole number of 32 bits", _whole),
    "jsonMetadata": _JSON,
    "consensusMark": _MARK,
    "honeypotMark": _MARK,
    "toBeLabeledBy": Kind("a list of e-mail addresses", _emails),
    "content": _TEXT,
    "jsonContent": Kind(
        "text, a dict or a list", lambda value: _text(value) if isinstance(value, str) else _json(value)
    ),
    "status": Kind(f"one of {', '.join(STATUSES)}", _status),
    "isUsedForConsensus": _FLAG,
    "isHoneypot": _FLAG,
}
