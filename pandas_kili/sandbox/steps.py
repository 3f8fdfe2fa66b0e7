"""The steps of a project's workflow: added, changed, renamed, deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.workflow import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

    Load = Callable[[str, AskedFields | None], Row]

__all__ = ["Steps", "step_resolvers"]

Arguments = dict[str, Any]

_SETTINGS = (
    "name",
    "type",
    "assignees",
    "consensusCoverage",
    "numberOfExpectedLabelsForConsensus",
    "stepCoverage",
    "sendBackStepId",
    "stepGroupId",
    "useHoneypot",
)


def step_resolvers(steps: Steps) -> dict[str, Resolver]:
    """Return a resolver for each mutation of steps."""
    return {
        "editProjectWorkflowSettings": steps.edit,
        "addReviewStep": steps.add_review,
        "updateLabelingStepProperties": steps.update,
        "updateReviewStepProperties": steps.update,
        "renameStep": steps.rename,
        "deleteStep": steps.delete,
    }


class Steps:
    """Changes the steps of projects.

    Parameters
    ----------
    workspace : Workspace
        Where the projects are.
    load : callable
        Returns a project as a document asks for it.
    """

    def __init__(self, workspace: Workspace, load: Load) -> None:
        self._workspace = workspace
        self._load = load

    def edit(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Delete, change and create steps, all or none."""
        given = arguments["input"]
        changes = given.get("steps") or {}
        steps = self._steps(given["projectId"])
        for step_id in changes.get("deletes") or ():
            steps = _without(steps, step_id)
        for change in changes.get("updates") or ():
            _change(_step(steps, change["id"]), change)
        steps += [_change({"id": new_id(), "type": "DEFAULT"}, change) for change in changes.get("creates") or ()]
        return self._stored(given["projectId"], steps, fields)

    def add_review(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Add a step of review at the end."""
        given = arguments["input"]
        step = _change({"id": new_id(), "type": "REVIEW"}, given)
        return self._stored(given["projectId"], [*self._steps(given["projectId"]), step], fields)

    def update(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Change properties of a step."""
        given = arguments["input"]
        steps = self._steps(given["projectId"])
        _change(_step(steps, given["stepId"]), given)
        return self._stored(given["projectId"], steps, fields)

    def rename(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Rename a step."""
        given = arguments["input"]
        steps = self._steps(given["projectId"])
        _step(steps, given["stepId"])["name"] = given["newName"]
        return self._stored(given["projectId"], steps, fields)

    def delete(self, arguments: Arguments, fields: AskedFields | None) -> Row:
        """Delete a step; the last one stays."""
        given = arguments["input"]
        steps = _without(self._steps(given["projectId"]), given["stepId"])
        return self._stored(given["projectId"], steps, fields)

    def _steps(self, project_id: str) -> list[Row]:
        return steps_of(self._workspace.project(project_id))

    def _stored(self, project_id: str, steps: list[Row], fields: AskedFields | None) -> Row:
        if not steps:
            raise Refusal("A workflow has one step at least")
        names = [step["name"] for step in steps]
        if len(set(names)) < len(names):
            raise Refusal(f"Steps need names of their own; got {names}")
        sql = "UPDATE projects SET steps = ?, updatedAt = ? WHERE id = ?"
        with self._workspace.store.transaction() as store:
            store.change(sql, (json.dumps(steps), now(), project_id))
            # Kili's own name of this subject is not known, only how it begins.
            subject = "project.workflow.steps.updated"
            self._workspace.events.record(subject, project_id, self._workspace.admin_id(), [{}])
        return self._load(project_id, fields)


def _step(steps: list[Row], step_id: str) -> Row:
    found = [step for step in steps if step["id"] == step_id]
    if not found:
        raise Refusal(f"[unexpectedRetrieving] No step with id {step_id}")
    return found[0]


def _without(steps: list[Row], step_id: str) -> list[Row]:
    gone = _step(steps, step_id)
    return [step for step in steps if step is not gone]


def _change(step: Row, given: Mapping[str, Any]) -> Row:
    """Put the settings that are given into a step, null ones too, which clear a setting."""
    step.update({name: given[name] for name in _SETTINGS if name in given})
    return step
