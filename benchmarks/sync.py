"""What a refresh of a copy costs beside a full read: calls, bytes, wall at 150 ms a call, CPU of the client.

    python -m benchmarks.sync                     # 200,000 assets, half of them labeled, 1 % changed
    python -m benchmarks.sync --assets 20000 --sdk-python ENV/bin/python

The server is a sandbox in a process of its own, so its work is part of the wall, and not of the CPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import pandas_kili as pk

_SERVER = """
import json, sys
import pandas as pd
from pandas_kili.sandbox import Fault, Sandbox

count, latency = int(sys.argv[1]), float(sys.argv[2])
with Sandbox(max_calls_per_minute=None) as sandbox:
    project, ids = sandbox.create_project("Large", "TEXT"), []
    for start in range(0, count, 1000):
        rows = [{"externalId": f"asset-{start + row}", "content": "text " * 20} for row in range(1000)]
        ids += sandbox.add_assets(project, rows)
    answer = json.dumps({"JOB": {"annotations": [{"beginOffset": at, "content": "word"} for at in range(40)]}})
    sandbox.add_labels(pd.DataFrame({"assetId": ids[::2], "jsonResponse": answer}))
    print(json.dumps([sandbox.api_endpoint, sandbox.api_key, project]), flush=True)
    sandbox.inject(Fault("latency", seconds=latency, times=None))
    for line in sys.stdin:
        changed = int(line)
        sandbox.add_labels(pd.DataFrame({"assetId": ids[:changed], "jsonResponse": answer}))
        print("done", flush=True)
"""
_SDK = """
import json, sys, time
from kili.client import Kili
endpoint, key, project, first = sys.argv[1:]
kili = Kili(key, endpoint, disable_tqdm=True)
start = time.perf_counter()
kili.assets(project, first=int(first))
print(json.dumps(time.perf_counter() - start))
"""


class _Bytes(logging.Handler):
    """Counts calls and the bytes of their answers, as the log of the client tells them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.calls = self.bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r", (\d+) bytes", record.getMessage())
        if found:
            self.calls, self.bytes = self.calls + 1, self.bytes + int(found[1])


def measured(name: str, work: Callable[[], Any]) -> dict[str, Any]:
    """Run `work` once, print and return what it cost."""
    counter, logger = _Bytes(), logging.getLogger("pandas_kili")
    logger.addHandler(counter)
    wall, cpu = time.perf_counter(), time.process_time()
    said = work()
    cost = {"calls": counter.calls, "MB": counter.bytes / 1e6}
    cost |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    logger.removeHandler(counter)
    figures = f"{cost['calls']:,} calls | {cost['MB']:,.2f} MB | {cost['wall']:.2f} s | {cost['cpu']:.2f} s of CPU"
    print(f"| {name} | {figures} | {said if isinstance(said, pk.SyncReport) else ''}", flush=True)
    return cost


def main() -> None:
    """Measure each once, and print a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=200_000)
    parser.add_argument("--latency", type=float, default=0.15)
    parser.add_argument("--sdk-python", help="interpreter of an environment with the official SDK")
    options = parser.parse_args()
    logging.getLogger("pandas_kili").setLevel(logging.DEBUG)
    command = [sys.executable, "-c", _SERVER, str(options.assets), str(options.latency)]
    folder = Path(tempfile.mkdtemp())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        lines, orders = iter(server.stdout or ()), server.stdin
        endpoint, key, project = json.loads(next(lines))
        client = pk.Client(key, endpoint, max_calls_per_minute=1_000_000)
        pk.count_assets(project, client=client)

        def change(count: int) -> None:
            if orders is not None:
                print(count, file=orders, flush=True)
                next(lines)

        def to_parquet() -> None:
            reader = pk.scan_batches(project, client=client, disable_tqdm=True)
            with pq.ParquetWriter(folder / "read.parquet", reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)

        def sync(**more: bool) -> pk.SyncReport:
            return pk.sync(project, folder / "copy", client=client, disable_tqdm=True, **more)

        full = measured("full read to Parquet", to_parquet)
        first = measured("first copy", sync)
        nothing = measured("refresh, nothing changed", sync)
        change(options.assets // 100)
        refresh = measured("refresh, 1 % changed", sync)
        look = measured("verify", lambda: sync(verify=True))
        print(f"fewer calls by a refresh: {full['calls'] / refresh['calls']:.0f} times")
        print(f"less wall by a refresh: {full['wall'] / refresh['wall']:.0f} times")
        print(f"calls where nothing changed: {nothing['calls']}")
        print(f"bytes of verify: {look['MB'] / full['MB']:.2f} of a full read")
        print(f"wall of the first copy: {first['wall'] / full['wall']:.2f} of a full read to Parquet")
        if options.sdk_python:
            some = min(options.assets, 1000)
            asked = [options.sdk_python, "-c", _SDK, endpoint, key, project, str(some)]
            seconds = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
            scaled = seconds * options.assets / some
            print(
                f"official SDK: {scaled:.0f} s (measured at {some:,}), {scaled / refresh['wall']:.0f} times a refresh"
            )
        server.kill()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
