"""Conversations that are imported: each becomes an asset of a project about conversations, with its label."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.imports import Imports
    from pandas_kili.sandbox.labeling import Labeling
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["ConversationImports", "conversation_resolvers"]

_ROLES = ("SYSTEM", "USER", "ASSISTANT")


def conversation_resolvers(imports: ConversationImports) -> dict[str, Resolver]:
    """Return a resolver for the mutation that imports conversations."""
    return {"importConversations": imports.add}


class ConversationImports:
    """Appends conversations to projects about them.

    Parameters
    ----------
    workspace, imports, labeling
        Where they go, and what adds their assets and labels.
    """

    def __init__(self, workspace: Workspace, imports: Imports, labeling: Labeling) -> None:
        self._workspace = workspace
        self._imports = imports
        self._labeling = labeling

    def add(self, arguments: dict[str, Any], _: AskedFields | None) -> Row:
        """Add those conversations that are whole, and say in a warning what is wrong with each other one."""
        project = self._workspace.project(arguments["where"].get("id"))
        if project["inputType"] != "LLM_STATIC":
            raise Refusal(f"Conversations go to projects of type LLM_STATIC, not {project['inputType']}")
        warnings = []
        added = 0
        for line, conversation in enumerate(arguments["data"]["conversations"], start=1):
            wrong = _fault_of(conversation)
            if wrong is None:
                self._add_one(project, conversation)
                added += 1
            else:
                name = conversation.get("externalId") if isinstance(conversation, dict) else None
                told = {"type": "INVALID_CONVERSATION", "details": wrong, "externalId": name, "lineNumber": line}
                warnings.append(told)
        return {"numberOfUploadedAssets": added, "warnings": warnings}

    def _add_one(self, project: Row, conversation: Mapping[str, Any]) -> None:
        items = conversation["chatItems"]
        asset_id = new_id()
        file_id = f"projects/{project['id']}/assets/{asset_id}/jsonContent"
        self._workspace.bucket.save(file_id, [json.dumps(items).encode()], "application/json")
        asset = {
            "id": asset_id,
            "externalId": conversation["externalId"],
            "jsonContent": self._workspace.bucket.signed_url(file_id),
            "jsonMetadata": json.dumps(conversation.get("metadata") or {}),
        }
        self._imports.append(project, [asset])
        answer = _answer_of(conversation.get("label") or {}, items)
        if answer:
            author = conversation.get("labeler")
            author_id = self._workspace.user_ids([author])[author] if author else self._workspace.admin_id()
            self._labeling.add([{"assetId": asset_id, "authorId": author_id, "jsonResponse": json.dumps(answer)}])


def _fault_of(conversation: Any) -> str | None:
    """Return what is wrong with a conversation, None where it is whole."""
    if not isinstance(conversation, dict) or not conversation.get("externalId"):
        return "a conversation needs an externalId"
    items = conversation.get("chatItems")
    if not isinstance(items, list) or not items:
        return "a conversation needs chatItems"
    for item in items:
        if not isinstance(item, dict) or not item.get("externalId") or not isinstance(item.get("content"), str):
            return "each chat item needs an externalId and a content"
        if item.get("role") not in _ROLES:
            return f"the role of a chat item is one of {', '.join(_ROLES)}; got {item.get('role')!r}"
        if item["role"] == "ASSISTANT" and not item.get("modelName"):
            return f"the chat item {item['externalId']!r} of an ASSISTANT needs a modelName"
    return None


def _answer_of(label: Mapping[str, Any], items: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the answer that a label of three levels stands for; rounds and completions name their chat items."""
    answer: dict[str, Any] = dict(label.get("conversation") or {})
    prompts = [item["externalId"] for item in items if item["role"] == "USER"]
    for level, places in (("round", {str(place): name for place, name in enumerate(prompts)}), ("completion", None)):
        for job, given in (label.get(level) or {}).items():
            answer[job] = [
                {**_valued(value), "chatItemId": key if places is None else places.get(key)}
                for key, value in given.items()
            ]
    return answer


def _valued(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as answers hold it: a comparison is a choice there."""
    return {"choice": dict(value)} if "code" in value else dict(value)
