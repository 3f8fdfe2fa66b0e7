"""Rows of the store to the objects of the schema, a page at a time: one query a relation, not one a row."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.category_search import category_counts
from pandas_kili.sandbox.conversations import CONVERSATION_TYPES, annotations_of
from pandas_kili.sandbox.files import ANSWERS_ROUTE
from pandas_kili.sandbox.organization import ADMIN_EMAIL, ORGANIZATION
from pandas_kili.sandbox.store import one_of
from pandas_kili.sandbox.workflow import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["Loader"]

Roles = dict[tuple[str, str], str | None]

_FAR_FUTURE = "2099-01-01T00:00:00.000Z"
_LINKS = ("content", "jsonContent", "ocrMetadata")
_ASSET_FLAGS = ("skipped", "isHoneypot", "isUsedForConsensus")
_LABEL_FLAGS = ("isSentBackToQueue", "isHoneypot", "skipped")
_LEGACY_TWINS = ("status", "duration", "latestLabel", "projectId", "metadata", "thumbnail")
_LATEST_FLAGS = {
    "isLatestLabelForUser": None,
    "isLatestDefaultLabelForUser": "DEFAULT",
    "isLatestReviewLabelForUser": "REVIEW",
    "isLatestPredictionLabelForUser": "PREDICTION",
}


def _grouped(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups


class Loader:
    """Turns rows into objects, as far as a document asks for them.

    Parameters
    ----------
    workspace : Workspace
        Where the rows are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def _of(self, table: str, column: str, keys: Iterable[str], order: str = "rank") -> list[Row]:
        sql = f"SELECT * FROM {table} WHERE {column} IN (SELECT value FROM json_each(?)) ORDER BY {order}"
        return self._store.rows(sql, (one_of(set(keys)),))

    def assets(self, rows: list[Row], fields: AskedFields) -> list[Row]:
        """Complete rows of `assets`."""
        names = fields.names
        for row in rows:
            self._complete_asset(row, names)
        relations: dict[str, Callable[[list[Row], AskedFields], None]] = {
            "issues": self._attach_issues,
            "toBeLabeledBy": self._attach_assignees,
            "project": self._attach_projects,
            "currentStep": self._attach_steps,
        }
        for name, attach in relations.items():
            if name in names:
                attach(rows, fields.of(name))
        if names & {"labels", "latestLabel", "latestLabels", "latestLabelCompute"}:
            self._attach_labels(rows, fields)
        self._attach_counts(rows, names)
        for name in _LEGACY_TWINS:
            if f"{name}Compute" in names:
                for row in rows:
                    row[f"{name}Compute"] = row.get(name)
        return rows

    def _complete_asset(self, row: Row, names: set[str]) -> None:
        for name in _ASSET_FLAGS:
            row[name] = bool(row[name])
        for name in _LINKS:
            row[name] = row[name] and self._workspace.bucket.link(row[name])
        row["isToReview"] = row["status"] == "TO_REVIEW"
        row["isProcessingAuthorized"] = True
        row["labelVersion"] = row["numberOfValidLocks"] = 0
        for name in ("locks", "dynamicTilerTokens", "assetProjectModels", "latestLabels", "sentBackTo"):
            row[name] = []
        if names & {"metadata", "metadataCompute"}:
            row["metadata"] = json.loads(row["jsonMetadata"])
        for name in ("resolution", "pageResolutions"):
            row[name] = row[name] and json.loads(row[name])

    def issues(self, rows: list[Row], fields: AskedFields) -> list[Row]:
        """Complete rows of `issues`."""
        self._attach_authors(rows, fields)
        notes = {
            note["issueId"]: note for note in self._of("issue_notes", "issueId", (row["id"] for row in rows), "issueId")
        }
        for row in rows:
            note = notes.get(row["id"], {})
            comment = {"id": f"{row['id']}-0", "createdAt": row["createdAt"], "text": note.get("text")}
            comment |= {"authorId": row["authorId"], "author": row.get("author")}
            row.update(issueNumber=row["rank"], hasBeenSeen=False, objectMid=note.get("objectMid"))
            row["comments"] = [comment] if note.get("text") else []
        return rows

    def _attach_issues(self, rows: list[Row], fields: AskedFields) -> None:
        issues = self.issues(self._of("issues", "assetId", (row["id"] for row in rows)), fields)
        grouped = _grouped(issues, "assetId")
        for row in rows:
            row["issues"] = grouped.get(row["id"], [])

    def _attach_assignees(self, rows: list[Row], fields: AskedFields) -> None:
        sql = "SELECT * FROM assignees WHERE assetId IN (SELECT value FROM json_each(?)) ORDER BY assetId, userId"
        assigned = self._store.rows(sql, (one_of(row["id"] for row in rows),))
        users = self.users_by_id(row["userId"] for row in assigned)
        projects = self._projects_by_id(rows, fields)
        roles = self.roles(projects)
        grouped = _grouped(assigned, "assetId")
        for row in rows:
            project = projects[row["projectId"]]
            row["toBeLabeledBy"] = [
                project_user(project, users[one["userId"]], roles) for one in grouped.get(row["id"], [])
            ]

    def _attach_projects(self, rows: list[Row], fields: AskedFields) -> None:
        projects = self._projects_by_id(rows, fields)
        for row in rows:
            row["project"] = projects[row["projectId"]]

    def _projects_by_id(self, rows: list[Row], fields: AskedFields) -> dict[str, Row]:
        found = self._of("projects", "id", (row["projectId"] for row in rows))
        if "project" in fields.names:
            fields = fields.of("project")
        return {project["id"]: project for project in self.projects(found, fields)}

    def _attach_steps(self, rows: list[Row], _: AskedFields) -> None:
        projects = self._of("projects", "id", (row["projectId"] for row in rows))
        names = {step["id"]: step["name"] for project in projects for step in steps_of(project)}
        for row in rows:
            step = row["stepId"]
            row["currentStep"] = step and {"id": step, "name": names.get(step), "status": row["stepStatus"]}

    def _attach_counts(self, rows: list[Row], names: set[str]) -> None:
        for name in names & {"openIssuesAssigneeIds", "openIssuesObjectMids", "openQuestionsAuthorIds"}:
            for row in rows:
                row[name] = []
        if "isToBeLabeledBy" in names:
            sql = "SELECT DISTINCT assetId FROM assignees WHERE assetId IN (SELECT value FROM json_each(?))"
            assigned = {row["assetId"] for row in self._store.rows(sql, (one_of(row["id"] for row in rows),))}
            for row in rows:
                row["isToBeLabeledBy"] = row["id"] in assigned

    def _attach_labels(self, rows: list[Row], fields: AskedFields) -> None:
        found = self._of("labels", "assetId", (row["id"] for row in rows), "createdAt, rank")
        for field in fields.asked:
            if field.name in {"labels", "latestLabel", "latestLabels", "latestLabelCompute"} and field.fields:
                self.labels(found, field.fields)
        grouped = _grouped(found, "assetId")
        for row in rows:
            labels = grouped.get(row["id"], [])
            row["labels"] = labels
            row["latestLabel"] = labels[-1] if labels else None
            row["latestLabels"] = list({label["authorId"]: label for label in labels}.values())

    def labels(self, rows: list[Row], fields: AskedFields) -> list[Row]:
        """Complete rows of `labels`."""
        names = fields.names
        projects = self._of("projects", "id", (row["projectId"] for row in rows))
        conversations = {project["id"] for project in projects if project["inputType"] in CONVERSATION_TYPES}
        for row in rows:
            self._complete_label(row, names, in_annotations=row["projectId"] in conversations)
        self._attach_authors(rows, fields)
        if names & set(_LATEST_FLAGS):
            self._attach_latest(rows)
        if "labelOf" in names:
            found = self._of("assets", "id", (row["assetId"] for row in rows))
            assets = {asset["id"]: asset for asset in self.assets(found, fields.of("labelOf"))}
            for row in rows:
                row["labelOf"] = assets[row["assetId"]]
        return rows

    def _complete_label(self, row: Row, names: set[str], *, in_annotations: bool) -> None:
        answer = str(row.setdefault("storedAnswer", row["jsonResponse"]))  # a row of two relations comes here twice
        for name in _LABEL_FLAGS:
            row[name] = bool(row[name])
        row.update(isCorrected=False, search={})
        seconds = row["secondsToLabel"]
        if seconds is not None and seconds == int(seconds):
            row["secondsToLabel"] = int(seconds)  # as servers in JavaScript write whole numbers
        row["totalSecondsToLabel"] = int(seconds or 0)
        if "numberOfAnnotations" in names:
            row["numberOfAnnotations"] = sum(category_counts(answer).values())
        if "annotations" in names:
            row["annotations"] = annotations_of(row["id"], answer) if in_annotations else []
        row["jsonResponse"] = "{}" if in_annotations else answer
        if "response" in names:
            row["response"] = json.loads(row["jsonResponse"])
        if self._workspace.json_response_urls and not in_annotations:
            row["jsonResponse"] = ""
            row["jsonResponseUrl"] = f"{self._workspace.bucket.origin}{ANSWERS_ROUTE}?id={row['id']}"

    def _attach_latest(self, rows: list[Row]) -> None:
        every = self._of("labels", "assetId", (row["assetId"] for row in rows), "createdAt, rank")
        for flag, wanted in _LATEST_FLAGS.items():
            latest = {
                (label["assetId"], label["authorId"]): label["id"]
                for label in every
                if wanted is None or label["labelType"] == wanted
            }
            for row in rows:
                row[flag] = latest.get((row["assetId"], row["authorId"])) == row["id"]

    def _attach_authors(self, rows: list[Row], fields: AskedFields) -> None:
        if "author" not in fields.names:
            return
        users = self.users_by_id(row["authorId"] for row in rows)
        for row in rows:
            row["author"] = users[row["authorId"]]

    def users_by_id(self, ids: Iterable[str]) -> dict[str, Row]:
        """Return users by id."""
        return {row["id"]: user(row) for row in self._of("users", "id", ids)}

    def projects(self, rows: list[Row], fields: AskedFields) -> list[Row]:
        """Complete rows of `projects`."""
        settings = self._of("project_settings", "projectId", (row["id"] for row in rows), "projectId")
        settings_of = {each["projectId"]: json.loads(each["settings"]) for each in settings}
        for row in rows:
            steps = [dict(step, order=place) for place, step in enumerate(steps_of(row))]
            row.update(_PROJECT_DEFAULTS, steps=steps, dataConnections=json.loads(row["dataConnections"]))
            row.update(settings_of.get(row["id"], {}))
        if "steps" in fields.names:
            self._attach_step_assignees(rows)
        if fields.names & {"roles", "author"}:
            self._attach_roles(rows)
        names = fields.names
        if "roles" in names and "project" in fields.of("roles").names:
            names = names | fields.of("roles").of("project").names
        for row in rows:
            self._count(row, names)
        return rows

    def _attach_step_assignees(self, rows: list[Row]) -> None:
        """Put users in the place of their ids; a step that names none is for everyone."""
        everyone = {row["id"]: user(row) for row in self._store.rows("SELECT * FROM users ORDER BY rank")}
        for row in rows:
            for step in row["steps"]:
                named = step.get("assignees")
                step["assignees"] = [everyone[one] for one in (everyone if named is None else named) if one in everyone]

    def _attach_roles(self, rows: list[Row]) -> None:
        everyone = [user(row) for row in self._store.rows("SELECT * FROM users ORDER BY rank")]
        roles = self.roles(row["id"] for row in rows)
        for row in rows:
            members = [project_user(row, person, roles) for person in everyone]
            row["roles"] = [member for member in members if member["role"]]
            row["author"] = everyone[0]

    def roles(self, project_ids: Iterable[str]) -> Roles:
        """Return the roles that were given or taken, by project and user."""
        rows = self._of("roles", "projectId", project_ids, "projectId")
        return {(row["projectId"], row["userId"]): row["role"] for row in rows}

    def _count(self, row: Row, names: set[str]) -> None:
        for name, (table, condition) in _PROJECT_COUNTS.items():
            if name in names:
                sql = f"SELECT count(*) FROM {table} WHERE projectId = ? AND {condition}"
                row[name] = self._store.value(sql, (row["id"],))


_PROJECT_DEFAULTS: dict[str, Any] = {
    "instructions": "",
    "consensusTotCoverage": 0,
    "reviewCoverage": 0,
    "useHoneyPot": False,
    "canNavigateBetweenAssets": True,
    "canSkipAsset": True,
    "readPermissionsForAssetsAndLabels": True,
    "organizationId": ORGANIZATION["id"],
    "stepGroups": [],
    "archivedAt": None,
    "metadataProperties": None,
    "geospatialSettings": None,
}
_PROJECT_COUNTS = {
    "numberOfAssets": ("assets", "TRUE"),
    "numberOfRemainingAssets": ("assets", "status IN ('TODO', 'ONGOING')"),
    "numberOfReviewedAssets": ("assets", "status = 'REVIEWED'"),
    "numberOfSkippedAssets": ("assets", "skipped"),
    "numberOfOpenIssues": ("issues", "type = 'ISSUE' AND status = 'OPEN'"),
    "numberOfSolvedIssues": ("issues", "type = 'ISSUE' AND status = 'SOLVED'"),
    "numberOfOpenQuestions": ("issues", "type = 'QUESTION' AND status = 'OPEN'"),
    "numberOfSolvedQuestions": ("issues", "type = 'QUESTION' AND status = 'SOLVED'"),
}


def user(row: Row) -> Row:
    """Complete a row of `users`."""
    return {
        **row,
        "activated": True,
        "updatedAt": row["createdAt"],
        "organization": ORGANIZATION,
        "organizationId": ORGANIZATION["id"],
        "organizations": [ORGANIZATION],
        "organizationRole": {"id": row["id"], "role": "ADMIN" if row["email"] == ADMIN_EMAIL else "USER"},
        "projectUsers": [],
        "apiKeys": [],
        "isServiceAccount": False,
    }


def project_user(project: Row, person: Row, roles: Roles) -> Row:
    """Return a user as a member of a project; the role is None where the user was removed from it."""
    default = "ADMIN" if person["email"] == ADMIN_EMAIL else "LABELER"
    return {
        "id": f"{project['id']}-{person['id']}",
        "activated": True,
        "role": roles.get((project["id"], person["id"]), default),
        "starred": False,
        "user": person,
        "project": project,
        "status": "ACTIVATED",
    }


def api_key(key: str, owner: Row) -> Row:
    """Return the key as it is served: only its end is shown."""
    return {
        "id": "sandbox-key",
        "name": "sandbox",
        "key": f"…{key[-4:]}",
        "createdAt": owner["createdAt"],
        "expiryDate": _FAR_FUTURE,
        "revoked": False,
        "user": owner,
        "userId": owner["id"],
    }
