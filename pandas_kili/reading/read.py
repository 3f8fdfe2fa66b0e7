"""Assets of a project, as frames: `read_kili` and `count_assets`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import numbers
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Literal, Unpack, overload

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.connection import Client, client_or_default, count_matching, resolved
from pandas_kili.errors import KiliFieldError, KiliFilterError
from pandas_kili.frames import KiliFrame
from pandas_kili.messages import shown
from pandas_kili.progress import progress_bar
from pandas_kili.query import AssetFilters, Fields, Query, Selection, asset_query, select, with_filters
from pandas_kili.reading.accounts import Consistency
from pandas_kili.reading.crawl import Crawl, merged
from pandas_kili.reading.frame import concatenate, to_pandas
from pandas_kili.reading.long_answers import BEHIND, INLINE
from pandas_kili.reading.validation import asset_schema, validate_frame

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
        Where a label's answer lies behind a URL and could not be fetched, or a medium that is to be downloaded.
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

    It holds where the work on a chunk moves its rows out of the filter, and on servers that give fewer rows than they
    are asked for. The server must keep `createdAt` as it is, and filter by it; where it does not filter by it, its list
    must always be in the same order. What cannot be settled triggers a warning.

    Where nothing moves, this costs one call for the count, beside the first page, and two rows in a hundred read twice:
    pages hold 100 assets, which is the most that the server gives, and each begins with the last two rows of the one
    before. Of each row, 16 bytes are kept to the end of the read.

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
    finish = _Finish(validate, fields)
    if download_media:
        finish = _Download(validate, fields, client, project_id, local_media_dir, disable_tqdm)
        selection = select(finish.fields)
    read = _Read(client, query, finish.fields, selection, skip=skip, first=first, disable_tqdm=disable_tqdm)
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
    read = _Read(client, query, ("id",), select(["id"]), skip=0, first=None, disable_tqdm=True)
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

    Of each row, 16 bytes are kept to the end of the read: they tell which rows are still missing.

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
    read = _Read(client, query, fields, selection, skip=skip, first=first, disable_tqdm=disable_tqdm)
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


class _Finish:
    """What is done to every frame before it is handed over: it is held to its schema."""

    def __init__(self, mode: bool | Literal["warn"], fields: Fields) -> None:
        self.mode, self.fields = mode, fields
        self.schema = asset_schema(fields) if mode else None

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.schema is not None:
            validate_frame(frame, self.schema, self.mode)
        return frame


class _Download(_Finish):
    """The same, after the media are on disk."""

    def __init__(
        self,
        mode: bool | Literal["warn"],
        fields: Fields,
        client: Client,
        project_id: str,
        folder: str | os.PathLike[str] | None,
        disable_tqdm: bool | None,
    ) -> None:
        from pandas_kili.media import download_media  # noqa: PLC0415 - what handles files costs a tenth of the import

        super().__init__(mode, fields)
        if "content" not in fields:
            raise KiliFieldError("download_media=True needs 'content' among the fields.", field="content")
        self.download = functools.partial(
            download_media, project_id=project_id, local_media_dir=folder, client=client, disable_tqdm=disable_tqdm
        )
        self.unwanted = [name for name in ("id", "externalId") if name not in fields]  # files are named by them
        types = fields if isinstance(fields, Mapping) else dict.fromkeys(fields)
        self.fields = {**types, **dict.fromkeys(self.unwanted)}

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        return super().__call__(self.download(frame).drop(columns=self.unwanted))


class _Read:
    """One read: what is asked, and its faces: tables, a frame, frames."""

    def __init__(
        self,
        client: Client,
        query: Query,
        fields: Fields,
        selection: Selection,
        *,
        skip: int,
        first: int | None,
        disable_tqdm: bool | None,
    ) -> None:
        self.client, self.query = client, query
        self.skip, self.first, self.disable_tqdm = skip, first, disable_tqdm
        self.fields = fields
        self.schema = selection.schema
        self.found = Consistency()

    def frame(self, finish: _Finish) -> pd.DataFrame:
        """Return all rows."""
        frame = to_pandas(concatenate(self.tables(keeps_rows=True), self.schema), self.attrs)
        frame.attrs["kili"]["consistency"] = dataclasses.asdict(self.found)
        return finish(frame)

    def frames(self, rows: int, finish: _Finish) -> Iterator[pd.DataFrame]:
        """Yield frames of so many rows, whose indexes go on from one another."""
        start = 0
        with contextlib.closing(self.tables()) as tables:
            for table in _rechunk(tables, rows, self.schema):
                frame = to_pandas(table, self.attrs)  # equal in all chunks, or pandas drops them when they are joined
                frame.index = pd.RangeIndex(start, start + len(frame))
                start += len(frame)
                yield finish(frame)

    def batches(self, rows: int) -> Generator[pa.RecordBatch]:
        """Yield record batches of so many rows, the last of which may be shorter."""
        with contextlib.closing(self.tables()) as tables:
            for table in _rechunk(tables, rows, self.schema):
                # One without rows where there are none: not all readers take a stream of no batches.
                batches = table.combine_chunks().to_batches(max_chunksize=rows)
                yield from batches or [pa.RecordBatch.from_pylist([], self.schema)]

    def tables(self, *, keeps_rows: bool = False) -> Generator[pa.Table]:
        """Yield the rows in tables of the wanted columns; who keeps them all has memory for larger steps."""
        if self.query.matches_nothing:
            return
        query = resolved(self.client, self.query)
        selection = self._selection()
        crawls = [
            Crawl(self.client, query.project_id, where, selection, self.found, keeps_rows=keeps_rows)
            for where in query.wheres()
        ]
        with progress_bar("assets", total=None, unit="asset", disable=self.disable_tqdm) as bar:
            rows = merged(crawls, self.skip, self.first) if crawls[1:] else crawls[0].rows(self.skip, self.first, bar)
            with contextlib.closing(rows):
                for table in rows:
                    bar.update(len(table))
                    yield table.select(self.schema.names)

    @property
    def attrs(self) -> dict[str, Any]:
        """Where the rows come from."""
        return {"project_id": self.query.project_id, "api_endpoint": self.client.api_endpoint}

    def _selection(self) -> Selection:
        """Return what is asked: the fields, what exact reads need, and where long answers lie."""
        also = ["id", "createdAt"]
        for path in self.fields:
            parent, _, leaf = path.rpartition(".")
            if leaf == INLINE and "jsonResponseUrl" in self.client.names("Label"):
                also += [f"{parent}.{BEHIND}", f"{parent}.id"]
        return select(self.fields, also=also)


def _rechunk(tables: Iterable[pa.Table], rows: int, schema: pa.Schema) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    held, given = 0, False
    for table in tables:
        waiting.append(table)
        held += len(table)
        while held >= rows:
            whole = pa.concat_tables(waiting)
            yield concatenate([whole.slice(0, rows)], schema)
            waiting, held, given = [whole.slice(rows)], held - rows, True
    if held or not given:
        yield concatenate(waiting, schema)
