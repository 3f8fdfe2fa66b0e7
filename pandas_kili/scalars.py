"""Single values as users give them, checked and turned into Python's own: text, flags, numbers, marks.

Each function raises a `TypeError` or a `ValueError` that says what was expected and what it got.
"""

from __future__ import annotations

import decimal
import numbers
import sys
from typing import Any, TypeGuard

import numpy as np

from pandas_kili.messages import shown

_EXACT = 2**53
_MOST_DIGITS = 4000  # Python writes whole numbers of up to 4,300 digits


def text(value: Any) -> str:
    """Return text that UTF-8 can hold: half a surrogate pair is refused."""
    if type(value) is str and value.isascii():
        return value
    if not isinstance(value, str):
        raise TypeError(f"must be a string; got {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{shown(value)} is not valid Unicode text") from None
    return str(value)


def flag(value: Any) -> bool:
    """Return a flag; numbers and text are none."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"must be True or False; got {shown(value)}")
    return bool(value)


def number(value: Any) -> int | float:
    """Return a finite number; whole numbers of any integer type, and whole decimals, stay exact."""
    if type(value) is int and abs(value) < _EXACT:  # most are; what follows takes a microsecond
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (numbers.Real, np.integer, np.floating, decimal.Decimal)
    ):
        raise TypeError(f"must be a number; got {shown(value)}")
    whole = is_whole_decimal(value) or isinstance(value, (numbers.Integral, np.integer))
    plain: int | float = int(value) if whole else float(value)  # type: ignore[arg-type]  # a number, as checked above
    if not abs(plain) <= sys.float_info.max:
        raise ValueError(f"must be finite; got {shown(value)}")
    return plain


def is_whole_decimal(value: Any) -> TypeGuard[decimal.Decimal]:
    """Return whether a value is a decimal that is a whole number of fewer digits than Python writes as text."""
    if not isinstance(value, decimal.Decimal) or not value.is_finite() or value.adjusted() > _MOST_DIGITS:
        return False
    return value == value.to_integral_value()


def mark(value: Any) -> float:
    """Return a mark, a number within 0 and 1."""
    plain = float(number(value))
    if not 0 <= plain <= 1:
        raise ValueError(f"marks are within 0 and 1; got {shown(value)}")
    return plain
