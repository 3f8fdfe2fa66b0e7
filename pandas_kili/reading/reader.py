"""One read of a project, given as tables, as a frame, as frames or as record batches."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import PAGE_SIZE
from pandas_kili.connection import Client, resolved
from pandas_kili.parallel import in_order
from pandas_kili.progress import progress_bar
from pandas_kili.query import Fields, Query, Selection, select
from pandas_kili.reading.crawl import ID, Crawl, merged_rows
from pandas_kili.reading.finish import Finish
from pandas_kili.reading.frame import concatenate, to_pandas
from pandas_kili.reading.long_answers import BEHIND, INLINE
from pandas_kili.reading.tally import Consistency
from pandas_kili.reading.windows import WHOLE, Stretch


class Read:
    """One read of a project: its rows as tables, a frame, frames or record batches."""

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
        within: Stretch = WHOLE,
    ) -> None:
        self.client, self.query, self.within = client, query, within
        self.skip, self.first, self.disable_tqdm = skip, first, disable_tqdm
        self.fields = fields
        self.schema = selection.schema
        self.found = Consistency()

    def frame(self, finish: Finish) -> pd.DataFrame:
        """Return all rows."""
        frame = to_pandas(concatenate(self.tables(keeps_rows=True), self.schema), self.attrs)
        frame.attrs["kili"]["consistency"] = dataclasses.asdict(self.found)
        return finish(frame)

    def frames(self, rows: int, finish: Finish) -> Iterator[pd.DataFrame]:
        """Yield frames of so many rows; each index goes on from the one before."""
        start = 0
        with contextlib.closing(self.tables()) as tables:
            for table in _rechunk(tables, rows, self.schema):
                frame = to_pandas(table, self.attrs)  # equal in all chunks, or pandas drops them when they are joined
                frame.index = pd.RangeIndex(start, start + len(frame))
                start += len(frame)
                yield finish(frame)

    def batches(self, rows: int) -> Generator[pa.RecordBatch]:
        """Yield record batches of so many rows; the last may be shorter."""
        with contextlib.closing(self.tables()) as tables:
            for table in _rechunk(tables, rows, self.schema):
                # At least one, without rows: not all readers take a stream of no batches.
                batches = table.combine_chunks().to_batches(max_chunksize=rows)
                yield from batches or [pa.RecordBatch.from_pylist([], self.schema)]

    def tables(self, *, keeps_rows: bool = False) -> Generator[pa.Table]:
        """Yield the rows in tables of the wanted columns; who keeps them all has memory for larger steps."""
        if self.query.matches_nothing:
            return
        query = resolved(self.client, self.query)
        selection = self._selection()
        crawls = [
            Crawl(
                self.client,
                query.project_id,
                where,
                selection,
                self.found,
                within=self.within,
                keeps_rows=keeps_rows,
            )
            for where in query.wheres()
        ]
        with progress_bar("assets", total=None, unit="asset", disable=self.disable_tqdm) as bar:
            rows = (
                merged_rows(crawls, self.skip, self.first) if crawls[1:] else crawls[0].rows(self.skip, self.first, bar)
            )
            with contextlib.closing(rows):
                for table in rows:
                    bar.update(len(table))
                    yield table.select(self.schema.names)

    def by_id(self, ids: Iterable[str]) -> Generator[pa.Table]:
        """Yield the rows of assets as they are now, in any order, each once; those that do not match have none.

        A call asks for a page of them, which needs no neighbor: nothing can slip out of it. What a page lacks is asked
        for again until nothing more comes, as a server may give fewer than it has.
        """
        if self.query.matches_nothing:
            return
        rest = iter(ids)
        if (one := next(rest, None)) is None:
            return  # and nothing is asked
        query = resolved(self.client, self.query)
        conditions = dict(query.conditions)
        allowed = conditions.pop("idIn", None)
        selection = self._selection()
        crawls = [
            Crawl(self.client, query.project_id, where, selection, self.found)
            for where in dataclasses.replace(query, conditions=conditions).wheres()
        ]

        def read(page: list[str]) -> pa.Table:
            return pa.concat_tables([crawl.assets(page) for crawl in crawls])

        wanted: Iterator[str] = itertools.chain([one], rest)
        if allowed is not None:
            wanted = filter(set(allowed).__contains__, wanted)
        try:
            with progress_bar("assets", total=None, unit="asset", disable=self.disable_tqdm) as bar:
                while True:
                    missing, came = list[str](), 0
                    for page, served in in_order(read, _in_pages(wanted), workers=self.client.max_workers):
                        rows, absent = _rows_of(served, page)
                        missing += absent
                        came += len(rows)
                        if len(rows):
                            bar.update(len(rows))
                            yield rows.select(self.schema.names)
                    if not came or not missing:
                        return
                    wanted = iter(missing)
        finally:
            for crawl in crawls:
                crawl.stop.set()

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


def _rows_of(served: pa.Table, ids: Iterable[str]) -> tuple[pa.Table, list[str]]:
    """Return the rows of some assets, in their order, and the ids that have no row."""
    place = {name: row for row, name in enumerate(served[ID].to_pylist())}
    there = pa.array([place[name] for name in ids if name in place], pa.int64())
    return served.take(there), [name for name in ids if name not in place]


def _in_pages(ids: Iterator[str]) -> Iterator[list[str]]:
    while page := list(itertools.islice(ids, PAGE_SIZE)):
        yield page


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
