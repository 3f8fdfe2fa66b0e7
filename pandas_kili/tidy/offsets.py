"""Offsets in texts: Kili counts UTF-16 units, Python code points; they differ behind an emoji."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import FailureCase, label_at, listed, validation_error

_PLANE = 0x10000  # code points from here on are two units


def to_code_points(texts: pd.Series, offsets: pd.Series) -> pd.Series:
    """Turn offsets in UTF-16 units, as Kili's ``beginOffset`` and ``endOffset``, into offsets for Python's strings.

    Parameters
    ----------
    texts : pandas.Series
        The text that each offset is of, row by row.
    offsets : pandas.Series
        Offsets in UTF-16 units, from 0; null stays null.

    Returns
    -------
    pandas.Series
        Offsets in code points (``int64[pyarrow]``), on the index of `offsets`.

    Raises
    ------
    KiliValidationError
        For offsets beyond their text or within a character, naming rows.

    See Also
    --------
    to_utf16_units : The way back.

    Examples
    --------
    >>> import pandas as pd
    >>> to_code_points(pd.Series(["😀 Kili"]), pd.Series([3])).tolist()
    [2]
    """
    return _converted(texts, offsets, _code_points)


def to_utf16_units(texts: pd.Series, offsets: pd.Series) -> pd.Series:
    """Turn offsets of Python's strings into UTF-16 units, as Kili's ``beginOffset`` and ``endOffset`` are.

    Parameters
    ----------
    texts : pandas.Series
        The text that each offset is of, row by row.
    offsets : pandas.Series
        Offsets in code points, from 0; null stays null.

    Returns
    -------
    pandas.Series
        Offsets in UTF-16 units (``int64[pyarrow]``), on the index of `offsets`.

    Raises
    ------
    KiliValidationError
        For offsets beyond their text, naming rows.

    See Also
    --------
    to_code_points : The way back.

    Examples
    --------
    >>> import pandas as pd
    >>> to_utf16_units(pd.Series(["😀 Kili"]), pd.Series([2])).tolist()
    [3]
    """
    return _converted(texts, offsets, _units)


def utf16_length(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) if text.isascii() else len(text) + _wide(text)


def _wide(text: Iterable[str]) -> int:
    return sum(ord(character) >= _PLANE for character in text)


def _code_points(text: str, offset: int) -> int | None:
    if text.isascii() or not _wide(text):
        return offset if 0 <= offset <= len(text) else None
    encoded = text.encode("utf-16-le", "surrogatepass")
    if not 0 <= 2 * offset <= len(encoded):
        return None
    try:
        return len(encoded[: 2 * offset].decode("utf-16-le"))
    except UnicodeDecodeError:  # between the halves of a pair
        return None


def _units(text: str, offset: int) -> int | None:
    return utf16_length(text[:offset]) if 0 <= offset <= len(text) else None


def _converted(
    texts: pd.Series[Any], offsets: pd.Series[Any], convert: Callable[[str, int], int | None]
) -> pd.Series[Any]:
    if len(texts) != len(offsets):
        raise KiliValidationError(f"texts and offsets go row by row; got {len(texts):,} and {len(offsets):,} of them.")
    try:
        wanted = arrow_array(offsets).cast(pa.int64()).to_pylist()
        within = arrow_array(texts).cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise KiliValidationError(f"texts are strings and offsets whole numbers: {error}.") from None
    found: list[int | None] = []
    cases = []
    for row, (text, offset) in enumerate(zip(within, wanted, strict=True)):
        found.append(None if text is None or offset is None else convert(text, offset))
        if offset is not None and found[-1] is None:
            check = "expected a text" if text is None else "expected an offset within the text, between two characters"
            cases.append(FailureCase(label_at(offsets.index, row), row, offsets.name, check, offset))
    if cases:
        texts_of = [f"row {case.index!r}: {case.check}; got {case.failure_case}" for case in cases]
        raise validation_error(f"offsets do not fit: {listed(texts_of, where=' in .failure_cases')}.", cases)
    return pd.Series(found, index=offsets.index, name=offsets.name, dtype=pd.ArrowDtype(pa.int64()))
