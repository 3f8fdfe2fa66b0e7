"""Single keys of the metadata of assets, changed beside those that stay."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from pandas_kili.catalog import BATCH_SIZE
from pandas_kili.connection import Client, promised, read_back
from pandas_kili.errors import KiliValidationError
from pandas_kili.parallel import in_order
from pandas_kili.writing.cells import json_text, require_column
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.identity import resolve
from pandas_kili.writing.mutations import APPLIED, Update
from pandas_kili.writing.work import Options, Work


def merge_metadata(frame: pd.DataFrame, labels: Sequence[Hashable], options: Options) -> pd.DataFrame:
    """Set the keys that columns are named after, in the metadata that each asset has now."""
    if not labels:
        raise KiliValidationError("Name at least one column whose cells go into the metadata, such as 'site'.")
    work = Work(frame, options)
    for label in labels:
        if isinstance(label, (list, tuple)):
            raise KiliValidationError(f"Columns are named one by one, as in merge_metadata('a', 'b'); got {label!r}.")
        if not isinstance(label, str):
            raise KiliValidationError(f"A key of metadata is text; the column {label!r} is not named by one.")
        require_column(frame, label)
    if not len(frame):
        return work.unchanged()
    entries = {str(label): work.columns.read("metadataEntry", label) for label in labels}
    identity = work.identify(repeated=False)
    work.columns.check()
    resolve(work.columns, identity, work.client, work.project_id)
    targets = identity.targets()
    for target in targets:
        row = target.rows[0]
        target.payload = {key: json.loads(cells[row]) for key, cells in entries.items() if cells[row] is not None}
    merged = _merge(work.client, [target for target in targets if target.payload], len(frame))
    change = Update(work.client, "merge_metadata")
    return work.deliver(change, identity, targets, {"jsonMetadata": merged}, idle=APPLIED)


def _merge(client: Client, targets: Sequence[Target], rows: int) -> list[str | None]:
    """Put entries into the metadata that the server has, and return the outcome by row."""
    merged: list[str | None] = [None] * rows
    parts = [targets[start : start + BATCH_SIZE] for start in range(0, len(targets), BATCH_SIZE)]
    for part, shown in in_order(lambda part: _metadata(client, part), parts, workers=client.max_workers):
        for target in part:
            metadata = shown.get(target.asset_id, {})
            entries = {key: _entry(cell, metadata.get(key)) for key, cell in target.payload.items()}
            text = json_text({**metadata, **entries})
            target.payload, target.weight = {"jsonMetadata": text}, len(text)
            merged[target.rows[0]] = text
    return merged


def _entry(cell: Any, there: Any) -> Any:
    """Return what a cell says of a key: `metadata_table` gives objects, lists and values of mixed types as JSON text.

    Text is read as JSON where the key holds an object or a list, or the very text that it quotes. Numbers are not, as
    their text may be what is wanted.
    """
    if not isinstance(cell, str):
        return cell
    try:
        said = json.loads(cell)
    except (RecursionError, ValueError):
        return cell
    quoted = isinstance(said, str) and said == there
    return said if quoted or (isinstance(said, (dict, list)) and isinstance(there, (dict, list))) else cell


def _metadata(client: Client, targets: Sequence[Target]) -> Mapping[str, dict[str, Any]]:
    shown = read_back(client, [target.asset_id for target in targets], "id jsonMetadata")
    with promised("assets"):
        return {asset_id: _parsed(asset_id, asset["jsonMetadata"]) for asset_id, asset in shown.items()}


def _parsed(asset_id: str, text: str | None) -> dict[str, Any]:
    try:
        metadata = json.loads(text) if text else {}
    except (RecursionError, ValueError):
        metadata = None
    if not isinstance(metadata, dict):
        raise KiliValidationError(
            f"Nothing was sent: the metadata of asset {asset_id!r} is no object that has keys, but {text!r:.80}."
        )
    return metadata
