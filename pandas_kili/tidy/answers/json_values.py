"""What a JSON value within an answer is."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

_MOST = 2**63
_MOST_DIGITS = 18
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


def decode(text: str | None) -> dict[str, Any]:
    """Return the jobs of an answer.

    Raises
    ------
    ValueError
        With what is wrong with it.
    """
    if text is None:
        raise ValueError("there is none")
    answer = parse(text)
    if type(answer) is not dict:
        raise ValueError(f"it holds {kind_of(answer)} where an object of jobs is expected")
    return answer


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        With what is wrong with it, and where.
    """
    try:
        return _QUICK.decode(text)
    except (ValueError, RecursionError, msgspec.DecodeError):  # a ValueError in newer versions only
        return _explained(text)


def _explained(text: str) -> Any:
    """Read a JSON text with Python's own decoder, which says what is wrong with it, and where."""
    value = _DECODER.decode(text)
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a surrogate pair, which no Unicode text can") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_ENCODER = msgspec.json.Encoder()
_QUICK = msgspec.json.Decoder()  # reads what Python's own decoder reads, but for some errors, in half the time


def encode(value: Any) -> str:
    """Return a value of finite numbers as JSON text."""
    try:
        return _ENCODER.encode(value).decode()
    except OverflowError:  # a whole number of more than 64 bits
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=msgspec.to_builtins
        )


def kind_of(value: Any) -> str:
    """Return what a value is, for a sentence."""
    return _KINDS.get(type(value), "a number")


def is_frame(key: str, value: Any) -> bool:
    """Return whether an entry of an answer is a frame of a video, and not a job."""
    return key.isdecimal() and len(key) <= _MOST_DIGITS and str(int(key)) == key and holds_objects(value)


def holds_objects(value: Any) -> bool:
    """Return whether a value is an object of objects only."""
    return type(value) is dict and all(type(item) is dict for item in value.values())


def are_objects(value: Any) -> bool:
    """Return whether a value is a list of objects, at least one."""
    return type(value) is list and bool(value) and all(type(item) is dict for item in value)


def is_said(value: Any) -> bool:
    """Return whether a value says more than nothing: null, or an empty list."""
    return value is not None and value != []


def is_text(value: Any) -> bool:
    """Return whether a value is a text."""
    return type(value) is str


def is_flag(value: Any) -> bool:
    """Return whether a value is true or false."""
    return type(value) is bool


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number that an Arrow column takes."""
    return type(value) is int and -_MOST <= value < _MOST


def first_category(value: Any) -> str | None:
    """Return the name of the first of an annotation's categories."""
    if type(value) is not list or not value or type(value[0]) is not dict:
        return None
    name = value[0].get("name")
    return name if type(name) is str else None


def mids(value: Any) -> list[str] | None:
    """Return the ends of a relation, or None where they are something else or more."""
    if type(value) is not list or not all(type(item) is dict and list(item) == ["mid"] for item in value):
        return None
    found = [item["mid"] for item in value]
    return found if all(type(mid) is str for mid in found) else None
