"""The state of a sandbox, in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from importlib import resources
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.category_search import label_matches
from pandas_kili.sandbox.replica import Replicas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Row", "Store", "one_of"]

Row = dict[str, Any]


def one_of(values: Iterable[Any]) -> str:
    """Return the parameter of ``IN (SELECT value FROM json_each(?))``, which takes lists of any length."""
    return json.dumps(list(values))


class Store:
    """Rows of a SQLite file, shared by the threads of a server.

    Parameters
    ----------
    path : Path
        The file, made where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._view = threading.local()
        self._connection = self._connect()
        tables = resources.files("pandas_kili.sandbox").joinpath("tables.sql").read_text()
        self._connection.executescript(tables)
        self._add_columns_since(tables)
        self.replicas = Replicas(self._connect)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        connection.create_function("label_matches", 2, label_matches, deterministic=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # what is committed outlives the process, if not the machine
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _add_columns_since(self, tables: str) -> None:
        """Give a file of an earlier version the columns that came later."""
        with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(tables)
            of_ours = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'sqlite_sequence'"
            for (table,) in fresh.execute(of_ours).fetchall():
                known = {row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")}
                for _, name, kind, is_required, default, _ in fresh.execute(f"PRAGMA table_info({table})").fetchall():
                    if name not in known:
                        rule = f"NOT NULL DEFAULT {default}" if is_required else ""
                        self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind} {rule}")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query as dicts."""
        with self._lock:
            cursor = self._readable().execute(sql, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def _readable(self) -> sqlite3.Connection:
        past: sqlite3.Connection | None = getattr(self._view, "connection", None)
        # What is about to write looks at the primary, however far the replicas lag behind.
        return self._connection if past is None or self._connection.in_transaction else past

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the only value of a query, None where it has no row."""
        rows = self.rows(sql, parameters)
        return next(iter(rows[0].values())) if rows else None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Store]:
        """Do all of it or nothing; a transaction within another is part of it."""
        with self._lock:
            if self._connection.in_transaction:
                yield self
                return
            self.replicas.before_write()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement that writes, and return how many rows it touched."""
        with self.transaction():
            return self._connection.execute(sql, parameters).rowcount

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert `rows`, which all have the keys of the first."""
        if not rows:
            return
        names = list(rows[0])
        places = ", ".join("?" * len(names))
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
        with self.transaction():
            self._connection.executemany(sql, [[row[name] for name in names] for row in rows])

    def setting(self, name: str, default: str) -> str:
        """Return the setting `name`; where there is none, store `default` first."""
        self.change("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
        return str(self.value("SELECT value FROM settings WHERE name = ?", (name,)))

    @contextlib.contextmanager
    def lagging(self, seconds: float) -> Iterator[None]:
        """Let this thread read the state of `seconds` ago."""
        with self._lock:
            self._view.connection = self.replicas.as_of(seconds) if seconds else None
            try:
                yield
            finally:
                self._view.connection = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.replicas.close()
            self._connection.close()
