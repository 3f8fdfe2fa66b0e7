"""Escape foreign text: it cannot become markup, or change how the text around it reads."""

from __future__ import annotations

import re
from html import escape

# Controls of text direction let a name read as another one; the others are invisible.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LONGEST_NAME = 120


def name(value: object) -> str:
    r"""Return a name for markup and attributes: escaped, cut short, invisible characters spelled out.

    Examples
    --------
    >>> name("<b>"), name("a\u202eb")
    ('&lt;b&gt;', 'a\\u202eb')
    """
    return escape(plain_name(value))


def plain_name(value: object) -> str:
    """Return a name like `name`, but not escaped."""
    text = _whole(str(value))
    if len(text) > _LONGEST_NAME:
        text = text[: _LONGEST_NAME - 1] + "…"
    return _UNSEEN.sub(_spelled, text)


def prose(value: str) -> str:
    """Return running text: escaped, with the direction marks that its script may need."""
    return escape(_CONTROLS.sub("\ufffd", _whole(value)))


def _spelled(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _whole(text: str) -> str:
    return _SURROGATES.sub("\ufffd", text)  # half of a surrogate pair cannot be written to a file
