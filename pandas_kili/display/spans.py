"""Text with its annotated spans marked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pandas_kili.display.choice import Row
from pandas_kili.display.escaping import name, prose
from pandas_kili.display.overlay import category_of, described
from pandas_kili.display.palette import Palette

_LONGEST = 4000  # characters of a text that are shown


class Span(NamedTuple):
    """A span of text, and the row of its annotation."""

    begin: int
    end: int
    row: Row


def marked_text(text: str, starts: Mapping[str, int], rows: Iterable[Row], palette: Palette) -> str:
    """Return text as HTML with its spans marked; overlapping spans become nested marks."""
    shown = text[:_LONGEST]
    spans = [span for row in rows if (span := _span(text, starts, row)) and span.begin < len(shown)]
    borders = sorted({0, len(shown), *(min(place, len(shown)) for span in spans for place in span[:2])})
    pieces = [
        _piece(shown[begin:end], end, [span for span in spans if span.begin <= begin and span.end >= end], palette)
        for begin, end in itertools.pairwise(borders)
    ]
    rest = len(text) - len(shown)
    more = f'<span class="kp-note">… {rest:,} more characters</span>' if rest else ""
    return "".join(pieces) + more


def unmarked(text: str, starts: Mapping[str, int], rows: Iterable[Row]) -> list[Row]:
    """Return the rows with spans outside the text that is shown."""
    spans = [(row, _span(text, starts, row)) for row in rows if row["beginOffset"] is not None]
    return [row for row, span in spans if span is None or span.begin >= _LONGEST]


def _piece(text: str, end: int, spans: list[Span], palette: Palette) -> str:
    html = prose(text)
    for span in sorted(spans, key=lambda span: (span.end - span.begin, span.begin)):
        tone = palette[category_of(span.row)]
        named = f"<small>{name(category_of(span.row)[1])}</small>" if span.end == end else ""
        html = f'<mark class="{tone.classes}" title="{name(described(span.row))}">{html}{named}</mark>'
    return html


def _span(text: str, starts: Mapping[str, int], row: Row) -> Span | None:
    if row["beginOffset"] is None:
        return None
    content = row["content"] or ""
    first = starts.get(row["beginId"] or "", 0)
    last = starts.get(row["endId"] or row["beginId"] or "", first)
    begin = first + row["beginOffset"]
    end = begin + len(content) if row["endOffset"] is None else last + row["endOffset"]
    if not starts and content and text[begin:end] != content:
        begin, end = _by_code_units(text, begin, end, content)
    begin, end = max(begin, 0), min(end, len(text))
    return Span(begin, end, row) if begin < end else None


def _by_code_units(text: str, begin: int, end: int, content: str) -> tuple[int, int]:
    """Read offsets as UTF-16 units, in which an emoji counts twice, if the span then has the right content."""
    units = text.encode("utf-16-le", "surrogatepass")
    before = units[: 2 * begin].decode("utf-16-le", "replace")
    inside = units[2 * begin : 2 * end].decode("utf-16-le", "replace")
    return (len(before), len(before) + len(inside)) if inside == content else (begin, end)
