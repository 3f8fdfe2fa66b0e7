"""Projects read while others write to them, in each of our ways: what was read, and how many rows are in doubt.

A read that ends with an error gives its text instead.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd

import pandas_kili as pk

_UNLIMITED = 1_000_000
_ROWS = 150  # in a chunk, a batch, a partition: more than a page, and less than most projects


def _frame(project: str, **given: Any) -> pd.Series:
    return pk.read_kili(project, **given)["externalId"]


def _chunks(project: str, **given: Any) -> pd.Series:
    return pd.concat([chunk["externalId"] for chunk in pk.read_kili(project, chunksize=_ROWS, **given)])


def _batches(project: str, **given: Any) -> pd.Series:
    return pk.scan_batches(project, batch_size=_ROWS, **given).read_all()["externalId"].to_pandas()


def _dask(project: str, **given: Any) -> pd.Series:
    from pandas_kili import dask  # noqa: PLC0415 - takes a second of CPU, which the other readers do not need

    with ThreadPoolExecutor() as pool:  # of its own, as it then waits for partitions that go on beside one that failed
        return dask.read_kili(project, rows_per_partition=_ROWS, **given)["externalId"].compute(pool=pool)


def _emptied(project: str, *, client: pk.Client, **given: Any) -> pd.Series:
    """Read in chunks, and delete the rows of each before the next one."""
    names = []
    for chunk in pk.read_kili(project, chunksize=_ROWS, client=client, **given | {"fields": ["id", "externalId"]}):
        names.append(chunk["externalId"])
        chunk.kili.delete_many_from_dataset(client=client, disable_tqdm=True)
    return pd.concat(names)


def _read(
    face: Callable[..., pd.Series], *, endpoint: str, key: str, projects: list[str], status: str
) -> dict[str, Any]:
    """Return of each project the external ids that were read, and the number of rows that were warned of."""
    client = pk.Client(key, endpoint, max_calls_per_minute=_UNLIMITED)
    result = {}
    for project in projects:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", pk.KiliConsistencyWarning)
            try:
                names = face(project, fields=["externalId"], status_in=[status], client=client).tolist()
            except pk.KiliError as error:
                names = str(error)
        result[project] = names, sum(_in_doubt(str(warning.message)) for warning in caught)
    return {"result": result}


def _in_doubt(message: str) -> int:
    found = re.search(r"(\d+) of", message)
    return int(found[1]) if found else 0


READERS = {
    name: functools.partial(_read, way)
    for name, way in {
        "read_kili": _frame,
        "chunks": _chunks,
        "batches": _batches,
        "dask": _dask,
        "emptied": _emptied,
    }.items()
}
"""Each takes endpoint, key, projects and status."""
