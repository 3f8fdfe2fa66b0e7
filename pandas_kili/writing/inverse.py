"""Changes taken back: which edits undo an edit, and which cannot be undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pandas_kili.writing.account import Result
from pandas_kili.writing.edits import APPENDED, DEFAULTS, KEY, RESTORED, Edit, is_same


def is_final(edit: Edit) -> bool:
    """Return whether a property gets its first value, which servers do not take away again."""
    name = str(edit.property)
    plain = (
        edit.operation == "update" and not name.startswith(KEY) and name not in {"jsonMetadata", "isUsedForConsensus"}
    )
    return plain and edit.before is None


def taken_back(edit: Edit, made: set[str], results: Mapping[Edit, Result]) -> Iterable[Edit]:
    """Return the changes that take one back."""
    if edit.operation == "append":
        before: dict[str, Any] = {
            "externalId": edit.external_id,
            "latestLabel.id": None,
            "jsonMetadata": edit.after.get("jsonMetadata"),
            "isHoneypot": bool(edit.after.get("isHoneypot")),
            "priority": 0,
            "toBeLabeledBy": [],
        }
        for later, result in results.items():
            if later.asset_id == edit.asset_id and later.property:
                before[later.property] = later.after
                if result.outcome not in {"applied", "unchanged"}:  # it may be set, or not
                    del before[later.property]
        return [Edit("delete", edit.asset_id, edit.external_id, None, before, None, edit.row)]
    if edit.asset_id in made or is_final(edit):
        return []
    if edit.operation == "delete":
        return _made_again(edit)
    after = "{}" if edit.property == "jsonMetadata" and edit.before is None else edit.before
    after = bool(after) if edit.property == "isUsedForConsensus" else after
    name = edit.after if edit.operation == "rename" else edit.external_id
    return [Edit(edit.operation, edit.asset_id, name, edit.property, edit.after, after, edit.row)]


def _made_again(edit: Edit) -> list[Edit]:
    """Return the changes that append a deleted asset again, as it was."""
    parts = {name: edit.before[name] for name in APPENDED if edit.before.get(name) not in (None, "")}
    edits = [Edit("append", edit.asset_id, edit.external_id, None, None, parts, edit.row, is_back=True)]
    for name in RESTORED:
        value = edit.before.get(name)
        if name not in APPENDED and value is not None and not is_same(name, value, DEFAULTS.get(name)):
            edits.append(Edit("update", edit.asset_id, edit.external_id, name, DEFAULTS.get(name), value, edit.row))
    return edits
