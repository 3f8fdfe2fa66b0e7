"""What users read: lists cut short, the nearest names, failures in one shape, warnings at their own line."""

from __future__ import annotations

import contextlib
import difflib
import sys
import warnings
from collections.abc import Generator, Hashable, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_kili.errors import KiliValidationError

_PACKAGE = str(Path(__file__).parent)
_held: ContextVar[list[tuple[str | Warning, type[Warning]]] | None] = ContextVar("held", default=None)
_LONGEST_VALUE = 200  # characters of a value in a message


class FailureCase(NamedTuple):
    """One value that does not fit.

    Attributes
    ----------
    index : object
        Label of the row in the user's frame.
    row : int or None
        Position of the row; None where the failure belongs to no row.
    column : hashable
        Label of the column, or the path of the value.
    check : str
        What was expected.
    failure_case : object
        The value itself.
    """

    index: Any
    row: int | None
    column: Hashable
    check: str
    failure_case: Any


def validation_error(message: str, cases: Sequence[FailureCase]) -> KiliValidationError:
    """Return the error of values that do not fit, with `cases` as its table ``failure_cases``."""
    columns = dict(zip(FailureCase._fields, zip(*cases, strict=True), strict=True))
    table = pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in columns.items()})
    return KiliValidationError(message, failure_cases=table)


def label_at(index: pd.Index, row: int) -> Any:
    """Return the label of a row as a plain Python value, where the index holds numpy's."""
    (label,) = index[[row]].tolist()
    return label


def listed(items: Sequence[str], most: int = 5, *, total: int | None = None, where: str = "") -> str:
    """Join the first items with semicolons, and count the rest: ``a; b (and 3 more)``.

    Parameters
    ----------
    items : sequence of str
        What to list; at least the first `most` of them.
    most : int
        How many items are written out.
    total : int, optional
        How many there are, if `items` does not hold all.
    where : str
        Where the rest can be found, such as ``" in .failure_cases"``.
    """
    rest = (len(items) if total is None else total) - min(most, len(items))
    return "; ".join(items[:most]) + (f" (and {rest:,} more{where})" if rest > 0 else "")


def nearest(name: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """Return the known names that look most like a name, whatever their case."""
    folded: dict[str, str] = {each.lower(): each for each in known}
    return [folded[near] for near in difflib.get_close_matches(name.lower(), folded, n=most, cutoff=cutoff)]


def did_you_mean(near: Sequence[Any], lead: str = " Did") -> str:
    """Ask whether one of some names is meant, `` Did you mean 'a' or 'b'?``; empty where there are none."""
    return f"{lead} you mean {' or '.join(map(repr, near))}?" if near else ""


def plural(count: int, one: str, many: str) -> str:
    """Return a count with the words that go with it: ``1 value does not fit``, ``2 values do not fit``."""
    return f"{count:,} {one if count == 1 else many}"


def kind_of(value: Any) -> str:
    """Return the name of a value's type with its article: ``an int``, ``a bytes``."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


def shown(value: Any) -> str:
    """Write a value for a message, cut short where it is long; a frame or an array by its shape."""
    if isinstance(value, (pd.DataFrame, pd.Series, pd.Index, np.ndarray)) and value.ndim:
        return f"{kind_of(value)} of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a refused value may be of any class, with any `__repr__`
        return kind_of(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line outside this package, which is the user's.

    A `message` that is a warning itself has a category of its own.
    """
    held = _held.get()
    if held is not None:
        held.append((message, category))
        return
    frame, level = sys._getframe(1), 2  # noqa: SLF001 - as pandas does; `inspect.stack` reads source files
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextlib.contextmanager
def held_warnings() -> Generator[list[tuple[str | Warning, type[Warning]]]]:
    """Collect what this thread would warn of: no line of the user called it, so the thread that waits for it warns."""
    held: list[tuple[str | Warning, type[Warning]]] = []
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)
