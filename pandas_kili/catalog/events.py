"""The log of events: its query, its subjects, and what each says. Read in kili-events 26.2.1 of the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

EVENT_PAGE_SIZE = 100  # what the official SDK asks for
LIST_EVENTS = "query Events($where: EventsWhere!%s) { %s }"  # the variables of the pages; the pages
EVENT_PAGE = (  # with a name and variables of its own, as one call asks for several
    "page{0}: events(where: $where, pagination: $pagination{0}, order: $order{0})"
    " {{ id createdAt event userId payload }}"
)

PROJECT_EVENT = "project."
"""How all subjects begin that are about the project."""

PROJECT_WORKFLOW = "project.workflow."
"""How the subjects begin that touch assets and name none, such as bulk actions and changed steps."""

ASSET_IS_GONE = frozenset({"asset.deleted", "asset.destroyed"})
"""The subjects after which an asset does not come back."""

_ASSET = ("assetId", "externalId")
_LABEL = ("assetId", "externalId", "labelId")
_STEP = (*_ASSET, "newStepId", "previousStepId")
_SCORE = (*_ASSET, "comparedLabelIds", "score", "stepId")
_MARK = (*_ASSET, "labelIds", "mark", "markPerCategory", "stepId")

EVENT_PAYLOADS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{
            f"asset.{what}": _ASSET
            for what in (
                "created",
                "deleted",
                "destroyed",
                "unskipped",
                "workflow.assigned",
                "workflow.lock.created",
                "workflow.lock.deleted",
            )
        },
        "asset.updated": (*_ASSET, "fields"),
        "asset.skipped": (*_ASSET, "skipped", "status"),
        "asset.workflow.currentStep.changed": _STEP,
        "asset.workflow.setToNextStep": _STEP,
        "asset.workflow.currentStep.statusChanged": (*_ASSET, "status", "stepId"),
        **{f"asset.workflow.step.consensus.{what}": (*_ASSET, "stepId") for what in ("activated", "deactivated")},
        **{
            f"asset.{kind}.{what}": (*_ASSET, f"{kind}Id", "assigneeId", "objectMid")
            for kind in ("issue", "question")
            for what in ("created", "resolved", "cancelled")
        },
        **{f"asset.analytics.{mark}.computed": _SCORE for mark in ("consensus", "honeypot", "reviewScore")},
        **{
            f"asset.analytics.labelMetric.{mark}.{what}": _MARK
            for mark in ("consensus", "honeypot", "inference", "reviewScore")
            for what in ("started", "computed")
        },
        **{
            f"label.workflow.created.{kind}": _LABEL
            for kind in ("default", "honeypot", "inference", "prediction", "review")
        },
        "label.workflow.edited": _LABEL,
        "label.workflow.validated": _LABEL,
        "label.workflow.rejected": (*_LABEL, "newStepId", "previousStepId"),
        "label.workflow.revisionStarted": (*_LABEL, "newStepId", "previousStepId"),
        "label.jsonResponse.store.started": _LABEL,
        "label.analytics.metrics.save.started": (*_ASSET, "label"),
        **{
            f"{PROJECT_WORKFLOW}bulkAction.{what}.started": ("where", "queueQueryString", *more)
            for what, more in {
                "addToConsensus": (),
                "removeFromConsensus": (),
                "assign": ("userIds",),
                "delete": (),
                "prioritize": ("priority",),
                "sendBackToQueue": (),
                "setToNextStep": (),
            }.items()
        },
        "project.interface.updated": (),
        "project.settings.updated": (),
        "project.archived": (),
        "project.deleted": (),
    }
)
"""What each subject says in its payload; servers may know more subjects."""
