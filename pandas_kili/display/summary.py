"""What a label says, in words: chips beside the picture, and its account for who does not see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pandas_kili.display.choice import Row, ShownLabel, is_drawn
from pandas_kili.display.escaping import name, plain_name
from pandas_kili.display.overlay import category_of
from pandas_kili.display.palette import Category, Palette
from pandas_kili.tidy import CATEGORY, CHOICE, RANK, TEXT, UNREADABLE

_CERTAIN = 100
_LONGEST_TEXT = 200


class Statement(NamedTuple):
    """Something that a label says: under which job, in which words, and whose color it bears."""

    job: str
    words: str
    category: Category | None


def categories_in(said: Iterable[ShownLabel]) -> Iterable[Category]:
    """Yield every use of a category that has a color."""
    for answer in said:
        for row in answer.rows:
            if _has_color(row):
                yield category_of(row)


def _has_color(row: Row) -> bool:
    if row["kind"] == CATEGORY:
        return row["category"] is not None
    return row["startMids"] is None and (
        is_drawn(row) or row["beginOffset"] is not None or row["rangeStart"] is not None
    )


def statements(rows: Sequence[Row]) -> list[Statement]:
    """Return what the rows of a label say, objects of one category counted together."""
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
    answer = _ANSWERS.get(row["kind"])
    if answer is not None:
        return answer(row)
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


def _verdict(row: Row) -> str:
    return f"{row['category'] or '?'}: {row['firstId'] or '?'}, {row['secondId'] or '?'}"


def _ranking(row: Row) -> str:
    return f"{row['rank']}: {', '.join(row['elements'] or ())}"


_ANSWERS = {CATEGORY: _class, TEXT: _transcription, CHOICE: _verdict, RANK: _ranking}


def chips(said: Sequence[Statement], palette: Palette) -> str:
    """Return statements as a list of terms: a job, and what is said under it."""
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


def account(said: Sequence[Statement]) -> str:
    """Return statements as one sentence."""
    return "; ".join(plain_name(f"{one.job}: {one.words}") for one in said) or "nothing annotated"


def problems(rows: Sequence[Row]) -> str:
    """Return as HTML what of a label could not be understood."""
    found = dict.fromkeys(row["problem"] for row in rows if row["problem"])
    unread = any(row["kind"] == UNREADABLE for row in rows)
    kind = "kp-problem" if unread else "kp-note"
    return "".join(f'<p class="{kind}">{name(text)}</p>' for text in found)
