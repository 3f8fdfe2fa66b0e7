"""Mutations that bring assets in, at once or after their answer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.measuring import measured
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.store import one_of
from pandas_kili.sandbox.workflow import first_step
from pandas_kili.sandbox.workspace import BATCH_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["Imports", "import_resolvers", "json_object"]

_UNMEASURED = dict.fromkeys(("resolution", "pageResolutions", "duration"))
Arguments = dict[str, Any]

_COLUMNS = {
    "id": "idArray",
    "externalId": "externalIDArray",
    "content": "contentArray",
    "jsonContent": "jsonContentArray",
    "jsonMetadata": "jsonMetadataArray",
    "isHoneypot": "isHoneypotArray",
    "status": "statusArray",
    "layers": "multiLayerContentArray",
}
_TILED = {"GEO_SATELLITE": "EPSG4326", "TILED_IMAGE": "TiledImage"}


def import_resolvers(imports: Imports) -> dict[str, Resolver]:
    """Return a resolver for each mutation that brings assets in."""
    return {
        "appendManyToDataset": imports.append_to_dataset,
        "appendManyAssets": imports.append_assets,
        "appendManyFramesToDatasetAsynchronously": imports.append_later,
        "appendManyAssetsAsynchronously": imports.append_later,
    }


class Imports:
    """Appends assets to projects.

    Parameters
    ----------
    workspace : Workspace
        Where they go.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._next_due = 0.0  # looked up at the first request: imports may be left from before a restart

    def append_to_dataset(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Append, and answer with the project."""
        return self._workspace.project(self._append_given(arguments)[0]["projectId"])

    def append_assets(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        """Append, and answer with the assets."""
        return self._append_given(arguments)

    def _append_given(self, arguments: Arguments) -> list[Row]:
        project = self._workspace.project(arguments["where"].get("id"))
        return self.append(project, _rows_given(arguments["data"]))

    def append(self, project: Row, given: Sequence[Row]) -> list[Row]:
        """Append all of `given` to `project`, or none of it."""
        instant, (step, step_status) = now(), first_step(project)
        bucket = self._workspace.bucket
        rows = [
            {
                "id": one.get("id") or new_id(),
                "projectId": project["id"],
                "externalId": one.get("externalId"),
                "content": bucket.reference(one.get("content") or ""),
                "jsonContent": bucket.reference(one.get("jsonContent") or ""),
                "jsonMetadata": json_object(one.get("jsonMetadata") or "{}"),
                "isHoneypot": int(one.get("isHoneypot") or False),
                "status": one.get("status") or "TODO",
                "stepId": step,
                "stepStatus": step_status,
                "createdAt": one.get("createdAt") or instant,
                "updatedAt": one.get("updatedAt") or one.get("createdAt") or instant,
            }
            for one in given
        ]
        for row in rows:
            path = bucket.stored(row["content"])
            row.update(_UNMEASURED | (measured(project["inputType"], path) if path else {}))
        with self._store.transaction() as store:
            self._refuse_taken(project["id"], rows)
            store.insert("assets", rows)
            self._workspace.events.about_assets("asset.created", rows, self._workspace.admin_id())
        return rows

    def _refuse_taken(self, project_id: str, rows: list[Row]) -> None:
        ids = [row["id"] for row in rows]
        taken = self._store.rows("SELECT id FROM assets WHERE id IN (SELECT value FROM json_each(?))", (one_of(ids),))
        if taken or len(set(ids)) < len(ids):
            raise Refusal(f"Asset ids already exist: {[row['id'] for row in taken] or 'twice in one call'}")
        if self._workspace.unique_external_ids:
            self.refuse_taken_names(project_id, [row["externalId"] for row in rows if row["externalId"] is not None])

    def refuse_taken_names(self, project_id: str, names: list[str]) -> None:
        """Refuse external ids that the project has already, or that are given twice."""
        sql = "SELECT externalId FROM assets WHERE projectId = ? AND externalId IN (SELECT value FROM json_each(?))"
        taken = [row["externalId"] for row in self._store.rows(sql, (project_id, one_of(names)))]
        if taken or len(set(names)) < len(names):
            raise Refusal(f"External ids already exist: {taken or 'twice in one call'}")

    def append_later(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Answer with a notification, which will say how the import ended."""
        project = self._workspace.project(arguments["where"].get("id"))
        rows = _rows_given(arguments["data"])
        tiling = _TILED.get(arguments["data"].get("uploadType") or "")
        notification = {"id": new_id(), "userId": self._workspace.admin_id(), "createdAt": now()}
        due = time.time() + self._workspace.import_delay
        payload = json.dumps({"project": project["id"], "tiling": tiling, "rows": rows})
        with self._store.transaction() as store:
            store.insert("notifications", [notification])
            store.insert("imports", [{"notificationId": notification["id"], "due": due, "rows": payload}])
        self._next_due = min(self._next_due, due)
        return {"id": notification["id"]}

    def settle(self) -> None:
        """Run the imports that are due."""
        if time.time() < self._next_due:
            return
        with self._store.transaction() as store:
            for job in store.rows("SELECT * FROM imports WHERE due <= ? ORDER BY due", (time.time(),)):
                self._carry_out(job["notificationId"], json.loads(job["rows"]))
            left = store.value("SELECT min(due) FROM imports")
        self._next_due = float("inf") if left is None else left

    def _carry_out(self, notification_id: str, job: Row) -> None:
        status, message = "SUCCESS", ""
        try:
            rows = [self._processed(row, job["tiling"]) for row in job["rows"]]
            self.append(self._workspace.project(job["project"]), rows)
        except Refusal as refusal:
            status, message = "FAILURE", str(refusal)
        self._store.change(
            "UPDATE notifications SET status = ?, message = ? WHERE id = ?", (status, message, notification_id)
        )
        self._store.change("DELETE FROM imports WHERE notificationId = ?", (notification_id,))

    def _processed(self, row: Row, tiling: str | None) -> Row:
        layers = row.get("layers") or []
        row = dict(row, id=row.get("id") or new_id(), content=row.get("content") or (layers and layers[0]["url"]) or "")
        if tiling is None:
            return row
        sources = [layer["url"] for layer in layers] or [row["content"]]
        file_id = f"assets/{row['id']}/tiles"
        tiles = json.dumps([self._tiled(source, tiling) for source in sources]).encode()
        self._workspace.bucket.save(file_id, [tiles], "application/json")
        return dict(row, jsonContent=self._workspace.bucket.signed_url(file_id))

    def _tiled(self, source: str, tiling: str) -> Row:
        bucket = self._workspace.bucket
        return {
            "bounds": [[-1, -1], [1, 1]],
            "epsg": tiling,
            "imageUrl": bucket.link(bucket.reference(source)),
            "initEpsg": 4326,
            "useClassicCoordinates": False,
        }


def _rows_given(data: Row) -> list[Row]:
    arrays = {column: data[name] for column, name in _COLUMNS.items() if data.get(name) is not None}
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise Refusal(f"The arrays of an import need one length, and one item at least: {sorted(lengths)}")
    if max(lengths) > BATCH_LIMIT:
        raise Refusal(f"One import takes {BATCH_LIMIT} assets at most, not {max(lengths)}")
    return [dict(zip(arrays, values, strict=True)) for values in zip(*arrays.values(), strict=True)]


def json_object(text: str) -> str:
    """Return `text`, or refuse what is not a JSON object."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"Not JSON: {text[:80]}") from error
    if not isinstance(value, dict):
        raise Refusal(f"Not a JSON object: {text[:80]}")
    return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
