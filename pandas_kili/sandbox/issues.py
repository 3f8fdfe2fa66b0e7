"""Issues and questions about assets: raised, listed, solved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.store import one_of
from pandas_kili.sandbox.where import Condition
from pandas_kili.sandbox.workspace import BATCH_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

    Complete = Callable[[list[Row], AskedFields], list[Row]]

__all__ = ["Issues", "issue_resolvers"]

Arguments = dict[str, Any]

_EVENT_OF_STATUS = {"SOLVED": "resolved", "CANCELLED": "cancelled"}


def issue_resolvers(issues: Issues) -> dict[str, Resolver]:
    """Return a resolver for each query and mutation of issues."""
    return {
        "issues": issues.page,
        "countIssues": lambda arguments, _: issues.count(arguments["where"]),
        "createIssues": issues.create,
        "updatePropertiesInIssue": issues.update,
    }


class Issues:
    """Raises and settles issues and questions.

    Parameters
    ----------
    workspace : Workspace
        Where the assets are.
    complete : callable
        Completes rows with what a document asks of them.
    """

    def __init__(self, workspace: Workspace, complete: Complete) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._complete = complete

    def add(self, issues: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Store issues: ``assetId``, ``type``, and optionally ``status``, ``objectMid``, ``text``."""
        asset_ids = [issue["assetId"] for issue in issues]
        found = self._store.rows(
            "SELECT id, projectId FROM assets WHERE id IN (SELECT value FROM json_each(?))", (one_of(asset_ids),)
        )
        project_of = {row["id"]: row["projectId"] for row in found}
        if unknown := sorted(set(asset_ids) - set(project_of)):
            raise Refusal(f"[unexpectedRetrieving] No assets with ids {unknown}")
        instant = now()
        rows = [
            {
                "id": new_id(),
                "assetId": issue["assetId"],
                "projectId": project_of[issue["assetId"]],
                "authorId": self._workspace.admin_id(),
                "type": issue["type"],
                "status": issue.get("status") or "OPEN",
                "createdAt": instant,
                "updatedAt": instant,
            }
            for issue in issues
        ]
        notes = [
            {"issueId": row["id"], "objectMid": issue.get("objectMid"), "text": issue.get("text")}
            for row, issue in zip(rows, issues, strict=True)
        ]
        with self._store.transaction():
            self._store.insert("issues", rows)
            self._store.insert("issue_notes", notes)
            for row, note in zip(rows, notes, strict=True):
                self._tell("created", row, objectMid=note["objectMid"])
        return rows

    def _tell(self, what: str, issue: Row, **payload: Any) -> None:
        kind = issue["type"].lower()
        told = {"assetId": issue["assetId"], f"{kind}Id": issue["id"], **payload}
        log, user = self._workspace.events, self._workspace.admin_id()
        log.record(f"asset.{kind}.{what}", issue["projectId"], user, [told])

    def create(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        """Raise issues or questions about assets of one project."""
        issues = arguments["issues"]
        if len(issues) > BATCH_LIMIT:
            raise Refusal(f"One mutation takes {BATCH_LIMIT} issues at most, not {len(issues)}")
        return self.add([{**issue, "assetId": issue.get("assetId") or self._asset_of(issue)} for issue in issues])

    def _asset_of(self, issue: Mapping[str, Any]) -> str:
        """Return the asset of the label that an issue is about."""
        asset_id = self._store.value("SELECT assetId FROM labels WHERE id = ?", (issue.get("labelID"),))
        if asset_id is None:
            raise Refusal(f"[unexpectedRetrieving] No label with id {issue.get('labelID')}")
        return str(asset_id)

    def update(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Change the status of an issue."""
        found = self._store.rows("SELECT * FROM issues WHERE id = ?", (arguments["where"].get("id"),))
        if not found:
            raise Refusal(f"[unexpectedRetrieving] No issue with id {arguments['where'].get('id')}")
        status = arguments["data"].get("status") or found[0]["status"]
        with self._store.transaction() as store:
            store.change("UPDATE issues SET status = ?, updatedAt = ? WHERE id = ?", (status, now(), found[0]["id"]))
            if status in _EVENT_OF_STATUS and status != found[0]["status"]:
                self._tell(_EVENT_OF_STATUS[status], found[0])
        return {**found[0], "status": status}

    def count(self, where: Mapping[str, Any]) -> int:
        """Count the issues that match."""
        condition = _condition(where)
        sql = f"SELECT count(*) FROM issues WHERE {condition.sql}"
        return int(self._store.value(sql, condition.parameters))

    def page(self, arguments: Arguments, fields: AskedFields | None) -> list[Row]:
        """Return a page of the issues that match."""
        condition = _condition(arguments["where"])
        sql = f"SELECT * FROM issues WHERE {condition.sql} ORDER BY rank LIMIT ? OFFSET ?"
        rows = self._store.rows(sql, (*condition.parameters, arguments["first"], arguments["skip"]))
        return self._complete(rows, fields) if fields else rows


def _condition(where: Mapping[str, Any]) -> Condition:
    condition = Condition()
    for column, value in {
        "id": where.get("id"),
        "projectId": (where.get("project") or {}).get("id"),
        "assetId": (where.get("asset") or {}).get("id"),
        "type": where.get("type"),
        "status": where.get("status"),
    }.items():
        if value is not None:
            condition.add(f"{column} = ?", value)
    if where.get("assetIn") is not None:
        condition.add("assetId IN (SELECT value FROM json_each(?))", one_of(where["assetIn"]))
    return condition
