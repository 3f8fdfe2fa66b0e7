"""`sync`: makes a local copy of a project, and refreshes it by what changed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.catalog import DEFAULT_FIELDS, PROJECT_EVENT, PROJECT_WORKFLOW
from pandas_kili.connection import Budget, Client, Clock, Limit, client_or_default, find_project, limit_of
from pandas_kili.copy.fingerprint import FINGERPRINT, Places, fingerprints, in_microseconds, narrowed, telling_fields
from pandas_kili.copy.log_since import LogSince, end_of_log
from pandas_kili.copy.state import CopyState, schema_text
from pandas_kili.copy.table import CopyTable
from pandas_kili.errors import KiliCopyError, KiliError
from pandas_kili.messages import listed
from pandas_kili.parallel import Workers, result_of
from pandas_kili.query import AssetFilters, Fields, asset_query, select, with_filters
from pandas_kili.reading import Read

_ROWS_A_COMMIT = 10_000  # of a first copy: at 500 calls a minute 12 s of work, which a crash can cost


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
        Where the copy goes: a folder, or the address of one in an object store (``"s3://bucket/copies/digits"``).
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
        wrote to it meanwhile. The copy is as it was; where the connection to an object store was lost in a commit, the
        error says that it may be as after the call.
    KiliNotFoundError
        Where the project is gone, or the key may not see it, also on the way. The copy stays as it is; a note of this
        and all other errors says so.

    Warns
    -----
    KiliConsistencyWarning
        Where the project changed too fast to settle which assets are there. The next call looks at all of them.

    Notes
    -----
    The first call reads everything and commits every 10,000 rows; killed on the way, it goes on where it was. Later
    calls read the log of events and then the assets that it names, as they are now. Rows and the place in the log are
    one commit, so that a call that dies changes all or nothing.

    Events may show up to five minutes late; one that shows later is found by ``verify=True`` only. Where the log does
    not tell what changed (a bulk action, other steps, a log that begins after the last sync, a server without one),
    and where others wrote to the table, the call makes the light look: all ids with ``updatedAt``, status, marks, and
    the ids and versions of labels. It cannot see a label that was edited in place, with as many annotations as before
    and the same version. Counts of `project`, such as ``project.numberOfReviewedAssets``, are as of when a row was last
    read; the light look brings them up to date.

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
    # Each read asks for them again, which an iterator answers once.
    kept = {name: list(value) if isinstance(value, Iterator) else value for name, value in filters.items()}
    schema = select(fields).schema
    query = asset_query(project_id, kept)
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
        raise KiliCopyError(
            f"The copy at {table.where} is another one. {listed(differences)}. Ask for what it holds, or pass full=True"
            " (or --full) to make it anew.",
            copy=table.where,
        )
    counters: list[_CountedCalls] = []

    def counted(budget: Budget) -> Limit:
        counters.append(_CountedCalls(budget))
        return counters[0]

    counting = client._counted_by(counted)  # noqa: SLF001 - the package's own
    stop = threading.Event()
    project = Workers(1).submit(find_project, counting, project_id, "id", stop=stop)
    try:
        work = _Sync(counting, table, wanted, schema, kept, fields, disable_tqdm, project)
        counts = work.run(full=full, verify=verify)
    except KiliError as error:
        if not isinstance(error, KiliCopyError):  # which says it itself
            error.add_note(table.standing)
        raise
    finally:
        stop.set()  # after Ctrl-C, the project is looked for no more
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
        project: Future[dict[str, Any]],
    ) -> None:
        self._client = client
        self._table = table
        self._wanted = wanted
        self._filters = filters
        self._disable_tqdm = disable_tqdm
        self._project = project  # looked for while the log is read; nothing is written before it is found
        self._is_in_doubt = False  # whether the light look could not settle all rows
        telling = telling_fields(fields)
        self._telling = telling
        self._telling_schema = select(telling).schema
        types = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(fields)
        self._read = {**types, **dict.fromkeys(name for name in (*telling, "createdAt") if name not in types)}
        own_id = [] if "id" in schema.names else [pa.field("id", pa.string())]
        wide = [*schema, *own_id]
        self._rows_schema = pa.schema([field.with_type(in_microseconds(field.type)) for field in wide])
        self._schema = self._rows_schema.append(pa.field(FINGERPRINT, pa.int64()))

    def _reading(self, fields: Fields, **more: Any) -> Read:
        query = asset_query(self._wanted.project_id, {**self._filters, **more})
        return Read(self._client, query, fields, select(fields), skip=0, first=None, disable_tqdm=self._disable_tqdm)

    def _find_project_again(self) -> None:
        """Find the project after a read, or raise: where the key lost its right on the way, rows were hidden."""
        find_project(self._client, self._wanted.project_id, "id")

    def _rows(self, scanned: pa.Table) -> pa.Table:
        """Return the rows of the copy: what was asked for, with a fingerprint."""
        numbers = fingerprints(narrowed(scanned, self._telling_schema))
        return narrowed(scanned, self._rows_schema).append_column(FINGERPRINT, numbers)

    def run(self, *, full: bool, verify: bool) -> dict[str, int]:
        """Make the copy, make it anew, refresh it, or go on with it, and return the counts of rows."""
        try:
            if self._table.state is None:
                return self.fill()
            if full:
                return self.replace_all()
            return self.refresh(look=verify) if self._table.state.is_whole else self.resume()
        except Exception:
            result_of(self._project)  # that there is no such project says more than what went wrong for it
            raise

    def fill(self) -> dict[str, int]:
        """Make the first copy."""
        result_of(self._project)
        state = replace(self._wanted, place=end_of_log(self._client, self._wanted.project_id))
        self._table.append(self._schema.empty_table(), state)
        return self._filled(state)

    def _filled(self, state: CopyState, *, known: pa.Array | None = None, **more: Any) -> dict[str, int]:
        """Append everything in parts, each of which goes on where the last one ended."""
        inserted = 0
        reading = self._reading(self._read, **more)
        for batch in reading.batches(_ROWS_A_COMMIT):
            scanned = pa.Table.from_batches([batch])
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
            self._find_project_again()
            place = None if reading.found.in_doubt else state.place  # without a place, the next refresh looks
            self._table.append(self._schema.empty_table(), replace(state, place=place, is_whole=True, position=None))
        return {"events": 0, "inserted": inserted, "updated": 0, "deleted": 0, "untold": 0}

    def resume(self) -> dict[str, int]:
        """Go on with a first copy, then look at what changed in the part that was there."""
        state = self._state()
        result_of(self._project)
        later: dict[str, Any] = {}
        if state.position is not None:
            own = pd.to_datetime(state.filters.get("createdAtGte", state.position), utc=True)
            later["created_at_gte"] = max(pd.Timestamp(state.position), own)
        known = self._table.read(["id"])["id"].combine_chunks()
        first = self._filled(state, known=known, **later)
        second = self.refresh(look=True)
        return {name: first[name] + second[name] for name in first}

    def replace_all(self) -> dict[str, int]:
        """Read everything anew, and put it in the place of the old rows."""
        result_of(self._project)
        place = end_of_log(self._client, self._wanted.project_id)
        reading = self._reading(self._read)
        deleted = self._table.count()

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reading.batches(_ROWS_A_COMMIT):
                yield from self._rows(pa.Table.from_batches([batch])).to_batches()
            self._find_project_again()

        state = replace(self._wanted, place=place, is_whole=True)
        self._table.replace_all(self._schema, batches(), state)
        if reading.found.in_doubt:
            self._table.append(self._schema.empty_table(), replace(state, place=None))
        return {"events": 0, "inserted": reading.found.read, "updated": 0, "deleted": deleted, "untold": 0}

    def _state(self) -> CopyState:
        if self._table.state is None:
            raise KiliCopyError(f"There is no copy at {self._table.where}.", copy=self._table.where)
        return self._table.state

    def refresh(self, *, look: bool) -> dict[str, int]:
        """Read again what events name, and with a light look what differs, and merge it."""
        state = self._state()
        has_project = any(path.startswith("project.") for path in self._telling)
        vague = PROJECT_EVENT if has_project else PROJECT_WORKFLOW
        log = LogSince(self._client, self._wanted.project_id, state.place, vague)
        told = dict.fromkeys(log.assets())
        seen = dict.fromkeys(self._differences() if look or not log.tells_all else ())
        asked = [name for name in told | seen if name not in log.deleted]
        untold = len(seen.keys() - told.keys() - log.deleted)
        result_of(self._project)
        place = None if self._is_in_doubt else log.place
        if not asked and not log.deleted and place == state.place and state.is_whole:
            return {"events": log.events, "inserted": 0, "updated": 0, "deleted": 0, "untold": 0}
        state = replace(state, place=place, is_whole=True, position=None)
        with contextlib.closing(self._now(asked)) as rows:
            counts = self._table.merge({*asked, *log.deleted}, self._schema, rows, state)
        return {"events": log.events, **counts, "untold": untold}

    def _now(self, asked: list[str]) -> Generator[pa.RecordBatch]:
        """Yield the rows of assets as they are now; those that are gone have none."""
        found = 0
        for read in self._reading(self._read).by_id(asked):
            found += len(read)
            yield from self._rows(read).to_batches()
        if found < len(asked):
            self._find_project_again()

    def _differences(self) -> Iterator[str]:
        """Compare the copy with the project by the light look, and yield ids that are new, differ, or are missing."""
        kept = self._table.read(["id", FINGERPRINT])
        names, numbers = kept["id"].combine_chunks(), kept[FINGERPRINT].to_numpy()
        places, is_there = Places(names), np.zeros(len(kept), bool)
        reading = self._reading(self._telling)
        for batch in reading.batches(_ROWS_A_COMMIT):
            looked = pa.Table.from_batches([batch])
            place = places.of(looked["id"])
            known = place >= 0
            is_there[place[known]] = True
            is_same = np.zeros(len(looked), bool)
            is_same[known] = numbers[place[known]] == fingerprints(looked).to_numpy()[known]
            yield from looked["id"].filter(pa.array(~is_same)).to_pylist()
        self._is_in_doubt = reading.found.in_doubt > 0
        yield from names.filter(pa.array(~is_there)).to_pylist()
