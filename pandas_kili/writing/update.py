"""Properties of assets set to the cells of columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import PROPERTIES
from pandas_kili.errors import KiliValidationError
from pandas_kili.frames import KiliFrame
from pandas_kili.messages import shown, warn
from pandas_kili.writing.account import Result
from pandas_kili.writing.cells import require_property
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.mutations import Update
from pandas_kili.writing.work import Effect, Options, Work

NOTHING_ASKED = Result("unchanged", "all its cells are null")
_COMPUTED = Result("declined", "this server computes the status itself")


def update_properties(
    frame: pd.DataFrame, columns: Sequence[Hashable], named: Mapping[str, Any], options: Options
) -> KiliFrame:
    """Set properties of assets to the cells of columns."""
    asked = _asked_properties(columns, named)
    for name, label in asked.items():
        require_property(frame, name, label)
    with Work(frame, options, "update_properties_in_assets") as work:
        if not len(frame):
            return work.rendered()
        values = {name: work.columns.read(name, label) for name, label in asked.items()}
        targets = work.targets(repeated=False)
        change = Update(work.client, work.name)
        nothing_to_send = NOTHING_ASKED
        if "status" in values and "appendManyToDataset" not in work.client.names("Mutation"):
            warn("This server computes the status of assets itself: the column for 'status' is not sent.")
            del values["status"]
            nothing_to_send = NOTHING_ASKED if values else _COMPUTED
        for target in targets:
            fill_payload(target, values)
        changed = {name: cells for name, cells in values.items() if asked[name] != name}
        if "toBeLabeledBy" in changed and work.columns.has("toBeLabeledBy"):
            changed["toBeLabeledBy"] = _as_read(changed["toBeLabeledBy"], frame["toBeLabeledBy"])
        return work.deliver(change, work.leave(targets, nothing_to_send), Effect(changed))


def _as_read(assignees: Sequence[list[str] | None], column: pd.Series) -> list[Any]:
    """Return e-mail addresses in the form that the column has: `read_kili` gives structs."""
    dtype = column.dtype
    if not isinstance(dtype, pd.ArrowDtype) or not pa.types.is_nested(dtype.pyarrow_dtype):
        return list(assignees)
    if not pa.types.is_nested(dtype.pyarrow_dtype.value_type):
        return list(assignees)
    return [emails and [{"user": {"email": email}} for email in emails] for emails in assignees]


def _asked_properties(columns: Sequence[Hashable], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column of each property, by its name on the wire."""
    asked: dict[str, Any] = {}
    names = list(PROPERTIES.values())
    for label in columns:
        if not (isinstance(label, str) and label in names):
            hint = " (use change_asset_external_ids)" if isinstance(label, str) and label == "externalId" else ""
            raise KiliValidationError(
                f"{shown(label)} is not a property that can be updated{hint}; there are {', '.join(names)}."
                " A column of another name goes to a keyword, such as priority='my_column'."
            )
        asked[str(label)] = label
    for keyword, column in named.items():
        if column is not None:
            if PROPERTIES[keyword] in asked:
                raise KiliValidationError(f"{keyword}= and the column {PROPERTIES[keyword]!r} say the same; give one.")
            asked[PROPERTIES[keyword]] = column
    if not asked:
        raise KiliValidationError("Name at least one property to update, such as 'priority' or json_metadata='meta'.")
    return asked


def fill_payload(target: Target, values: Mapping[str, Sequence[Any]]) -> None:
    """Give a target what its row says; a null cell leaves the property as it is."""
    row = target.rows[0]
    target.payload = {name: cells[row] for name, cells in values.items() if cells[row] is not None}
    if target.payload.get("toBeLabeledBy") == []:
        target.payload["shouldResetToBeLabeledBy"] = True
    target.weight = sum(len(value) if isinstance(value, str) else 20 for value in target.payload.values())
