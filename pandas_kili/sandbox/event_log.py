"""The log of events: what happened in a project, recorded once it was done."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any, Literal

from pandas_kili.sandbox.organization import ORGANIZATION
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.where import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pandas_kili.sandbox.asked_fields import AskedFields
    from pandas_kili.sandbox.execution import Resolver
    from pandas_kili.sandbox.store import Row, Store

__all__ = ["EventHabit", "EventLog", "event_resolvers"]

EventHabit = Literal["kept", "late", "short", "none"]

_LONGEST_PAGE = 100
_CHUNK = 100  # events of one instant
_DOUBLED = 0.1  # of the events of a late log


def event_resolvers(log: EventLog) -> dict[str, Resolver]:
    """Return the resolver of the log."""
    return {"events": log.page}


class EventLog:
    """Records events in the transaction of the change that they tell of, and serves them in pages.

    Parameters
    ----------
    store : Store
        Where they are kept.
    habit : {"kept", "late", "short", "none"}
        ``"late"``: each event shows after a random delay, so that events come out of order, and some come twice.
        ``"short"``: only the latest events are kept. ``"none"``: there is no log, as on older servers.
    longest_delay : float
        For ``"late"``: seconds after which an event shows at the latest.
    kept_events : int
        For ``"short"``: how many events of all projects are kept.
    seed : int
        The seed of the delays.
    """

    def __init__(
        self, store: Store, habit: EventHabit, *, longest_delay: float = 0.2, kept_events: int = 100, seed: int = 0
    ) -> None:
        self._store = store
        self.habit = habit
        self.longest_delay = longest_delay
        self.kept_events = kept_events
        self._chance = random.Random(seed)

    def record(self, subject: str, project_id: str, user_id: str | None, payloads: Iterable[Mapping[str, Any]]) -> None:
        """Record one event for each payload; the keys of a payload that are None are left out."""
        if self.habit == "none":
            return
        told = list(payloads)
        for chunk in (told[start : start + _CHUNK] for start in range(0, len(told), _CHUNK)):
            instant = now()
            events = [
                {
                    "id": new_id(),
                    "createdAt": instant,
                    "event": subject,
                    "payload": json.dumps({name: value for name, value in payload.items() if value is not None}),
                    "projectId": project_id,
                    "userId": user_id,
                    "shownAt": 0.0,
                }
                for payload in chunk
            ]
            if self.habit == "late":
                events += [dict(event) for event in events if self._chance.random() < _DOUBLED]
                for event in events:
                    event["shownAt"] = time.time() + self._chance.uniform(0, self.longest_delay)
            self._store.insert("events", events)
        if self.habit == "short":
            sql = "DELETE FROM events WHERE rank <= (SELECT max(rank) FROM events) - ?"
            self._store.change(sql, (self.kept_events,))

    def about_assets(self, subject: str, assets: Iterable[Row], user_id: str | None, **payload: Any) -> None:
        """Record one event for each of `assets`."""
        by_project: dict[str, list[Row]] = {}
        for asset in assets:
            named = {"assetId": asset["id"], "externalId": asset["externalId"], **payload}
            by_project.setdefault(asset["projectId"], []).append(named)
        for project_id, payloads in by_project.items():
            self.record(subject, project_id, user_id, payloads)

    def page(self, arguments: dict[str, Any], _: AskedFields | None) -> list[Row]:
        """Answer the query of the log."""
        where, pagination = arguments["where"], arguments["pagination"]
        first, skip = pagination.get("first") or _LONGEST_PAGE, pagination.get("skip") or 0
        if not 0 < first <= _LONGEST_PAGE or skip < 0:
            raise Refusal(f"A page of events holds 1 to {_LONGEST_PAGE}: first is {first}, skip is {skip}")
        condition = Condition()
        condition.add("shownAt <= ?", time.time())
        for name in ("projectId", "userId", "event"):
            if where.get(name) is not None:
                condition.add(f"{name} = ?", where[name])
        condition.between("createdAt", where, "createdAt")
        for name, sign in (("fromEventId", ">="), ("untilEventId", "<=")):
            if pagination.get(name) is not None:
                condition.add(f"(createdAt, rank) {sign} (?, ?)", *self._place_of(pagination[name]))
        order = "createdAt DESC, rank DESC" if arguments.get("order") == "desc" else "createdAt, rank"
        sql = f"SELECT * FROM events WHERE {condition.sql} ORDER BY {order} LIMIT ? OFFSET ?"
        rows = self._store.rows(sql, (*condition.parameters, first, skip))
        return [
            {**row, "payload": json.loads(row["payload"]), "organizationId": ORGANIZATION["id"]}
            for row in rows
            if where.get("organizationId") in {None, ORGANIZATION["id"]}
        ]

    def _place_of(self, event_id: str) -> tuple[str, int]:
        found = self._store.rows("SELECT createdAt, rank FROM events WHERE id = ? ORDER BY rank LIMIT 1", (event_id,))
        if not found:
            raise Refusal(f"[unexpectedRetrieving] No event with id {event_id}")
        return found[0]["createdAt"], found[0]["rank"]
