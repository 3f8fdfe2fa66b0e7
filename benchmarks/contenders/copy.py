"""A project copied and refreshed, and streamed to Parquet; each task says how many calls and bytes it took."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import deltalake  # noqa: F401 - taken up late otherwise, as part of what is measured
import pyarrow.json  # noqa: F401 - the same
import pyarrow.parquet as pq

import pandas_kili as pk
from benchmarks.meter import measured, serve

_UNLIMITED = 1_000_000


class _Responses(logging.Handler):
    """Counts calls and the bytes of their responses, as the log of the client tells them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.calls = self.bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r", (\d+) bytes", record.getMessage())
        if found:
            self.calls, self.bytes = self.calls + 1, self.bytes + int(found[1])


def _counted(work: Callable[[], Any]) -> dict[str, Any]:
    counter, logger = _Responses(), logging.getLogger("pandas_kili")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(counter)
    cost = measured(work)
    return cost | {"calls": counter.calls, "MB": counter.bytes / 1e6, "result": repr(cost["result"])}


def parquet(endpoint: str, key: str, project: str, *, copy: str) -> dict[str, Any]:
    """Stream all assets to a Parquet file beside the copy."""
    client = pk.Client(key, endpoint, max_calls_per_minute=_UNLIMITED)

    def write() -> None:
        reader = pk.scan_batches(project, client=client, disable_tqdm=True)
        with pq.ParquetWriter(f"{copy}.parquet", reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)

    return _counted(write)


def sync(endpoint: str, key: str, project: str, *, copy: str, verify: bool = False) -> dict[str, Any]:
    """Make the copy, or refresh it."""
    client = pk.Client(key, endpoint, max_calls_per_minute=_UNLIMITED)
    return _counted(lambda: pk.sync(project, copy, verify=verify, client=client, disable_tqdm=True))


if __name__ == "__main__":
    serve({"parquet": parquet, "sync": sync})
