"""The log of events as a frame."""

from __future__ import annotations

import json
import numbers
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import EVENT_PAGE, EVENT_PAGE_SIZE, EVENT_PAYLOADS, LIST_EVENTS
from pandas_kili.connection import Client, client_or_default, find_project, promised
from pandas_kili.errors import KiliConnectionError, KiliFieldError, KiliFilterError, KiliGraphQLError, KiliNotFoundError
from pandas_kili.messages import did_you_mean, nearest, shown
from pandas_kili.query import Date, Where, as_date
from pandas_kili.reading import to_pandas

Event = dict[str, Any]

_PAGES_A_CALL = 24  # an event is short: so many pages weigh no more than one page of labeled assets

EVENT_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "createdAt": pa.timestamp("ms", tz="UTC"),
        "event": pa.string(),
        "assetId": pa.string(),
        "labelId": pa.string(),
        "externalId": pa.string(),
        "userId": pa.string(),
        "payload": pa.string(),
    }
)
_OF_PAYLOAD = ("assetId", "labelId", "externalId")
_ID, _LIKE_A_DATE = re.compile(r"[A-Za-z0-9_-]{8,}"), re.compile(r"[0-9]{4}-?[0-9]{2}")
_NO_LOG = (
    "This server keeps no log of events. Use pandas_kili.sync, which compares the copy with the project where there is"
    " no log, or read_kili(..., updated_at_gte=...), which misses new labels and deletions."
)


@overload
def read_events(
    project_id: str,
    *,
    since: Date | None = ...,
    until: Date | None = ...,
    event: str | None = ...,
    user_id: str | None = ...,
    fields: Iterable[str] = ...,
    chunksize: None = ...,
    client: Client | None = ...,
) -> pd.DataFrame: ...
@overload
def read_events(
    project_id: str,
    *,
    since: Date | None = ...,
    until: Date | None = ...,
    event: str | None = ...,
    user_id: str | None = ...,
    fields: Iterable[str] = ...,
    chunksize: int,
    client: Client | None = ...,
) -> Iterator[pd.DataFrame]: ...
def read_events(
    project_id: str,
    *,
    since: Date | None = None,
    until: Date | None = None,
    event: str | None = None,
    user_id: str | None = None,
    fields: Iterable[str] = tuple(EVENT_SCHEMA.names),
    chunksize: int | None = None,
    client: Client | None = None,
) -> pd.DataFrame | Iterator[pd.DataFrame]:
    """Read the log of a project's events, oldest first.

    Parameters
    ----------
    project_id : str
        Identifier of the project.
    since : str, date, datetime or Timestamp, optional
        An instant, from which on events are read; or the id of an event, after which they are read, such as
        ``attrs["kili"]["cursor"]`` of an earlier frame.
    until : str, date, datetime or Timestamp, optional
        An instant, up to which events are read. A day means its first instant.
    event : str, optional
        The one subject to read, such as ``"asset.created"``; the reference of the catalog lists them.
    user_id : str, optional
        Only the events of this user.
    fields : iterable of str
        The columns, in this order.
    chunksize : int, optional
        Give an iterator of frames of so many rows; the last may be shorter.
    client : Client, optional
        Connection to use; by default one that the environment describes.

    Returns
    -------
    pandas.DataFrame or iterator of pandas.DataFrame
        Columns ``id``, ``createdAt`` (``timestamp[ms, tz=UTC]``), ``event``, ``assetId``, ``labelId``, ``externalId``,
        ``userId`` and ``payload`` (JSON text); all but ``createdAt`` are ``string``. An event about no asset, such as
        a bulk action, has a null ``assetId``. ``attrs["kili"]["cursor"]`` is the id of the last event; without
        events the one that was given as `since`, or None.

    Raises
    ------
    KiliFieldError, KiliFilterError
        For an unknown column or subject, or a value that is no date; before any request.
    KiliNotFoundError
        Where there is no such project, the server keeps no log (servers before 2025), or the log does not hold the
        event that `since` names.

    Notes
    -----
    Each page begins with the event that ended the one before, so that events that come while the log is read neither
    hide nor repeat others. An event that shows late, with an instant that was read already, is not in the frame.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> events = pk.read_events(project_id, event="asset.created")
    >>> events.columns.tolist()
    ['id', 'createdAt', 'event', 'assetId', 'labelId', 'externalId', 'userId', 'payload']
    >>> len(pk.read_events(project_id, since=events.attrs["kili"]["cursor"], event="asset.created"))
    0
    """
    names = _names(fields)
    where, cursor = _where(project_id, since, until, event, user_id, chunksize)
    client = client_or_default(client)
    attrs = {"project_id": project_id, "api_endpoint": client.api_endpoint, "cursor": cursor}
    frames = _frames(_later_than(cursor, client, where), names, attrs, chunksize)
    return next(frames) if chunksize is None else frames


def _names(fields: Iterable[str]) -> list[str]:
    """Check the names of the columns."""
    if isinstance(fields, str):
        raise KiliFieldError(f"fields is a list of names, such as ['id']; got the string {fields!r}.", field=fields)
    names = list(dict.fromkeys(fields))
    if not names:
        raise KiliFieldError("fields is empty; name at least one, such as ['id'].")
    if unknown := [name for name in names if name not in EVENT_SCHEMA.names]:
        near = [each for name in unknown for each in nearest(str(name), EVENT_SCHEMA.names, most=1)]
        message = f"Events have no field {' and no field '.join(map(shown, unknown))}.{did_you_mean(near)}"
        raise KiliFieldError(message, field=str(unknown[0]))
    return names


def _where(
    project_id: str, since: Any, until: Any, event: str | None, user_id: str | None, chunksize: int | None
) -> tuple[Where, str | None]:
    """Return the condition on events, and the id of the event after which they are wanted."""
    problems: dict[str, str] = {}
    if not isinstance(project_id, str) or not project_id.strip():
        problems["project_id"] = f"must be the identifier of a project, a string; got {shown(project_id)}"
    where: Where = {"projectId": project_id, "userId": user_id, "event": event}
    cursor = None
    for name, place, value in (("since", "createdAtGte", since), ("until", "createdAtLte", until)):
        try:
            where[place] = None if value is None else as_date(value)
        except (TypeError, ValueError) as error:
            if name == "since" and isinstance(value, str) and _ID.fullmatch(value) and not _LIKE_A_DATE.match(value):
                cursor = value
            else:
                problems[name] = str(error)
    if user_id is not None and (not isinstance(user_id, str) or not user_id.strip()):
        problems["user_id"] = f"must be the identifier of a user, a string; got {shown(user_id)}"
    if chunksize is not None and (
        isinstance(chunksize, bool) or not isinstance(chunksize, numbers.Integral) or chunksize < 1
    ):
        problems["chunksize"] = f"must be a whole number of at least 1; got {shown(chunksize)}"
    if event is not None and not (isinstance(event, str) and event in EVENT_PAYLOADS):
        near = nearest(str(event), EVENT_PAYLOADS) or list(EVENT_PAYLOADS)[:3]
        problems["event"] = f"must be the subject of an event, such as {', '.join(map(repr, near))}; got {shown(event)}"
    if problems:
        raise KiliFilterError("; ".join(f"{name} {text}" for name, text in problems.items()) + ".", problems=problems)
    return where, cursor


def _later_than(cursor: str | None, client: Client, where: Where) -> Iterator[Event]:
    has_begun = False
    try:
        for page in event_pages(client, where, from_id=cursor):
            has_begun = True
            # Whether the event that is named counts among those from it on is not documented.
            yield from (event for event in page if event["id"] != cursor)
    except KiliGraphQLError as error:
        if cursor is None or has_begun:
            raise
        raise KiliNotFoundError(
            f"The log cannot be read from the event {cursor!r} on; it may be forgotten, or of no such id. ({error})"
            " Give an instant as `since`, such as a day before the last read."
        ) from error


def _frames(
    events: Iterator[Event], names: list[str], attrs: dict[str, Any], chunksize: int | None
) -> Iterator[pd.DataFrame]:
    rows: list[Event] = []
    is_empty = True
    for event in events:
        rows.append(event)
        if len(rows) == chunksize:
            yield _frame(rows, names, attrs)
            rows, is_empty = [], False
    if rows or is_empty:
        yield _frame(rows, names, attrs)


def _frame(events: list[Event], names: list[str], attrs: dict[str, Any]) -> pd.DataFrame:
    columns = {
        **{name: [event[name] for event in events] for name in ("id", "event", "userId")},
        "createdAt": pa.array([event["createdAt"] for event in events], pa.string()).cast(EVENT_SCHEMA.types[1]),
        **{name: [_as_text(event["payload"].get(name)) for event in events] for name in _OF_PAYLOAD},
        "payload": [json.dumps(event["payload"], ensure_ascii=False) for event in events],
    }
    table = pa.table([pa.array(columns[name], EVENT_SCHEMA.field(name).type) for name in names], names=names)
    cursor = events[-1]["id"] if events else attrs["cursor"]
    return to_pandas(table, {**attrs, "cursor": cursor})


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def event_pages(client: Client, where: Where, *, from_id: str | None = None) -> Iterator[list[Event]]:
    """Yield the events that match, oldest first, each once, up to the one that is the newest at the beginning.

    Raises
    ------
    KiliNotFoundError
        Where there is no such project, or no log.
    """
    log = _Log(client, where)
    (newest, *pages), count = log.ask(_NEWEST, _oldest_first(0, from_id)), 1
    if not newest:
        find_project(client, where["projectId"], "id")
        return
    end = newest[0]
    known, skip, is_walking = set[str](), 0, False
    while True:
        for place, page in enumerate(pages):
            edge = log.where.get("createdAtGte")
            follows = bool(page) and page[0]["id"] in known
            fresh = list({event["id"]: event for event in page if event["id"] not in known}.values())
            if place and not (follows and fresh):
                count = 1  # pages are shorter than asked for, or events came or went before this place
                break
            if not fresh or (skip and not is_walking and not follows):
                if not page and (is_walking or not skip):
                    return
                # The instant holds something else than it held: go through all of it.
                skip, is_walking, count = (skip + len(page) if page and not fresh else 0), True, 1
                break
            yield fresh
            last = max(event["createdAt"] for event in page)
            if last != page[-1]["createdAt"] or (edge is not None and last < edge):
                raise KiliConnectionError("The server does not give events in the order of their time.")
            known = {event["id"] for event in page if event["createdAt"] == last} | (known if last == edge else set())
            if end["id"] in known or last > end["createdAt"]:
                return
            log.where["createdAtGte"], is_walking = last, False
        else:
            count = log.pages_a_call
        if not is_walking:
            skip = len(known) - 1  # the next page begins with the event that ends this one
        step = max(1, log.longest - 1)
        pages = log.ask(*(_oldest_first(skip + place * step) for place in range(count)))


def newest_events(client: Client, where: Where) -> list[Event]:
    """Return the latest page of the events that match, newest first."""
    return _Log(client, where).ask({**_NEWEST, "first": EVENT_PAGE_SIZE})[0]


_NEWEST = {"skip": 0, "first": 1, "order": "desc"}


def _oldest_first(skip: int, from_id: str | None = None) -> dict[str, Any]:
    return {"skip": skip, "first": EVENT_PAGE_SIZE, "order": "asc", "fromEventId": from_id}


class _Log:
    """Asks for pages of the events that match, several by one call where the server allows it."""

    def __init__(self, client: Client, where: Where) -> None:
        self.where = dict(where)
        self.longest = 0  # events on a page so far
        self._client = client
        self.pages_a_call = _PAGES_A_CALL

    def ask(self, *wanted: dict[str, Any]) -> list[list[Event]]:
        """Return the pages that are wanted, each told by its place and order."""
        if len(wanted) > 1 and self.pages_a_call > 1:
            try:
                return self._asked(wanted)
            except (KiliGraphQLError, KiliConnectionError):
                self.pages_a_call = 1
        return [page for each in wanted for page in self._asked([each])]

    def _asked(self, wanted: Sequence[dict[str, Any]]) -> list[list[Event]]:
        places = range(len(wanted))
        declared = "".join(f", $pagination{place}: EventPagination!, $order{place}: Order" for place in places)
        document = LIST_EVENTS % (declared, " ".join(map(EVENT_PAGE.format, places)))
        variables: dict[str, Any] = {"where": self.where}
        for place, each in enumerate(wanted):
            pagination = {name: value for name, value in each.items() if name != "order"}
            variables |= {f"pagination{place}": pagination, f"order{place}": each["order"]}
        try:
            data = self._client.execute(document, variables)
        except KiliGraphQLError:
            if "events" in self._client.names("Query"):
                raise
            raise KiliNotFoundError(_NO_LOG) from None
        with promised("events"):
            pages = [
                [{**event, "payload": dict(event["payload"] or {})} for event in data[f"page{place}"]]
                for place in places
            ]
        self.longest = max(self.longest, *map(len, pages))
        return pages
