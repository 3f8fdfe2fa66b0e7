"""Answers of boxes and outlines and nothing else, as most projects of pictures have them: read in half the time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, Struct, UnsetType

from pandas_kili.tidy.answers.geometry import EXACT, offsets, vertex_array
from pandas_kili.tidy.answers.schema import ANNOTATION, RING

_MOST_MISSES = 5  # more than hits: where other answers are usual, none of them is tried in vain

_Number = Annotated[float, Meta(gt=-EXACT, lt=EXACT)]  # read as a double, the whole number behind EXACT equals it


class _Corner(Struct, forbid_unknown_fields=True, gc=False):
    x: _Number
    y: _Number


class _Ring(Struct, forbid_unknown_fields=True, gc=False):
    normalizedVertices: list[_Corner]  # noqa: N815 - as Kili names it


class _Category(Struct, forbid_unknown_fields=True, gc=False):
    name: str
    confidence: _Number | UnsetType = UNSET


class _NoChildren(Struct, forbid_unknown_fields=True, gc=False):
    pass


class _Shape(Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["rectangle", "polygon", "semantic"]
    categories: Annotated[list[_Category], Meta(min_length=1, max_length=1)]
    boundingPoly: list[_Ring]  # noqa: N815 - as Kili names it
    mid: str | UnsetType = UNSET
    children: _NoChildren | UnsetType = UNSET


class _Job(Struct, forbid_unknown_fields=True, gc=False):
    annotations: Annotated[list[_Shape], Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(dict[str, _Job])


class PlainShapes:
    """Rows of answers that hold boxes and outlines alone, of one category and without children.

    Parameters
    ----------
    tasks : mapping of str to str, optional
        ML task by job, where the interface of the project is known.

    Attributes
    ----------
    counts : list of int
        Number of rows of each answer.
    """

    def __init__(self, tasks: Mapping[str, Any] | None = None) -> None:
        self.counts: list[int] = []
        self._tasks = tasks
        self._shapes: list[_Shape] = []
        self._jobs: list[str] = []
        self._of_job: list[int] = []
        self._misses = 0

    def read(self, text: str | None) -> bool:
        """Read an answer if it is one of these, and return whether it is."""
        if text is None or self._misses > len(self.counts) + _MOST_MISSES:
            return False
        try:
            answer = _DECODER.decode(text)
        except (ValueError, RecursionError, msgspec.DecodeError):  # a ValueError in newer versions only
            self._misses += 1
            return False
        if not answer or (self._tasks is not None and not answer.keys() <= self._tasks.keys()):
            return False
        before = len(self._shapes)
        for job, body in answer.items():
            self._shapes += body.annotations
            self._jobs.append(job)
            self._of_job.append(len(body.annotations))
        self.counts.append(len(self._shapes) - before)
        return True

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns that the rows have values in."""
        shapes = self._shapes
        categories = [shape.categories[0] for shape in shapes]
        polygons = [shape.boundingPoly for shape in shapes]
        rings = [ring.normalizedVertices for ring in chain.from_iterable(polygons)]
        vertices = list(chain.from_iterable(rings))
        xy = vertex_array([vertex.x for vertex in vertices], [vertex.y for vertex in vertices])
        lines = pa.ListArray.from_arrays(offsets(list(map(len, rings))), xy, type=RING)
        tasks = [(self._tasks or {}).get(job) or "OBJECT_DETECTION" for job in self._jobs]
        columns = {
            "kind": pa.array([ANNOTATION] * len(shapes)),
            "job": _repeated(self._jobs, self._of_job),
            "mlTask": _repeated(tasks, self._of_job),
            "tool": pa.array([shape.type for shape in shapes]),
            "category": pa.array([category.name for category in categories]),
            "rings": pa.ListArray.from_arrays(offsets(list(map(len, polygons))), lines, type=pa.list_(RING)),
        }
        optional: dict[str, list[Any]] = {
            "confidence": [None if each.confidence is UNSET else each.confidence for each in categories],
            "mid": [None if shape.mid is UNSET else shape.mid for shape in shapes],
            "hasChildren": [None if shape.children is UNSET else False for shape in shapes],
        }
        return columns | {
            name: pa.array(values) for name, values in optional.items() if any(each is not None for each in values)
        }


def _repeated(texts: list[str], counts: list[int]) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(np.repeat(np.arange(len(texts)), counts)))
