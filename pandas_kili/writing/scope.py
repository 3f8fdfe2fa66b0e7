"""The scope of a plan: which columns it compares, and what it does with rows and assets that stand alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pandas_kili.catalog import ENTITIES, PROPERTIES
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import did_you_mean, listed, nearest, shown, warn
from pandas_kili.writing.cells import Columns, require_column
from pandas_kili.writing.edits import MEDIA

New = Literal["append", "refuse", "skip"]
Missing = Literal["keep", "delete"]
_COMPARED = ("externalId", *(name for name in PROPERTIES.values() if name not in {*MEDIA, "status"}))
_ALIKE = 0.8  # a label this much like a property's name may be meant for it; 1 is equal, apart from case


@dataclass(frozen=True, slots=True)
class Scope:
    """What a plan compares, and what it does with rows and assets that stand alone."""

    properties: Sequence[str] | None = None
    metadata: Sequence[Hashable] | None = None
    new: New = "append"
    missing: Missing = "keep"
    within: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("new", self.new, ("append", "refuse", "skip")),
            ("missing", self.missing, ("keep", "delete")),
        ):
            if value not in known:
                raise KiliValidationError(f"{name} is one of {', '.join(map(repr, known))}; got {shown(value)}.")
        for name, given in (("properties", self.properties), ("metadata", self.metadata)):
            if isinstance(given, str):
                raise KiliValidationError(f"{name} is a list of columns, such as [{given!r}].")
        if not (self.within is None or isinstance(self.within, Mapping)):
            raise KiliValidationError(
                f"within= is a mapping of filters, such as {{'status_in': ['TODO']}}; got {shown(self.within)}."
            )
        if self.within is not None and self.missing == "keep":
            raise KiliValidationError("within= narrows missing='delete': without it, no asset is deleted.")

    def compared(self, columns: Columns) -> list[str]:
        """Return the properties to compare: those named, else those that have a column of their name.

        Raises
        ------
        KiliValidationError
            For a name that is no property, or no column.
        """
        if self.properties is None:
            hidden = {"jsonMetadata"} if self.metadata is not None else set()
            return [name for name in _COMPARED if name not in hidden and columns.has(name)]
        known = ("externalId", *PROPERTIES.values())
        for label in self.properties:
            if label not in known:
                hint = did_you_mean(nearest(str(label), known), "did") or f"there are {', '.join(known)}."
                raise KiliValidationError(f"{shown(label)} is no property that can be set; {hint}")
            require_column(columns.frame, label)
        names = [str(label) for label in self.properties]
        if "jsonMetadata" in names and self.metadata is not None:
            raise KiliValidationError("properties= names all of 'jsonMetadata', metadata= single keys; give one.")
        if "status" in names:
            raise KiliValidationError("Servers compute the status themselves: leave 'status' out of properties=.")
        return names

    def remarks(self, frame: pd.DataFrame, existing: int) -> list[str]:
        """Say which columns are not compared, where the caller does not name those that are."""
        told = []
        fresh = [name for name in (*MEDIA, "jsonMetadata") if name in self._unused(frame)]
        if fresh and existing:
            named = " and ".join(map(repr, fresh))
            how = " properties= compares it where it is an address." if set(fresh) <= set(MEDIA) else ""
            told.append(f"Only new assets get {named}: not compared for the {existing:,} that exist.{how}")
        others = [label for label in self._unused(frame) if label not in fresh]
        if others:
            named = listed([f"{shown(label)}{_meant(label, frame)}" for label in others])
            told.append(f"Columns that are no properties are left out: {named}.")
        return told

    def warn_of_misspelled(self, frame: pd.DataFrame) -> None:
        """Warn of columns that look like the name of a property."""
        told = [f"{shown(label)}{hint}" for label in self._unused(frame) if (hint := _meant(label, frame))]
        if told:
            warn(f"plan: columns that are no properties are left out: {listed(told)}.")

    def _unused(self, frame: pd.DataFrame) -> list[Hashable]:
        """Return the columns that are not compared, unless the caller says which are."""
        used = {"id", *_COMPARED, *(self.metadata or ())}
        if self.metadata is not None:
            used -= {"jsonMetadata"} - set(self.metadata)
        return [] if self.properties is not None else [label for label in frame.columns if label not in used]


def _meant(label: Hashable, frame: pd.DataFrame) -> str:
    """Ask whether a label that is no property means one; empty where none is like it, or has a column too."""
    if not isinstance(label, str) or ENTITIES["Asset"].field(label) is not None:
        return ""
    near = [name for name in nearest(label, (*_COMPARED, *MEDIA), most=1, cutoff=_ALIKE) if name not in frame.columns]
    return f" ({did_you_mean(near, 'did')})" if near else ""
