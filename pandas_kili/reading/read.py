"""Assets of a project, as frames: `read_kili` and `count_assets`."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterator
from typing import Any, Literal, Unpack, overload

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.connection import Client, client_or_default, count_matching, resolved
from pandas_kili.errors import KiliFilterError
from pandas_kili.frames import KiliFrame
from pandas_kili.messages import shown
from pandas_kili.query import AssetFilters, Fields, Selection, asset_query, select, with_filters
from pandas_kili.reading.finish import Download, Finish
from pandas_kili.reading.reader import Read

_MOST_SKIPPED = 2_000_000_000  # the server's whole numbers have 32 bits
_DISJOINT = {"idIn", "externalIdStrictlyIn"}  # an asset has one of each, so parts of such a list share no asset


@overload
def read_kili(
    project_id: str,
    *,
    fields: Fields = ...,
    first: int | None = ...,
    skip: int = ...,
    chunksize: None = ...,
    download_media: bool = ...,
    local_media_dir: str | os.PathLike[str] | None = ...,
    validate: bool | Literal["warn"] = ...,
    disable_tqdm: bool | None = ...,
    client: Client | None = ...,
    **filters: Unpack[AssetFilters],
) -> KiliFrame: ...
@overload
def read_kili(
    project_id: str,
    *,
    fields: Fields = ...,
    first: int | None = ...,
    skip: int = ...,
    chunksize: int,
    download_media: bool = ...,
    local_media_dir: str | os.PathLike[str] | None = ...,
    validate: bool | Literal["warn"] = ...,
    disable_tqdm: bool | None = ...,
    client: Client | None = ...,
    **filters: Unpack[AssetFilters],
) -> Iterator[KiliFrame]: ...
@with_filters
def read_kili(  # noqa: PLR0913 - what a reader of assets is asked for
    project_id: str,
    *,
    fields: Fields = DEFAULT_FIELDS,
    first: int | None = None,
    skip: int = 0,
    chunksize: int | None = None,
    download_media: bool = False,
    local_media_dir: str | os.PathLike[str] | None = None,
    validate: bool | Literal["warn"] = True,
    disable_tqdm: bool | None = None,
    client: Client | None = None,
    **filters: Unpack[AssetFilters],
) -> pd.DataFrame | Iterator[pd.DataFrame]:
    """Read the assets of a project into a frame of Arrow-backed columns.

    Parameters
    ----------
    project_id : str
        Identifier of the project, as in its URL.
    fields : iterable of str, or mapping of str to pyarrow.DataType
        Kili field paths, dots for nested ones; columns come in this order. A to-one nest gives a column per leaf
        (``currentStep.name``), a to-many nest one column of ``list<struct>`` named by its root (``labels``). A mapping
        gives the Arrow type of fields that this package does not know yet (None for those that it does).
    first : int, optional
        Read at most so many assets, at least 1.
    skip : int
        Leave out so many assets at the start; they are in the order of their creation.
    chunksize : int, optional
        Give an iterator of frames of so many rows (the last may be shorter), all of one schema, the memory bounded by
        the chunk. A project without matching assets gives one empty frame.
    download_media : bool
        Store the medium of each asset in a folder, and put its path into ``content``, which must be among the fields;
        for video frames and rich text into ``jsonContent``, which is added where assets have one. What was fetched
        whole by an earlier call is not fetched again.
    local_media_dir : str or path, optional
        The folder; by default ``~/.cache/kili/projects/<project_id>/assets``.
    validate : bool or "warn"
        Whether to hold the frame to `asset_schema`: raise all failures at once, or warn of them, or not look.
    disable_tqdm : bool, optional
        Switch the progress bar off or on; by default it is shown in notebooks and terminals.
    client : Client, optional
        Connection to use; by default one that the environment describes.
    **filters
        Which assets, see `AssetFilters`; all of them must hold. Lists may be any list-like of strings, dates may be
        ``YYYY-MM-DD``, ISO date-times (without a zone: UTC), `date`, `datetime` or `Timestamp`. An empty ``_in`` list
        matches nothing. Lists of more than 1,000 entries are read in several queries, as the server takes no more.

    Returns
    -------
    pandas.DataFrame or iterator of pandas.DataFrame
        All columns are `pandas.ArrowDtype`: text ``string``, dates ``timestamp[ms, tz=UTC]``, marks ``double``, counts
        ``int64``, flags ``bool``; fields that carry JSON stay JSON text, as served. The index is a `RangeIndex`.
        ``attrs["kili"]`` holds ``project_id`` and ``api_endpoint``; that of a whole frame also, under ``consistency``,
        the counts of rows ``expected``, ``read``, ``duplicates`` left out, ``recovered`` and ``in_doubt``.

    Raises
    ------
    KiliFieldError, KiliFilterError
        For an unknown field or filter, or a value that it cannot take; before any request.
    KiliNotFoundError
        Where there is no such project, or the key may not see it.
    KiliValidationError
        Where the data does not fit the schema.
    KiliDownloadError
        Where a label's answer is behind a URL and could not be fetched, or a medium could not be downloaded.
    KiliAuthenticationError, KiliConnectionError, KiliGraphQLError
        Where the server cannot be asked.

    Warns
    -----
    KiliConsistencyWarning
        Where the project moved under the read in a way that could not be settled.

    Notes
    -----
    A read is exact: an asset that was there and matched from beginning to end is in the frame once, whatever others
    write meanwhile; one that came, went or changed in between is there at most once, in a state that it had. This holds
    for chunks as well. Their ``attrs`` do not hold the counts of ``consistency``, which are complete after the last one
    only: pandas drops ``attrs`` that differ when chunks are joined. A warning comes at the end.

    It also holds where the work on a chunk moves its rows out of the filter, and on servers that give fewer rows than
    asked for. The server must keep `createdAt` as it is, and filter by it; where it does not filter by it, its list
    must always be in the same order. What cannot be settled triggers a warning.

    Where nothing moves, this costs one call for the count, beside the first page, and two rows in a hundred read twice:
    pages hold 100 assets, which is the most that the server gives, and each begins with the last two rows of the one
    before. Where fewer than 100 rows match, a multiple of 5, one more call tells that the server has not cut the page.
    The read keeps 16 bytes of each row to its end.

    Examples
    --------
    >>> import pandas as pd, pandas_kili
    >>> df = pd.read_kili(project_id, fields=["externalId", "status"], status_in=["LABELED"], first=2)
    >>> df.dtypes["status"]
    string[pyarrow]
    >>> sum(len(chunk) for chunk in pd.read_kili(project_id, fields=["id"], chunksize=100))
    250
    """
    first, skip, chunksize = _checked(first, skip, chunksize, validate)
    fields = tuple(fields) if isinstance(fields, Iterator) else fields
    selection, query = select(fields), asset_query(project_id, filters)
    client = client_or_default(client)
    finish = Finish(validate, fields)
    if download_media:
        finish = Download(validate, fields, client, project_id, local_media_dir, disable_tqdm)
        selection = select(finish.fields)
    read = Read(client, query, finish.fields, selection, skip=skip, first=first, disable_tqdm=disable_tqdm)
    return read.frame(finish) if chunksize is None else read.frames(chunksize, finish)


def check_read(
    project_id: str,
    fields: Fields,
    first: int | None,
    skip: int,
    validate: bool | Literal["warn"],
    filters: AssetFilters,
) -> Selection:
    """Check what `read_kili` is given, as it does, and return what the fields select; nothing is sent."""
    _checked(first, skip, None, validate)
    selection = select(fields)
    asset_query(project_id, filters)
    return selection


@with_filters
def count_assets(project_id: str, *, client: Client | None = None, **filters: Unpack[AssetFilters]) -> int:
    """Count the assets of a project that match all filters.

    Parameters
    ----------
    project_id : str
        Identifier of the project.
    client : Client, optional
        Connection to use; by default one that the environment describes.
    **filters
        As for `read_kili`.

    Returns
    -------
    int

    Raises
    ------
    KiliFilterError
        For an unknown filter or a value that it cannot take; before any request.
    KiliNotFoundError
        Where there is no such project, or the key may not see it.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> pk.count_assets(project_id)
    250
    """
    query = asset_query(project_id, filters)
    client = client_or_default(client)
    if query.matches_nothing:
        return 0
    query = resolved(client, query)
    if query.long_lists <= _DISJOINT:
        return sum(count_matching(client, project_id, where) for where in query.wheres())
    read = Read(client, query, ("id",), select(["id"]), skip=0, first=None, disable_tqdm=True)
    return sum(len(table) for table in read.tables())


@with_filters
def scan_batches(
    project_id: str,
    *,
    fields: Fields = DEFAULT_FIELDS,
    first: int | None = None,
    skip: int = 0,
    batch_size: int = 10_000,
    disable_tqdm: bool | None = None,
    client: Client | None = None,
    **filters: Unpack[AssetFilters],
) -> pa.RecordBatchReader:
    """Stream the assets of a project as Arrow record batches, in constant memory.

    The read keeps 16 bytes of each row to its end: they tell which rows are still missing.

    What reads the Arrow C stream interface takes it as it is: DuckDB, Polars, `pyarrow.dataset.write_dataset`, Lance.

    Parameters
    ----------
    project_id, fields, first, skip, disable_tqdm, client, **filters
        As for `read_kili`.
    batch_size : int
        Rows in a batch; the last one may be shorter.

    Returns
    -------
    pyarrow.RecordBatchReader
        Of the Arrow schema that `read_kili` gives its columns. It can be read once; nothing is asked of the server
        before the first batch is.

    Raises
    ------
    KiliFieldError, KiliFilterError
        For an unknown field or filter, or a value that it cannot take; before any request. Errors of reading come with
        the batches, as ``pyarrow.ArrowException`` where another library reads them.

    Warns
    -----
    KiliConsistencyWarning
        At the end, where the project moved under the read in a way that could not be settled.

    Notes
    -----
    The stream is as exact as `read_kili`, at the same cost. It does not carry the counts of ``consistency``: the only
    place for them is the schema, which is fixed before the first row is read.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> reader = pk.scan_batches(project_id, fields=["id", "status"], batch_size=100)
    >>> [len(batch) for batch in reader]
    [100, 100, 50]
    """
    first, skip, rows = _checked(first, skip, batch_size, validate=False, rows_name="batch_size")
    fields = tuple(fields) if isinstance(fields, Iterator) else fields
    selection, query = select(fields), asset_query(project_id, filters)
    client = client_or_default(client)
    read = Read(client, query, fields, selection, skip=skip, first=first, disable_tqdm=disable_tqdm)
    return pa.RecordBatchReader.from_batches(read.schema, read.batches(rows or 1))


def _checked(
    first: Any, skip: Any, rows: Any, validate: Any, rows_name: str = "chunksize"
) -> tuple[int | None, int, int | None]:
    """Return the first three as numbers of Python, or raise what is wrong with all of them."""
    limits = {"first": (first, 1), "skip": (skip, 0), rows_name: (rows, 1)}
    problems = {
        name: f"must be a whole number of at least {least}; got {shown(value)}"
        for name, (value, least) in limits.items()
        if not (value is None and name != "skip")
        and (isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least)
    }
    if not (isinstance(validate, bool) or (isinstance(validate, str) and validate == "warn")):
        problems["validate"] = f"must be True, False or 'warn'; got {shown(validate)}"
    if "skip" not in problems and skip > _MOST_SKIPPED:
        problems["skip"] = f"must be at most {_MOST_SKIPPED:,}; got {shown(skip)}"
    if problems:
        raise KiliFilterError("; ".join(f"{name} {text}" for name, text in problems.items()) + ".", problems=problems)
    return first and int(first), int(skip), rows and int(rows)
