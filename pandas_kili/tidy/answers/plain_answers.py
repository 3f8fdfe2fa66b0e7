"""Answers of the usual forms: shapes, classes and texts, also as children of shapes. They are read in half the time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, Struct, UnsetType

from pandas_kili.tidy.answers.columns import TASKS, placed, places
from pandas_kili.tidy.answers.geometry import EXACT, offsets, vertex_array
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, RING, TEXT
from pandas_kili.tidy.answers.walk import TOP, Place, Slot

_MOST_MISSES = 5  # more than hits: where other answers are usual, none of them is tried in vain
_TASKS = {**TASKS, ANNOTATION: "OBJECT_DETECTION"}

_Number = Annotated[float, Meta(gt=-EXACT, lt=EXACT)]  # read as a double, the whole number behind EXACT equals it


class _Corner(Struct, forbid_unknown_fields=True, gc=False):
    x: _Number
    y: _Number


class _Ring(Struct, forbid_unknown_fields=True, gc=False):
    normalizedVertices: list[_Corner]  # noqa: N815 - as Kili names it


class _Category(Struct, forbid_unknown_fields=True, gc=False):
    name: str
    confidence: _Number | UnsetType = UNSET


class _Said(Struct, forbid_unknown_fields=True, gc=False):
    """Classes that were chosen, or a text."""

    categories: Annotated[list[_Category], Meta(min_length=1)] | UnsetType = UNSET
    text: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.categories is UNSET) is (self.text is UNSET):
            raise ValueError("one of them is expected")


class _Shape(Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["rectangle", "polygon", "semantic"]
    categories: Annotated[list[_Category], Meta(min_length=1, max_length=1)]
    boundingPoly: list[_Ring]  # noqa: N815 - as Kili names it
    mid: str | UnsetType = UNSET
    children: dict[str, _Said] | UnsetType = UNSET


class _Job(_Said, forbid_unknown_fields=True, gc=False):
    annotations: Annotated[list[_Shape], Meta(min_length=1)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.annotations is UNSET:
            super().__post_init__()
        elif self.categories is not UNSET or self.text is not UNSET:
            raise ValueError("one of them is expected")


_DECODER = msgspec.json.Decoder(dict[str, _Job])


class PlainAnswers:
    """Rows of answers that hold shapes of one category, classes and texts alone; shapes may have classes and texts.

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
        self._nodes: dict[str, list[Any]] = {ANNOTATION: [], CATEGORY: [], TEXT: []}
        self._slots: list[Slot] = []
        self._slot_of: list[int] = []  # a slot for each row
        self._at_top: dict[tuple[str, str], int] = {}
        self._first = 0
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
        if not answer or not self._knows(answer):
            return False
        self._first = len(self._slot_of)
        for job, body in answer.items():
            if body.annotations is UNSET:
                self._add_said(job, body, TOP)
            else:
                self._add_shapes(job, body.annotations)
        self.counts.append(len(self._slot_of) - self._first)
        return True

    def _knows(self, answer: Mapping[str, _Job]) -> bool:
        if self._tasks is None:
            return True
        shapes = chain.from_iterable(body.annotations or () for body in answer.values())
        return self._tasks.keys() >= {*answer, *chain.from_iterable(shape.children or () for shape in shapes)}

    def _add_shapes(self, job: str, shapes: list[_Shape]) -> None:
        if not any([shape.children for shape in shapes]):  # noqa: C419 - most have none, and a list is quicker
            self._add(ANNOTATION, job, TOP, shapes)
            return
        for shape in shapes:
            row = len(self._slot_of) - self._first
            below = Place(None, None, row, None, shape.mid or None, job, (shape.categories[0].name,))
            self._add(ANNOTATION, job, TOP, [shape])
            for child, said in (shape.children or {}).items():
                self._add_said(child, said, below)

    def _add_said(self, job: str, said: _Said, place: Place) -> None:
        if said.categories is UNSET:
            self._add(TEXT, job, place, [said.text])
        else:
            self._add(CATEGORY, job, place, said.categories)

    def _add(self, kind: str, job: str, place: Place, nodes: list[Any]) -> None:
        at = last = len(self._slots)
        if place is TOP:
            at = self._at_top.setdefault((kind, job), last)
        if at == last:
            self._slots.append(Slot(kind, job, place))
        self._nodes[kind] += nodes
        self._slot_of += [at] * len(nodes)

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns that the rows have values in."""
        shapes, classes, texts = self._nodes.values()
        slots, slot_of = self._slots, np.array(self._slot_of, np.int64)
        drawn, chosen, said = (
            np.flatnonzero(np.array([slot.kind == kind for slot in slots])[slot_of]) for kind in self._nodes
        )
        children = [shape.children for shape in shapes]
        categories = [shape.categories[0] for shape in shapes] + classes
        named = np.concatenate([drawn, chosen])
        found: dict[str, tuple[Any, list[Any]]] = {
            "tool": (drawn, [shape.type for shape in shapes]),
            "mid": (drawn, [None if shape.mid is UNSET else shape.mid for shape in shapes]),
            "hasChildren": (drawn, [None if each is UNSET else bool(each) for each in children]),
            "category": (named, [each.name for each in categories]),
            "confidence": (named, [None if each.confidence is UNSET else each.confidence for each in categories]),
            "text": (said, texts),
        }
        columns = {
            name: placed(rows, pa.array(values), len(slot_of))
            for name, (rows, values) in found.items()
            if values.count(None) < len(values)
        }
        if shapes:
            columns["rings"] = placed(drawn, _rings(shapes), len(slot_of))
        tasks = [(self._tasks or {}).get(slot.job or "") or _TASKS[slot.kind] for slot in slots]
        columns["kind"] = pa.array([slot.kind for slot in slots]).take(pa.array(slot_of))
        columns["mlTask"] = pa.array(tasks).take(pa.array(slot_of))
        return {**columns, **places(slots, slot_of)}


def _rings(shapes: list[_Shape]) -> pa.Array:
    polygons = [shape.boundingPoly for shape in shapes]
    rings = [ring.normalizedVertices for ring in chain.from_iterable(polygons)]
    vertices = list(chain.from_iterable(rings))
    xy = vertex_array([vertex.x for vertex in vertices], [vertex.y for vertex in vertices])
    lines = pa.ListArray.from_arrays(offsets(list(map(len, rings))), xy, type=RING)
    return pa.ListArray.from_arrays(offsets(list(map(len, polygons))), lines, type=pa.list_(RING))
