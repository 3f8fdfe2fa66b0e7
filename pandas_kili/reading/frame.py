"""Arrow tables to pandas, in few chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.reading.wire import POOL

_CHUNK_ROWS = 10_000  # from there on, larger chunks make pandas no faster


def compact(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables into larger ones: pandas is several times slower on a thousand page-sized chunks than on ten.

    What is joined is let go at once, so the whole is never held twice.
    """
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        if rows >= _CHUNK_ROWS:
            yield pa.concat_tables(waiting).combine_chunks(POOL)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks(POOL)


def concatenate(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Join tables into one of few chunks."""
    joined = list(compact(tables))
    return pa.concat_tables(joined) if joined else schema.empty_table()


def to_pandas(table: pa.Table, attrs: dict[str, Any]) -> pd.DataFrame:
    """Turn a table into a frame of `ArrowDtype` columns that shares its buffers."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.attrs["kili"] = attrs
    return frame
