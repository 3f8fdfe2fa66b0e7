"""Pages of assets: planned, fetched side by side, handed over in order, each asset once."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import warnings
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pandas_kili.catalog.assets import COUNT_ASSETS, LIST_ASSETS, PAGE_SIZE
from pandas_kili.catalog.projects import LIST_PROJECTS
from pandas_kili.errors import KiliConsistencyWarning, KiliGraphQLError, KiliNotFoundError, KiliValidationError
from pandas_kili.exact import Page, Seams, Window, windows
from pandas_kili.filters import Where
from pandas_kili.frame import columns, read_pages
from pandas_kili.label_answers import complete_answers, wants_answers
from pandas_kili.parallel import in_order
from pandas_kili.selection import Selection
from pandas_kili.session import Client

if TYPE_CHECKING:
    from tqdm import tqdm

_BLOCK_PAGES = 16  # pages parsed by one call: more make it no faster
_BLOCK_BYTES = 64 * 2**20  # or as many as are this heavy, which bounds what waits to be parsed
_PARSERS = 2  # blocks parsed side by side: the parser holds no lock, and keeps up with more fetching than is allowed
_ID, _CREATED = "\0id", "\0createdAt"  # columns of our own beside the user's, which no field can be called


class Crawl:
    """The rows of one ``where``, each once, in the order of their creation."""

    def __init__(self, client: Client, project_id: str, where: Where, selection: Selection) -> None:
        self.client, self.project_id, self.where, self.selection = client, project_id, where, selection
        self.document = LIST_ASSETS % selection.text
        self.behind_urls = wants_answers(selection.wire)
        self.stop = threading.Event()

    def rows(self, skip: int, first: int | None, bar: tqdm[Any] | None = None) -> Generator[pa.Table]:
        """Yield the rows from `skip` on, at most `first`, as tables that also hold `_ID` and `_CREATED`."""
        left = first
        with ThreadPoolExecutor(1) as executor:  # the count comes while the first page does
            count = executor.submit(count_matching, self.client, self.project_id, self.where)
            try:
                with contextlib.closing(self._joined(Seams(self.page, skip), skip, first, count, bar)) as tables:
                    for table in tables:
                        yield table if left is None else table.slice(0, left)
                        left = None if left is None else left - len(table)
                        if left is not None and left <= 0:
                            return
            finally:
                self.stop.set()  # requests under way need not be waited for

    def _joined(
        self, seams: Seams, skip: int, first: int | None, count: Future[int], bar: tqdm[Any] | None
    ) -> Generator[pa.Table]:
        read = 0
        planned = self._planned(skip, first, count, bar)
        with contextlib.closing(self._pages(planned)) as pages:
            for page in pages:
                for table in seams.join(page):
                    read += len(table)
                    yield table
                if seams.complete:
                    break
        for table in seams.extend():
            read += len(table)
            yield table
        yield from self._settle(seams, read, skip, count.result())

    def _planned(self, skip: int, first: int | None, count: Future[int], bar: tqdm[Any] | None) -> Iterator[Window]:
        """Yield the first window at once, and the others when the count is known."""
        yield from windows(skip, min(PAGE_SIZE, first or PAGE_SIZE))
        rows = max(0, count.result() - skip)
        if bar is not None:
            bar.total = rows if first is None else min(rows, first)
            bar.refresh()
        # A window may be longer than what is left: that it comes back short is how the end is known.
        rest = windows(skip, first) if first is not None and first <= rows else windows(skip, None)
        for window in itertools.islice(rest, 1, None):
            if window.skip + 1 >= skip + rows:
                return
            yield window

    def _settle(self, seams: Seams, read: int, skip: int, expected: int) -> Generator[pa.Table]:
        """Look again at the end of the list where fewer rows came than were counted, and say what is left open."""
        missing = expected - skip - read
        if missing > 0:
            missing = min(missing, count_matching(self.client, self.project_id, self.where) - skip - read)
        if missing > 0:
            seams.reopen()
            for table in seams.extend():
                missing -= len(table)
                yield table
        if missing > 0 or seams.in_doubt:
            warnings.warn(
                f"The project changed while it was read: {max(missing, seams.in_doubt)} of {expected} rows are in"
                " doubt. Read again when it is quiet, or narrow the filters.",
                KiliConsistencyWarning,
                stacklevel=2,
            )

    def page(self, window: Window) -> Page:
        """Read one window."""
        return self._parse([(window, self._fetch(window))])[0]

    def _fetch(self, window: Window) -> bytes:
        variables = {"where": self.where, "first": window.first, "skip": window.skip}
        return self.client.execute_bytes(self.document, variables, stop=self.stop)

    def _pages(self, planned: Iterator[Window]) -> Generator[Page]:
        fetched = in_order(self._fetch, planned, workers=self.client.max_workers)
        parsed = in_order(self._parse, _blocks(fetched), workers=_PARSERS)
        with contextlib.closing(fetched), contextlib.closing(parsed):
            for _, pages in parsed:
                yield from pages

    def _parse(self, block: list[tuple[Window, bytes]]) -> list[Page]:
        assets, lengths = read_pages([body for _, body in block], self.selection.wire)
        if self.behind_urls:
            fetch = functools.partial(self.client.get, stop=self.stop)
            assets = complete_answers(assets, fetch, workers=self.client.max_workers)
        return _cut([window for window, _ in block], lengths, assets, self.selection)


def _cut(planned: list[Window], lengths: list[int], assets: pa.StructArray, selection: Selection) -> list[Page]:
    """Lay out the assets of a block, and cut them into its pages."""
    ids, created = assets.field("id"), assets.field("createdAt").cast(pa.int64()).fill_null(0)
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


def _blocks(answers: Iterable[tuple[Window, bytes]]) -> Iterator[list[tuple[Window, bytes]]]:
    """Gather pages into blocks that are parsed by one call."""
    block: list[tuple[Window, bytes]] = []
    weight = 0
    for window, body in answers:
        block.append((window, body))
        weight += len(body)
        if len(block) >= _BLOCK_PAGES or weight >= _BLOCK_BYTES:
            yield block
            block, weight = [], 0
    if block:
        yield block


def merged(crawls: Iterable[Crawl], skip: int, first: int | None) -> Generator[pa.Table]:
    """Yield the rows of several queries as if they were one: each asset once, in the order of creation."""
    table = pa.concat_tables([table for crawl in crawls for table in crawl.rows(0, None)])
    codes = table[_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    rows = np.unique(codes, return_index=True)[1]
    rows.sort()
    created = table[_CREATED].to_numpy()[rows]
    rows = rows[np.argsort(created, kind="stable")]
    yield table.take(rows[skip : None if first is None else skip + first])


def count_matching(client: Client, project_id: str, where: Where) -> int:
    """Count what matches, and tell a project without assets from one that does not exist."""
    try:
        count = int(client.execute(COUNT_ASSETS, {"where": where})["data"])
    except KiliGraphQLError as error:
        with contextlib.suppress(KiliGraphQLError):
            find_project(client, project_id, "id")
        raise error from None
    if not count:
        find_project(client, project_id, "id")
    return count


def find_project(client: Client, project_id: str, fields: str) -> dict[str, Any]:
    """Return fields of a project, or raise `KiliNotFoundError`."""
    found = client.execute(LIST_PROJECTS % fields, {"where": {"id": project_id}, "first": 1, "skip": 0})["data"]
    if not found:
        raise KiliNotFoundError(
            f"There is no project {project_id!r} at {client.api_endpoint}, or this API key may not see it."
        )
    return dict(found[0])
