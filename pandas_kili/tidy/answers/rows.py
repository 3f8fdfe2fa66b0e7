"""Rows of annotations in the making."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.tidy.answers.columns import LineColumn, RingsColumn, SparseColumn
from pandas_kili.tidy.answers.json_values import encode
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where rows stand within an answer; shared by all that stand there."""

    number: int = 0
    frame: int | None = None
    level: str | None = None
    parent: int | None = None
    mid: str | None = None
    job: str | None = None
    categories: tuple[str, ...] = ()


class Rows:
    """Rows of all answers read so far, as columns."""

    def __init__(self) -> None:
        self.length = 0
        self.first = 0
        self.kinds: list[str] = []
        self.jobs: list[str | None] = []
        self.top = Place()
        self.rings, self.polylines = RingsColumn(), LineColumn()
        self._places = [self.top]
        self._place_of: list[int] = []
        self._sparse = {name: SparseColumn() for name in ANNOTATION_SCHEMA.names}

    def add(self, kind: str, job: str | None, place: Place) -> int:
        """Begin a row, and return its number."""
        row = self.length
        self.kinds.append(kind)
        self.jobs.append(job)
        self._place_of.append(place.number)
        self.length = row + 1
        return row

    def put(self, name: str, row: int, value: Any) -> None:
        """Give a row a value."""
        self._sparse[name].put(row, value)

    def keep(self, row: int, rest: Any, problem: str | None = None) -> None:
        """Keep what has no column, as JSON text."""
        self.put("extra", row, encode(rest))
        if problem:
            self.put("problem", row, problem)

    def is_latest(self, name: str, row: int) -> bool:
        """Return whether a row has been given a value just now."""
        return self._sparse[name].rows[-1:] == [row]

    def new_place(self, **values: Any) -> Place:
        """Return a place of its own."""
        place = Place(number=len(self._places), **values)
        self._places.append(place)
        return place

    def below(self, row: int, place: Place, *, mid: str | None = None, category: str | None = None) -> Place:
        """Return the place of a row's children."""
        return self.new_place(
            frame=place.frame,
            level=place.level,
            parent=row - self.first,
            mid=mid or place.mid,
            job=self.jobs[row],
            categories=place.categories if category is None else (*place.categories, category),
        )

    def arrays(self) -> dict[str, pa.Array]:
        """Return the columns that have values."""
        columns = {
            name: column.array(self.length, ANNOTATION_SCHEMA.field(name).type)
            for name, column in self._sparse.items()
            if column.rows
        }
        columns.update(self._place_columns())
        columns["kind"] = pa.array(self.kinds, pa.string())
        columns["job"] = pa.array(self.jobs, pa.string())
        columns["rings"] = self.rings.array(self.length)
        columns["polyline"] = self.polylines.array(self.length)
        return columns

    def _place_columns(self) -> dict[str, pa.Array]:
        numbers = pa.array(self._place_of, pa.int64())
        values = {
            "frame": [place.frame for place in self._places],
            "level": [place.level for place in self._places],
            "parentRow": [place.parent for place in self._places],
            "parentMid": [place.mid for place in self._places],
            "parentJob": [place.job for place in self._places],
            "parentCategories": [place.categories or None for place in self._places],
        }
        return {
            name: pc.take(pa.array(column, ANNOTATION_SCHEMA.field(name).type), numbers)
            for name, column in values.items()
        }
