"""How assets move: what a label, a review or a return to the queue does to status and step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pandas_kili.sandbox.store import one_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from pandas_kili.sandbox.store import Row, Store

__all__ = ["LABELED_ANSWERS", "apply_labels", "first_step", "move_to_queue", "move_to_review", "steps_of"]

#: Types of labels that make an asset a labeled one; an autosave is work in progress, a prediction is a model's.
LABELED_ANSWERS = ("DEFAULT", "REVIEW")

_AFTER_DEFAULT = """
    UPDATE assets SET status = CASE WHEN isUsedForConsensus
        AND (SELECT count(DISTINCT authorId) FROM labels WHERE assetId = assets.id AND labelType = 'DEFAULT')
          < (SELECT minConsensusSize FROM projects WHERE projects.id = assets.projectId)
        THEN 'ONGOING' ELSE 'LABELED' END
    WHERE id IN (SELECT value FROM json_each(?)) AND status IN ('TODO', 'ONGOING', 'LABELED')"""
_AFTER_AUTOSAVE = (
    "UPDATE assets SET status = 'ONGOING' WHERE id IN (SELECT value FROM json_each(?)) AND status = 'TODO'"
)
_TO_STATUS = "UPDATE assets SET status = ?, updatedAt = ? WHERE id IN (SELECT value FROM json_each(?))"
_AFTER_REVIEW = "UPDATE assets SET status = 'REVIEWED' WHERE id IN (SELECT value FROM json_each(?))"
_STATUS_RULES = {"DEFAULT": _AFTER_DEFAULT, "AUTOSAVE": _AFTER_AUTOSAVE, "REVIEW": _AFTER_REVIEW}


def apply_labels(store: Store, asset_ids: Collection[str], label_type: str) -> None:
    """Move the assets that have just received a label of `label_type`."""
    rule = _STATUS_RULES.get(label_type)
    if rule is None:
        return
    store.change(rule, (one_of(asset_ids),))
    for project in _projects_with_steps(store, asset_ids):
        _advance(store, project, asset_ids, label_type)


def move_to_review(store: Store, asset_ids: Collection[str], instant: str) -> None:
    """Send assets to review."""
    store.change(_TO_STATUS, ("TO_REVIEW", instant, one_of(asset_ids)))
    for project in _projects_with_steps(store, asset_ids):
        _put(store, project, asset_ids, steps_of(project)[-1]["id"], "TO_DO")


def move_to_queue(store: Store, asset_ids: Collection[str], instant: str) -> None:
    """Send assets back to the queue, which marks their labels too."""
    store.change(_TO_STATUS, ("ONGOING", instant, one_of(asset_ids)))
    store.change(
        "UPDATE labels SET isSentBackToQueue = 1 WHERE assetId IN (SELECT value FROM json_each(?))",
        (one_of(asset_ids),),
    )
    for project in _projects_with_steps(store, asset_ids):
        _put(store, project, asset_ids, steps_of(project)[0]["id"], "REDO")


def steps_of(project: Row) -> list[Row]:
    """Return the steps of a project, in order."""
    steps: list[Row] = json.loads(project["steps"])
    return steps


def first_step(project: Row) -> tuple[str | None, str | None]:
    """Return the step and its status that a new asset of `project` has."""
    steps = steps_of(project)
    return (steps[0]["id"], "TO_DO") if steps else (None, None)


def _advance(store: Store, project: Row, asset_ids: Collection[str], label_type: str) -> None:
    steps = steps_of(project)
    if label_type == "AUTOSAVE":
        _put(store, project, asset_ids, steps[0]["id"], "DOING")
    elif label_type == "REVIEW" or len(steps) == 1:
        _put(store, project, asset_ids, steps[-1]["id"], "DONE")
    else:
        _put(store, project, asset_ids, steps[1]["id"], "TO_DO")


def _projects_with_steps(store: Store, asset_ids: Collection[str]) -> list[Row]:
    return store.rows(
        "SELECT * FROM projects WHERE steps != '[]' AND id IN"
        " (SELECT DISTINCT projectId FROM assets WHERE id IN (SELECT value FROM json_each(?)))",
        (one_of(asset_ids),),
    )


def _put(store: Store, project: Row, asset_ids: Collection[str], step: str, status: str) -> None:
    store.change(
        "UPDATE assets SET stepId = ?, stepStatus = ? WHERE projectId = ? AND id IN (SELECT value FROM json_each(?))",
        (step, status, project["id"], one_of(asset_ids)),
    )
