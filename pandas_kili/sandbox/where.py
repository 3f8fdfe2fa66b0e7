"""Kili's filters as SQL conditions on the tables of the store.

A key that is null or absent, and an empty nested filter, ask for nothing. All criteria are and-ed; those on labels are
asked of one and the same label. A date without a time is its first instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.category_search import parsed_search
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import as_instant, day_of
from pandas_kili.sandbox.store import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Condition", "asset_condition", "label_condition"]

_MOST_VALUES = 1000
_PAIR = 2
_MARKS = ("consensusMark", "honeypotMark", "inferenceMark")
_DATES = ("createdAt", "updatedAt")
_WITHIN = "IN (SELECT value FROM json_each(?))"
_LABELER_TYPES = ("DEFAULT", "AUTOSAVE")
_REVIEWER_TYPES = ("REVIEW",)


class Condition:
    """Clauses that all have to hold, with their parameters in the order of the text."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.parameters: list[Any] = []

    def add(self, clause: str, *parameters: Any) -> None:
        """Ask for `clause` as well."""
        self.clauses.append(clause)
        self.parameters.extend(parameters)

    def among(self, column: str, values: list[Any] | None, *, but: bool = False) -> None:
        """Ask for one of `values` in `column`, or with `but` for none of them."""
        if values is None:
            return
        _refuse_long(values)
        clause = f"{column} {_WITHIN}"
        self.add(f"({column} IS NULL OR NOT {clause})" if but else clause, one_of(values))

    def between(self, column: str, where: Mapping[str, Any], name: str) -> None:
        """Ask for what ``nameGte`` and ``nameLte`` of `where` bound."""
        for suffix, sign in (("Gte", ">="), ("Lte", "<=")):
            bound = where.get(name + suffix)
            if bound is not None:
                self.add(f"{column} {sign} ?", _bound(bound, round_up=suffix == "Gte"))

    @property
    def sql(self) -> str:
        """The condition as the text of a WHERE."""
        return " AND ".join(self.clauses) or "TRUE"


def _bound(value: Any, *, round_up: bool) -> Any:
    return as_instant(value, round_up=round_up) if isinstance(value, str) else value


def _refuse_long(values: list[Any]) -> None:
    if len(values) > _MOST_VALUES:
        raise Refusal(f"A filter takes {_MOST_VALUES} values at most, not {len(values)}")


def asset_condition(where: Mapping[str, Any]) -> Condition:
    """Return the condition that an AssetWhere puts on the table `assets`."""
    condition = Condition()
    _identities(condition, where)
    condition.among("assets.status", where.get("statusIn"))
    for name in (*_MARKS, *_DATES):
        condition.between(f"assets.{name}", where, name)
    if where.get("skipped") is not None:
        condition.add("assets.skipped = ?", int(where["skipped"]))
    for key, wanted in (where.get("metadata") or {}).items():
        _metadata(condition, key, wanted)
    _relations(condition, where)
    _steps(condition, where)
    return condition


def _identities(condition: Condition, where: Mapping[str, Any]) -> None:
    project = (where.get("project") or {}).get("id")
    if project is not None:
        condition.add(f"{'+' * _names_rows(where)}assets.projectId = ?", project)
    if where.get("id") is not None:
        condition.add("assets.id = ?", where["id"])
    condition.among("assets.id", where.get("idIn"))
    condition.among("assets.id", where.get("idNotIn"), but=True)
    condition.among("assets.externalId", where.get("externalIdStrictlyIn"))
    parts = where.get("externalIdIn")
    if parts is not None:
        _refuse_long(parts)
        condition.add(
            "EXISTS (SELECT 1 FROM json_each(?) AS part WHERE instr(assets.externalId, part.value) > 0)", one_of(parts)
        )


def _names_rows(where: Mapping[str, Any]) -> bool:
    """Whether a filter names rows: + then keeps SQLite from walking through the project in the order of the page."""
    return any(where.get(name) is not None for name in ("id", "idIn", "externalIdStrictlyIn"))


def _metadata(condition: Condition, key: str, wanted: Any) -> None:
    values = wanted if isinstance(wanted, list) else [wanted]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    entry = "EXISTS (SELECT 1 FROM json_each(assets.jsonMetadata) AS entry WHERE entry.key = ? AND {})"
    if isinstance(wanted, list) and len(numbers) == len(values) == _PAIR:
        closed_range = "entry.type IN ('integer', 'real') AND entry.value BETWEEN ? AND ?"
        condition.add(entry.format(closed_range), key, *numbers)
    else:
        condition.add(entry.format(f"CAST(entry.value AS TEXT) {_WITHIN}"), key, one_of(map(_as_text, values)))


def _as_text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _relations(condition: Condition, where: Mapping[str, Any]) -> None:
    assigned = f"EXISTS (SELECT 1 FROM assignees WHERE assetId = assets.id AND userId {_WITHIN})"
    if where.get("assigneeIn") is not None:
        condition.add(assigned, one_of(where["assigneeIn"]))
    if where.get("assigneeNotIn") is not None:
        condition.add(f"NOT {assigned}", one_of(where["assigneeNotIn"]))
    issue = Condition()
    for name, value in (where.get("issue") or {}).items():
        if value is not None:
            issue.add(f"issues.{name} = ?", value)
    if issue.clauses:
        condition.add(f"EXISTS (SELECT 1 FROM issues WHERE assetId = assets.id AND {issue.sql})", *issue.parameters)
    label = _label_criteria(where.get("label") or {}, "label")
    if label.clauses:
        condition.add(
            f"EXISTS (SELECT 1 FROM labels AS label WHERE label.assetId = assets.id AND {label.sql})",
            *label.parameters,
        )


def _steps(condition: Condition, where: Mapping[str, Any]) -> None:
    for suffix, but in (("In", False), ("NotIn", True)):
        condition.among("assets.stepId", where.get(f"stepId{suffix}"), but=but)
        condition.among("assets.stepStatus", where.get(f"stepStatus{suffix}"), but=but)
        condition.among("NULL", where.get(f"groupName{suffix}"), but=but)
        pairs = where.get(f"stepIdAndStatus{suffix}")
        if pairs is not None:
            joined = [f"{pair['stepId']} {pair['status']}" for pair in pairs]
            condition.among("assets.stepId || ' ' || assets.stepStatus", joined, but=but)


def label_condition(where: Mapping[str, Any]) -> Condition:
    """Return the condition that a LabelWhere puts on the table `labels`."""
    condition = _label_criteria(where, "labels")
    project = (where.get("project") or {}).get("id")
    names_assets = _names_rows(where.get("asset") or {})
    if project is not None:
        condition.add(f"{'+' * (_names_rows(where) or names_assets)}labels.projectId = ?", project)
    if where.get("id") is not None:
        condition.add("labels.id = ?", where["id"])
    condition.among("labels.id", where.get("idIn"))
    user = where.get("user") or {}
    if user.get("id") is not None:
        condition.add("labels.authorId = ?", user["id"])
    asset = asset_condition(where.get("asset") or {})
    if names_assets:
        condition.add(f"labels.assetId IN (SELECT assets.id FROM assets WHERE {asset.sql})", *asset.parameters)
    elif asset.clauses:
        condition.add(
            f"EXISTS (SELECT 1 FROM assets WHERE assets.id = labels.assetId AND {asset.sql})", *asset.parameters
        )
    return condition


def _label_criteria(where: Mapping[str, Any], table: str) -> Condition:
    condition = Condition()
    condition.among(f"{table}.labelType", where.get("typeIn"))
    for name in (*_MARKS, "createdAt"):
        condition.between(f"{table}.{name}", where, name)
    if where.get("createdAt") is not None:
        condition.add(f"{table}.createdAt >= ? AND {table}.createdAt < ?", *day_of(where["createdAt"]))
    if where.get("search") is not None:
        parsed_search(where["search"])
        condition.add(f"label_matches({table}.jsonResponse, ?)", where["search"])
    _authors(condition, where, table)
    return condition


def _authors(condition: Condition, where: Mapping[str, Any], table: str) -> None:
    names = where.get("authorIn")
    if names is not None:
        _refuse_long(names)
        condition.add(
            f"EXISTS (SELECT 1 FROM users, json_each(?) AS name WHERE users.id = {table}.authorId AND name.value IN"
            " (users.firstname, users.lastname, users.firstname || ' ' || users.lastname))",
            one_of(names),
        )
    for role, types in (("labeler", _LABELER_TYPES), ("reviewer", _REVIEWER_TYPES)):
        for suffix, but in (("In", False), ("NotIn", True)):
            users = where.get(f"{role}{suffix}")
            condition.among(f"{table}.authorId", users, but=but)
            if users is not None:
                condition.among(f"{table}.labelType", list(types))
