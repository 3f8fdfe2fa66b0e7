"""Projects, their members and tags: created, changed, copied, deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.loading import Loader, project_user, user
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.store import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["Projects", "check_interface", "project_resolvers"]

Arguments = dict[str, Any]

_COLUMNS = ("title", "description", "jsonInterface", "minConsensusSize")
_SETTINGS = (
    "instructions",
    "consensusTotCoverage",
    "reviewCoverage",
    "consensusMark",
    "honeypotMark",
    "useHoneyPot",
    "canNavigateBetweenAssets",
    "canSkipAsset",
    "metadataProperties",
    "geospatialSettings",
)
_COPIED = ("id", "projectId", "createdAt", "updatedAt", "rank")


def project_resolvers(projects: Projects) -> dict[str, Resolver]:
    """Return a resolver for each query and mutation of projects, members and tags."""
    return {
        "createProject": projects.create,
        "updatePropertiesInProject": projects.update,
        "deleteProject": projects.delete,
        "deleteProjectAsynchronously": projects.delete_later,
        "copyProject": projects.copy,
        "projectUsers": projects.members,
        "countProjectUsers": lambda arguments, _: len(projects.matching_members(arguments["where"])),
        "appendToRoles": projects.add_member,
        "updatePropertiesInRole": projects.change_role,
        "deleteFromRoles": projects.remove_member,
        "listTagsByOrg": lambda *_: projects.tags(),
        "listTagsByProject": lambda arguments, _: projects.tags(arguments["projectId"]),
        "createTag": projects.create_tag,
        "updateTag": projects.rename_tag,
        "deleteTag": projects.delete_tag,
        "checkTag": projects.check_tag,
        "uncheckTag": projects.uncheck_tag,
    }


def check_interface(text: str | None) -> str:
    """Return the JSON text of an interface, or refuse it."""
    try:
        interface = json.loads(text or "")
    except ValueError:
        raise Refusal("jsonInterface is not JSON") from None
    jobs = interface.get("jobs") if isinstance(interface, dict) else None
    if not isinstance(jobs, dict):
        raise Refusal('jsonInterface is an object with "jobs", which maps the name of each job to the job')
    for name, job in jobs.items():
        if not isinstance(job, dict) or not isinstance(job.get("mlTask"), str):
            raise Refusal(f'the job {name!r} of jsonInterface is an object with "mlTask"')
    return str(text)


class Projects:
    """Changes projects.

    Parameters
    ----------
    workspace : Workspace
        Where they are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def create(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Create a project; demo projects are not in the sandbox."""
        data = arguments["data"]
        if data.get("fromDemoProject") is not None:
            raise Refusal("Demo projects are not in the sandbox")
        if data.get("inputType") is None:
            raise Refusal("inputType is needed")
        instant = now()
        project = {
            "id": new_id(),
            "title": data["title"],
            "description": data.get("description") or "",
            "inputType": data["inputType"],
            "jsonInterface": check_interface(data.get("jsonInterface")),
            "createdAt": instant,
            "updatedAt": instant,
        }
        with self._store.transaction():
            self._store.insert("projects", [project])
            if data.get("pixelLabeling"):
                self._set(project["id"], {"geospatialSettings": {"labelingCRSCode": "PIXEL"}})
        return project

    def update(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Change properties of a project; null leaves one as it is."""
        project_id, data = arguments["where"].get("id"), arguments["data"]
        self._workspace.project(project_id)
        given = {name: value for name, value in data.items() if value is not None}
        if "jsonInterface" in given:
            check_interface(given["jsonInterface"])
        columns = {name: given[name] for name in _COLUMNS if name in given} | {"updatedAt": now()}
        settings = {name: given[name] for name in _SETTINGS if name in given}
        if "archived" in given:
            settings["archivedAt"] = now() if given["archived"] else None
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._store.transaction():
            sql = f"UPDATE projects SET {assignments} WHERE id = ?"
            self._store.change(sql, (*columns.values(), project_id))
            self._set(project_id, settings)
            self._tell_changes(project_id, given)
        return self.loaded(project_id, fields)

    def _tell_changes(self, project_id: str, given: Row) -> None:
        subjects = {
            "project.interface.updated": "jsonInterface" in given,
            "project.archived": bool(given.get("archived")),
            "project.settings.updated": bool(given.keys() - {"jsonInterface", "archived"}),
        }
        for subject, happened in subjects.items():
            if happened:
                self._workspace.events.record(subject, project_id, self._workspace.admin_id(), [{}])

    def _set(self, project_id: str, settings: Row) -> None:
        """Put settings beside those that the project has."""
        text = json.dumps(settings)
        sql = (
            "INSERT INTO project_settings VALUES (?, ?) ON CONFLICT (projectId)"
            " DO UPDATE SET settings = json_patch(settings, excluded.settings)"
        )
        self._store.change(sql, (project_id, text))

    def loaded(self, project_id: str, fields: AskedFields | None) -> Row:
        """Return a project as a document asks for it."""
        project = self._workspace.project(project_id)
        return Loader(self._workspace).projects([project], fields)[0] if fields else project

    def delete(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Delete a project with its assets and labels."""
        project = self._workspace.project(arguments["where"].get("id"))
        with self._store.transaction():
            self._store.change("DELETE FROM assets WHERE projectId = ?", (project["id"],))
            for table in ("project_settings", "roles", "project_tags"):
                self._store.change(f"DELETE FROM {table} WHERE projectId = ?", (project["id"],))
            self._store.change("DELETE FROM projects WHERE id = ?", (project["id"],))
        return project

    def delete_later(self, arguments: Arguments, fields: AskedFields | None) -> str:
        """Delete a project at once, leave a notification as Kili does, and return the id of the project."""
        project = self.delete(arguments, fields)
        notification = {
            "id": new_id(),
            "status": "SUCCESS",
            "message": f"Project {project['title']} is deleted",
            "userId": self._workspace.admin_id(),
            "createdAt": now(),
        }
        self._store.insert("notifications", [notification])
        return str(project["id"])

    def copy(self, arguments: Arguments, _: AskedFields | None) -> str:
        """Copy a project: interface and settings; members and assets, without labels, where asked for."""
        data = arguments["data"]
        source = self._workspace.project(data["projectId"])
        instant, project_id = now(), new_id()
        copied = {name: value for name, value in source.items() if name != "rank"}
        title = f"{source['title']} (copy)"
        with self._store.transaction():
            stamps = {"id": project_id, "title": title, "createdAt": instant, "updatedAt": instant}
            self._store.insert("projects", [{**copied, **stamps}])
            both = (project_id, source["id"])
            settings = "INSERT INTO project_settings SELECT ?, settings FROM project_settings WHERE projectId = ?"
            self._store.change(settings, both)
            if data.get("shouldCopyUsers"):
                self._store.change("INSERT INTO roles SELECT ?, userId, role FROM roles WHERE projectId = ?", both)
            if data.get("shouldCopyAssets"):
                self._copy_assets(source["id"], project_id, instant)
        return project_id

    def _copy_assets(self, source_id: str, project_id: str, instant: str) -> None:
        assets = self._store.rows("SELECT * FROM assets WHERE projectId = ? ORDER BY rank", (source_id,))
        fresh = {"projectId": project_id, "status": "TODO", "createdAt": instant, "updatedAt": instant}
        rows = [
            {name: value for name, value in asset.items() if name not in _COPIED} | fresh | {"id": new_id()}
            for asset in assets
        ]
        self._store.insert("assets", rows)
        self._workspace.events.about_assets("asset.created", rows, self._workspace.admin_id())

    def matching_members(self, where: Mapping[str, Any]) -> list[Row]:
        """Return the members of a project that match."""
        project_id = (where.get("project") or {}).get("id")
        project = self._workspace.project(project_id)
        email = (where.get("user") or {}).get("email")
        people = [user(row) for row in self._store.rows("SELECT * FROM users ORDER BY rank")]
        roles = Loader(self._workspace).roles([project["id"]])
        members = [project_user(project, person, roles) for person in people]
        wanted = where.get("id")
        return [
            member
            for member in members
            if member["role"] and email in {None, member["user"]["email"]} and wanted in {None, member["id"]}
        ]

    def members(self, arguments: Arguments, _: AskedFields | None) -> list[Row]:
        """Return a page of the members of a project."""
        start = arguments["skip"]
        return self.matching_members(arguments["where"])[start : start + arguments["first"]]

    def add_member(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Make a user, known or new, a member of a project."""
        project_id, data = arguments["where"].get("id"), arguments["data"]
        self._workspace.project(project_id)
        email = data.get("userEmail") or data.get("email")
        user_id = data.get("userID") or self._workspace.user_ids([email])[email]
        self._set_role(project_id, user_id, data.get("role") or "LABELER")
        return self.loaded(project_id, fields)

    def change_role(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Change the role of a member."""
        data = arguments["data"]
        project_id, user_id = self._member(arguments["where"].get("id"), data)
        self._set_role(project_id, user_id, data["role"])
        person = self._store.rows("SELECT * FROM users WHERE id = ?", (user_id,))[0]
        project = self._workspace.project(project_id)
        return project_user(project, user(person), Loader(self._workspace).roles([project_id]))

    def remove_member(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """End the membership of a user."""
        project_id, user_id = self._member(arguments["where"].get("id"), {})
        self._set_role(project_id, user_id, None)
        return self.loaded(project_id, fields)

    def _member(self, member_id: str | None, data: Mapping[str, Any]) -> tuple[str, str]:
        """Return project and user of a member, by the member's id or by theirs."""
        project_id, _, user_id = (member_id or "").partition("-")
        project_id, user_id = data.get("projectID") or project_id, data.get("userID") or user_id
        self._workspace.project(project_id)
        if not self._store.rows("SELECT id FROM users WHERE id = ?", (user_id,)):
            raise Refusal(f"[unexpectedRetrieving] No member with id {member_id}")
        return project_id, user_id

    def _set_role(self, project_id: str, user_id: str, role: str | None) -> None:
        self._store.change("INSERT OR REPLACE INTO roles VALUES (?, ?, ?)", (project_id, user_id, role))

    def tags(self, project_id: str | None = None) -> list[Row]:
        """Return the tags of the organization, or of one project."""
        if project_id is None:
            return self._store.rows("SELECT * FROM tags ORDER BY rank")
        sql = "SELECT tags.* FROM tags JOIN project_tags ON id = tagId WHERE projectId = ? ORDER BY rank"
        return self._store.rows(sql, (self._workspace.project(project_id)["id"],))

    def create_tag(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Create a tag, and tag a project with it where one is named."""
        data = arguments["data"]
        tag = {"id": new_id(), "label": data["label"], "color": data.get("color") or "#4bad4b"}
        with self._store.transaction():
            self._store.insert("tags", [tag])
            if data.get("projectId"):
                self._store.insert("project_tags", [{"projectId": data["projectId"], "tagId": tag["id"]}])
        return tag

    def rename_tag(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Rename a tag in all projects."""
        tag = self._tag(arguments["tagId"])
        label = arguments["data"].get("label") or tag["label"]
        affected = self._store.change("UPDATE tags SET label = ? WHERE id = ?", (label, tag["id"]))
        return {"affectedRows": affected, "updatedTag": {**tag, "label": label}}

    def delete_tag(self, arguments: Arguments, _: AskedFields | None) -> bool:
        """Delete a tag from all projects."""
        tag = self._tag(arguments["tagId"])
        with self._store.transaction():
            self._store.change("DELETE FROM project_tags WHERE tagId = ?", (tag["id"],))
            self._store.change("DELETE FROM tags WHERE id = ?", (tag["id"],))
        return True

    def check_tag(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Tag a project."""
        data = arguments["data"]
        tag, project = self._tag(data["tagId"]), self._workspace.project(data["projectId"])
        self._store.change("INSERT OR IGNORE INTO project_tags VALUES (?, ?)", (project["id"], tag["id"]))
        return tag

    def uncheck_tag(self, arguments: Arguments, _: AskedFields | None) -> Row:
        """Take a tag off a project."""
        tag = self._tag(arguments["tagId"])
        sql = "DELETE FROM project_tags WHERE projectId = ? AND tagId = ?"
        self._store.change(sql, (arguments["projectId"], tag["id"]))
        return tag

    def _tag(self, tag_id: str) -> Row:
        found = self._store.rows("SELECT * FROM tags WHERE id IN (SELECT value FROM json_each(?))", (one_of([tag_id]),))
        if not found:
            raise Refusal(f"[unexpectedRetrieving] No tag with id {tag_id}")
        return found[0]
