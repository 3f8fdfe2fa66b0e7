"""Labelers side by side: the classes that each two of them chose, and how far they agree."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_kili.display.axes import NONE, Place, heat_map, write_note, written_literally
from pandas_kili.display.choice import PER_LABELER, chosen_labels, labelers
from pandas_kili.errors import KiliValidationError
from pandas_kili.tidy import CATEGORY, CHOICE, agreement, annotations_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHOSEN = (CATEGORY, CHOICE)
_MOST_COUNTED = 8  # labelers; with more, cells have no room for a second line
# What the cells of a matrix of agreement say, how it is written, and the greatest value.
_MEASURES = {
    "percent": ("equal answers, percent", "{:.0f}", 100.0),
    "f1": ("found by both (F1)", "{:.2f}", 1.0),
    "kappa": ("Cohen's kappa", "{:.2f}", 1.0),
    "iou": ("mean overlap of boxes (IoU)", "{:.2f}", 1.0),
}


def confusion_matrix(
    frame: pd.DataFrame,
    pair: tuple[str, str],
    job: str | None,
    ax: Axes | None,
    label_types: Collection[str] | None,
    options: dict[str, Any],
) -> Axes:
    """Draw which classes two labelers chose for the same assets."""
    job, classes = _classes(frame, job, label_types)
    both = pd.DataFrame({side: classes.get(who, {}) for side, who in zip("ab", pair, strict=True)}, dtype=object)
    both = both.dropna()
    both = both[(both != NONE).any(axis=1)]
    counts = pd.crosstab(both["a"], both["b"])
    names = sorted({*counts.index, *counts.columns}, key=place_of_class)
    counts = counts.reindex(index=names, columns=names, fill_value=0)
    words = {(row, column): f"{count:,}" for (row, column), count in np.ndenumerate(counts.to_numpy()) if count}
    title = options.pop("title", job)
    axes = heat_map(counts, words, ax, options)
    axes.set(title=title, ylabel=pair[0], xlabel=pair[1])
    if not names:
        write_note(axes, "no asset has answers of both")
    return written_literally(axes, [*names, *pair, job])


def agreement_matrix(
    frame: pd.DataFrame,
    job: str | None,
    measure: str | None,
    ax: Axes | None,
    label_types: Collection[str] | None,
    options: dict[str, Any],
) -> Axes:
    """Draw how far each two labelers agree."""
    if measure is not None and measure not in _MEASURES:
        raise KiliValidationError(f"measure is one of {', '.join(map(repr, _MEASURES))}; got {measure!r}.")
    pairs = agreement(frame, job=job, label_types=label_types)
    pairs = pairs[pairs["measure"].notna()]
    if not len(pairs):
        title = options.pop("title", job or "Agreement")
        axes = heat_map(pd.DataFrame(), {}, ax, options)
        axes.set(title=title)
        return write_note(axes, "no asset has answers of two labelers")
    job = job if job is not None and job in set(pairs["job"]) else _only_job(pairs["job"], "two labelers answered")
    pairs = pairs[pairs["job"] == job].astype(object)
    known = [name for name in _MEASURES if pairs[name].notna().any()]
    measure = measure or (known[0] if known else "percent")
    if measure not in known:
        raise KiliValidationError(f"Job {job!r} has no {measure}; it has {_listed(known)}.")
    meaning, form, most = _MEASURES[measure]
    title = options.pop("title", f"{job}: {meaning}")
    values, words = _mirrored(pairs, measure, form)
    axes = heat_map(values, words, ax, {"vmax": most, **options})
    axes.set(title=title)
    return written_literally(axes, [*values.index, f"{job}: {meaning}"])


def _mirrored(pairs: pd.DataFrame, measure: str, form: str) -> tuple[pd.DataFrame, dict[Place, str]]:
    """Return the matrix of a measure, the same on both sides of its diagonal, and the text of each cell."""
    names = sorted({*pairs["labeler_a"], *pairs["labeler_b"]})
    values = pd.DataFrame(np.nan, index=names, columns=names)
    words: dict[Place, str] = {(place, place): "\N{EN DASH}" for place in range(len(names))}
    for one, other, value, count in pairs[["labeler_a", "labeler_b", measure, "n"]].to_numpy():
        if pd.notna(value):
            place = names.index(one), names.index(other)
            text = form.format(value) + (f"\n({count:,})" if len(names) <= _MOST_COUNTED else "")
            for row, column in (place, place[::-1]):
                values.iloc[row, column] = value
                words[row, column] = text
    return values, words


def _classes(
    frame: pd.DataFrame, job: str | None, label_types: Collection[str] | None
) -> tuple[str, dict[str, dict[int, str]]]:
    """Return the job, and by labeler and asset the classes chosen for it."""
    chosen = chosen_labels(frame, PER_LABELER, label_types)
    rows = annotations_table(chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0))
    rows = rows[rows["kind"].isin(_CHOSEN) & rows["category"].notna() & rows["parentMid"].isna()]
    if job is None:
        job = _only_job(rows["job"], "choose classes")
    check_known(job, rows["job"].dropna().tolist(), "job")
    rows = rows[rows["job"] == job]
    said = rows["category"].astype(object).groupby(rows.index).agg(lambda names: " + ".join(sorted(set(names))))
    found: dict[str, dict[int, str]] = {}
    for number, (labeler, asset) in enumerate(zip(labelers(chosen), chosen.index, strict=True)):
        found.setdefault(labeler, {})[asset] = said.get(number, NONE)
    return job, found


def check_known(name: str, known: list[Any], noun: str) -> None:
    """Refuse a name that the labels do not have."""
    if name not in known:
        raise KiliValidationError(f"No {noun} {name!r} in the labels; there are {_listed(known)}.")


def _only_job(jobs: pd.Series[Any], do: str) -> str:
    known = jobs.dropna().unique().tolist()
    if len(known) != 1:
        raise KiliValidationError(f"Which job? Those that {do}: {_listed(known)}.")
    return str(known[0])


def _listed(names: list[Any]) -> str:
    return ", ".join(map(repr, sorted(set(names)))) or "none"


def place_of_class(name: str) -> tuple[bool, list[str | int]]:
    """Return the sort key of a class: the tenth comes after the second, and "(none)" last."""
    parts = re.split(r"(\d+)", name)
    return name == NONE, [int(part) if number % 2 else part for number, part in enumerate(parts)]
