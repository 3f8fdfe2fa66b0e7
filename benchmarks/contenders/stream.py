"""A project streamed to a Parquet data set."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

import pandas_kili as pk
from benchmarks.meter import measured, serve

_UNLIMITED = 1_000_000


def parquet(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Write all assets by batches of so many rows, after a small read that imports what is imported late."""
    client = pk.Client(key, endpoint, max_calls_per_minute=_UNLIMITED)
    with tempfile.TemporaryDirectory() as folder:
        _write(pk.scan_batches(project, first=rows, batch_size=rows, client=client), Path(folder, "warm"))
        target = Path(folder, "assets")
        cost = measured(lambda: _write(pk.scan_batches(project, batch_size=rows, client=client), target))
        files = list(target.glob("*.parquet"))
        return cost | {
            "result": sum(pq.read_metadata(file).num_rows for file in files),
            "bytes": sum(file.stat().st_size for file in files),
        }


def _write(reader: Any, folder: Path) -> None:
    ds.write_dataset(reader, folder, format="parquet", max_rows_per_file=100_000, max_rows_per_group=50_000)


if __name__ == "__main__":
    serve({"parquet": parquet})
