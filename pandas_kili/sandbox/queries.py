"""The queries: pages and counts of what the store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.category_search import category_counts
from pandas_kili.sandbox.loading import Loader, api_key, user
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.store import one_of
from pandas_kili.sandbox.where import Condition, asset_condition, label_condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["LONGEST_PAGE", "query_resolvers"]

LONGEST_PAGE = 100

Arguments = dict[str, Any]


def query_resolvers(workspace: Workspace) -> dict[str, Resolver]:
    """Return a resolver for each query."""
    queries = _Queries(workspace)
    return {
        "me": queries.me,
        "viewer": queries.me,
        "apiKeys": queries.api_keys,
        "countApiKeys": lambda arguments, _: len(queries.own_keys(arguments["where"])),
        "users": queries.users,
        "countUsers": lambda arguments, _: queries.count("users", _user_condition(arguments["where"])),
        "organizations": lambda arguments, _: _slice([workspace.organization()], arguments),
        "countOrganizations": lambda *_: 1,
        "projects": queries.projects,
        "countProjects": lambda arguments, _: queries.count("projects", _project_condition(arguments["where"])),
        "dataConnections": queries.data_connections,
        "asset": queries.asset,
        "assets": queries.assets,
        "countAssets": lambda arguments, _: queries.count("assets", queries.asset_condition(arguments["where"])),
        "countAssetAnnotations": queries.count_annotations,
        "filterExistingAssets": queries.existing_external_ids,
        "getAssetsMetadataValues": queries.metadata_values,
        "labels": queries.labels,
        "countLabels": lambda arguments, _: queries.count("labels", label_condition(arguments["where"])),
        "createUploadBucketSignedUrls": queries.signed_urls,
        "notifications": queries.notifications,
        "countNotifications": lambda arguments, _: queries.count(
            "notifications", _notification_condition(arguments["where"])
        ),
    }


class _Queries:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._loader = Loader(workspace)

    def count(self, table: str, condition: Condition) -> int:
        sql = f"SELECT count(*) FROM {table} WHERE {condition.sql}"
        return int(self._store.value(sql, condition.parameters))

    def page(self, table: str, condition: Condition, arguments: Arguments) -> list[Row]:
        first, skip = _bounds(arguments)
        habits = self._workspace.habits
        limits = (min(first, habits.longest_page), habits.skipped(skip))
        found = f"SELECT rank FROM {table} WHERE {condition.sql} ORDER BY {habits.order} LIMIT ? OFFSET ?"
        if habits.ids_first:
            ranks = one_of(row["rank"] for row in self._store.rows(found, (*condition.parameters, *limits)))
            for hook in self._workspace.between_looks:
                hook()
            sql = (
                f"SELECT {table}.* FROM (SELECT key AS place, value FROM json_each(?)) AS seen"
                f" JOIN {table} ON {table}.rank = seen.value WHERE {condition.sql} ORDER BY seen.place"
            )
            return self._store.rows(sql, (ranks, *condition.parameters))
        # The inner query skips within the index; only the rows of the page are read.
        sql = f"SELECT * FROM {table} WHERE rank IN ({found}) ORDER BY {habits.order}"
        return self._store.rows(sql, (*condition.parameters, *limits))

    def asset_condition(self, where: Mapping[str, Any]) -> Condition:
        if not self._workspace.habits.created_at_filters:
            where = {name: value for name, value in where.items() if not name.startswith("createdAt")}
        return asset_condition(where)

    def me(self, _: Arguments, __: AskedFields | None) -> Row:
        return self._me()

    def _me(self) -> Row:
        return self._loader.users_by_id([self._workspace.admin_id()]).popitem()[1]

    def own_keys(self, where: Mapping[str, Any]) -> list[Row]:
        asked = [where.get("key"), (where.get("user") or {}).get("apiKey")]
        matches = all(key is None or self._workspace.is_key(key) for key in asked)
        return [api_key(self._workspace.api_key, self._me())] if matches else []

    def api_keys(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        return _slice(self.own_keys(arguments["where"]), arguments)

    def users(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        return [user(row) for row in self.page("users", _user_condition(arguments["where"]), arguments)]

    def projects(self, arguments: Arguments, fields: AskedFields | None) -> list[Row]:
        rows = self.page("projects", _project_condition(arguments["where"]), arguments)
        return self._loader.projects(rows, fields) if fields else rows

    def data_connections(self, arguments: Arguments, fields: AskedFields | None) -> list[Row]:
        where = {"id": arguments["where"].get("projectId")}
        connections = self.projects({"where": where, "first": 1, "skip": 0}, fields)
        return _slice([one for row in connections for one in row["dataConnections"]], arguments)

    def assets(self, arguments: Arguments, fields: AskedFields | None) -> list[Row]:
        rows = self.page("assets", self.asset_condition(arguments["where"]), arguments)
        return self._loader.assets(rows, fields) if fields else rows

    def asset(self, arguments: Arguments, fields: AskedFields | None) -> Row | None:
        found = self.assets({"where": {"id": arguments["id"]}, "first": 1, "skip": 0}, fields)
        return found[0] if found else None

    def labels(self, arguments: Arguments, fields: AskedFields | None) -> list[Row]:
        rows = self.page("labels", label_condition(arguments["where"]), arguments)
        return self._loader.labels(rows, fields) if fields else rows

    def count_annotations(self, arguments: Arguments, _: AskedFields | None) -> int:
        condition = label_condition({"asset": arguments["where"]})
        sql = f"SELECT jsonResponse FROM labels WHERE {condition.sql}"
        answers = self._store.rows(sql, condition.parameters)
        return sum(sum(category_counts(row["jsonResponse"]).values()) for row in answers)

    def existing_external_ids(self, arguments: Arguments, _: AskedFields | None) -> list[str]:
        asked = arguments["externalIDs"]
        where = {"project": {"id": arguments["projectID"]}, "externalIdStrictlyIn": asked}
        condition = asset_condition(where)
        sql = f"SELECT DISTINCT externalId FROM assets WHERE {condition.sql}"
        known = {row["externalId"] for row in self._store.rows(sql, condition.parameters)}
        return [external_id for external_id in dict.fromkeys(asked) if external_id in known]

    def metadata_values(self, arguments: Arguments, _: AskedFields | None) -> list[str]:
        sql = (
            "SELECT DISTINCT CAST(entry.value AS TEXT) AS value FROM assets, json_each(assets.jsonMetadata) AS entry"
            " WHERE assets.projectId = ? AND entry.key = ? ORDER BY value"
        )
        return [row["value"] for row in self._store.rows(sql, (arguments["projectID"], arguments["metadataKey"]))]

    def signed_urls(self, arguments: Arguments, _: AskedFields | None) -> list[str]:
        return [self._workspace.bucket.signed_url(path) for path in arguments.get("filePaths") or []]

    def notifications(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        rows = self.page("notifications", _notification_condition(arguments["where"]), arguments)
        return [{**row, "hasBeenSeen": False, "url": None, "userID": row["userId"]} for row in rows]


def _bounds(arguments: Arguments) -> tuple[int, int]:
    first, skip = arguments["first"], arguments["skip"]
    if not 0 <= first <= LONGEST_PAGE:
        raise Refusal(f"A page holds {LONGEST_PAGE} items at most: first is {first}")
    if skip < 0:
        raise Refusal(f"skip is {skip}, and cannot be negative")
    return first, skip


def _slice(items: list[Row], arguments: Arguments) -> list[Row]:
    first, skip = _bounds(arguments)
    return items[skip : skip + first]


def _user_condition(where: Mapping[str, Any]) -> Condition:
    condition = Condition()
    for name in ("id", "email"):
        if where.get(name) is not None:
            condition.add(f"{name} = ?", where[name])
    if where.get("idIn") is not None:
        condition.add("id IN (SELECT value FROM json_each(?))", one_of(where["idIn"]))
    return condition


def _project_condition(where: Mapping[str, Any]) -> Condition:
    condition = Condition()
    if where.get("id") is not None:
        condition.add("id = ?", where["id"])
    if where.get("searchQuery"):
        condition.add("title LIKE ?", where["searchQuery"])
    for name in ("createdAt", "updatedAt"):
        condition.between(name, where, name)
    if where.get("archived") is not None:
        archived = "id IN (SELECT projectId FROM project_settings WHERE settings ->> 'archivedAt' IS NOT NULL)"
        condition.add(archived if where["archived"] else f"NOT {archived}")
    if where.get("tagIds"):
        tagged = "SELECT projectId FROM project_tags WHERE tagId IN (SELECT value FROM json_each(?))"
        condition.add(f"id IN ({tagged})", one_of(where["tagIds"]))
    for absent in ("starred", "deleted"):
        if where.get(absent):
            condition.add("FALSE")
    return condition


def _notification_condition(where: Mapping[str, Any]) -> Condition:
    condition = Condition()
    if where.get("id") is not None:
        condition.add("id = ?", where["id"])
    return condition
