"""Files in and out: many small ones and one large one, against plain requests of the same bytes.

    python benchmarks/files.py                            # 1,000 files of 8 kB and one of 256 MB
    python benchmarks/files.py --full                     # the large one has 1 GB
    python benchmarks/files.py --sdk-python ENV/bin/python  # against the official SDK too

Each measurement is the median of `--repeat` runs, all against one server in a process of its own, the contenders taking
turns. `requests` is what can be had at best: it knows all signed URLs, checks nothing, and keeps one session a thread.
Memory is the peak of the resident set above what it was at the start of the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import requests

from pandas_kili import read_kili
from pandas_kili.connection.client import Client
from pandas_kili.media import Uploads, download_media, media_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 8
LATENCY = """
import sys, time
from pandas_kili.sandbox import Fault, Sandbox
latency = float(sys.argv[1])
faults = [Fault("latency", times=None, seconds=latency)] if latency else []
with Sandbox(faults=faults, max_calls_per_minute=None, import_delay=0) as sandbox:
    ids = {kind: [sandbox.create_project(kind, kind) for _ in range(40)] for kind in ("TEXT", "PDF")}
    import json
    print(json.dumps([sandbox.api_endpoint, sandbox.api_key, ids]), flush=True)
    sys.stdin.read()
"""
APPEND = """mutation appendManyAssets($data: AppendManyAssetsData!, $where: ProjectWhere!) {
  data: appendManyAssets(data: $data, where: $where) { id } }"""
SIGN = "query sign($paths: [String!]) { urls: createUploadBucketSignedUrls(filePaths: $paths) }"
SDK = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from kili.client import Kili
given = json.loads(sys.argv[1])
kili = Kili(given["key"], given["endpoint"], disable_tqdm=True)
def peak():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
before, start = peak(), time.perf_counter()
kili.append_many_to_dataset(given["project"], content_array=given["paths"], external_id_array=given["names"])
put, put_peak = time.perf_counter() - start, peak() - before
start = time.perf_counter()
found = kili.assets(
    given["project"], fields=["externalId", "content"], download_media=True, local_media_dir=given["out"])
got = time.perf_counter() - start
assert len(found) == len(given["paths"])
print(json.dumps([put, put_peak, got, peak() - before]))
"""


class Server:
    """A sandbox in a process of its own, with projects to fill one after the other."""

    def __init__(self, latency: float) -> None:
        command = [sys.executable, "-c", LATENCY, str(latency)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint, self.key, self._projects = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]

    def project(self, kind: str) -> str:
        """Return a project that is still empty."""
        return str(self._projects[kind].pop())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@contextlib.contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Give a list that holds, in the end, by how many MB the resident set grew at most."""
    found, done, start = [0.0], threading.Event(), _resident()

    def watch() -> None:
        while not done.wait(0.005):
            found[0] = max(found[0], _resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return seconds, peak memory and result."""
    os.sync()  # or one pays for writing out the files of the one before
    with peak_memory() as peak:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
    return seconds, peak[0], result


def in_turn(turn: int, contenders: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float, Any]]:
    """Measure contenders, each of them first in turn: what one wrote may slow down the disk for the next."""
    names = list(contenders)[:: -1 if turn % 2 else 1]
    return {name: measured(contenders[name]) for name in names}


def ours_in(client: Client, project: str, kind: str, paths: list[Path]) -> None:
    """Plan and store files and register them, as one `append_many_to_dataset` does."""
    media, problems = media_of_rows(kind, [str(path) for path in paths], [None] * len(paths), [None] * len(paths))
    if problems:
        raise SystemExit(str(problems[:5]))
    of_assets = {f"{project}-{number}": medium for number, medium in enumerate(media) if medium is not None}
    uploads = Uploads(client, project, of_assets)
    for start in range(0, len(paths), 100):
        batch = range(start, min(start + 100, len(paths)))
        ids = [f"{project}-{number}" for number in batch]
        stored = uploads.results(ids)
        register(client, project, ids, [one.content for one in stored], [paths[number].stem for number in batch])


def register(client: Client, project: str, ids: list[str], urls: list[str], names: list[str]) -> None:
    """Make assets of stored files."""
    data = {"idArray": ids, "contentArray": urls, "externalIDArray": names}
    client.execute(APPEND, {"data": data, "where": {"id": project}})


def listing(client: Client, project: str) -> pd.DataFrame:
    """Return the assets of a project with the URLs of their files."""
    return read_kili(project, fields=["id", "externalId", "content", "jsonContent"], client=client, disable_tqdm=True)


class Plain:
    """`requests`, a session a thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool, self._local = pool, threading.local()

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        return self._local.session

    def put_all(self, urls: list[str], paths: list[Path]) -> None:
        """Send files."""
        list(self._pool.map(self._put, urls, paths))

    def _put(self, url: str, path: Path) -> None:
        with path.open("rb") as source:
            self._session().put(url.partition("&id=")[0], data=source, timeout=60).raise_for_status()

    def get_all(self, urls: list[str], folder: Path) -> None:
        """Fetch files."""
        folder.mkdir()
        list(self._pool.map(self._get, urls, [folder / str(number) for number in range(len(urls))]))

    def _get(self, url: str, path: Path) -> None:
        with self._session().get(url, stream=True, timeout=60) as response, path.open("wb") as target:
            response.raise_for_status()
            for piece in response.iter_content(2**20):
                target.write(piece)


def compare(server: Server, kind: str, paths: list[Path], folder: Path, repeat: int, sdk: str | None) -> dict[str, Any]:
    """Let the contenders take turns, and return the medians of each."""
    client = Client(server.key, server.endpoint, max_workers=WORKERS, max_calls_per_minute=1_000_000)
    runs: dict[str, list[tuple[float, float]]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        plain = Plain(pool)
        for turn in range(repeat + 1):  # the first one warms up
            project = server.project(kind)
            asked = [f"projects/{project}/assets/p{number}/content" for number in range(len(paths))]
            urls = [
                url
                for start in range(0, len(asked), 30)
                for url in client.execute(SIGN, {"paths": asked[start : start + 30]})["urls"]
            ]
            results = in_turn(
                turn,
                {
                    "in requests": lambda: plain.put_all(urls, paths),  # noqa: B023 - called at once
                    "in pandas_kili": lambda: ours_in(client, project, kind, paths),  # noqa: B023 - called at once
                },
            )
            frame = listing(client, project)
            links = frame["content"].tolist()
            results |= in_turn(
                turn,
                {
                    "out requests": lambda: plain.get_all(links, folder / f"plain{turn}"),  # noqa: B023 - called at once
                    "out pandas_kili": lambda: download_media(
                        frame,  # noqa: B023 - called at once
                        project,  # noqa: B023 - called at once
                        local_media_dir=folder / f"ours{turn}",  # noqa: B023 - called at once
                        client=client,
                        disable_tqdm=True,
                    ),
                },
            )
            check(results["out pandas_kili"][2], paths)
            for name in (f"plain{turn}", f"ours{turn}"):
                subprocess.run(["rm", "-r", str(folder / name)], check=True)
            if turn:
                for name, (seconds, memory, _) in results.items():
                    runs.setdefault(name, []).append((seconds, memory))
    if sdk:
        for turn in range(repeat):
            seconds = official(sdk, server, kind, paths, folder / f"sdk{turn}")
            runs.setdefault("in official SDK", []).append(seconds[0])
            runs.setdefault("out official SDK", []).append(seconds[1])
            subprocess.run(["rm", "-r", str(folder / f"sdk{turn}")], check=True)
    return {
        name: (statistics.median(seconds for seconds, _ in found), max(memory for _, memory in found))
        for name, found in sorted(runs.items(), key=lambda run: (run[0].split()[0], run[0].split()[1] != "requests"))
    }


def check(out: pd.DataFrame, paths: list[Path]) -> None:
    """See that what came back is as large as what went in."""
    for found, path in zip(out["content"], paths, strict=True):
        if Path(found).stat().st_size != path.stat().st_size:
            raise SystemExit(f"{found} is not {path}")


def official(python: str, server: Server, kind: str, paths: list[Path], out: Path) -> list[tuple[float, float]]:
    """Let the official SDK do the same, in its own environment."""
    given = {
        "key": server.key,
        "endpoint": server.endpoint,
        "project": server.project(kind),
        "paths": [str(path) for path in paths],
        "names": [path.stem for path in paths],
        "out": str(out),
    }
    os.sync()
    done = subprocess.run([python, "-c", SDK, json.dumps(given)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    put, put_peak, got, got_peak = json.loads(done.stdout.splitlines()[-1])
    return [(put, put_peak), (got, got_peak)]


def table(title: str, found: dict[str, Any], count: int, size: int) -> None:
    """Print the medians."""
    print(f"\n{title}")
    print(f"{'':22}{'s':>9}{'files/s':>10}{'MB/s':>9}{'x requests':>12}{'peak MB':>9}")
    for name, (seconds, memory) in found.items():
        ratio = seconds / found[f"{name.split()[0]} requests"][0]
        speed = size / 2**20 / seconds
        print(f"{name:22}{seconds:9.2f}{count / seconds:10.0f}{speed:9.1f}{ratio:12.2f}{memory:9.0f}")


def write_small(folder: Path, count: int, size: int) -> list[Path]:
    """Write text files that all differ."""
    folder.mkdir()
    paths = [folder / f"small{number:05}.txt" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text(f"{number:08}" * (size // 8))
    return paths


def write_large(path: Path, size: int) -> Path:
    """Write a file of random bytes that counts as PDF."""
    with path.open("wb") as target:
        target.write(b"%PDF-1.7\n")
        while target.tell() < size:
            target.write(os.urandom(min(2**24, size - target.tell())))
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=int, default=8192, help="bytes of a small file")
    parser.add_argument("--large", type=int, default=256, help="MB of the large file, 0 for none")
    parser.add_argument("--full", action="store_true", help="a large file of 1 GB")
    parser.add_argument(
        "--latency", type=float, nargs="*", default=[0.0, 0.05], help="seconds of each request of small files"
    )
    parser.add_argument("--repeat", type=int, default=4)
    parser.add_argument("--sdk-python", help="interpreter of an environment with the official SDK")
    options = parser.parse_args()
    large = 1024 if options.full else options.large
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = write_small(folder / "small", options.count, options.size)
        for latency in options.latency:
            server = Server(latency)
            found = compare(server, "TEXT", small, folder, options.repeat, options.sdk_python)
            server.close()
            title = f"{options.count} files of {options.size} bytes, {latency * 1000:.0f} ms a request"
            table(title, found, options.count, options.count * options.size)
        if large:
            path = write_large(folder / "large.pdf", large * 2**20)
            server = Server(0.0)
            found = compare(server, "PDF", [path], folder, options.repeat, options.sdk_python)
            server.close()
            table(f"one file of {large} MB", found, 1, large * 2**20)


if __name__ == "__main__":
    main()
