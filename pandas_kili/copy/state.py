"""What a copy is of, and how far it is."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pandas_kili.messages import shown

FORMAT = 1
"""Of the state; a later one is not read."""


@dataclass(frozen=True)
class LogPlace:
    """How far the log of events was read.

    Attributes
    ----------
    since : str
        The instant from which on the log is read next time; it lies before the last event, as some show late.
    seen : list of str
        The events from that instant on that were seen.
    """

    since: str
    seen: list[str]


@dataclass(frozen=True)
class CopyState:
    """What a copy is of, and how far it is.

    Attributes
    ----------
    project_id, api_endpoint : str
    fields : list of str
    schema : str
        The Arrow schema of the frame, in base 64.
    filters : dict
        The checked filters.
    place : LogPlace or None
        None where there is no log, no event in it, or where rows were in doubt: the next refresh looks at all assets.
    is_whole : bool
        False until the first copy has come to its end.
    position : str or None
        The latest `createdAt` of an unfinished first copy.
    format : int
    """

    project_id: str
    api_endpoint: str
    fields: list[str]
    schema: str
    filters: dict[str, Any]
    place: LogPlace | None = None
    is_whole: bool = False
    position: str | None = None
    format: int = FORMAT

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema of the frame."""
        return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(self.schema)))

    def differences(self, other: CopyState) -> list[str]:
        """Return what another state is of that this one is not of, each as a part of a sentence."""
        pairs = {
            "project": (self.project_id, other.project_id),
            "server": (self.api_endpoint, other.api_endpoint),
            "filters": (self.filters, other.filters),
        }
        found = [
            f"{name}: the copy has {shown(mine)}, asked is {shown(asked)}"
            for name, (mine, asked) in pairs.items()
            if _in_any_order(mine) != _in_any_order(asked)
        ]
        missing = [name for name in other.fields if name not in self.fields]
        surplus = [name for name in self.fields if name not in other.fields]
        if missing or surplus:
            found.append(
                f"fields: the copy lacks {missing or 'none'} and has {surplus or 'none'} beside those asked for"
            )
        elif self.schema != other.schema:
            found.append("fields: their order or types differ")
        return found


def _in_any_order(value: Any) -> Any:
    """Return filters as JSON keeps them, with their names in order: a set has another order in each process."""
    if not isinstance(value, dict):
        return value
    kept = json.loads(json.dumps(value))
    return {path: sorted(names) if isinstance(names, list) else names for path, names in kept.items()}


def schema_text(schema: pa.Schema) -> str:
    """Return a schema as text, for `CopyState`."""
    return base64.b64encode(schema.remove_metadata().serialize().to_pybytes()).decode()
