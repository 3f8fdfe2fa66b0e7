"""The tasks, done by this package."""

from __future__ import annotations

import gc
import tempfile
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import pandas_kili as pk
import pandas_kili.accessor  # late otherwise, within what is measured
from benchmarks.canned import asset_id
from benchmarks.contenders import sizes
from benchmarks.meter import measured, measured_twice, peak, resident, serve, start_of_peak
from pandas_kili.connection.rate_limit import Clock
from pandas_kili.media import Uploads, media_of_rows
from pandas_kili.query.fields import select
from pandas_kili.reading.crawl import Crawl, _blocks
from pandas_kili.reading.frame import concatenate, to_pandas
from pandas_kili.reading.windows import Window

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    import pyarrow as pa

UNLIMITED = 1_000_000


def parse(pages: int) -> dict[str, Any]:
    """Turn the bytes of pages into a frame, by what a read does with them."""
    bodies = sizes.bodies(pages)
    selection = select(pk.DEFAULT_FIELDS, also=("id", "createdAt"))
    crawl = Crawl(pk.Client("key", "http://localhost/graphql"), "", {}, selection)
    _frame(crawl, bodies[:1])
    cost = measured_twice(lambda: _frame(crawl, bodies))
    return cost | {"result": len(cost["result"])}


def _frame(crawl: Crawl, bodies: list[bytes]) -> pd.DataFrame:
    schema = crawl.selection.schema
    return to_pandas(concatenate(_tables(crawl, bodies), schema), {})


def _tables(crawl: Crawl, bodies: list[bytes]) -> Iterator[pa.Table]:
    windows = (Window(sizes.PAGE * number, sizes.PAGE) for number in range(len(bodies)))
    fetched = ((window, [(window, body)]) for window, body in zip(windows, bodies, strict=True))
    names = crawl.selection.schema.names
    for block in _blocks(fetched, grow=True):
        yield from (page.table.select(names) for page in crawl._pages(block))  # noqa: SLF001 - the very code that reads


def read(endpoint: str, key: str, project: str, *, workers: int = 8, warm: int = 200) -> dict[str, Any]:
    """Read all assets with their labels, after a small read that imports what is imported late."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED, max_workers=workers)
    if warm:
        pk.read_kili(project, client=client, first=warm)
    cost = measured(lambda: pk.read_kili(project, client=client))
    return cost | {"result": len(cost["result"])}


def fetch_answers(endpoint: str, key: str, urls: list[str]) -> dict[str, Any]:
    """Fetch files as a read fetches answers, and throw them away."""
    client = pk.Client(key, endpoint)

    def work() -> int:
        return sum(len(data) for _, data in client.get_all(enumerate(urls)) if isinstance(data, bytes))

    work()
    return measured(work)


def answers(endpoint: str, key: str, project: str, *, rows: int, part: int, batches: bool = False) -> dict[str, Any]:
    """Walk through all assets with their answers, in chunks or batches; return the peak of memory after a part, too."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED)
    pk.read_kili(project, client=client, first=1)
    gc.collect()
    start, count, after_part = start_of_peak(), 0, 0.0
    if batches:
        lengths = (batch.num_rows for batch in pk.scan_batches(project, batch_size=rows, client=client))
    else:
        lengths = (len(chunk) for chunk in pk.read_kili(project, chunksize=rows, client=client))
    for length in lengths:
        count += length
        after_part = after_part or (peak() - start if count >= part else 0.0)
    return {"peak": peak() - start, "part": after_part, "result": count}


def download(endpoint: str, key: str, project: str) -> dict[str, Any]:
    """Fetch the media of all assets into a folder, and once more into another, over connections that are open."""
    client = pk.Client(key, endpoint)
    pk.read_kili(project, fields=["id", "externalId", "content"], client=client, first=1)
    client.names("Project")

    def work(folder: str) -> pd.DataFrame:
        return pk.read_kili(
            project,
            fields=["id", "externalId", "content"],
            download_media=True,
            local_media_dir=folder,
            client=client,
            disable_tqdm=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        folders = iter([str(Path(folder, name)) for name in ("first", "second")])
        cost = measured_twice(lambda: work(next(folders)))
        return cost | {"result": sum(Path(path).stat().st_size == sizes.PICTURE for path in cost["result"]["content"])}


def upload(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Append pictures from a folder."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED)
    client.names("Mutation")
    with tempfile.TemporaryDirectory() as folder:
        names = [f"picture-{row}" for row in range(rows)]
        frame = pd.DataFrame({"content": sizes.pictures(folder, rows), "externalId": names})
        cost = measured(lambda: _append(frame, project, client))
        return cost | {"result": len(cost["result"])}


def store(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Store files from a folder, as an append does before it registers them, twice."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED)
    client.names("Mutation")
    with tempfile.TemporaryDirectory() as folder:
        paths, none = sizes.pictures(folder, rows), [None] * rows
        media, _ = media_of_rows("IMAGE", paths, none, none)
        of_assets = {asset_id(row): medium for row, medium in enumerate(media) if medium is not None}
        cost = measured_twice(lambda: Uploads(client, project, of_assets).results(list(of_assets)))
        return cost | {"result": len(cost["result"])}


def repeated(endpoint: str, key: str, project: str, *, times: int) -> dict[str, Any]:
    """Read the same project so many times, each frame deleted; return what was resident after each."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED)
    found = []
    for _ in range(times):
        pk.read_kili(project, client=client)
        gc.collect()
        found.append(resident())
    return {"first": found[0], "last": found[-1], "all": found}


def chunks(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Walk through all assets in chunks."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED)
    fields = ["id", "externalId", "status", "createdAt", "content", "jsonMetadata", "priority"]
    pk.read_kili(project, fields=fields, client=client, first=200)
    return measured(lambda: _walk(project, fields, rows, client))


def _walk(project: str, fields: list[str], rows: int, client: pk.Client) -> int:
    return sum(len(chunk) for chunk in pk.read_kili(project, fields=fields, chunksize=rows, client=client))


def mutate(endpoint: str, key: str, project: str, *, verb: str, rows: int) -> dict[str, Any]:
    """Change rows of a frame, by the limit that is the default; the schema was asked for before, as by the SDK."""
    client = pk.Client(key, endpoint)
    client.names("Mutation")
    frame = pd.DataFrame(
        {
            "id": [asset_id(row) for row in range(rows)],
            "priority": range(rows),
            "new": [f"renamed-{row}" for row in range(rows)],
        }
    )
    verbs = {
        "update": lambda: frame.kili.update_properties_in_assets("priority", project_id=project, client=client),
        "rename": lambda: frame.kili.change_asset_external_ids("new", project_id=project, client=client),
        "review": lambda: frame.kili.add_to_review(project_id=project, client=client),
    }
    cost = measured(verbs[verb])
    return cost | {"result": int((cost["result"].kili.report["outcome"] == "applied").sum())}


def append(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Append hosted images with external ids and metadata."""
    client = pk.Client(key, endpoint, max_calls_per_minute=UNLIMITED)
    client.names("Mutation")
    frame = pd.DataFrame(sizes.appended(rows))
    cost = measured(lambda: _append(frame, project, client))
    return cost | {"result": len(cost["result"])}


def _append(frame: pd.DataFrame, project: str, client: pk.Client) -> pd.DataFrame:
    return frame.kili.append_many_to_dataset(project, client=client)


def sustained(endpoint: str, key: str, project: str, *, speed: float) -> dict[str, Any]:
    """Read as long as the limit of calls lasts, on a clock that runs so many times faster."""
    client = pk.Client(key, endpoint)
    client._use_clock(_FastClock(speed))  # noqa: SLF001 - as the tests do
    client.names("Label")
    cost = measured(lambda: pk.read_kili(project, fields=["id", "status"], client=client, validate=False))
    return cost | {"result": len(cost["result"])}


class _FastClock(Clock):
    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> float:
        return time.monotonic() * self.speed

    def wait(self, seconds: float, stop: threading.Event | None = None) -> None:
        if stop is None:
            time.sleep(seconds / self.speed)
        elif stop.wait(seconds / self.speed):
            raise CancelledError


if __name__ == "__main__":
    serve(
        {
            "parse": parse,
            "read": read,
            "chunks": chunks,
            "mutate": mutate,
            "append": append,
            "answers": answers,
            "fetch_answers": fetch_answers,
            "repeated": repeated,
            "download": download,
            "upload": upload,
            "store": store,
            "sustained": sustained,
        }
    )
