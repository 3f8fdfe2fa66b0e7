"""`read_kili` as a dask frame: each partition is read by itself."""

from __future__ import annotations

import numbers
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import dask.dataframe as dd
import pandas as pd

from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.connection import Client, client_or_default
from pandas_kili.dask.cluster import Connection
from pandas_kili.errors import KiliFilterError
from pandas_kili.query import AssetFilters, Fields, select, with_filters
from pandas_kili.reading import Part, check_read, parts


@with_filters
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
    """Read the assets of a project into a dask frame; any number of machines read its partitions.

    Parameters
    ----------
    project_id, fields, first, skip, validate, **filters
        As for `pandas_kili.read_kili`. `first` and `skip` are settled when this is called.
    rows_per_partition : int
        How many rows a partition is to hold; the last one also gets the assets that are new when it is read.
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
    The read is exact, as that of `pandas_kili.read_kili` is. The partitions are stretches of the time of creation,
    which never changes: no asset moves from one to another between the plan and the read, or when a partition is read
    again after its worker was lost. Assets created in one instant stay together, so partitions differ in length.
    Where rows of a partition stay in doubt, a `KiliConsistencyWarning` is given where it is read: on a cluster, in the
    log of the worker. The counts of ``consistency`` are those of a partition, and get lost when partitions are joined.

    The plan costs a call per partition; reading one costs a call for its count, and two rows in a hundred twice.
    Some reads cannot be planned so: a part of the list by `first` or `skip`, lists of more than 1,000 entries, more
    assets of one instant than a partition is to hold, servers that do not filter by the time of creation. Then all ids
    are read first, at one call per 100 of them, and each partition reads its own: rows that no longer match are left
    out, and none is added.

    With dask's own schedulers the processes of ``scheduler="processes"`` know nothing of each other's calls: use
    threads, the default, or a `distributed` cluster; its scheduler needs this package too.

    ``len(ddf[["id"]])`` asks for ids only, where ``len(ddf)`` reads all columns.

    Parquet gives all of it back where its files sort as the partitions do, and where lists are read as Arrow's types,
    which plain ``read_parquet`` cannot do: ``ddf.to_parquet(folder, name_function="{:06}.parquet".format,
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
    given: Any = {name: list(value) if isinstance(value, Iterator) else value for name, value in filters.items()}
    fields = fields if isinstance(fields, (Mapping, str)) else tuple(fields)
    selection = check_read(project_id, fields, first, skip, validate, given)
    connection = Connection(client_or_default(client))
    whole = Part(given, int(skip), first)
    planned = parts(connection.open(), project_id, whole, int(rows_per_partition))
    source = _Common(connection, project_id, fields, validate, uuid.uuid4().hex)
    meta = selection.schema.empty_table().to_pandas(types_mapper=pd.ArrowDtype)
    ddf: dd.DataFrame = dd.from_map(_read_part, planned, source=source, meta=meta, label="read-kili")
    return ddf


def _check_rows(rows: Any) -> None:
    if isinstance(rows, bool) or not isinstance(rows, numbers.Integral) or rows < 1:
        problem = f"must be a whole number of at least 1; got {rows!r}"
        raise KiliFilterError(f"rows_per_partition {problem}.", problems={"rows_per_partition": problem})


@dataclass(frozen=True)
class _Common:
    """What all partitions have in common; `read` tells one read from an earlier one of the same, which may be stale."""

    connection: Connection
    project_id: str
    fields: Fields
    validate: bool | Literal["warn"]
    read: str

    def __dask_tokenize__(self) -> str:
        return self.read


def _read_part(part: Part, *, source: _Common, columns: list[str] | None = None) -> pd.DataFrame:
    """Read one partition; dask gives the columns that are wanted of it, where these are not all."""
    types = dict(source.fields) if isinstance(source.fields, Mapping) else dict.fromkeys(source.fields)
    if columns is not None:
        types = {path: type_ for path, type_ in types.items() if select({path: type_}).columns[0].name in columns}
    frame = part.read(source.project_id, types, source.validate, source.connection.open())
    return frame if columns is None else frame[columns]
