"""Mutations of labels, and labels that a test brings in by the frame."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.imports import json_object
from pandas_kili.sandbox.marks import update_marks
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.store import one_of
from pandas_kili.sandbox.where import asset_condition, label_condition
from pandas_kili.sandbox.workflow import apply_labels
from pandas_kili.sandbox.workspace import BATCH_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["Labeling", "answer_text", "labeling_resolvers"]

Arguments = dict[str, Any]

_DEFAULTS: Row = {
    "labelType": "DEFAULT",
    "modelName": None,
    "secondsToLabel": None,
    "consensusMark": None,
    "honeypotMark": None,
    "inferenceMark": None,
    "isHoneypot": False,
    "skipped": False,
    "clientVersion": 0,
    "referencedLabelId": None,
}
_GIVEN_BY_NAME = ("jsonResponse", "modelName", "secondsToLabel", "clientVersion", "referencedLabelId")


def labeling_resolvers(labeling: Labeling) -> dict[str, Resolver]:
    """Return a resolver for each mutation of labels."""
    return {
        "appendManyLabels": labeling.append_many,
        "appendToLabels": labeling.append_one,
        "updatePropertiesInLabel": labeling.update,
        "createHoneypot": labeling.create_honeypot,
        "deleteLabels": labeling.delete,
    }


class Labeling:
    """Changes labels, and moves their assets accordingly.

    Parameters
    ----------
    workspace : Workspace
        Where they are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def add(self, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Insert labels (`assetId`, `authorId`, `jsonResponse` and what else they have), all or none."""
        if not rows:
            return []
        instant = now()
        labels = [{"id": new_id(), "createdAt": instant, **_DEFAULTS, **_known(row)} for row in rows]
        with self._store.transaction() as store:
            projects = self._projects_of({label["assetId"] for label in labels})
            for label in labels:
                label["projectId"] = projects[label["assetId"]]
            store.insert("labels", labels)
            for label_type in dict.fromkeys(label["labelType"] for label in labels):
                moved = {label["assetId"] for label in labels if label["labelType"] == label_type}
                apply_labels(store, moved, label_type)
            update_marks(store, {label["assetId"] for label in labels if not _is_marked(label)})
            self._tell_created(labels)
        return labels

    def _tell_created(self, labels: list[Row]) -> None:
        """Record the events of new labels, kind by kind; a save in between counts as an edit."""
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for label in labels:
            kind = "honeypot" if label["isHoneypot"] else label["labelType"].lower()
            subject = "label.workflow.edited" if kind == "autosave" else f"label.workflow.created.{kind}"
            payload = {"assetId": label["assetId"], "labelId": label["id"]}
            groups.setdefault((subject, label["projectId"], label["authorId"]), []).append(payload)
        for (subject, project_id, author_id), payloads in groups.items():
            self._workspace.events.record(subject, project_id, author_id, payloads)

    def _projects_of(self, asset_ids: set[str]) -> dict[str, str]:
        sql = "SELECT id, projectId FROM assets WHERE id IN (SELECT value FROM json_each(?))"
        projects = {row["id"]: row["projectId"] for row in self._store.rows(sql, (one_of(asset_ids),))}
        unknown = asset_ids - projects.keys()
        if unknown:
            raise Refusal(f"[unexpectedRetrieving] No assets with ids {sorted(unknown)[:10]}")
        return projects

    def append_many(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        """Append up to a hundred labels of one type."""
        data = arguments["data"]
        given = data["labelsData"]
        if len(given) > BATCH_LIMIT:
            raise Refusal(f"One mutation takes {BATCH_LIMIT} labels at most, not {len(given)}")
        with self._store.transaction():
            if data.get("overwrite"):
                replaced = "labelType = ? AND assetId IN (SELECT value FROM json_each(?))"
                self._deleted(replaced, data["labelType"], one_of(one["assetID"] for one in given))
            return self.add([self._label(one, one["assetID"], data["labelType"]) for one in given])

    def _label(self, given: Mapping[str, Any], asset_id: str, label_type: str) -> Row:
        label = {name: given.get(name) for name in _GIVEN_BY_NAME}
        json_object(given["jsonResponse"])
        author = given.get("authorID") or self._workspace.admin_id()
        label["secondsToLabel"] = label["secondsToLabel"] or 0  # the official SDK copies it to where no null is taken
        return {**label, "assetId": asset_id, "labelType": label_type, "authorId": self._known_user(author)}

    def _known_user(self, user_id: str) -> str:
        if self._store.value("SELECT id FROM users WHERE id = ?", (user_id,)) is None:
            raise Refusal(f"No such user: {user_id}")
        return user_id

    def append_one(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Append one label."""
        data, asset_id = arguments["data"], self._asset_id(arguments["where"])
        label = {**self._label(data, asset_id, data["labelType"]), "skipped": bool(data.get("skipped"))}
        return self.add([label])[0]

    def create_honeypot(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Make an asset a honeypot, with the right answer as its review."""
        asset_id = self._asset_id(arguments["where"])
        with self._store.transaction() as store:
            store.change("UPDATE assets SET isHoneypot = 1, updatedAt = ? WHERE id = ?", (now(), asset_id))
            return self.add([{**self._label(arguments["data"], asset_id, "REVIEW"), "isHoneypot": True}])[0]

    def _asset_id(self, where: Mapping[str, Any]) -> str:
        condition = asset_condition(where)
        sql = f"SELECT id FROM assets WHERE {condition.sql} LIMIT 2"
        found = self._store.rows(sql, condition.parameters)
        if len(found) != 1:
            raise Refusal(f"[unexpectedRetrieving] {len(found)} assets match")
        return str(found[0]["id"])

    def update(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Change properties of one label."""
        condition = label_condition(arguments["where"])
        sql = f"SELECT * FROM labels WHERE {condition.sql} LIMIT 2"
        found = self._store.rows(sql, condition.parameters)
        if len(found) != 1:
            raise Refusal(f"[unexpectedRetrieving] {len(found)} labels match")
        change = {name: value for name, value in arguments["data"].items() if value is not None}
        label = {**found[0], **change}
        with self._store.transaction() as store:
            store.change(
                "UPDATE labels SET jsonResponse = ?, modelName = ?, secondsToLabel = ?, version = version + 1"
                " WHERE id = ?",
                (json_object(label["jsonResponse"]), label["modelName"], label["secondsToLabel"], label["id"]),
            )
            payload = {"assetId": label["assetId"], "labelId": label["id"]}
            user = self._workspace.admin_id()
            self._workspace.events.record("label.workflow.edited", label["projectId"], user, [payload])
        return label

    def delete(self, arguments: Arguments, _: AskedFields | None) -> list[str]:
        """Delete labels, and answer with the ids of those that were there."""
        with self._store.transaction():
            return self._deleted("id IN (SELECT value FROM json_each(?))", one_of(arguments["ids"]))

    def _deleted(self, condition: str, *parameters: Any) -> list[str]:
        found = self._store.rows(f"SELECT * FROM labels WHERE {condition}", parameters)
        self._store.change(f"DELETE FROM labels WHERE {condition}", parameters)
        # Kili's list of subjects has none for a deleted label; here the asset counts as updated.
        for project_id in {row["projectId"] for row in found}:
            payloads = [
                {"assetId": row["assetId"], "fields": ["labels"]} for row in found if row["projectId"] == project_id
            ]
            self._workspace.events.record("asset.updated", project_id, self._workspace.admin_id(), payloads)
        return [row["id"] for row in found]


def _is_marked(label: Row) -> bool:
    """Whether a label brings marks of its own, which are not computed then."""
    return any(label.get(name) is not None for name in ("consensusMark", "honeypotMark", "inferenceMark"))


def _known(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if value is not None}


def answer_text(answer: Any) -> str:
    """Return the JSON text of an answer given as text or as an object."""
    return json_object(answer if isinstance(answer, str) else json.dumps(answer))
