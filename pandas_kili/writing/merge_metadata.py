"""Single keys of the metadata of assets, changed beside those that stay."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pandas_kili.catalog import BATCH_SIZE
from pandas_kili.connection import Client, promised, read_back
from pandas_kili.errors import KiliValidationError
from pandas_kili.frames import KiliFrame
from pandas_kili.json_text import NotJsonError, is_whole_float, json_text
from pandas_kili.parallel import chunked, in_order
from pandas_kili.writing.account import Result
from pandas_kili.writing.cells import REMOVE, Columns, metadata_keys
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.mutations import APPLIED, Update
from pandas_kili.writing.update import NOTHING_ASKED
from pandas_kili.writing.work import Effect, Options, Work


def merge_metadata(frame: pd.DataFrame, labels: Sequence[Hashable], options: Options) -> KiliFrame:
    """Set the keys that columns are named after, in the metadata that each asset has now."""
    if not labels:
        raise KiliValidationError("Name at least one column to write into the metadata, such as 'site'.")
    keys = metadata_keys(frame, labels)
    with Work(frame, options, "merge_metadata") as work:
        if not len(frame):
            return work.rendered()
        columns = {key: work.columns.read("metadataEntry", key) for key in keys}
        targets = work.targets(repeated=False)
        for target in targets:
            target.payload = _entries(columns, target.rows[0])
        targets = work.leave(targets, NOTHING_ASKED)
        change = Merge(work.client, len(frame))
        change.check(targets, work.columns)
        return work.deliver(change, targets, Effect({"jsonMetadata": change.merged}))


class Merge(Update):
    """Metadata read, merged and written batch by batch: what others write meanwhile is lost for one call at most."""

    def __init__(self, client: Client, rows: int) -> None:
        super().__init__(client, "merge_metadata")
        self.merged: list[str | None] = [None] * rows  # what was written last, by row

    def check(self, targets: Sequence[Target], columns: Columns) -> None:
        """Refuse assets with metadata that no key can be put into, before anything is sent; weigh the others."""
        parts = chunked(targets, BATCH_SIZE)
        for part, stored in in_order(self._stored, parts, workers=self.client.max_workers):
            for target in part:
                text = stored.get(target.asset_id)
                try:
                    target.weight = len(merged(text, target.payload))
                except NotJsonError as error:
                    problem = f"the metadata of asset {target.asset_id!r} cannot be merged with: {error}"
                    columns.problem(target.rows[:1], "jsonMetadata", [text], problem)
        columns.check()

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Read the metadata of one batch, and write it merged."""
        stored = self._stored(targets)
        batch: dict[Target, Target] = {}  # what is sent, and what it is sent for
        for target in targets:
            try:
                text = merged(stored[target.asset_id], target.payload)
            except KeyError:
                yield {target: Result("failed", "the asset is not there any more")}
            except NotJsonError as error:
                yield {target: Result("failed", f"its metadata cannot be merged with: {error}")}
            else:
                self.merged[target.rows[0]] = text
                batch[Target(target.asset_id, target.rows, {"jsonMetadata": text})] = target
        for results in super().send(list(batch), stop) if batch else ():
            yield {batch[one]: result for one, result in results.items()}

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the assets that have the values asked for."""
        stored = self._stored(targets)
        return {
            target: APPLIED
            for target in targets
            if target.asset_id in stored and _holds(stored[target.asset_id], target.payload)
        }

    def _stored(self, targets: Sequence[Target]) -> dict[str, str | None]:
        shown = read_back(self.client, [target.asset_id for target in targets], "id jsonMetadata")
        with promised("assets"):
            return {asset_id: asset["jsonMetadata"] for asset_id, asset in shown.items()}


def merged(text: str | None, entries: Mapping[str, Any]) -> str:
    """Return metadata with entries put in, as JSON text.

    Raises
    ------
    NotJsonError
        Where the metadata is no object, or holds NaN under a key that stays.
    """
    metadata = _object(text)
    for key, entry in entries.items():
        if entry is REMOVE:
            metadata.pop(key, None)
        else:
            metadata[key] = entry_for(entry, metadata.get(key))
    return json_text(metadata)


def _entries(columns: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
    return {
        key: cells[row] if cells[row] is REMOVE else json.loads(cells[row])
        for key, cells in columns.items()
        if cells[row] is not None
    }


def _object(text: str | None) -> dict[str, Any]:
    metadata = None
    if text is None or isinstance(text, str):  # a server may show what it should not
        with contextlib.suppress(RecursionError, ValueError):
            metadata = json.loads(text) if text and text.strip() else {}
    if not isinstance(metadata, dict):
        raise NotJsonError("it is no object that has keys")
    return metadata


def entry_for(cell: Any, there: Any) -> Any:
    """Return what a cell says of a key, given the value that the key has.

    `metadata_table` gives objects, lists and values of mixed types as JSON text. Text is read as JSON where the key
    holds an object or a list, or the very text that it quotes. Numbers are not, as their text may be what is wanted.
    A whole number stays one where the key holds one, though the column made it a float.
    """
    if is_whole_float(cell) and type(there) is int:
        return int(cell)
    if not isinstance(cell, str) or cell.lstrip()[:1] not in set('{["'):
        return cell
    try:
        said = json.loads(cell)
    except (RecursionError, ValueError):
        return cell
    quoted = isinstance(said, str) and said == there
    return said if quoted or (isinstance(said, (dict, list)) and isinstance(there, (dict, list))) else cell


def _holds(text: str | None, entries: Mapping[str, Any]) -> bool:
    try:
        metadata = _object(text)
    except NotJsonError:
        return False
    return all(
        key not in metadata if entry is REMOVE else key in metadata and metadata[key] == entry_for(entry, metadata[key])
        for key, entry in entries.items()
    )
