"""Mutations of existing assets: properties, review, queue, deletion, assignment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.imports import Imports, json_object
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import now
from pandas_kili.sandbox.store import one_of
from pandas_kili.sandbox.where import asset_condition
from pandas_kili.sandbox.workflow import LABELED_ANSWERS, move_to_queue, move_to_review
from pandas_kili.sandbox.workspace import BATCH_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

    Change = Callable[[list[Row]], list[Row]]

__all__ = ["Edits", "edit_resolvers"]

Arguments = dict[str, Any]

_PLAIN = ("externalId", "priority", "consensusMark", "honeypotMark", "isUsedForConsensus", "isHoneypot")
_LINKED = ("content", "jsonContent")
_STRUCTURED = ("resolution", "pageResolutions")


@dataclass(frozen=True)
class Verb:
    """A change of assets, and the events that tell of it.

    Attributes
    ----------
    change
        Changes what can be changed of the rows given, and returns those.
    subject
        The event of one asset.
    bulk
        The name of the bulk action; its event names no assets.
    payload
        What the events say beside the assets.
    """

    change: Change
    subject: str
    bulk: str
    payload: Row = field(default_factory=dict)


def edit_resolvers(edits: Edits) -> dict[str, Resolver]:
    """Return a resolver for each mutation of existing assets."""
    restatus = "asset.workflow.currentStep.statusChanged"
    verbs = {
        "deleteAssets": ("deleteManyFromDataset", Verb(edits.delete, "asset.deleted", "delete")),
        "addAssetsToReview": (
            "addAllLabeledAssetsToReview",
            Verb(edits.review, restatus, "setToNextStep", {"status": "TO_REVIEW"}),
        ),
        "sendAssetsBackToQueue": (
            "sendBackAssetsToQueue",
            Verb(edits.queue, restatus, "sendBackToQueue", {"status": "ONGOING"}),
        ),
    }
    resolvers: dict[str, Resolver] = {
        "updatePropertiesInAssets": edits.update_many,
        "assignAssets": edits.assign_with_outcomes,
        "assignAssetsToLabelers": edits.assign_with_assets,
        "setAssetsPriority": edits.prioritize,
        "setAssetConsensus": edits.set_consensus,
        "skipAsset": edits.skip,
        "unskipAsset": edits.unskip,
    }
    for current, (legacy, verb) in verbs.items():
        resolvers[current] = edits.with_outcomes(verb)
        resolvers[legacy] = edits.with_project(verb)
    return resolvers


class Edits:
    """Changes assets.

    Parameters
    ----------
    workspace : Workspace
        Where they are.
    imports : Imports
        Knows which external ids are taken.
    """

    def __init__(self, workspace: Workspace, imports: Imports) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._imports = imports

    def _matching(self, where: Mapping[str, Any]) -> list[Row]:
        condition = asset_condition(where)
        if not condition.clauses:
            raise Refusal("Name the assets to change")
        _refuse_large(len(where.get("idIn") or []))
        sql = f"SELECT * FROM assets WHERE {condition.sql} ORDER BY createdAt, rank"
        rows = self._store.rows(sql, condition.parameters)
        _refuse_large(len(rows))
        return rows

    def with_outcomes(self, verb: Verb) -> Resolver:
        """Let `verb` answer with an outcome for each asset."""

        def resolve(arguments: Arguments, _: AskedFields | None) -> Row:
            with self._store.transaction():
                return self._outcomes(arguments["where"], verb)

        return resolve

    def _outcomes(self, where: Mapping[str, Any], verb: Verb) -> Row:
        found = self._matching(where)
        changed = {row["id"] for row in self._changed(found, where, verb)}
        known = {row["id"] for row in found}
        unknown = [given for given in dict.fromkeys(_ids_of(where)) if given not in known]
        return {
            "succeeded": [_outcome(row) for row in found if row["id"] in changed],
            "declined": [_outcome(row) for row in found if row["id"] not in changed],
            "failed": [{"assetId": given, "externalId": None, "details": "not found"} for given in unknown],
        }

    def _changed(self, found: list[Row], where: Mapping[str, Any], verb: Verb) -> list[Row]:
        changed = verb.change(found)
        log, user = self._workspace.events, self._workspace.admin_id()
        if changed and not _ids_of(where):  # a bulk action, which does not say what it touched
            subject = f"project.workflow.bulkAction.{verb.bulk}.started"
            log.record(subject, changed[0]["projectId"], user, [{"where": where, **verb.payload}])
        else:
            log.about_assets(verb.subject, changed, user, **verb.payload)
        return changed

    def with_project(self, verb: Verb) -> Resolver:
        """Let `verb` answer with the project, or with null where nothing changed."""

        def resolve(arguments: Arguments, _: AskedFields | None) -> Row | None:
            with self._store.transaction():
                changed = self._changed(self._matching(arguments["where"]), arguments["where"], verb)
            return self._workspace.project(changed[0]["projectId"]) if changed else None

        return resolve

    def delete(self, rows: list[Row]) -> list[Row]:
        """Delete `rows`, with their labels."""
        self._store.change("DELETE FROM assets WHERE id IN (SELECT value FROM json_each(?))", (_ids(rows),))
        return rows

    def review(self, rows: list[Row]) -> list[Row]:
        """Send to review the assets that have a label and are not in review yet."""
        labeled = self._store.rows(
            "SELECT DISTINCT assetId FROM labels WHERE assetId IN (SELECT value FROM json_each(?))"
            " AND labelType IN (SELECT value FROM json_each(?))",
            (_ids(rows), one_of(LABELED_ANSWERS)),
        )
        ready = {row["assetId"] for row in labeled}
        moving = [row for row in rows if row["id"] in ready and row["status"] != "TO_REVIEW"]
        move_to_review(self._store, [row["id"] for row in moving], now())
        return moving

    def queue(self, rows: list[Row]) -> list[Row]:
        """Send back to the queue the assets that have left it."""
        moving = [row for row in rows if row["status"] not in {"TODO", "ONGOING"}]
        move_to_queue(self._store, [row["id"] for row in moving], now())
        return moving

    def update_many(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        """Change properties of assets one by one, all or none."""
        wheres, changes = arguments["where"], arguments["data"]
        if len(wheres) != len(changes):
            raise Refusal(f"{len(wheres)} assets are named, but there are changes for {len(changes)}")
        _refuse_large(len(wheres))
        with self._store.transaction():
            return [self._update(where, change) for where, change in zip(wheres, changes, strict=True)]

    def _update(self, where: Mapping[str, Any], change: Mapping[str, Any]) -> Row:
        found = self._matching(where)
        if len(found) != 1:
            raise Refusal(f"[unexpectedRetrieving] {len(found)} assets match {dict(where)}")
        asset = found[0]
        columns = self._columns(asset, {name: value for name, value in change.items() if value is not None})
        self._set(asset["id"], columns)
        self._tell("asset.updated", asset, fields=[name for name in change if name != "shouldResetToBeLabeledBy"])
        if change.get("shouldResetToBeLabeledBy"):
            self._assign(asset["id"], [])
        elif change.get("toBeLabeledBy") is not None:
            self._assign(asset["id"], self._workspace.user_ids(change["toBeLabeledBy"]).values())
        return {**asset, **columns}

    def _tell(self, subject: str, asset: Row, **payload: Any) -> None:
        self._workspace.events.about_assets(subject, [asset], self._workspace.admin_id(), **payload)

    def _columns(self, asset: Row, change: Mapping[str, Any]) -> Row:
        columns = {name: change[name] for name in _PLAIN if name in change}
        columns |= {name: self._workspace.bucket.reference(change[name]) for name in _LINKED if name in change}
        columns |= {name: json.dumps(change[name]) for name in _STRUCTURED if name in change}
        if "jsonMetadata" in change:
            columns["jsonMetadata"] = json_object(change["jsonMetadata"])
        if "status" in change and self._workspace.generation != "current":
            columns["status"] = change["status"]
        name = columns.get("externalId", asset["externalId"])
        if name != asset["externalId"] and self._workspace.unique_external_ids:
            self._imports.refuse_taken_names(asset["projectId"], [str(name)])
        return columns

    def _set(self, asset_id: str, columns: Row) -> None:
        named = {**columns, "updatedAt": now()}
        assignments = ", ".join(f"{name} = ?" for name in named)
        sql = f"UPDATE assets SET {assignments} WHERE id = ?"
        self._store.change(sql, (*named.values(), asset_id))

    def _assign(self, asset_id: str, users: Iterable[str]) -> None:
        self._store.change("DELETE FROM assignees WHERE assetId = ?", (asset_id,))
        self._store.insert("assignees", [{"assetId": asset_id, "userId": user} for user in dict.fromkeys(users)])

    def _assigning(self, users: list[str]) -> Verb:
        found = self._store.rows("SELECT id FROM users WHERE id IN (SELECT value FROM json_each(?))", (one_of(users),))
        unknown = set(users) - {row["id"] for row in found}
        if unknown:
            raise Refusal(f"No such users: {sorted(unknown)}")

        def assign(rows: list[Row]) -> list[Row]:
            for row in rows:
                self._assign(row["id"], users)
                self._set(row["id"], {})
            return rows

        return Verb(assign, "asset.workflow.assigned", "assign", {"userIds": users})

    def assign_with_outcomes(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Assign assets to users, and answer for each asset."""
        outcomes: Row = self.with_outcomes(self._assigning(arguments["userIds"]))(arguments, fields)
        return outcomes

    def assign_with_assets(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        """Assign assets to users, and answer with the assets."""
        with self._store.transaction():
            found = self._matching(arguments["where"])
            return self._changed(found, arguments["where"], self._assigning(arguments["userIds"]))

    def prioritize(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Give assets a priority."""

        def set_priority(rows: list[Row]) -> list[Row]:
            for row in rows:
                self._set(row["id"], {"priority": arguments["priority"]})
            return rows

        payload = {"fields": ["priority"], "priority": arguments["priority"]}
        verb = Verb(set_priority, "asset.updated", "prioritize", payload)
        outcomes: Row = self.with_outcomes(verb)(arguments, fields)
        return outcomes

    def set_consensus(self, arguments: Arguments, _: AskedFields | None) -> bool:
        """Put an asset under consensus, or take it out."""
        where: Row = {"project": {"id": arguments["projectId"]}, "id": arguments.get("assetId")}
        if arguments.get("externalId") is not None:
            where["externalIdStrictlyIn"] = [arguments["externalId"]]
        is_consensus = bool(arguments["isConsensus"])
        with self._store.transaction():
            asset = self._only(where)
            self._set(asset["id"], {"isUsedForConsensus": is_consensus})
            state = "activated" if is_consensus else "deactivated"
            self._tell(f"asset.workflow.step.consensus.{state}", asset, stepId=asset["stepId"])
        return is_consensus

    def skip(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Take an asset out of the queue for a reason."""
        asset = self._only(arguments["where"])
        if asset["isUsedForConsensus"]:
            raise Refusal("An asset used for consensus cannot be skipped")
        with self._store.transaction():
            self._set(asset["id"], {"skipped": True})
            self._tell("asset.skipped", asset, skipped=True, status=asset["status"])
        return asset

    def unskip(self, arguments: Arguments, _: AskedFields | None) -> bool:
        """Put a skipped asset back."""
        asset = self._only({"project": {"id": arguments["projectId"]}, "id": arguments["assetId"]})
        with self._store.transaction():
            self._set(asset["id"], {"skipped": False})
            self._tell("asset.unskipped", asset)
        return True

    def _only(self, where: Mapping[str, Any]) -> Row:
        found = self._matching(where)
        if len(found) != 1:
            raise Refusal(f"[unexpectedRetrieving] {len(found)} assets match")
        return found[0]


def _refuse_large(number: int) -> None:
    if number > BATCH_LIMIT:
        raise Refusal(f"One mutation takes {BATCH_LIMIT} assets at most, not {number}")


def _ids_of(where: Mapping[str, Any]) -> list[str]:
    return [*(where.get("idIn") or []), *([where["id"]] if where.get("id") is not None else [])]


def _ids(rows: list[Row]) -> str:
    return one_of(row["id"] for row in rows)


def _outcome(row: Row) -> Row:
    return {"assetId": row["id"], "externalId": row["externalId"]}
