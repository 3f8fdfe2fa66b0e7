"""A plan as a Parquet file, which pandas opens too: a row per change, values as JSON text, and a head beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pandas_kili.errors import KiliValidationError
from pandas_kili.json_text import NotJsonError, json_text
from pandas_kili.messages import shown
from pandas_kili.writing.edits import OPERATIONS, Edit

_FORMAT = 1
_HEAD = b"pandas_kili.plan"
_KNOWN = ("plan_id", "project_id", "api_endpoint", "created", "version", "needs_count", "remarks")


def write_edits(path: str | os.PathLike[str], edits: Sequence[Edit], head: Mapping[str, Any]) -> None:
    """Write the edits of a plan, and what else it knows."""
    from pyarrow import parquet  # noqa: PLC0415 - whoever saves no plan need not load it

    columns: dict[str, list[str | None]] = {
        "operation": [edit.operation for edit in edits],
        "id": [edit.asset_id for edit in edits],
        "externalId": [edit.external_id for edit in edits],
        "property": [edit.property for edit in edits],
        "before": [_saved(edit.before) for edit in edits],
        "after": [_saved(edit.after) for edit in edits],
        "row": [_saved(edit.row) for edit in edits],
    }
    back = [edit.asset_id for edit in edits if edit.is_back]
    text = json.dumps({"format": _FORMAT, **head, "back": back})
    table = pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})
    parquet.write_table(table.replace_schema_metadata({_HEAD: text.encode()}), os.fspath(path))


def read_edits(path: str | os.PathLike[str]) -> tuple[list[Edit], dict[str, Any]]:
    """Return the edits of a plan, and what else it knows.

    Raises
    ------
    KiliValidationError
        Where the file is no plan, or one of a later version of this package.
    """
    from pyarrow import parquet  # noqa: PLC0415 - as above

    name = os.fspath(path)
    if not Path(name).is_file():
        raise KiliValidationError(f"There is no file {name!r}.")
    try:
        table = parquet.read_table(name)
        text = (table.schema.metadata or {}).get(_HEAD)
        if text is None:
            raise KiliValidationError(f"{name!r} is no plan: it is a Parquet file of something else.")
        head = json.loads(text)
        if head["format"] > _FORMAT:
            raise KiliValidationError(
                f"{name!r} is a plan of pandas_kili {head['version']}, which is later than this one: upgrade."
            )
        edits = [_loaded(row, set(head["back"])) for row in table.to_pylist()]
        return edits, {known: head[known] for known in _KNOWN}
    except KiliValidationError:
        raise
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        raise KiliValidationError(f"{name!r} is no plan: {shown(str(error))}") from None


def _saved(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return json_text(value)
    except NotJsonError:  # such as the label of a row
        return json_text(repr(value))


def _loaded(row: Mapping[str, Any], back: set[str]) -> Edit:
    if row["operation"] not in OPERATIONS:
        raise ValueError(f"there is no operation {row['operation']!r}")
    before, after, label = (row[name] and json.loads(row[name]) for name in ("before", "after", "row"))
    is_back = row["operation"] == "append" and row["id"] in back
    return Edit(row["operation"], row["id"], row["externalId"], row["property"], before, after, label, is_back)
