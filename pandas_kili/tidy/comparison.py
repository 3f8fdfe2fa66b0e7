"""Two labelers' answers to the same question about the same thing, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, RANK, TEXT
from pandas_kili.tidy.overlap import match_groups

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MEASURES = ("classes", "texts", "ranks", "spans", "boxes", "none")
_SAID = ("category", "text", "rank", "elements", "firstId", "secondId")
_SPAN = ("beginId", "beginOffset", "endId", "endOffset", "rangeStart", "rangeEnd", "category")
_BOX = ("xmin", "ymin", "xmax", "ymax")
_CLASSES, _TEXTS, _RANKS, _SPANS, _BOXES, _NONE = range(len(MEASURES))
_OF_KIND = {CATEGORY: _CLASSES, CHOICE: _CLASSES, TEXT: _TEXTS, RANK: _RANKS, ANNOTATION: _NONE}


@dataclasses.dataclass(frozen=True, slots=True)
class Questions:
    """What was asked, and what each label answered.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per question about a frame, a page or the whole: ``job``, ``mlTask`` and ``measure`` (its number).
    answers : pandas.DataFrame
        A row per label and question that it answers: ``label``, ``question``, ``said`` (a number, the same for the same
        answer; of classes, texts and ranks) and ``count`` (of objects).
    spans : pandas.DataFrame
        A row per label, question and different span: ``label``, ``question``, ``span``, ``count``.
    boxes : pandas.DataFrame
        A row per label, question and category: ``label``, ``question``, ``category``, ``start``, ``count``.
    corners : ndarray of shape (n, 4)
        The boxes, in the order of `boxes`.
    """

    table: pd.DataFrame
    answers: pd.DataFrame
    spans: pd.DataFrame
    boxes: pd.DataFrame
    corners: Floats


def questions_of(annotations: pd.DataFrame, label_of: Whole) -> Questions:
    """Sort rows of annotations by the questions that they answer.

    Parameters
    ----------
    annotations : pandas.DataFrame
        Rows, as `annotations_table` gives them. Answers nested below an annotation are left out.
    label_of : ndarray of int
        Position of the label of each row.
    """
    columns = {name: arrow_array(annotations[name]) for name in annotations.columns}
    measures = _measures(columns)
    kept = np.flatnonzero((measures >= 0) & columns["parentMid"].is_null().to_numpy(zero_copy_only=False))
    columns = {name: column.take(pa.array(kept)) for name, column in columns.items()}
    measures = measures[kept]
    keys = np.stack([*(_codes([columns[name]]) for name in ("job", "frame", "page")), measures], axis=1)
    _, first, question = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    asked = pd.DataFrame({"label": label_of[kept], "question": question.ravel()})
    boxes, corners = _boxes(columns, asked, np.flatnonzero(measures == _BOXES))
    return Questions(
        table=pd.DataFrame(
            {
                "job": columns["job"].take(pa.array(first)).to_pylist(),
                "mlTask": pc.fill_null(columns["mlTask"].take(pa.array(first)), "").to_pylist(),
                "measure": measures[first],
            }
        ),
        answers=_answers(columns, asked, np.flatnonzero(measures <= _RANKS)),
        spans=_spans(columns, asked, np.flatnonzero(measures == _SPANS)),
        boxes=boxes,
        corners=corners,
    )


def _answers(columns: dict[str, pa.Array], asked: pd.DataFrame, rows: Whole) -> pd.DataFrame:
    """Return how much each label answers to each question, and in the rows that say something, what."""
    answers = _counted(asked).merge(_said(columns, asked, rows), on=["label", "question"], how="left")
    return answers.assign(said=answers["said"].fillna(-1).astype(np.int64))


def _spans(columns: dict[str, pa.Array], asked: pd.DataFrame, rows: Whole) -> pd.DataFrame:
    span = _codes([columns[name].take(pa.array(rows)) for name in _SPAN])
    return _counted(asked.iloc[rows].assign(span=span))


def _boxes(columns: dict[str, pa.Array], asked: pd.DataFrame, rows: Whole) -> tuple[pd.DataFrame, Floats]:
    """Return the groups of boxes that may match, and the corners of all boxes, group after group."""
    boxes = asked.iloc[rows].assign(category=_codes([columns["category"].take(pa.array(rows))]), row=rows)
    in_order = boxes.sort_values(["label", "question", "category"], kind="stable")["row"].to_numpy()
    corners = np.stack([columns[name].to_numpy(zero_copy_only=False)[in_order] for name in _BOX], axis=1)
    groups = _counted(boxes.drop(columns="row"))
    return groups.assign(start=groups["count"].cumsum() - groups["count"]), corners


def _counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the different rows in their order, with how often each is there."""
    return rows.groupby(list(rows.columns), sort=True).size().rename("count").reset_index()


def _measures(columns: dict[str, pa.Array]) -> Whole:
    """Return how each row is compared; -1 for what is no answer."""
    kinds = columns["kind"].dictionary_encode()
    by_kind = np.array([_OF_KIND.get(kind, -1) for kind in kinds.dictionary.to_pylist()], np.int64)
    found = by_kind[kinds.indices.to_numpy(zero_copy_only=False)] if len(by_kind) else np.zeros(0, np.int64)
    is_drawn = found == _NONE
    found[is_drawn & columns["xmin"].is_valid().to_numpy(zero_copy_only=False)] = _BOXES
    begins = pc.or_(columns["beginOffset"].is_valid(), _is_speech(columns)).to_numpy(zero_copy_only=False)
    found[is_drawn & begins] = _SPANS
    return found


def _is_speech(columns: dict[str, pa.Array]) -> pa.Array:
    """Return which rows are spans of speech, which begin at a second."""
    spoken = pc.equal(columns["mlTask"], "NAMED_ENTITIES_RECOGNITION")
    return pc.and_(columns["rangeStart"].is_valid(), pc.fill_null(spoken, fill_value=False))


def _codes(columns: Sequence[pa.Array]) -> Whole:
    """Return for each row a number, the same for the same values."""
    found = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        if column.null_count == len(column):
            continue
        plain = pa.array(map(repr, column.to_pylist())) if pa.types.is_list(column.type) else column
        encoded = plain.dictionary_encode(null_encoding="encode")
        found = found * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
        found = np.unique(found, return_inverse=True)[1].ravel()
    return found


def _said(columns: dict[str, pa.Array], asked: pd.DataFrame, rows: Whole) -> pd.DataFrame:
    """Return what each label said to each question, as a number: a set of classes counts as one answer."""
    values = _codes([columns[name].take(pa.array(rows)) for name in _SAID])
    said = asked.iloc[rows].assign(said=values).drop_duplicates()
    several = said.duplicated(["label", "question"], keep=False)
    sets: dict[tuple[int, ...], int] = {}
    single = said[~several]
    if not several.any():
        return single
    base = int(values.max()) + 1
    grouped = said[several].sort_values("said").groupby(["label", "question"])["said"].agg(tuple).reset_index()
    grouped["said"] = [sets.setdefault(value, base + len(sets)) for value in grouped["said"]]
    return pd.concat([single, grouped], ignore_index=True)


def comparisons_of(questions: Questions, pairs: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Compare the answers of pairs of labels.

    Parameters
    ----------
    questions : Questions
        What labels answered.
    pairs : pandas.DataFrame
        Labels ``a`` and ``b`` to compare.
    threshold : float
        Two matched boxes that overlap by so much are the same object.

    Returns
    -------
    pandas.DataFrame
        A row per pair and question that one of both answers: ``pair`` (its position), ``question``, ``said_a`` and
        ``said_b`` (-1 for no answer), ``score`` (how far both agree, 0 to 1; NaN for what has no measure), ``overlap``
        (its sum), ``matched`` (boxes that overlap at all), ``both`` (objects that both found) and ``of`` (objects, of
        both sides together).
    """
    sides = []
    for side in "ab":
        own = pd.DataFrame({"pair": np.arange(len(pairs)), "label": pairs[side].to_numpy()})
        sides.append(own.merge(questions.answers, on="label")[["pair", "question", "said", "count"]])
    table = sides[0].merge(sides[1], on=["pair", "question"], how="outer", suffixes=("_a", "_b"))
    for name, none in (("said_a", -1), ("said_b", -1), ("count_a", 0), ("count_b", 0)):
        table[name] = table[name].fillna(none).astype(np.int64)
    measure = questions.table["measure"].to_numpy()[table["question"].to_numpy(np.int64)]
    table["of"] = table["count_a"] + table["count_b"]
    table[["overlap", "matched", "both"]] = 0.0, 0, 0
    said = (table["said_a"] == table["said_b"]).to_numpy()
    score = np.where(measure <= _RANKS, said.astype(np.float64), np.nan)
    at = np.flatnonzero(measure == _SPANS)
    if len(at):
        both = _spans_found_by_both(questions.spans, table.iloc[at], pairs)
        table.loc[table.index[at], "both"] = both
        score[at] = 2 * both / table["of"].to_numpy()[at]
    at = np.flatnonzero(measure == _BOXES)
    if len(at):
        overlap, matched, both = _boxes_found_by_both(questions, table.iloc[at], pairs, threshold)
        for name, values in (("overlap", overlap), ("matched", matched), ("both", both)):
            table.loc[table.index[at], name] = values
        score[at] = overlap / table[["count_a", "count_b"]].to_numpy()[at].max(axis=1)
    return table.assign(score=score)


def _sides(found: pd.DataFrame, table: pd.DataFrame, pairs: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return what both sides of comparisons have under a key, each with its place in `table`."""
    held = []
    for side in "ab":
        label = pairs[side].to_numpy()[table["pair"].to_numpy()]
        own = pd.DataFrame({"at": np.arange(len(table)), "label": label, "question": table["question"].to_numpy()})
        held.append(own.merge(found, on=["label", "question"]).drop(columns=["label", "question"]))
    return held[0].merge(held[1], on=["at", key], suffixes=("_a", "_b"))


def _spans_found_by_both(spans: pd.DataFrame, table: pd.DataFrame, pairs: pd.DataFrame) -> Whole:
    shared = _sides(spans, table, pairs, "span")
    least = np.minimum(shared["count_a"], shared["count_b"])
    return np.bincount(shared["at"], weights=least, minlength=len(table)).astype(np.int64)


def _boxes_found_by_both(
    questions: Questions, table: pd.DataFrame, pairs: pd.DataFrame, threshold: float
) -> tuple[Floats, Whole, Whole]:
    """Return of each comparison the sum of overlaps, the matched boxes, and those that overlap enough."""
    shared = _sides(questions.boxes, table, pairs, "category")
    starts, counts = ((shared[f"{name}_a"].to_numpy(), shared[f"{name}_b"].to_numpy()) for name in ("start", "count"))
    group, overlap = match_groups(questions.corners, questions.corners, starts, counts)
    at = shared["at"].to_numpy()[group]
    length = len(table)
    enough = np.bincount(at, weights=overlap >= threshold, minlength=length).astype(np.int64)
    total: Floats = np.bincount(at, weights=overlap, minlength=length).astype(np.float64)
    return total, np.bincount(at, minlength=length).astype(np.int64), enough


def in_words(annotations: pd.DataFrame, label_of: Whole, labels: int) -> list[list[str]]:
    """Return what each label says, in words: ``job: answer``, objects of one category counted together."""
    names = ("kind", "job", "category", "text", "elements", "parentMid")
    columns: list[list[Any]] = [arrow_array(annotations[name]).to_pylist() for name in names]
    found: list[dict[str, int]] = [{} for _ in range(labels)]
    for label, kind, job, category, text, elements, parent in zip(label_of.tolist(), *columns, strict=True):
        if kind in _OF_KIND and parent is None:
            words = {TEXT: text, RANK: ", ".join(elements or ())}.get(kind, category)
            line = f"{job}: {words}"
            found[label][line] = found[label].get(line, 0) + 1
    return [[line if count == 1 else f"{line} ({count})" for line, count in said.items()] for said in found]
