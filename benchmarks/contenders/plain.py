"""The least that must be done: bytes fetched and thrown away, pages parsed and thrown away, imports alone."""

from __future__ import annotations

import functools
import importlib
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.contenders import sizes
from benchmarks.meter import measured, measured_twice, serve

_QUERY = """query assets($where: AssetWhere!, $first: PageSize!, $skip: Int!) {
  data: assets(where: $where, skip: $skip, first: $first) { id } }"""
_STRIDE = 99  # windows overlap by a row, as those of an exact read


def parse_orjson(pages: int) -> dict[str, Any]:
    """Parse each page, and let go of it."""
    import orjson  # noqa: PLC0415 - only here

    bodies = sizes.bodies(pages)

    def work() -> int:
        return sum(1 for body in bodies if orjson.loads(body))

    return measured_twice(work)


def parse_dicts(pages: int) -> dict[str, Any]:
    """Do with each page what the official SDK does, and make a frame in the end."""
    import pandas as pd  # noqa: PLC0415 - only here

    bodies = sizes.bodies(pages)

    def work() -> pd.DataFrame:
        return pd.DataFrame([asset for body in bodies for asset in _assets(body)])

    cost = measured_twice(work)
    return cost | {"result": len(cost["result"])}


def _assets(body: bytes) -> list[dict[str, Any]]:
    assets: list[dict[str, Any]] = json.loads(body)["data"]["data"]
    for asset in assets:
        asset["jsonMetadata"] = json.loads(asset["jsonMetadata"])
        for label in asset["labels"]:
            label["jsonResponse"] = json.loads(label["jsonResponse"])
    return assets


def fetch(endpoint: str, key: str, project: str, *, count: int) -> dict[str, Any]:
    """Fetch the pages that an exact read fetches, one after the other, by one `requests.Session`."""
    import requests  # noqa: PLC0415 - only here

    session = requests.Session()
    headers = {"Authorization": f"X-API-Key: {key}"}

    def post(skip: int) -> int:
        variables = {"where": {"project": {"id": project}}, "first": sizes.PAGE, "skip": skip}
        content = {"query": _QUERY, "variables": variables}
        return len(session.post(endpoint, json=content, headers=headers).content)

    post(0)
    return measured(lambda: sum(post(skip) for skip in range(0, count - 1, _STRIDE)))


def fetch_answers(urls: list[str], workers: int) -> dict[str, Any]:
    """Fetch files by one pool of `urllib3`, so many at a time, and throw them away."""
    import urllib3  # noqa: PLC0415 - only here

    pool = urllib3.PoolManager(maxsize=workers, retries=False)
    with ThreadPoolExecutor(workers) as threads:
        get = functools.partial(pool.request, "GET")
        list(threads.map(get, urls[: 2 * workers]))
        return measured(lambda: sum(len(response.data) for response in threads.map(get, urls)))


def store(url: str, count: int, workers: int) -> dict[str, Any]:
    """Read files from a folder and store them by one pool of `urllib3`, so many at a time."""
    import urllib3  # noqa: PLC0415 - only here

    pool = urllib3.PoolManager(maxsize=workers, retries=False)
    with ThreadPoolExecutor(workers) as threads, tempfile.TemporaryDirectory() as folder:
        paths = sizes.pictures(folder, count)

        def put(path: str) -> int:
            return pool.request("PUT", f"{url}/store/{Path(path).name}", body=Path(path).read_bytes()).status

        list(threads.map(put, paths[: 2 * workers]))
        return measured(lambda: sum(threads.map(put, paths)))


def keep(urls: list[str], workers: int) -> dict[str, Any]:
    """Fetch files by one pool of `urllib3`, so many at a time, into a folder."""
    import urllib3  # noqa: PLC0415 - only here

    pool = urllib3.PoolManager(maxsize=workers, retries=False)
    with ThreadPoolExecutor(workers) as threads, tempfile.TemporaryDirectory() as folder:

        def get(url: str) -> int:
            return Path(folder, url.rpartition("/")[2]).write_bytes(pool.request("GET", url).data)

        list(threads.map(get, urls[: 2 * workers]))
        return measured(lambda: sum(threads.map(get, urls)))


def imports(modules: list[str]) -> dict[str, Any]:
    """Import modules, in an interpreter that has nothing of theirs."""
    return measured(lambda: [importlib.import_module(name).__name__ for name in modules])


if __name__ == "__main__":
    serve(
        {
            "parse_orjson": parse_orjson,
            "parse_dicts": parse_dicts,
            "fetch": fetch,
            "fetch_answers": fetch_answers,
            "keep": keep,
            "store": store,
            "imports": imports,
        }
    )
