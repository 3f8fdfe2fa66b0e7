"""The log of events from a place on: which assets it names, and how far it was read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pandas as pd

from pandas_kili.catalog import ASSET_IS_GONE, PROJECT_EVENT, PROJECT_WORKFLOW
from pandas_kili.connection import Client
from pandas_kili.copy.events import event_pages, newest_events
from pandas_kili.copy.state import LogPlace
from pandas_kili.errors import KiliNotFoundError

_LATEST_EVENT = pd.Timedelta("5min")  # how late an event may show; Kili does not document it
_MOST_SEEN = 20_000  # events kept by name in the state of a copy; the assets of earlier ones are read once more


def end_of_log(client: Client, project_id: str) -> LogPlace | None:
    """Return the end of the log; whatever happened until then is seen by a read that begins now."""
    where = {"projectId": project_id}
    try:
        latest = newest_events(client, where)
        if not latest:
            return None
        since = latest[0]["createdAt"]
        if latest[-1]["createdAt"] == since:  # there may be more of this instant than the page holds
            pages = event_pages(client, {**where, "createdAtGte": since, "createdAtLte": since})
            latest = [event for page in pages for event in page]
    except KiliNotFoundError:
        return None
    return LogPlace(since, [event["id"] for event in latest if event["createdAt"] == since])


class LogSince:
    """The events that were not seen before.

    Parameters
    ----------
    client : Client
    project_id : str
    before : LogPlace or None
        How far the log was read before.
    vague : str
        How the subjects begin of events that touch assets and name none.

    Attributes
    ----------
    events : int
        How many there are. This and what follows is known once `assets` has come to its end.
    place : LogPlace or None
        How far the log was read.
    deleted : set of str
        Ids of the assets that it tells to be deleted; there is nothing to read of them.
    tells_all : bool
        Whether what changed can be known from the log: it goes back far enough, and nothing in it leaves open which
        assets it is about.
    """

    def __init__(self, client: Client, project_id: str, before: LogPlace | None, vague: str = PROJECT_WORKFLOW) -> None:
        self.events = 0
        self.place: LogPlace | None = None
        self.deleted: set[str] = set()
        self.tells_all = False
        self._client, self._project_id, self._before, self._vague = client, project_id, before, vague

    def assets(self) -> Iterator[str]:
        """Yield the ids of the assets that events name, but for deleted ones, while the log is read."""
        before = self._before
        if before is None or not before.seen:  # the log may have forgotten the events of that instant
            self.place = end_of_log(self._client, self._project_id)
            return
        seen, last = set(before.seen), before.seen[-1]
        recent = deque[tuple[str, str]](maxlen=_MOST_SEEN)
        newest, goes_back, names_all = before.since, False, True
        where = {"projectId": self._project_id, "createdAtGte": before.since}
        try:
            for event in (event for page in event_pages(self._client, where) for event in page):
                recent.append((event["createdAt"], event["id"]))
                newest = max(newest, event["createdAt"])
                goes_back |= event["id"] == last  # an event that was there and is not any more: the log forgets
                if event["id"] in seen:
                    continue
                self.events += 1
                subject, asset_id = event["event"], event["payload"].get("assetId")
                is_named = isinstance(asset_id, str) and asset_id != ""
                names_all &= not subject.startswith(self._vague) and (is_named or subject.startswith(PROJECT_EVENT))
                if is_named and subject in ASSET_IS_GONE:
                    self.deleted.add(asset_id)
                elif is_named:
                    yield asset_id
        except KiliNotFoundError:
            self.events = 0
            return
        self.place, self.tells_all = before, goes_back and names_all
        if self.events:
            bound = (pd.Timestamp(newest) - _LATEST_EVENT).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.place = LogPlace(max(before.since, bound), [name for instant, name in recent if instant >= bound])
