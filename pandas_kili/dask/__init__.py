"""Beyond one machine: `read_kili` as a dask frame, and ``ddf.kili``, which writes its rows back.

Importing this module gives dask's frames the accessor ``.kili``.

The key is never sent along: a worker reads its own, from ``KILI_API_KEY`` or the configuration file. The workers of a
`distributed` cluster share one budget of calls: its scheduler counts for all of them.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import numbers
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Unpack

import pandas as pd
import pyarrow as pa

from pandas_kili.accessor import KiliAccessor
from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.connection import Budget, Client, Clock, client_or_default, limit_of, wait_for_turn
from pandas_kili.errors import KiliAuthenticationError, KiliFilterError, KiliGraphQLError, KiliValidationError
from pandas_kili.parallel import in_order
from pandas_kili.query import AssetFilters, Fields, asset_query, select
from pandas_kili.reading import count_assets
from pandas_kili.reading import read_kili as read_frame
from pandas_kili.writing import report_of, require_column

try:
    import dask.dataframe as dd
except ImportError as error:
    raise ImportError("pandas_kili.dask needs dask: pip install 'pandas-kili[dask]'.") from error

__all__ = ["DaskKiliAccessor", "read_kili"]

_INSTANT = pd.Timedelta(1, "ms")  # the grain of dates on the wire


def read_kili(
    project_id: str,
    *,
    fields: Fields = DEFAULT_FIELDS,
    first: int | None = None,
    skip: int = 0,
    rows_per_partition: int = 10_000,
    validate: bool | Literal["warn"] = True,
    client: Client | None = None,
    **filters: Unpack[AssetFilters],
) -> dd.DataFrame:
    """Read the assets of a project into a dask frame, whose partitions any number of machines read.

    Parameters
    ----------
    project_id, fields, first, skip, validate, **filters
        As for `pandas_kili.read_kili`. `first` and `skip` are settled when this is called.
    rows_per_partition : int
        How many rows a partition is to hold; the last one takes up what comes to match meanwhile.
    client : Client, optional
        Connection to plan with; by default one that the environment describes. The workers take its settings, not its
        key: they read ``KILI_API_KEY``, or the configuration file, where they are. Its ``max_calls_per_minute`` is for
        all workers of a `distributed` cluster together.

    Returns
    -------
    dask.dataframe.DataFrame
        With the columns and types of `pandas_kili.read_kili`, in the same order. Divisions are unknown, and each
        partition has an index of its own. ``ddf[columns]`` narrows what the server is asked for.

    Raises
    ------
    KiliFieldError, KiliFilterError
        For an unknown field or filter, or a value that it cannot take; before any request.
    KiliAuthenticationError
        When it is computed: where a worker finds no key.

    Notes
    -----
    The read is exact, as that of `pandas_kili.read_kili` is: the partitions are stretches of the time of creation,
    which never changes, so no asset moves from one to another between the plan and the read, or when a partition is
    read again because its worker was lost. Assets created in one instant stay together, so partitions differ in length.
    Where rows of a partition stay in doubt, a `KiliConsistencyWarning` is given where it is read: on a cluster, in the
    log of the worker. The counts of ``consistency`` are those of a partition, and get lost when partitions are joined.

    The plan costs two calls per partition, and reading one a call for its count, and a row in a hundred twice. Where no
    such plan can be (a part of the list by `first` or `skip`, lists of more than 1,000 entries, more assets of one
    instant than a partition is to hold, servers that do not filter by the time of creation), all ids are looked
    through, at one call per 100 of them, and each partition reads its own: rows that match no longer are then left out,
    and none is added.

    With dask's own schedulers the processes of ``scheduler="processes"`` know nothing of each other's calls: use
    threads, the default, or a `distributed` cluster, whose scheduler needs this package too.

    ``len(ddf[["id"]])`` asks for ids only, where ``len(ddf)`` reads all columns.

    Parquet gives back all of it if its files sort as the partitions do, and columns of lists are read as Arrow's own
    types, which plain ``read_parquet`` fails at: ``ddf.to_parquet(folder, name_function="{:06}.parquet".format,
    write_index=False)``, then ``pd.read_parquet(folder, dtype_backend="pyarrow")``, or ``dd.from_map(pd.read_parquet,
    sorted(glob.glob(f"{folder}/*.parquet")), dtype_backend="pyarrow")``. `dask.dataframe.read_parquet` with
    ``dtype_backend="pyarrow"`` gives text another type, pandas' own.

    Examples
    --------
    >>> from pandas_kili.dask import read_kili
    >>> ddf = read_kili(project_id, fields=["id", "status"], rows_per_partition=100)
    >>> ddf["status"].value_counts().compute().sort_index().to_dict()
    {'LABELED': 100, 'TODO': 150}
    """
    _check_rows(rows_per_partition)
    given: dict[str, Any] = {
        name: list(value) if isinstance(value, Iterator) else value for name, value in filters.items()
    }
    fields = fields if isinstance(fields, (Mapping, str)) else tuple(fields)
    # In chunks it comes lazily: this checks all that was given, and sends nothing.
    read_frame(
        project_id, fields=fields, first=first, skip=skip, chunksize=1, validate=validate, client=client, **given
    )
    connection = _Connection(client_or_default(client))
    whole = _Part(given, int(skip), first)
    parts = _Plan(connection.open(), project_id, rows_per_partition).parts(whole)
    source = _Source(connection, project_id, fields, validate, uuid.uuid4().hex)
    meta = select(fields).schema.empty_table().to_pandas(types_mapper=pd.ArrowDtype)
    ddf: dd.DataFrame = dd.from_map(_read_part, parts, source=source, meta=meta, label="read-kili")
    return ddf


def _check_rows(rows: Any) -> None:
    if isinstance(rows, bool) or not isinstance(rows, numbers.Integral) or rows < 1:
        problem = f"must be a whole number of at least 1; got {rows!r}"
        raise KiliFilterError(f"rows_per_partition {problem}.", problems={"rows_per_partition": problem})


@dataclass(frozen=True)
class _Part:
    """What one partition reads: what matches the filters, and was created from `since` until before `until`."""

    filters: Mapping[str, Any]
    skip: int = 0
    first: int | None = None
    since: pd.Timestamp | None = None
    until: pd.Timestamp | None = None

    @property
    def wanted(self) -> dict[str, Any]:
        """The filters with those of time, an instant wider: a server may keep times more finely than it shows them."""
        wanted = dict(self.filters)
        if self.since is not None:
            wanted["created_at_gte"] = self.since - _INSTANT
        if self.until is not None:
            wanted["created_at_lte"] = self.until + _INSTANT
        return wanted

    def cut(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out the rows of its neighbours."""
        inside = pd.Series(data=True, index=frame.index)
        if self.since is not None:
            inside &= frame["createdAt"] >= self.since
        if self.until is not None:
            inside &= frame["createdAt"] < self.until
        return frame if inside.all() else frame[inside].reset_index(drop=True)


@dataclass(frozen=True)
class _Source:
    """What all partitions have in common; `read` tells one read from an earlier one of the same, which may be stale."""

    connection: _Connection
    project_id: str
    fields: Fields
    validate: bool | Literal["warn"]
    read: str

    def __dask_tokenize__(self) -> str:
        return self.read


def _read_part(part: _Part, *, source: _Source, columns: list[str] | None = None) -> pd.DataFrame:
    """Read one partition; dask gives the columns that are wanted of it, where these are not all."""
    types = dict(source.fields) if isinstance(source.fields, Mapping) else dict.fromkeys(source.fields)
    if columns is not None:
        types = {path: type_ for path, type_ in types.items() if select({path: type_}).columns[0].name in columns}
    frame = read_frame(
        source.project_id,
        fields={**types, "createdAt": types.get("createdAt")},
        first=part.first,
        skip=part.skip,
        validate=source.validate,
        disable_tqdm=True,
        client=source.connection.open(),
        **part.wanted,
    )
    return part.cut(frame)[[column.name for column in select(types).columns] if columns is None else columns]


class _Plan:
    """Cuts what is to be read into parts."""

    def __init__(self, client: Client, project_id: str, rows: int) -> None:
        self.client, self.project_id, self.rows = client, project_id, int(rows)

    def parts(self, whole: _Part) -> list[_Part]:
        """Return parts of so many rows, which share no asset, in the order of creation."""
        count = count_assets(self.project_id, client=self.client, **whole.filters)
        if min(count - whole.skip, count if whole.first is None else whole.first) <= self.rows:
            return [whole]
        times = [] if self._is_cut(whole) else self._times(whole, count)
        return self._stretches(whole, times) if times else self._named(whole)

    def _is_cut(self, whole: _Part) -> bool:
        """Whether rows are left out by their place, or asked for in several queries: then their ids must be known."""
        query = asset_query(self.project_id, whole.filters)
        return bool(whole.skip or whole.first is not None or query.long_lists)

    def _times(self, whole: _Part, count: int) -> list[pd.Timestamp]:
        """Return the times of creation at which partitions begin; none where they cannot be cut there."""
        places = range(self.rows, count, self.rows)
        found = in_order(lambda place: self._created(whole, place), places, workers=self.client.max_workers)
        times = [(place, time) for place, time in found if time is not None]
        begins = sorted({time for _, time in times})
        crowded = len(begins) < len(times)  # so many assets of one instant that a stretch would be twice as long
        if not times or crowded or not self._is_known(whole, *times[len(times) // 2], count):
            return []
        return begins

    def _created(self, whole: _Part, place: int) -> pd.Timestamp | None:
        frame = self._light(replace(whole, skip=place, first=1), ["createdAt"])
        return None if frame.empty else frame["createdAt"].iloc[0]

    def _is_known(self, whole: _Part, place: int, time: pd.Timestamp, count: int) -> bool:
        """Whether the server can tell what lies on each side of a time: some know no such filter, or days only."""
        before, after = replace(whole, until=time), replace(whole, since=time)
        try:
            left, right = (count_assets(self.project_id, client=self.client, **side.wanted) for side in (before, after))
        except KiliGraphQLError:
            return False
        return left > place and right >= count - place

    def _stretches(self, whole: _Part, times: list[pd.Timestamp]) -> list[_Part]:
        bounds = [None, *times, None]
        return [replace(whole, since=since, until=until) for since, until in itertools.pairwise(bounds)]

    def _named(self, whole: _Part) -> list[_Part]:
        frame = self._light(whole, ["id", "externalId"])
        starts = range(0, max(1, len(frame)), self.rows)
        return [_part_of(whole.filters, frame.iloc[start : start + self.rows]) for start in starts]

    def _light(self, part: _Part, fields: list[str]) -> pd.DataFrame:
        frame: pd.DataFrame = read_frame(
            self.project_id,
            fields=fields,
            first=part.first,
            skip=part.skip,
            validate=False,
            disable_tqdm=True,
            client=self.client,
            **part.wanted,
        )
        return frame


def _part_of(filters: Mapping[str, Any], frame: pd.DataFrame) -> _Part:
    """Name the assets of a part; a list that they were found by need not be gone through again for each part."""
    named = {name: value for name, value in filters.items() if name not in {"asset_id", "asset_id_in"}}
    for name in ("external_id_strictly_in", "external_id_contains"):
        if named.get(name) is not None:
            named[name] = frame["externalId"].tolist()
    return _Part({**named, "asset_id_in": frame["id"].tolist()})


class _Connection:
    """A client that goes into graphs: in another process it is made anew, with the key that is found there."""

    def __init__(self, client: Client) -> None:
        self._settings = client.__getstate__()
        self._client: Client | None = client
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return self._settings

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self._settings, self._client, self._lock = settings, None, threading.Lock()

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return tuple(self._settings.items())

    def open(self) -> Client:
        """Return the client, its calls counted by the cluster where there is one."""
        with self._lock:
            self._client = client = self._client or _made_here(self._settings)
        cluster = _cluster()
        if cluster is None:
            return client
        return client._counted_by(functools.partial(_ClusterLimit, cluster))  # noqa: SLF001 - the package's own


def _made_here(settings: dict[str, Any]) -> Client:
    try:
        return Client(**settings)
    except KiliAuthenticationError as error:
        raise KiliAuthenticationError(
            f"{error} A key is never sent to the workers of a cluster: set KILI_API_KEY in the environment of each,"
            " such as LocalCluster(env={'KILI_API_KEY': ...})."
        ) from None


def _cluster() -> Any:
    """Return the connection to the scheduler of `distributed`: a worker's own, else the one in use; None without."""
    if "distributed" not in sys.modules:
        return None
    import distributed  # noqa: PLC0415 - loaded already, or not in use

    try:
        return distributed.get_client()
    except ValueError:
        return None


class _ClusterLimit:
    """The rate limit of all workers of a cluster: its scheduler keeps the log of the last minute's calls."""

    def __init__(self, cluster: Any, budget: Budget) -> None:
        self._cluster, self._budget = cluster, budget

    def acquire(self, calls_per_minute: int, clock: Clock, stop: threading.Event | None = None) -> None:
        """Wait until one more call fits into the minute, and count it."""
        while (delay := self._cluster.run_on_scheduler(_claim, self._budget, calls_per_minute)) > 0:
            wait_for_turn(delay, clock, stop)

    def pause(self, seconds: float, clock: Clock) -> None:  # noqa: ARG002 - the scheduler has a clock of its own
        """Hold every call back for so long: the server said so to one of them."""
        self._cluster.run_on_scheduler(_pause, self._budget, seconds)


def _claim(budget: Budget, calls_per_minute: int) -> float:
    return limit_of(budget).claim(calls_per_minute, Clock())


def _pause(budget: Budget, seconds: float) -> None:
    limit_of(budget).pause(seconds, Clock())


@dd.extensions.register_dataframe_accessor("kili")
class DaskKiliAccessor:
    """Rows become mutations of a Kili project, each partition by itself; what comes back are the reports.

    Every method returns a lazy dask frame of ``id``, ``externalId``, ``outcome`` and ``message``, on the index of the
    rows. Nothing is sent before it is computed, and all of it again where it is computed again: so compute the report
    once, whole. They take what the methods of `pandas_kili.KiliAccessor` take, but the project must be named, and
    ``errors`` is ``"report"`` unless ``"raise"`` is asked for. Rows are checked partition by partition.

    Where a worker is lost, its partition is given again, with rows computed anew. Nothing is applied twice by that:
    rows that are to be renamed or deleted need ids, and appended ones external ids, from which their ids are made.
    """

    def __init__(self, frame: dd.DataFrame) -> None:
        self._frame = frame

    def append_many_to_dataset(
        self,
        project_id: str,
        *,
        external_id: Hashable = "externalId",
        id: Hashable | None = None,  # noqa: A002 - Kili's name
        **named: Any,
    ) -> dd.DataFrame:
        """Make a new asset of each row.

        Parameters
        ----------
        project_id : str
            Where the assets go.
        external_id : label
            Column of the external ids, none of which may be missing or stand in two partitions.
        id : label, optional
            Column of the ids; by default ``id``, where there is one. Without, they are made of the rows when this is
            called, so that a partition which is given again finds the assets that it has made.
        **named
            Other columns, ``if_exists`` and `MutationOptions`, as for `KiliAccessor.append_many_to_dataset`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports. Within a partition the project's order is that of the rows.

        Examples
        --------
        >>> import pandas as pd, dask.dataframe, pandas_kili.dask
        >>> texts = pd.DataFrame({"externalId": ["a1", "b1"], "content": ["First text.", "Second text."]})
        >>> ddf = dask.dataframe.from_pandas(texts, npartitions=2)
        >>> ddf.kili.append_many_to_dataset(project_id).compute()["outcome"].tolist()
        ['applied', 'applied']
        """
        meta = self._frame._meta  # noqa: SLF001 - dask's own word for it
        require_column(meta, external_id)
        label = "id" if id is None and "id" in meta.columns else id
        prepare = functools.partial(_with_ids, label=label, names=external_id, token=uuid.uuid4().hex)
        named |= {"external_id": external_id, "id": "id" if label is None else id}
        return self._reports("append_many_to_dataset", project_id, named, prepare=prepare)

    def update_properties_in_assets(self, *columns: Hashable, project_id: str, **named: Any) -> dd.DataFrame:
        """Set properties of assets to the cells of columns.

        Parameters
        ----------
        *columns : label
            Columns that bear Kili field names.
        project_id : str
            Project of the assets.
        **named
            Columns by property, and `MutationOptions`, as for `KiliAccessor.update_properties_in_assets`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.

        Examples
        --------
        >>> import pandas_kili.dask
        >>> ddf = pandas_kili.dask.read_kili(project_id, fields=["id", "priority"], rows_per_partition=100)
        >>> reports = ddf.assign(priority=3).kili.update_properties_in_assets("priority", project_id=project_id)
        >>> reports["outcome"].value_counts().compute().to_dict()
        {'applied': 250}
        """
        return self._reports("update_properties_in_assets", project_id, named, columns, by={"id", "externalId"})

    def change_asset_external_ids(self, new_external_ids: Hashable, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Give assets new external ids.

        Parameters
        ----------
        new_external_ids : label
            Column of the new external ids; a name that another asset keeps is refused, also where a later partition
            would free it.
        project_id : str
            Project of the assets.
        **named
            `MutationOptions`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.
        """
        require_column(self._frame._meta, new_external_ids)  # noqa: SLF001 - as above
        return self._reports("change_asset_external_ids", project_id, named, [new_external_ids], by={"id"})

    def delete_many_from_dataset(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Delete assets; one that is not there any more counts as applied.

        Parameters
        ----------
        project_id : str
            Project of the assets.
        **named
            `MutationOptions`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.
        """
        return self._reports("delete_many_from_dataset", project_id, named, by={"id"})

    def add_to_review(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Send labeled assets to review; assets without a label are declined.

        Parameters
        ----------
        project_id : str
            Project of the assets.
        **named
            `MutationOptions`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.
        """
        return self._reports("add_to_review", project_id, named, by={"id", "externalId"})

    def send_back_to_queue(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Send assets back to the queue of those to be labeled; assets that were never labeled are declined.

        Parameters
        ----------
        project_id : str
            Project of the assets.
        **named
            `MutationOptions`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.
        """
        return self._reports("send_back_to_queue", project_id, named, by={"id", "externalId"})

    def _reports(
        self,
        verb: str,
        project_id: str,
        named: dict[str, Any],
        columns: Sequence[Hashable] = (),
        *,
        by: frozenset[str] | set[str] = frozenset(),
        prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    ) -> dd.DataFrame:
        """Say what is to be done to each partition, once what can be known without its rows is checked."""
        asset_query(project_id, {})
        meta = self._frame._meta  # noqa: SLF001 - as above
        if by and not by & set(meta.columns):
            raise KiliValidationError(f"The frame needs a column {' or '.join(map(repr, sorted(by, reverse=True)))}.")
        client = client_or_default(named.pop("client", None))
        options = {"errors": "report", **named, "project_id": project_id, "disable_tqdm": True}
        mutation = _Mutation(_Connection(client), verb, tuple(columns), options, prepare, must_have_id=by == {"id"})
        reports: dd.DataFrame = self._frame.map_partitions(mutation, meta=mutation(meta.iloc[:0]))
        return reports


@dataclass(frozen=True)
class _Mutation:
    """What is done to each partition: a frame in, its report out. Without rows, nothing is sent."""

    connection: _Connection
    verb: str
    columns: tuple[Hashable, ...]
    options: Mapping[str, Any]
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None
    must_have_id: bool

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.must_have_id and frame["id"].isna().any():
            # By its external id, an asset that was renamed or deleted would not be found when given again.
            raise KiliValidationError(f"{self.verb} needs an id in every row.")
        rows = frame if self.prepare is None else self.prepare(frame)
        client = self.connection.open() if len(frame) else None
        mutate = getattr(KiliAccessor(rows), self.verb)
        return report_of(mutate(*self.columns, client=client, **self.options))


def _with_ids(frame: pd.DataFrame, *, label: Hashable | None, names: Hashable, token: str) -> pd.DataFrame:
    """Give rows the ids of new assets: the same when they are given again, others when they are others."""
    if frame[names].isna().any():
        raise KiliValidationError(f"Every row needs an external id, in the column {names!r}.")
    seen: Counter[str] = Counter()
    ids = []
    for row in map(repr, frame.itertuples(index=False, name=None)):
        digest = hashlib.sha256(f"{token}/{seen[row]}/{row}".encode()).hexdigest()
        seen[row] += 1
        ids.append(f"c{digest[:24]}")
    made = pd.Series(pa.array(ids, pa.string()), frame.index, dtype=pd.ArrowDtype(pa.string()))
    out = frame.copy()
    out["id" if label is None else label] = made if label is None else frame[label].fillna(made)
    return out
