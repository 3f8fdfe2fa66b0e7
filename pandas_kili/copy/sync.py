"""`sync`: makes a local copy of a project, and refreshes it by what changed."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.catalog import DEFAULT_FIELDS, PROJECT_WORKFLOW
from pandas_kili.connection import Budget, Client, Clock, Limit, client_or_default, find_project, limit_of
from pandas_kili.copy.events import Event, event_pages, newest_events
from pandas_kili.copy.fingerprint import FINGERPRINT, fingerprints, in_microseconds, narrowed, telling_fields
from pandas_kili.copy.table import GONE, CopyState, CopyTable, LogPlace, schema_text
from pandas_kili.errors import KiliCopyError, KiliNotFoundError
from pandas_kili.messages import listed
from pandas_kili.query import AssetFilters, Fields, asset_query, select, with_filters
from pandas_kili.reading import scan_batches

_ROWS_A_COMMIT = 10_000  # of a first copy: at 500 calls a minute 12 s of work, which a crash can cost
_LATEST_EVENT = pd.Timedelta("5min")  # how late an event may show; Kili does not document it
_MOST_SEEN = 20_000  # events kept by name in the state of a copy; the assets of earlier ones are read once more


@dataclass(frozen=True)
class SyncReport:
    """What one `sync` did.

    Attributes
    ----------
    events : int
        Events seen that were not seen before.
    inserted, updated, deleted : int
        Rows of the copy; a row counts as updated where it was read again.
    untold : int
        Rows that differed though no event named them: what a bulk action touched, and what events did not tell.
    calls : int
        Calls to the server.
    seconds : float
    version : int
        The version of the table, which `read_copy` takes.
    """

    events: int
    inserted: int
    updated: int
    deleted: int
    untold: int
    calls: int
    seconds: float
    version: int

    def __repr__(self) -> str:
        return (
            f"<version {self.version}: {self.inserted:,} inserted, {self.updated:,} updated, {self.deleted:,} deleted"
            f" ({self.untold:,} told by no event); {self.events:,} events, {self.calls:,} calls, {self.seconds:.1f} s>"
        )


@with_filters
def sync(
    project_id: str,
    copy: str | os.PathLike[str],
    *,
    fields: Fields = DEFAULT_FIELDS,
    verify: bool = False,
    full: bool = False,
    storage_options: Mapping[str, str] | None = None,
    disable_tqdm: bool | None = None,
    client: Client | None = None,
    **filters: Unpack[AssetFilters],
) -> SyncReport:
    """Make a copy of a project as a Delta table, or refresh it by what changed.

    Parameters
    ----------
    project_id : str
        Identifier of the project.
    copy : str or path
        Where the copy is to be: a folder, or the address of one in an object store (``"s3://bucket/copies/digits"``).
        pandas, Polars, DuckDB and Spark read the table.
    fields : iterable of str, or mapping of str to pyarrow.DataType
        What to copy, as for `read_kili`.
    verify : bool
        Compare the whole copy with the project, by a light look over all assets, and repair what differs.
    full : bool
        Make the copy anew, also with other fields or filters. The old rows stay until the new ones are all there.
    storage_options : mapping, optional
        What the object store asks for, as deltalake takes it.
    disable_tqdm : bool, optional
        Switch the progress bar off or on.
    client : Client, optional
        Connection to use; by default one that the environment describes.
    **filters
        Which assets, as for `read_kili`.

    Returns
    -------
    SyncReport

    Raises
    ------
    KiliCopyError
        Where the copy is of another project, of other fields or filters, damaged, or not ours; or where another sync
        wrote to it meanwhile. The copy is as it was.
    KiliNotFoundError
        Where the project is gone, or the key may not see it. The copy stays as it is.

    Notes
    -----
    The first call reads everything and commits every 10,000 rows; killed on the way, it goes on where it was. Later
    calls read the log of events and then the assets that it names, as they are now. Rows and the place in the log are
    one commit, so that a call that dies changes all or nothing.

    Events may show up to five minutes late; one that shows later is found by ``verify=True`` only. Where the log does
    not tell what changed (a bulk action, other steps, a log that begins after the last sync, a server without one),
    the call makes the light look: all ids with ``updatedAt``, status, marks, and the ids and versions of labels. The
    light look cannot see a label whose answer was edited in place with as many annotations as before and the same
    version.

    Examples
    --------
    >>> import tempfile
    >>> import pandas_kili as pk
    >>> copy = tempfile.mkdtemp() + "/digits"
    >>> pk.sync(project_id, copy).inserted
    250
    >>> len(pk.read_copy(copy, columns=["externalId", "status"]))
    250
    """
    started = time.monotonic()
    fields = tuple(fields) if isinstance(fields, Iterator) else fields
    schema = select(fields).schema
    query = asset_query(project_id, filters)
    client = client_or_default(client)
    wanted = CopyState(
        project_id=project_id,
        api_endpoint=client.api_endpoint,
        fields=list(fields),
        schema=schema_text(schema),
        filters=query.conditions,
    )
    table = CopyTable(copy, storage_options)
    if table.state is not None and not full and (differences := table.state.differences(wanted)):
        message = f"The copy at {table.where} is another one. {listed(differences)}. Pass full=True to make it anew."
        raise KiliCopyError(message, copy=table.where)
    counters: list[_CountedCalls] = []

    def counted(budget: Budget) -> Limit:
        counters.append(_CountedCalls(budget))
        return counters[0]

    counting = client._counted_by(counted)  # noqa: SLF001 - the package's own
    find_project(counting, project_id, "id")
    work = _Sync(counting, table, wanted, schema, dict(filters), fields, disable_tqdm)
    if table.state is None:
        counts = work.fill(replace(wanted, place=work.place_before_reading()))
    elif full:
        counts = work.replace_all(work.place_before_reading())
    elif table.state.is_whole:
        counts = work.refresh(look=verify)
    else:
        counts = work.resume()
    return SyncReport(**counts, calls=counters[0].made, seconds=time.monotonic() - started, version=table.version)


class _CountedCalls:
    """Counts the calls that the rate limit of a client lets pass."""

    def __init__(self, budget: Budget) -> None:
        self.made = 0
        self._limit: Limit = limit_of(budget)
        self._lock = threading.Lock()

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait as the limit does, and count."""
        self._limit.acquire(calls_per_minute, clock, stop)
        with self._lock:
            self.made += 1

    def pause(self, seconds: float, clock: Clock) -> None:
        """Hold every call back, as the limit does."""
        self._limit.pause(seconds, clock)


class _Sync:
    """One sync: what is read, and what is written."""

    def __init__(
        self,
        client: Client,
        table: CopyTable,
        wanted: CopyState,
        schema: pa.Schema,
        filters: dict[str, Any],
        fields: Fields,
        disable_tqdm: bool | None,
    ) -> None:
        self._client = client
        self._table = table
        self._wanted = wanted
        self._filters = filters
        self._disable_tqdm = disable_tqdm
        telling = telling_fields(fields)
        self._telling = telling
        self._telling_schema = select(telling).schema
        types = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(fields)
        self._read = {**types, **dict.fromkeys(name for name in (*telling, "createdAt") if name not in types)}
        own_id = [] if "id" in schema.names else [pa.field("id", pa.string())]
        wide = [*schema, *own_id]
        self._rows_schema = pa.schema([field.with_type(in_microseconds(field.type)) for field in wide])
        self._schema = self._rows_schema.append(pa.field(FINGERPRINT, pa.int64()))

    def place_before_reading(self) -> LogPlace | None:
        """Return the end of the log; whatever happened until then is seen by a read that begins now."""
        where = {"projectId": self._wanted.project_id}
        try:
            latest = newest_events(self._client, where)
            if not latest:
                return None
            since = latest[0]["createdAt"]
            if latest[-1]["createdAt"] == since:  # there may be more of this instant than the page holds
                pages = event_pages(self._client, {**where, "createdAtGte": since, "createdAtLte": since})
                latest = [event for page in pages for event in page]
        except KiliNotFoundError:
            return None
        return LogPlace(since, [event["id"] for event in latest if event["createdAt"] == since])

    def _scan(self, **more: Any) -> Iterator[pa.Table]:
        reader = scan_batches(
            self._wanted.project_id,
            fields=self._read,
            batch_size=_ROWS_A_COMMIT,
            disable_tqdm=self._disable_tqdm,
            client=self._client,
            **{**self._filters, **more},
        )
        for batch in reader:
            yield pa.Table.from_batches([batch])

    def _rows(self, scanned: pa.Table) -> pa.Table:
        """Return the rows of the copy: what was asked for, with a fingerprint."""
        numbers = fingerprints(narrowed(scanned, self._telling_schema))
        return narrowed(scanned, self._rows_schema).append_column(FINGERPRINT, numbers)

    def fill(self, state: CopyState, *, known: pa.Array | None = None, **more: Any) -> dict[str, int]:
        """Append everything in parts, each of which goes on where the last one ended."""
        inserted = 0
        if not self._table.exists:
            self._table.append(self._schema.empty_table(), state)
        for scanned in self._scan(**more):
            rows = self._rows(scanned)
            if known is not None:
                rows = rows.filter(pc.invert(pc.is_in(rows["id"], known)))
            position = pc.max(scanned["createdAt"]).as_py()
            position = max(filter(None, [position and position.isoformat(), state.position]), default=None)
            state = replace(state, position=position)
            if len(rows):
                self._table.append(rows, state)
                inserted += len(rows)
        if known is None:
            self._table.append(self._schema.empty_table(), replace(state, is_whole=True, position=None))
        return {"events": 0, "inserted": inserted, "updated": 0, "deleted": 0, "untold": 0}

    def resume(self) -> dict[str, int]:
        """Go on with a first copy, then look at what changed in the part that was there."""
        state = self._state()
        later: dict[str, Any] = {}
        if state.position is not None:
            own = pd.to_datetime(state.filters.get("createdAtGte", state.position), utc=True)
            later["created_at_gte"] = max(pd.Timestamp(state.position), own)
        known = self._table.read(["id"])["id"].combine_chunks()
        first = self.fill(state, known=known, **later)
        second = self.refresh(look=True)
        return {name: first[name] + second[name] for name in first}

    def replace_all(self, place: LogPlace | None) -> dict[str, int]:
        """Read everything anew, and put it in the place of the old rows."""
        count = itertools.count()
        state = replace(self._wanted, place=place, is_whole=True)
        deleted = len(self._table.read(["id"]))

        def batches() -> Iterator[pa.RecordBatch]:
            for scanned in self._scan():
                for _ in range(len(scanned)):
                    next(count)
                yield from self._rows(scanned).to_batches()

        self._table.replace_all(self._schema, batches(), state)
        return {"events": 0, "inserted": next(count), "updated": 0, "deleted": deleted, "untold": 0}

    def _state(self) -> CopyState:
        if self._table.state is None:
            raise KiliCopyError(f"There is no copy at {self._table.where}.", copy=self._table.where)
        return self._table.state

    def refresh(self, *, look: bool) -> dict[str, int]:
        """Read again what events name, and with a light look what differs, and merge it."""
        state = self._state()
        news, place, is_sufficient = self._news(state.place)
        named = {event["payload"]["assetId"] for event in news if event["payload"].get("assetId")}
        differing: set[str] = set()
        missing: set[str] = set()
        if look or not is_sufficient or any(event["event"].startswith(PROJECT_WORKFLOW) for event in news):
            differing, missing = self._differences()
        asked = named | differing
        changed_rows = self._read_again(sorted(asked))
        gone = (missing | asked).difference(changed_rows["id"].to_pylist())
        untold = (differing | missing) - named
        if not len(changed_rows) and not gone and place == state.place and state.is_whole:
            return {"events": len(news), "inserted": 0, "updated": 0, "deleted": 0, "untold": 0}
        counts = self._table.merge(
            _with_gone(changed_rows, gone), replace(state, place=place, is_whole=True, position=None)
        )
        return {"events": len(news), **counts, "untold": len(untold)}

    def _news(self, place: LogPlace | None) -> tuple[list[Event], LogPlace | None, bool]:
        """Return the events that were not seen, the next place in the log, and whether the log tells all."""
        if place is None or not place.seen:  # the log may have forgotten the events of that instant
            return [], self.place_before_reading(), False
        seen, last = set(place.seen), place.seen[-1]
        where = {"projectId": self._wanted.project_id, "createdAtGte": place.since}
        try:
            listing = [event for page in event_pages(self._client, where) for event in page]
        except KiliNotFoundError:
            return [], None, False
        news = [event for event in listing if event["id"] not in seen]
        # An event that was there and is not there any more tells that the log forgets.
        is_sufficient = last in {event["id"] for event in listing}
        if not news:
            return [], place, is_sufficient
        newest = max(event["createdAt"] for event in listing)
        bound = (pd.Timestamp(newest) - _LATEST_EVENT).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        recent = [event for event in listing if event["createdAt"] >= bound][-_MOST_SEEN:]
        return news, LogPlace(max(place.since, bound), [event["id"] for event in recent]), is_sufficient

    def _differences(self) -> tuple[set[str], set[str]]:
        """Compare the copy with the project by the light look: ids that are new or differ, and ids that are gone."""
        kept = self._table.read(["id", FINGERPRINT]).to_pandas()
        numbers = dict(zip(kept["id"], kept[FINGERPRINT], strict=True))
        reader = scan_batches(
            self._wanted.project_id,
            fields=self._telling,
            batch_size=_ROWS_A_COMMIT,
            disable_tqdm=self._disable_tqdm,
            client=self._client,
            **self._filters,
        )
        changed = set()
        for batch in reader:
            looked = pa.Table.from_batches([batch])
            now = zip(looked["id"].to_pylist(), fingerprints(looked).to_pylist(), strict=True)
            changed |= {asset_id for asset_id, number in now if numbers.pop(asset_id, None) != number}
        return changed, set(numbers)

    def _read_again(self, ids: list[str]) -> pa.Table:
        """Return the rows of assets as they are now; those that are gone or match no longer have none."""
        chosen = self._filters.get("asset_id_in")
        if chosen is not None:
            within = set(pd.Series(list(chosen)))
            ids = [asset_id for asset_id in ids if asset_id in within]
        parts = [self._rows(scanned) for scanned in self._scan(asset_id_in=ids)] if ids else []
        return pa.concat_tables([self._schema.empty_table(), *parts])


def _with_gone(rows: pa.Table, gone: set[str]) -> pa.Table:
    """Return rows to merge: those that changed, and those to delete, of which only the id counts."""
    ids = pa.array(sorted(gone), pa.string())
    absent = pa.Table.from_arrays(
        [ids if field.name == "id" else pa.nulls(len(ids), field.type) for field in rows.schema], schema=rows.schema
    )
    marks = pa.array([False] * len(rows) + [True] * len(ids), pa.bool_())
    return pa.concat_tables([rows, absent]).append_column(GONE, pa.chunked_array([marks]))
