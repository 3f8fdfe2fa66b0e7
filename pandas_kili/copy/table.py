"""The Delta table that holds a copy: rows and the state of the copy in one commit."""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pandas_kili.copy.fingerprint import narrowed
from pandas_kili.copy.state import FORMAT, CopyState, LogPlace
from pandas_kili.errors import KiliCopyError, KiliFieldError, KiliValidationError
from pandas_kili.messages import did_you_mean, kind_of, listed, nearest
from pandas_kili.parallel import Workers, result_of
from pandas_kili.reading import to_pandas

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

_ROWS_AT_ONCE = 2_000
_BYTES_A_GROUP = 16 * 2**20  # of rows in memory; whoever reads the copy holds at least a group at a time
_SETTINGS = {"delta.logRetentionDuration": "interval 36500 days"}  # the log holds the state; 30 days by default
_LONGEST_ERROR = 500
_STACK = re.compile(r"\d+: |at |Backtrace")  # lines of a stack of Rust
_ODD = r"[\[\]^|#?\x00-\x1f]" + ("" if os.sep == "\\" else r"|\\")  # deltalake loses its way in such paths, or panics
_ODD_IN_A_FOLDER = _ODD + "|%[0-9A-Fa-f]{2}"
_NO_ROOM = re.compile(r"No space left|os error (28|112|122)\b")  # of Linux, macOS and Windows; and a quota
_UPKEEP = {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UPDATE TABLE METADATA"}  # change no row
_INSTALL = "pip install -U 'pandas-kili[copy]'"
_OLDEST = (1, 5)  # before, from 1.3 on, an overwrite keeps the old rows
_KEY = "pandas_kili"  # of the state among the metadata of a commit
_MARK = "pandas_kili_commit"  # of one commit among its metadata
_UNTOUCHED = "What the copy held before is untouched."
_READABLE = f"{_UNTOUCHED} If it cannot be read any more, make it anew with full=True, or delete it and sync again."
_EITHER = "Whether the last commit was made is not known: the copy is as before it or as after it. Run the sync again."
_CLEANED = "A clean-up of the table may have removed what an earlier version was made of; later ones can be read."
_AGAIN = "Another sync wrote to the copy meanwhile; run this one again."


class CopyTable:
    """A Delta table with a copy, or the place where one will be.

    Parameters
    ----------
    where : str or path
        A folder, or the address of one in an object store.
    storage_options : mapping, optional
        What the object store asks for, as deltalake takes it.
    """

    def __init__(self, where: str | os.PathLike[str], storage_options: Mapping[str, str] | None) -> None:
        try:
            import deltalake  # noqa: PLC0415 - an optional dependency, needed for copies only
        except ImportError as error:
            raise ImportError(f"A local copy needs deltalake: {_INSTALL}") from error
        if tuple(map(int, deltalake.__version__.split(".")[:2])) < _OLDEST:
            raise ImportError(f"A local copy needs a later deltalake than {deltalake.__version__}: {_INSTALL}")
        if not str(where).strip():
            raise KiliCopyError("The name of the copy is empty. Name a folder, or an address in an object store.")
        self._deltalake = deltalake
        self.where = str(where) if "://" in str(where) else str(Path(where).expanduser())
        self._options = _checked_options(storage_options)
        self._table: DeltaTable | None = None
        self._is_earlier = False
        self._check_address()
        self._open()
        if self._table is None and "://" not in self.where and _holds_anything(Path(self.where)):
            raise KiliCopyError(
                f"{self.where} holds other files, and no Delta table. Name an empty folder.", copy=self.where
            )
        self.state: CopyState | None = None if self._table is None else self._state_of(self._commits())

    def _check_address(self) -> None:
        scheme, _, rest = self.where.rpartition("://")
        path = rest.partition("/")[2] if scheme else str(Path(rest).absolute())
        if odd := re.search(_ODD if scheme else _ODD_IN_A_FOLDER, path):
            message = (
                f"A copy cannot be at {self.where}: deltalake cannot use {odd[0]!r} in {path}. Name another folder."
            )
            raise KiliCopyError(message, copy=self.where)
        if not scheme and Path(path).is_file():
            raise KiliCopyError(f"{self.where} is a file. Name a folder.", copy=self.where)

    def _open(self, advice: str = _READABLE) -> None:
        with self._told(advice):
            try:
                self._table = self._deltalake.DeltaTable(self.where, storage_options=self._options)
            except self._deltalake.exceptions.TableNotFoundError as error:
                if "Unknown scheme" in str(error):
                    raise

    @property
    def exists(self) -> bool:
        """Whether there is a copy, perhaps an unfinished one."""
        return self._table is not None

    @property
    def standing(self) -> str:
        """What the copy is now, as a sentence for the user."""
        if self.state is None:
            return f"Nothing was written to {self.where}."
        if not self.state.is_whole:
            return f"The first copy at {self.where} is not finished: the next sync goes on where this one was."
        return f"The copy at {self.where} is as it was; the next sync goes on from there."

    @property
    def version(self) -> int:
        """The version of the table."""
        return int(self._opened.version())

    @property
    def _opened(self) -> DeltaTable:
        if self._table is None:
            raise KiliCopyError(f"There is no copy at {self.where}. Make one with pandas_kili.sync.", copy=self.where)
        return self._table

    @contextlib.contextmanager
    def _told(self, advice: str = _READABLE) -> Iterator[None]:
        """Turn the errors of deltalake into one that says what to do."""
        errors = self._deltalake.exceptions
        try:
            yield
        except errors.CommitFailedError as error:
            raise KiliCopyError(f"{_AGAIN} ({error})", copy=self.where) from error
        except (errors.DeltaError, pa.ArrowException, OSError, KeyError) as error:  # the last where a column is missing
            # Version 1.5 gives some of what an object store says as a DeltaError.
            is_of_store = isinstance(error, (OSError, errors.TableNotFoundError)) or "object store" in str(error)
            if "://" in self.where and is_of_store:
                state = _EITHER if advice is _EITHER else _UNTOUCHED
                advice = f"Check the address, storage_options and the network. {state}"
            said = self._said(error)
            if _NO_ROOM.search(said):
                advice = f"{_UNTOUCHED} Make room; a vacuum of the table deletes what only earlier versions need."
            raise KiliCopyError(
                f"The copy at {self.where} cannot be used: {said.rstrip('.')}. {advice}", copy=self.where
            ) from error

    def _said(self, error: Exception) -> str:
        """Return the text of an error in one line, without colors and secrets."""
        lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" ↳") for line in str(error).splitlines())
        said = ": ".join(line for line in lines if line and not _STACK.match(line)) or type(error).__name__
        for name, value in self._options.items():
            if value and re.search("key|secret|token|password|sas|credential", name, re.IGNORECASE):
                said = said.replace(value, "…")
        return said if len(said) <= _LONGEST_ERROR else said[:_LONGEST_ERROR] + "…"

    def _commits(self) -> Iterator[dict[str, Any]]:
        """Yield what commits carry, latest first; some twice."""
        with self._told():
            for most in (10, None):
                yield from self._opened.history(most)

    def _state_of(self, commits: Iterable[dict[str, Any]]) -> CopyState:
        """Return the state that the first of some commits carries."""
        text, is_as_left = None, True
        for commit in commits:
            if text := commit.get(_KEY):
                break
            is_as_left &= commit.get("operation") in _UPKEEP
        if text is None:
            message = (
                f"The Delta table at {self.where} was not written by pandas_kili.sync, which leaves it alone. If"
                " it was, a clean-up removed that part of its log: delete the copy and sync again."
            )
            raise KiliCopyError(message, copy=self.where)
        try:
            values = json.loads(text)
            if values["format"] > FORMAT:
                message = f"The copy at {self.where} was written by a later version of pandas_kili; update the package."
                raise KiliCopyError(message, copy=self.where)
            place = values.pop("place")
            # Without a place, the next refresh looks at all assets: rows that others changed are not told by the log.
            return CopyState(**values, place=LogPlace(**place) if place and is_as_left else None)
        except (ValueError, KeyError, TypeError) as error:
            message = f"The state of the copy at {self.where} is damaged; delete the copy and sync again."
            raise KiliCopyError(message, copy=self.where) from error

    def go_back(self, version: int) -> CopyState:
        """Open the table as it was at a version at which the copy was whole, and return its state."""
        with self._told():
            history = self._opened.history()  # before going back, as deltalake counts from the version that is open
        whole, is_whole = set[int](), False
        for commit in reversed(history):
            is_whole = bool(json.loads(commit[_KEY])["is_whole"]) if commit.get(_KEY) else is_whole
            whole |= {commit["version"]} if is_whole else set()
        if version not in whole:
            message = f"The copy at {self.where} has no version {version!r}; it has {min(whole)} to {max(whole)}."
            raise KiliCopyError(message, copy=self.where)
        with self._told(_CLEANED):
            self._opened.load_as_version(int(version))
        self._is_earlier = version < max(whole)
        self.state = state = self._state_of(commit for commit in history if commit["version"] <= version)
        return state

    @contextlib.contextmanager
    def _committing(self, state: CopyState, written: AddAction | None = None) -> Iterator[CommitProperties]:
        """Give what a commit carries; where another one came first, delete the file that was written for it.

        A commit that was made counts as made, though its response was lost.
        """
        mark = uuid.uuid4().hex
        metadata = {_KEY: json.dumps(asdict(state)), _MARK: mark}
        try:
            with self._told():
                # Without a second try, deltalake refuses the commit where another one came first.
                yield self._deltalake.CommitProperties(custom_metadata=metadata, max_commit_retries=0)
        except KiliCopyError as error:
            self._open(_EITHER)
            with self._told(_EITHER):
                latest = [] if self._table is None else [commit.get(_MARK) for commit in self._table.history(10)]
            if latest[:1] != [mark]:
                came_second = isinstance(error.__cause__, self._deltalake.exceptions.CommitFailedError)
                if written is not None and came_second and mark not in latest:
                    with contextlib.suppress(Exception):
                        self._opened.to_pyarrow_dataset().filesystem.delete_file(written.path)
                raise
        self.state = state

    def count(self) -> int:
        """Return how many rows there are, without reading them."""
        with self._told():
            return pc.sum(pa.table(self._opened.get_add_actions())["num_records"]).as_py() or 0

    def append(self, rows: pa.Table, state: CopyState) -> None:
        """Add rows, or with none of them only the state."""
        with self._committing(state) as commit:
            if self._table is not None:
                self._deltalake.write_deltalake(self._table, rows, mode="append", commit_properties=commit)
            else:
                options: dict[str, Any] = {"configuration": _SETTINGS, "storage_options": self._options}
                self._deltalake.write_deltalake(self.where, rows, commit_properties=commit, **options)
                self._open()

    def merge(
        self, names: set[str], schema: pa.Schema, rows: Iterator[pa.RecordBatch], state: CopyState
    ) -> dict[str, int]:
        """Put rows in the place of those that have one of the names as `id`, and return how many came, changed, went.

        The rows that stay are copied while the others are read from the server.
        """
        looking = Workers(1).submit(self._known, names)  # while the server is asked for the first rows
        first = next(rows, None)
        known, count = result_of(looking)
        came = set[str]()

        def coming() -> Iterator[pa.RecordBatch]:
            for batch in chain([] if first is None else [first], rows):
                came.update(batch["id"].to_pylist())
                yield batch

        def staying() -> Iterator[pa.RecordBatch]:
            for batch in self._batches(schema.names):
                yield batch.filter(pa.array([name not in names for name in batch["id"].to_pylist()]))

        if known:
            self.replace_all(schema, _between(coming(), staying(), count / len(names)), state)
        else:
            self.append(pa.Table.from_batches(coming(), schema), state)
        return {"inserted": len(came - known), "updated": len(came & known), "deleted": len(known - came)}

    def _known(self, names: set[str]) -> tuple[set[str], int]:
        """Return which of some names are there as `id`, and how many rows there are."""
        known, count = set[str](), 0
        for batch in self._batches(["id"]):
            known |= names.intersection(batch["id"].to_pylist())
            count += len(batch)
        return known, count

    def replace_all(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], state: CopyState) -> None:
        """Put other rows in the place of all; until they are all there, the old ones stay."""
        file = self._write(schema, batches)
        with self._committing(state, file) as commit:
            self._opened.create_write_transaction([file], "overwrite", schema, commit_properties=commit)
            self._opened.update_incremental()

    def _write(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> AddAction:
        """Write a file of rows, which no version of the table holds yet.

        deltalake's own merge and writer need more memory the larger the table is; this needs as much for any table.
        """
        name, count = f"{uuid.uuid4()}.parquet", 0
        with self._told():
            files = self._opened.to_pyarrow_dataset().filesystem
            writer = pq.ParquetWriter(name, schema, filesystem=files)
        try:
            for group in _grouped(schema, batches):
                with self._told():
                    writer.write_table(group)
                count += len(group)
            with self._told():
                writer.close()
        except BaseException:
            with contextlib.suppress(Exception):
                writer.close()
            with contextlib.suppress(Exception):
                files.delete_file(name)
            raise
        with self._told():
            written = files.get_file_info(name)
        stats = json.dumps({"numRecords": count})
        instant = written.mtime_ns // 1_000_000
        return self._deltalake.transaction.AddAction(name, written.size, {}, instant, data_change=True, stats=stats)

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield columns of all rows, a few rows at a time, with no more than a row group read ahead."""
        with self._told():
            rows = self._opened.to_pyarrow_dataset()
            schema = pa.schema([rows.schema.field(name) for name in columns])
            for fragment in rows.get_fragments():
                with pq.ParquetFile(rows.filesystem.open_input_file(fragment.path), pre_buffer=True) as file:
                    for group in range(file.num_row_groups):
                        for batch in file.iter_batches(_ROWS_AT_ONCE, [group], columns, use_threads=False):
                            yield from narrowed(pa.Table.from_batches([batch]), schema).to_batches()

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Return columns of the table as it is, or was at the version that is open."""
        with self._told(_CLEANED if self._is_earlier else _READABLE):
            return self._opened.to_pyarrow_dataset().to_table(columns)


def _between(
    batches: Iterable[pa.RecordBatch], others: Iterator[pa.RecordBatch], ratio: float
) -> Iterator[pa.RecordBatch]:
    """Yield batches, and for each of their rows so many rows of others, then what is left of those."""
    owed = 0.0
    for batch in batches:
        yield batch
        owed += ratio * len(batch)
        while owed > 0 and (other := next(others, None)) is not None:
            owed -= len(other)
            yield other
    yield from others


def _checked_options(options: Any) -> dict[str, str]:
    """Return `storage_options` as deltalake takes it; an error shows no value, as some are secrets."""
    if not (options is None or isinstance(options, Mapping)):
        raise KiliValidationError(f"storage_options must be a mapping of text to text; got {kind_of(options)}.")
    wrong = [f"{name!r} is {kind_of(value)}" for name, value in (options or {}).items() if not isinstance(value, str)]
    if wrong:
        message = f"storage_options must be a mapping of text to text, such as 'true' for True; {listed(wrong)}."
        raise KiliValidationError(message)
    return dict(options or {})


def _grouped(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches to groups of rows of a Parquet file."""
    held, size = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= _BYTES_A_GROUP:
            yield pa.Table.from_batches(held, schema)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held, schema)


def _holds_anything(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def read_copy(
    copy: str | os.PathLike[str],
    columns: Iterable[str] | None = None,
    version: int | None = None,
    *,
    storage_options: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a copy that `sync` made: the frame of `read_kili`.

    Parameters
    ----------
    copy : str or path
        Where it is: a folder, or the address of one in an object store.
    columns : iterable of str, optional
        The columns to read; all of them by default.
    version : int, optional
        An earlier version of the copy, see `SyncReport.version`; the latest by default.
    storage_options : mapping, optional
        What the object store asks for, as deltalake takes it.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of ``read_kili(project_id, fields=...)``. Rows are in the order of ``createdAt`` where the
        copy holds it. ``attrs["kili"]`` holds ``project_id``, ``api_endpoint`` and ``version``.

    Raises
    ------
    KiliCopyError
        Where there is no copy or no such version, and for a copy that is unfinished or cannot be read.
    KiliFieldError
        For a column that the copy does not have.

    Examples
    --------
    >>> import tempfile
    >>> import pandas_kili as pk
    >>> copy = tempfile.mkdtemp() + "/digits"
    >>> version = pk.sync(project_id, copy, fields=["externalId", "status"]).version
    >>> pk.read_copy(copy, columns=["status"], version=version).shape
    (250, 1)
    """
    table = CopyTable(copy, storage_options)
    state = table.state
    if state is None:
        raise KiliCopyError(f"There is no copy at {table.where}. Make one with pandas_kili.sync.", copy=table.where)
    if not state.is_whole:
        message = (
            f"The first copy at {table.where} is not finished. Run pandas_kili.sync again: it goes on where it was."
        )
        raise KiliCopyError(message, copy=table.where)
    if version is not None:
        state = table.go_back(version)
    schema = state.arrow_schema
    if isinstance(columns, str):
        raise KiliFieldError(f"columns is a list of names, such as ['id']; got the string {columns!r}.", field=columns)
    names = schema.names if columns is None else list(columns)
    if not names:
        raise KiliFieldError("columns is empty; name at least one, such as ['id'].")
    for name in names:
        if name not in schema.names:
            hint = did_you_mean(nearest(str(name), schema.names, most=1))
            raise KiliFieldError(f"The copy has no column {name!r}.{hint}", field=str(name))
    order = [name for name in ("createdAt", "id") if name in schema.names or name == "id"]
    rows = table.read(list(dict.fromkeys([*names, *order])))
    rows = rows.sort_by([(name, "ascending") for name in order])
    frame = narrowed(rows, pa.schema([schema.field(name) for name in names]))
    attrs = {"project_id": state.project_id, "api_endpoint": state.api_endpoint, "version": table.version}
    return to_pandas(frame, attrs)
