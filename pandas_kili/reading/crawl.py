"""Pages of assets: planned, fetched side by side, handed over in order, each asset once."""

from __future__ import annotations

import contextlib
import itertools
import threading
import warnings
from array import array
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pandas_kili.catalog import LIST_ASSETS, PAGE_SIZE
from pandas_kili.connection import Client, count_matching
from pandas_kili.errors import (
    KiliConnectionError,
    KiliConsistencyWarning,
    KiliValidationError,
)
from pandas_kili.parallel import Workers, in_order
from pandas_kili.query import Selection, Where, select
from pandas_kili.reading.long_answers import Source, complete_answers, wants_answers
from pandas_kili.reading.windows import Consistency, Page, Seams, Window, windows
from pandas_kili.reading.wire import columns, read_pages

if TYPE_CHECKING:
    from tqdm import tqdm

_BLOCK_PAGES = range(8, 32)  # pages parsed by one call: more make it faster, and hold more memory
_BLOCK_SHARE = 16  # so where rows are kept they are a small part of what was read, within that range
_BLOCK_BYTES = 32 * 2**20  # or as many as are this heavy, which bounds what waits to be parsed
_BYTES_IN_FLIGHT = 256 * 2**20  # pages fetched ahead of their turn
_LEAST_ROWS = 2  # a window of one row has no room for the overlap that joins it to the next
_CALM_PAGES = 32  # requests without trouble before larger pages are tried again
_PARSERS = 2  # blocks parsed side by side: the parser holds no lock, and keeps up with more fetching than is allowed
_ID, _CREATED = "\0id", "\0createdAt"  # columns of our own beside the user's, which no field can be called


class Crawl:
    """The rows of one ``where``, each once, in the order of their creation.

    Attributes
    ----------
    found : Consistency
        What this crawl came across, and others that share it; up to date with the rows that were given.
    """

    def __init__(
        self,
        client: Client,
        project_id: str,
        where: Where,
        selection: Selection,
        found: Consistency | None = None,
        *,
        looks_twice: bool = True,
        keeps_rows: bool = False,
    ) -> None:
        self.client, self.project_id, self.where, self.selection = client, project_id, where, selection
        self.found = found or Consistency()
        self.expected = 0
        self.looks_twice, self.keeps_rows = looks_twice, keeps_rows
        self.document = LIST_ASSETS % selection.text
        self.behind_urls = wants_answers(selection.wire)
        self.stop = threading.Event()
        self._sizes = _PageSizes()
        self._calls = threading.Semaphore(client.max_workers)
        self._answers = Source(client, project_id, selection, self.stop)

    def rows(self, skip: int, first: int | None, bar: tqdm[Any] | None = None) -> Generator[pa.Table]:
        """Yield the rows from `skip` on, at most `first`, as tables that also hold `_ID` and `_CREATED`."""
        left = first
        with Workers(1) as executor:  # the count comes while the first page does
            count = executor.submit(self._count)
            try:
                with contextlib.closing(self._joined(skip, first, count, bar)) as tables:
                    for table in tables:
                        wanted = table if left is None else table.slice(0, left)
                        self.found.read += len(wanted)
                        yield wanted
                        left = None if left is None else left - len(table)
                        if left is not None and left <= 0:
                            break
            finally:
                self.stop.set()  # requests under way need not be waited for
        if self.found.in_doubt and self.looks_twice:
            self._warn()

    def _warn(self) -> None:
        warnings.warn(
            f"The project changed while it was read, too fast to follow: {self.found.in_doubt} of"
            f" {self.found.expected} rows are in doubt. Read again when it is quiet, or narrow the filters.",
            KiliConsistencyWarning,
            stacklevel=3,
        )

    def _count(self) -> int:
        with self._calls:
            return count_matching(self.client, self.project_id, self.where, stop=self.stop)

    def _joined(self, skip: int, first: int | None, count: Future[int], bar: tqdm[Any] | None) -> Generator[pa.Table]:
        seams = Seams(self.page, skip, self.found)
        seen = array("I")  # hashes of the ids that were given: 4 bytes a row
        with contextlib.closing(self._once(seams, self._planned(skip, first, count, bar))) as tables:
            for table in tables:
                seen.extend(map(_short_hash, table[_ID].to_pylist()))
                yield table
        if len(seen) < self.expected and self.looks_twice:
            yield from self._look_again(skip, seen)

    def _once(self, seams: Seams, planned: Iterator[Window]) -> Generator[pa.Table]:
        """Yield the rows of the planned windows, and on to the end of the list."""
        read = 0
        with contextlib.closing(self._pages(planned)) as pages:
            for page in pages:
                for table in seams.join(page):
                    read += len(table)
                    yield table
                if seams.complete:
                    break
        before = -1
        while not seams.complete or before < read < self.expected:
            # The list ended before its count: a page may have been cut short, or a replica may lag.
            before = read
            seams.complete = False
            for table in seams.extend():
                read += len(table)
                yield table

    def _planned(self, skip: int, first: int | None, count: Future[int], bar: tqdm[Any] | None) -> Iterator[Window]:
        """Yield the first window at once, and the others when the count is known."""
        yield from windows(skip, min(PAGE_SIZE, first or PAGE_SIZE))
        rows = max(0, count.result() - skip)
        self.expected = rows if first is None else min(rows, first)
        self.found.expected += self.expected
        if bar is not None:
            bar.total = self.expected
            if not getattr(bar, "delay", 0):  # a bar that waits goes on waiting
                bar.refresh()
        # A window may be longer than what is left: that it comes back short is how the end is known.
        rest = windows(skip, first) if first is not None and first <= rows else windows(skip, None)
        for window in itertools.islice(rest, 1, None):
            if window.skip + 1 > skip + rows:
                return
            yield window

    def _look_again(self, skip: int, seen: array[int]) -> Generator[pa.Table]:
        """Where more assets match than were read, look through all ids again, and read those that are new."""
        if len(seen) >= self._count() - skip:
            return
        light = Crawl(self.client, self.project_id, self.where, select(["id"], also=["createdAt"]), looks_twice=False)
        known = set(seen)
        ids = [name for table in light.rows(skip, None) for name in table[_ID].to_pylist()]
        read = len(seen)
        for table in self._named([name for name in ids if _short_hash(name) not in known]):
            self.found.recovered += len(table)
            read += len(table)
            yield table
        missing = min(self.expected, light.expected) - read
        self.found.in_doubt = max(light.found.in_doubt, missing, 0)  # the second look is as good as a first

    def _named(self, ids: list[str]) -> Generator[pa.Table]:
        """Yield the assets of these ids that match."""
        for start in range(0, len(ids), PAGE_SIZE):
            part = ids[start : start + PAGE_SIZE]
            body = self._asked({**self.where, "idIn": part}, Window(0, PAGE_SIZE))
            yield self._parse([(Window(0, PAGE_SIZE), body)])[0].table

    def page(self, window: Window) -> Page:
        """Read one window."""
        body = self._asked(self.where, window)
        return self._parse([(window, body)])[0]

    def _fetch(self, window: Window) -> list[tuple[Window, bytes]]:
        """Read one window, in smaller ones where the server has trouble with as many rows."""
        parts = list(windows(window.skip, window.first, self._sizes.current))
        try:
            answers = [(part, self._asked(self.where, part)) for part in parts]
        except KiliConnectionError as error:
            if not (_is_too_heavy(error) and self._sizes.shrink(parts[0].first)):
                raise
            return self._fetch(window)
        self._sizes.note(len(answers))
        return answers

    def _asked(self, where: Where, window: Window) -> bytes:
        variables = {"where": where, "first": window.first, "skip": window.skip}
        with self._calls:
            return self.client.execute_bytes(self.document, variables, stop=self.stop)

    def _pages(self, planned: Iterator[Window]) -> Generator[Page]:
        fetched = in_order(
            self._fetch, planned, workers=self.client.max_workers, weigh=_weight, budget=_BYTES_IN_FLIGHT
        )
        parsed = in_order(self._parse, _blocks(fetched, grow=self.keeps_rows), workers=_PARSERS)
        with contextlib.closing(fetched), contextlib.closing(parsed):
            for _, pages in parsed:
                yield from pages

    def _parse(self, block: list[tuple[Window, bytes]]) -> list[Page]:
        assets, lengths = read_pages([body for _, body in block], self.selection.wire)
        if self.behind_urls:
            assets = complete_answers(assets, self._answers)
        return _cut([window for window, _ in block], lengths, assets, self.selection)


def _cut(planned: list[Window], lengths: list[int], assets: pa.StructArray, selection: Selection) -> list[Page]:
    """Lay out the assets of a block, and cut them into its pages."""
    ids, created = assets.field("id"), assets.field("createdAt").view(pa.int64())
    if created.null_count:
        created = created.fill_null(0)
    if ids.null_count:
        raise KiliValidationError(f"The server gave {ids.null_count} assets without an id.")
    table = columns(assets, selection).append_column(_ID, ids).append_column(_CREATED, created)
    names, times = ids.to_pylist(), created.to_pylist()
    pages = []
    start = 0
    for window, length in zip(planned, lengths, strict=True):
        end = start + length
        pages.append(Page(window, names[start:end], times[start:end], table.slice(start, length)))
        start = end
    return pages


class _PageSizes:
    """How many rows are asked for at once: fewer after trouble, more again after a while without."""

    def __init__(self) -> None:
        self.current = PAGE_SIZE
        self._calm = 0
        self._lock = threading.Lock()

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
            if self.current < PAGE_SIZE and self._calm >= _CALM_PAGES:
                self.current, self._calm = min(PAGE_SIZE, 2 * self.current), 0


def _short_hash(name: str) -> int:
    """Return 32 bits that stand for an id; where two share them, a row that is missing stays in doubt."""
    return hash(name) & 0xFFFFFFFF


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


def merged(crawls: Iterable[Crawl], skip: int, first: int | None) -> Generator[pa.Table]:
    """Yield the rows of several queries as if they were one: each asset once, in the order of creation."""
    tables = [table for crawl in crawls for table in crawl.rows(0, None)]
    if not tables:
        return
    table = pa.concat_tables(tables)
    codes = table[_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    rows = np.unique(codes, return_index=True)[1]
    rows.sort()
    created = table[_CREATED].to_numpy()[rows]
    rows = rows[np.argsort(created, kind="stable")]
    yield table.take(rows[skip : None if first is None else skip + first])
