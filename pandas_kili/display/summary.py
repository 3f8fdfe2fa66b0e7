"""Labels in words: chips beside the picture, and a sentence for screen readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pandas_kili.display.choice import Row, ShownLabel, is_drawn
from pandas_kili.display.escaping import name, plain_name
from pandas_kili.display.overlay import category_of
from pandas_kili.display.palette import JobClass, Palette
from pandas_kili.tidy import CATEGORY, CHOICE, RANK, TEXT, UNREADABLE

_CERTAIN = 100
_LONGEST_TEXT = 200


class Statement(NamedTuple):
    """One thing that a label says: its job, the words, and the category that gives the color."""

    job: str
    words: str
    category: JobClass | None


def categories_in(labels: Iterable[ShownLabel]) -> Iterable[JobClass]:
    """Yield every use of a category that has a color."""
    for label in labels:
        for row in label.rows:
            if _has_color(row):
                yield category_of(row)


def _has_color(row: Row) -> bool:
    if row["kind"] == CATEGORY:
        return row["category"] is not None
    return row["startMids"] is None and (
        is_drawn(row) or row["beginOffset"] is not None or row["rangeStart"] is not None
    )


def statements(rows: Sequence[Row]) -> list[Statement]:
    """Return the statements of a label; objects of one category are counted together."""
    found: Counter[Statement] = Counter()
    contents = {row["mid"]: row["content"] or category_of(row)[1] for row in rows if row["mid"] is not None}
    for row in rows:
        words = _words(row, contents)
        if words:
            job = row["job"] or ""
            if row["parentJob"] is not None:
                job = f"{row['parentJob']} / {job}"
            found[Statement(job, words, category_of(row) if _has_color(row) else None)] += 1
    return [
        one if count == 1 else one._replace(words=f"{one.words} ({count})")
        for one, count in sorted(found.items(), key=lambda pair: pair[0].job)
    ]


def _words(row: Row, contents: dict[str, str]) -> str:
    words = _WORDS.get(row["kind"])
    if words is not None:
        return words(row)
    if row["startMids"] is not None:
        ends = (", ".join(contents.get(mid, mid) for mid in row[side] or ()) for side in ("startMids", "endMids"))
        return f"{category_of(row)[1]}: {' → '.join(ends)}"
    if row["rangeStart"] is not None:
        return f"{category_of(row)[1]} {row['rangeStart']:g} to {row['rangeEnd']:g}"
    return category_of(row)[1] if _has_color(row) else ""


def _class(row: Row) -> str:
    sure = row["confidence"]
    chosen = " / ".join([*(row["parentCategories"] or ()), row["category"] or "?"])
    return chosen if sure is None or sure == _CERTAIN else f"{chosen} {sure:.3g} %"


def _transcription(row: Row) -> str:
    text = row["text"] or ""
    return f"“{text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + '…'}”"


def _comparison(row: Row) -> str:
    return f"{row['category'] or '?'}: {row['firstId'] or '?'}, {row['secondId'] or '?'}"


def _ranking(row: Row) -> str:
    return f"{row['rank']}: {', '.join(row['elements'] or ())}"


_WORDS = {CATEGORY: _class, TEXT: _transcription, CHOICE: _comparison, RANK: _ranking}


def chips(said: Sequence[Statement], palette: Palette) -> str:
    """Return statements as a list of terms: each job with its statements."""
    jobs: dict[str, list[Statement]] = {}
    for one in said:
        jobs.setdefault(one.job, []).append(one)
    terms = "".join(
        f"<dt>{name(job)}</dt><dd>{' '.join(_chip(one, palette) for one in ones)}</dd>" for job, ones in jobs.items()
    )
    return f"<dl>{terms}</dl>" if terms else '<p class="kp-note">nothing annotated</p>'


def _chip(one: Statement, palette: Palette) -> str:
    swatch = "" if one.category is None else f'<i class="kp-swatch {palette[one.category].classes}"></i>'
    return f'<span class="kp-chip">{swatch}<bdi>{name(one.words)}</bdi></span>'


def sentence(said: Sequence[Statement]) -> str:
    """Return statements as one sentence."""
    return "; ".join(plain_name(f"{one.job}: {one.words}") for one in said) or "nothing annotated"


def problems(rows: Sequence[Row]) -> str:
    """Return the parts of a label that could not be understood, as HTML."""
    found = dict.fromkeys(row["problem"] for row in rows if row["problem"])
    unread = any(row["kind"] == UNREADABLE for row in rows)
    kind = "kp-problem" if unread else "kp-note"
    return "".join(f'<p class="{kind}">{name(text)}</p>' for text in found)
