"""Frames of assets and labels to rows of the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_kili.sandbox.labeling import answer_text
from pandas_kili.sandbox.organization import ADMIN_EMAIL
from pandas_kili.sandbox.stamps import as_instant, instant_of
from pandas_kili.sandbox.store import one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["asset_rows", "label_rows"]

_OPTIONAL = ("id", "labelType", "modelName", "secondsToLabel", "consensusMark", "honeypotMark", "inferenceMark")


def asset_rows(rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return rows of assets as the import takes them."""
    given = _records(rows) if isinstance(rows, pd.DataFrame) else [dict(row) for row in rows]
    for row in given:
        metadata = row.get("jsonMetadata")
        if metadata is not None and not isinstance(metadata, str):
            row["jsonMetadata"] = json.dumps(metadata)
        for name in ("createdAt", "updatedAt"):
            if row.get(name) is not None:
                row[name] = _instant(row[name])
    return given


def label_rows(workspace: Workspace, frame: pd.DataFrame, project_id: str | None) -> list[Row]:
    """Return rows of labels as the store takes them.

    Raises
    ------
    ValueError
        Where the assets or the answers are not named.
    """
    if "jsonResponse" not in frame.columns:
        raise ValueError("Labels need a column jsonResponse")
    records = _records(frame)
    for record, asset_id in zip(records, _asset_ids(workspace, frame, project_id), strict=True):
        record["assetId"] = asset_id
    emails = [str(record.get("author") or record.get("author.email") or ADMIN_EMAIL) for record in records]
    users = workspace.user_ids(emails)
    columns = [name for name in _OPTIONAL if name in frame.columns]
    return [
        {
            "assetId": record["assetId"],
            "authorId": users[email],
            "jsonResponse": answer_text(record["jsonResponse"]),
            **{name: record[name] for name in columns},
            "createdAt": None if record.get("createdAt") is None else _instant(record["createdAt"]),
        }
        for record, email in zip(records, emails, strict=True)
    ]


def _asset_ids(workspace: Workspace, frame: pd.DataFrame, project_id: str | None) -> list[str]:
    if "assetId" in frame.columns:
        return [str(value) for value in frame["assetId"]]
    if "externalId" not in frame.columns or (project_id is None and "projectId" not in frame.columns):
        raise ValueError("Labels need a column assetId, or externalId with a project")
    projects = [project_id] * len(frame) if project_id is not None else frame["projectId"].tolist()
    known = {
        (row["projectId"], row["externalId"]): row["id"]
        for row in workspace.store.rows(
            "SELECT id, projectId, externalId FROM assets WHERE projectId IN (SELECT value FROM json_each(?))",
            (one_of(set(projects)),),
        )
    }
    asked = list(zip(projects, frame["externalId"], strict=True))
    unknown = [name for project, name in asked if (project, name) not in known]
    if unknown:
        raise ValueError(f"No assets with external ids {unknown[:10]}")
    return [known[pair] for pair in asked]


def _records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows as dicts of Python objects, None where a cell is null."""
    plain = frame.astype(object)
    plain = plain.where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _instant(value: Any) -> str:
    return as_instant(value) if isinstance(value, str) else instant_of(pd.Timestamp(value).to_pydatetime(warn=False))
