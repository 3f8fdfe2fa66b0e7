"""Pages of assets: planned, fetched side by side, handed over in order, each asset once."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import LIST_ASSETS, PAGE_SIZE
from pandas_kili.connection import Client, count_matching, counted
from pandas_kili.errors import (
    KiliConnectionError,
    KiliConsistencyWarning,
    KiliValidationError,
)
from pandas_kili.messages import warn
from pandas_kili.parallel import Workers, chunked, in_order, result_of
from pandas_kili.query import Selection, Where
from pandas_kili.reading.long_answers import Source, complete_answers
from pandas_kili.reading.tally import Consistency
from pandas_kili.reading.walk import ListWalk
from pandas_kili.reading.windows import WHOLE, Page, Stretch, Window, windows
from pandas_kili.reading.wire import columns, read_pages

if TYPE_CHECKING:
    from tqdm import tqdm

_BLOCK_PAGES = range(8, 32)  # pages parsed by one call: more make it faster, and hold more memory
_BLOCK_SHARE = 16  # so where rows are kept they are a small part of what was read, within that range
_BLOCK_BYTES = 32 * 2**20  # or as many as are this heavy, which bounds what waits to be parsed
_BYTES_IN_FLIGHT = 256 * 2**20  # pages fetched ahead of their turn
_LEAST_ROWS = 4  # the least window that has room for the overlap that joins it to the next
_CALM_PAGES = 32  # requests without trouble before larger pages are tried again
_WAITING = 2  # blocks that wait for answers behind URLs side by side
_Parsed: TypeAlias = tuple[list[Window], pa.StructArray, list[int]]  # windows, their assets, how many each showed
ID, _CREATED = "\0id", "\0createdAt"  # columns of our own beside the user's, which no field can be called


class Crawl:
    """The rows of one ``where`` that were created in a stretch, each once, in the order of their creation.

    Attributes
    ----------
    found : Consistency
        The counters of this crawl, and of others that share them; up to date with the rows that were given.
    """

    def __init__(
        self,
        client: Client,
        project_id: str,
        where: Where,
        selection: Selection,
        found: Consistency | None = None,
        *,
        within: Stretch = WHOLE,
        keeps_rows: bool = False,
    ) -> None:
        self.client, self.project_id, self.selection = client, project_id, selection
        self.within, self.where = within, _bounded(where, within)
        self.found = found or Consistency()
        self.keeps_rows = keeps_rows
        self.document = LIST_ASSETS % selection.text
        self.stop = threading.Event()
        self._sizes = _PageSizes()
        self._calls = threading.Semaphore(client.max_workers)
        self._answers = Source(client, project_id, selection, self.stop)

    def rows(self, skip: int, first: int | None, bar: tqdm[Any] | None = None) -> Generator[pa.Table]:
        """Yield the rows from `skip` on, at most `first`, as tables that also hold `ID` and `_CREATED`."""
        left = first
        executor = Workers(1)
        try:
            count = executor.submit(self._count_all)  # it comes while the first page does

            def counted() -> int:
                rows = result_of(count)
                if bar is not None:
                    bar.total = min(max(0, rows - skip), rows if first is None else first)
                    if not getattr(bar, "delay", 0):  # a bar that waits goes on waiting
                        bar.refresh()
                return rows

            with contextlib.closing(ListWalk(self, counted, self.found, skip, first).tables()) as tables:
                for table in tables:
                    wanted = self._inside(table) if left is None else self._inside(table).slice(0, left)
                    left = None if left is None else left - len(wanted)
                    self.found.read += len(wanted)
                    if len(wanted):
                        yield wanted
        finally:
            self.stop.set()  # requests under way need not be waited for
            executor.shutdown(wait=False, cancel_futures=True)
        if self.found.in_doubt:
            warn(
                f"The project changed while it was read, too fast to follow: {self.found.in_doubt} of"
                f" {self.found.expected} rows are in doubt. Read again when it is quiet, or narrow the filters.",
                KiliConsistencyWarning,
            )

    def _inside(self, table: pa.Table) -> pa.Table:
        """Leave out the instants beside the stretch, which belong to its neighbors."""
        if self.within == WHOLE:
            return table
        inside = self.within.holds(table[_CREATED].to_numpy())
        self.found.expected -= len(table) - int(inside.sum())
        return table if inside.all() else table.filter(pa.array(inside))

    def _count_all(self) -> int:
        with self._calls:
            return count_matching(self.client, self.project_id, self.where, stop=self.stop)

    def count(self, within: Stretch = WHOLE) -> int:
        """Count what matches, an instant more on either side of a stretch."""
        with self._calls:
            return counted(self.client, _bounded(self.where, within), stop=self.stop)

    def page(self, window: Window) -> Page:
        """Return the first part of what a window shows: all of it, unless the server has trouble with as many rows."""
        return self._pages(self._fetch(window, whole=False))[0]

    def assets(self, ids: Sequence[str]) -> pa.Table:
        """Return what the server gives of at most a page of assets, named by their ids."""
        variables = {"where": {**self.where, "idIn": list(ids)}, "first": len(ids), "skip": 0}
        try:
            with self._calls:
                body = self.client.execute_bytes(self.document, variables, stop=self.stop)
        except KiliConnectionError as error:
            if len(ids) == 1 or not _is_too_heavy(error):
                raise
            return pa.concat_tables(map(self.assets, chunked(ids, (len(ids) + 1) // 2)))
        return self._pages([(Window(0, len(ids)), body)])[0].table

    def shorten_pages(self, rows: int) -> None:
        """Ask for no more rows at once."""
        self._sizes.limit(rows)

    def _fetch(self, window: Window, *, whole: bool = True) -> list[tuple[Window, bytes]]:
        """Read one window, in smaller ones where the server has trouble with as many rows."""
        planned = windows(window.skip, window.first, self._sizes.current, window.within)
        parts = list(itertools.islice(planned, None if whole else 1))
        try:
            answers = [(part, self._asked(part)) for part in parts]
        except KiliConnectionError as error:
            if not (_is_too_heavy(error) and self._sizes.shrink(parts[0].first)):
                raise
            return self._fetch(window, whole=whole)
        self._sizes.note(len(answers))
        return answers

    def _asked(self, window: Window) -> bytes:
        variables = {"where": _bounded(self.where, window.within), "first": window.first, "skip": window.skip}
        with self._calls:
            return self.client.execute_bytes(self.document, variables, stop=self.stop)

    def pages(self, planned: Iterable[Window]) -> Generator[Page]:
        """Yield what windows show, in their order; several are asked for at the same time."""
        fetched = in_order(
            self._fetch, planned, workers=self.client.max_workers, weigh=_weight, budget=_BYTES_IN_FLIGHT
        )
        # Parsed by this thread: it keeps up with those that fetch, and uses memory again that others would touch first.
        parsed = map(self._parse, _blocks(fetched, grow=self.keeps_rows))
        completed = in_order(self._complete, parsed, workers=_WAITING)
        with contextlib.closing(fetched), contextlib.closing(completed):
            for _, block in completed:
                yield from _cut(block, self.selection)

    def _pages(self, bodies: list[tuple[Window, bytes]]) -> list[Page]:
        return _cut(self._complete(self._parse(bodies)), self.selection)

    def _parse(self, bodies: list[tuple[Window, bytes]]) -> _Parsed:
        return [window for window, _ in bodies], *read_pages([body for _, body in bodies], self.selection.wire)

    def _complete(self, block: _Parsed) -> _Parsed:
        planned, assets, lengths = block
        return planned, complete_answers(assets, self._answers), lengths


def _cut(block: _Parsed, selection: Selection) -> list[Page]:
    """Lay out the assets of a block, and cut them into its pages."""
    planned, assets, lengths = block
    ids, created = assets.field("id"), assets.field("createdAt").view(pa.int64())
    if created.null_count:
        created = created.fill_null(0)
    if ids.null_count:
        raise KiliValidationError(f"The server gave {ids.null_count} assets without an id.")
    table = columns(assets, selection).append_column(ID, ids).append_column(_CREATED, created)
    names, times = ids.to_pylist(), created.to_numpy()
    pages = []
    start = 0
    for window, length in zip(planned, lengths, strict=True):
        end = start + length
        pages.append(Page(window, names[start:end], times[start:end], table.slice(start, length)))
        start = end
    return pages


def _bounded(where: Where, within: Stretch) -> Where:
    """Return the ``where`` of what was created in a stretch, and an instant more on either side."""
    bounded = dict(where)
    bounds = [("createdAtGte", within.since, -1, max), ("createdAtLte", within.until, 1, min)]
    for name, instant, wider, choose in bounds:
        if instant is not None:
            bound = f"{np.datetime64(instant + wider, 'ms')}Z"
            bounded[name] = choose(bound, where.get(name, bound), key=_moment)
    return bounded


def _moment(text: str) -> pd.Timestamp:
    """Return a day or an instant, as the server takes them, for comparison."""
    moment = pd.Timestamp(text)
    return moment.tz_localize("UTC") if moment.tz is None else moment


class _PageSizes:
    """How many rows are asked for at once: fewer after trouble, more again after a while without."""

    def __init__(self) -> None:
        self.current = self._most = PAGE_SIZE
        self._calm = 0
        self._lock = threading.Lock()

    def limit(self, rows: int) -> None:
        """Never ask for more: the server gives no more."""
        with self._lock:
            self._most = min(self._most, max(_LEAST_ROWS, rows))
            self.current = min(self.current, self._most)

    def shrink(self, failed: int) -> bool:
        """Ask for half of what failed, unless another thread has seen to it; False where it cannot be less."""
        with self._lock:
            if failed <= _LEAST_ROWS:
                return False
            self.current, self._calm = min(self.current, max(_LEAST_ROWS, failed // 2)), 0
            return True

    def note(self, answers: int) -> None:
        """Take note of requests that went well."""
        with self._lock:
            self._calm += answers
            if self.current < self._most and self._calm >= _CALM_PAGES:
                self.current, self._calm = min(self._most, 2 * self.current), 0


def _is_too_heavy(error: KiliConnectionError) -> bool:
    """Whether asking for fewer rows may help: the answer was refused as too large, came too late, or broke off."""
    return error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or error.outcome_unknown


def _weight(answers: list[tuple[Window, bytes]]) -> int:
    return sum(len(body) for _, body in answers)


def _blocks(
    fetched: Iterable[tuple[Window, list[tuple[Window, bytes]]]], *, grow: bool
) -> Iterator[list[tuple[Window, bytes]]]:
    """Gather pages into blocks that are parsed by one call; the first ones are small, so that rows come soon."""
    block: list[tuple[Window, bytes]] = []
    size, done = 1, 0
    for _, answers in fetched:
        block += answers
        if len(block) >= size or _weight(block) >= _BLOCK_BYTES:
            yield block
            done += len(block)
            share = done // _BLOCK_SHARE if grow else 0
            block, size = [], min(2 * size, max(share, _BLOCK_PAGES.start), _BLOCK_PAGES.stop)
    if block:
        yield block


def merged_rows(crawls: Iterable[Crawl], skip: int, first: int | None) -> Generator[pa.Table]:
    """Yield the rows of several queries as if they were one: each asset once, in the order of creation."""
    tables = [table for crawl in crawls for table in crawl.rows(0, None)]
    if not tables:
        return
    table = pa.concat_tables(tables)
    codes = table[ID].combine_chunks().dictionary_encode().indices.to_numpy()
    rows = np.unique(codes, return_index=True)[1]
    rows.sort()
    created = table[_CREATED].to_numpy()[rows]
    rows = rows[np.argsort(created, kind="stable")]
    yield table.take(rows[skip : None if first is None else skip + first])
