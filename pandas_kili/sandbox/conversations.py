"""Answers of projects about conversations, which Kili serves as annotations with values of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pandas_kili.sandbox.store import Row

__all__ = ["CONVERSATION_TYPES", "annotations_of"]

#: Input types with labels that have an empty `jsonResponse` and hold the answer in `annotations`.
CONVERSATION_TYPES = frozenset({"LLM_INSTR_FOLLOWING", "LLM_STATIC"})

Path = tuple[tuple[str, str], ...]


def annotations_of(label_id: str, answer: str) -> list[Row]:
    """Return the annotations of the JSON text `answer`, one of each job and chat item, parents before children."""
    annotations: list[Row] = []
    for job, value, path in _jobs(label_id, json.loads(answer), ()):
        kind, content = _valued(value)
        if kind:
            annotations.append(
                {
                    "__typename": kind,
                    "id": _annotation_id(label_id, job, path, value),
                    "labelId": label_id,
                    "job": job,
                    "path": [list(pair) for pair in path],
                    "annotationValue": content,
                    "chatItemId": value.get("chatItemId"),
                }
            )
    return annotations


def _jobs(label_id: str, jobs: Mapping[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any], Path]]:
    for job, given in jobs.items():
        for value in given if isinstance(given, list) else [given]:  # a list: of several rounds or completions
            if not isinstance(value, dict):
                continue
            yield job, value, path
            for category in value.get("categories") or ():
                if isinstance(category, dict) and isinstance(category.get("children"), dict):
                    step = (_annotation_id(label_id, job, path, value), str(category.get("name")))
                    yield from _jobs(label_id, category["children"], (*path, step))


def _valued(value: dict[str, Any]) -> tuple[str | None, Row]:
    """Return the type and the value of the annotation that one answer becomes."""
    if "categories" in value:
        names = [one["name"] if isinstance(one, dict) else str(one) for one in value["categories"]]
        return "ClassificationAnnotation", {"categories": names}
    if "choice" in value:
        return "ComparisonAnnotation", {"choice": value["choice"]}
    if "orders" in value:
        return "RankingAnnotation", {"orders": value["orders"]}
    if "text" in value:
        return "TranscriptionAnnotation", {"text": value["text"]}
    return None, {}


def _annotation_id(label_id: str, job: str, path: Path, value: Mapping[str, Any]) -> str:
    chat_item = [value["chatItemId"]] if value.get("chatItemId") else []
    return ":".join([label_id, *(category for _, category in path), job, *chat_item])
