"""Properties of assets set to the cells of columns."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from pandas_kili.catalog import PROPERTIES
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import shown
from pandas_kili.writing.cells import require_property
from pandas_kili.writing.delivery import Target, Verdict
from pandas_kili.writing.identity import resolve
from pandas_kili.writing.mutations import APPLIED, Update
from pandas_kili.writing.work import Options, Work


def update_properties(
    frame: pd.DataFrame, columns: Sequence[Hashable], named: Mapping[str, Any], options: Options
) -> pd.DataFrame:
    """Set properties of assets to the cells of columns."""
    asked = _asked_properties(columns, named)
    work = Work(frame, options)
    for name, label in asked.items():
        require_property(frame, name, label)
    if not len(frame):
        return work.unchanged()
    values = {name: work.columns.read(name, label) for name, label in asked.items()}
    identity = work.identify(repeated=False)
    work.columns.check()
    resolve(work.columns, identity, work.client, work.project_id)
    change = Update(work.client)
    ignored = "status" in values and "appendManyToDataset" not in work.client.names("Mutation")
    if ignored:
        warnings.warn(
            "This server computes the status of assets itself: the column for 'status' is not sent.",
            UserWarning,
            stacklevel=3,
        )
        values.pop("status")
    targets = identity.targets()
    for target in targets:
        load(target, values)
    idle = Verdict("declined", "this server computes the status itself") if ignored and not values else APPLIED
    changed = {name: cells for name, cells in values.items() if name != "toBeLabeledBy" and asked[name] != name}
    return work.deliver(change, identity, targets, changed, idle=idle)


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


def load(target: Target, values: Mapping[str, Sequence[Any]]) -> None:
    """Give a target what its row says; a null cell leaves the property as it is."""
    row = target.rows[0]
    target.payload = {name: cells[row] for name, cells in values.items() if cells[row] is not None}
    if target.payload.get("toBeLabeledBy") == []:
        target.payload["shouldResetToBeLabeledBy"] = True
    target.weight = sum(len(value) if isinstance(value, str) else 20 for value in target.payload.values())
