"""Answers, read: from the JSON texts of labels to columns."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.columns import columns_of
from pandas_kili.tidy.answers.plain_answers import PlainAnswers
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA
from pandas_kili.tidy.answers.walk import Walk

Whole = npt.NDArray[np.int64]

_SHORT = 500  # bytes of an answer on average: longer ones are hardly ever equal, and comparing them takes memory
_BATCH = 1 << 20  # bytes of JSON that are held as Python objects at a time: few enough for the caches of a processor


def read_answers(texts: pa.Array, tasks: Mapping[str, Any] | None = None) -> tuple[dict[str, pa.Array], Whole]:
    """Return the columns of answers that have values, and the number of rows of each answer.

    Parameters
    ----------
    texts : pyarrow.Array of string
        Answers; null for none.
    tasks : mapping of str to str, optional
        ML task by job, where the interface of the project is known.
    """
    parts: list[dict[str, pa.Array]] = []
    numbers: list[Whole] = [np.zeros(0, np.int64)]  # of answers, by row
    with without_collector():
        for start, batch in _batches(texts):
            plain, walk = PlainAnswers(tasks), Walk(tasks)
            others = []
            for number, text in enumerate(batch.to_pylist(), start):
                if not plain.read(text):
                    walk.read(text)
                    others.append(number)
            if plain.counts:
                own = np.setdiff1d(np.arange(start, start + len(batch)), others, assume_unique=True)
                parts.append(plain.columns())
                numbers.append(np.repeat(own, plain.counts))
            if others:
                parts.append(_walked(walk, tasks))
                numbers.append(np.repeat(others, walk.counts))
    lengths = [len(part["kind"]) for part in parts]
    joined = {
        field.name: pa.concat_arrays(
            [
                part[field.name].cast(field.type) if field.name in part else pa.nulls(length, field.type)
                for part, length in zip(parts, lengths, strict=True)
            ]
        )
        for field in ANNOTATION_SCHEMA
        if any(field.name in part for part in parts)
    }
    of_row = np.concatenate(numbers)
    if (np.diff(of_row) < 0).any():
        order = pa.array(np.argsort(of_row, kind="stable"))
        joined = {name: column.take(order) for name, column in joined.items()}
    return joined, np.bincount(of_row, minlength=len(texts))


def distinct(answers: pa.Array) -> tuple[pa.Array, Whole]:
    """Return the answers to read, and where among them each answer stands: short ones that are equal are read once."""
    if answers.nbytes > _SHORT * len(answers):
        return answers, np.arange(len(answers))
    encoded = answers.dictionary_encode(null_encoding="encode")
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)


def _walked(walk: Walk, tasks: Mapping[str, Any] | None) -> dict[str, pa.Array]:
    columns = columns_of(walk, tasks)
    if any(walk.turns):
        columns["assetRotation"] = pa.array(np.repeat(np.array(walk.turns, object), walk.counts), pa.int64())
    return columns


def _batches(texts: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    """Yield parts of the texts, each with the number of its first."""
    lengths = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
    number = np.cumsum(lengths, dtype=np.int64) // _BATCH
    starts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(texts)]
    for start, end in itertools.pairwise(starts):
        yield start, texts.slice(start, end - start)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Pause the cyclic collector while many objects are made."""
    # Walking the dicts of all answers again and again takes the cyclic collector longer than reading them.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
