"""The words that describe Kili's nouns: `Entity`, `Field`, `Filter`, `Mutation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

TEXT = pa.string()
WHOLE = pa.int64()
REAL = pa.float64()
FLAG = pa.bool_()
DATE = pa.timestamp("ms", tz="UTC")  # served as 2023-05-11T15:55:01.134Z
TEXTS = pa.list_(TEXT)

FilterKind = Literal[
    "id", "text", "texts", "mark", "flag", "date", "day", "metadata", "category search", "step names", "people", "names"
]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity: a leaf with an Arrow type, or the way to another entity.

    Attributes
    ----------
    name : str
        As on the wire.
    type : pyarrow.DataType or None
        Arrow type of a leaf; None where `to` is given.
    note : str
        One line for the documentation table.
    to : str
        Name of the entity that it leads to; empty for a leaf.
    many : bool
        Whether it leads to a list of entities.
    choices : tuple of str
        The values that the server is known to give, where they are few.
    mark : bool
        Whether the value is a mark, from 0 to 1.
    """

    name: str
    type: pa.DataType | None = None
    note: str = ""
    to: str = ""
    many: bool = False
    choices: tuple[str, ...] = ()
    mark: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """One noun of Kili's schema, with the fields that it has."""

    name: str
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        """Return the field of that name, or None."""
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True, slots=True)
class Filter:
    """One keyword that narrows a query, and its place in the query's ``where``.

    Attributes
    ----------
    keyword : str
        As users write it.
    path : str
        Dotted place in ``where``.
    kind : str
        What values it takes.
    note : str
        One line for the documentation table.
    choices : tuple of str
        The only values that it takes, where they are few.
    """

    keyword: str
    path: str
    kind: FilterKind
    note: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mutation:
    """One operation that changes a project, as one generation of the API spells it.

    Attributes
    ----------
    name : str
        Name of the mutation field in the server's schema.
    document : str
        The GraphQL text that is sent.
    """

    name: str
    document: str
