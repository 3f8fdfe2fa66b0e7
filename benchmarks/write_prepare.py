"""Preparing and checking before the first mutation: that it is linear in the rows.

    python -m benchmarks.write_prepare                                # 1,000, 10,000 and 100,000 rows
    python -m benchmarks.write_prepare --sdk-python ENV/bin/python    # beside the duplicate check of the official SDK
    python -m benchmarks.write_prepare --sdk-python ENV/bin/python --full  # that check at 100,000 rows too: minutes

A dry run does all that a mutation does but the mutation: cells are read and checked, assets looked up, payloads made.
Seconds are CPU of the client's process, medians of `--repeat`; the server is a sandbox in a process of its own. Of the
SDK only `filter_duplicate_external_ids` is run, the step of its append that compares external ids with each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd

import pandas_kili as pk
from benchmarks.meter import measured

SIZES = (1_000, 10_000, 100_000)
SERVER = """
import json, sys
from pandas_kili.sandbox import Sandbox
with Sandbox(generation="current", max_calls_per_minute=None) as sandbox:
    project, empty = sandbox.create_project("Full", "IMAGE"), sandbox.create_project("Empty", "IMAGE")
    ids = sandbox.add_assets(project, [{"externalId": f"n{i}"} for i in range(int(sys.argv[1]))])
    print(json.dumps([sandbox.api_endpoint, sandbox.api_key, project, empty, ids]), flush=True)
    sys.stdin.read()
"""
SDK = """
import json, sys, time, warnings
from types import SimpleNamespace as Namespace
warnings.simplefilter("ignore")
from kili.client import Kili
from kili.services.asset_import.base import BaseAbstractAssetImporter
endpoint, key, project, rows = json.loads(sys.argv[1])
kili = Kili(key, endpoint, disable_tqdm=True)
importer = Namespace(kili=kili, project_params=Namespace(project_id=project))
assets = [{"external_id": f"new-{i}", "content": f"https://example.com/{i}.png"} for i in range(rows)]
start = time.process_time()
BaseAbstractAssetImporter.filter_duplicate_external_ids(importer, assets)
print(time.process_time() - start)
"""


def main() -> None:
    """Measure and print the table."""
    chosen = _arguments()
    command = [sys.executable, "-c", SERVER, str(max(SIZES))]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        endpoint, key, project, empty, ids = json.loads(server.stdout.readline())  # type: ignore[union-attr]
        client = pk.Client(key, endpoint, max_calls_per_minute=1_000_000)
        client.names("Mutation")
        print("| rows | update, s | rows a second | append, s | rows a second | SDK's duplicate check, s |")
        print("|--:|--:|--:|--:|--:|--:|")
        for rows in SIZES:
            update = _median(_updating(client, project, ids[:rows]), chosen.repeat)
            append = _median(_appending(client, empty, rows), chosen.repeat)
            sdk = _of_sdk(chosen, endpoint, key, empty, rows)
            rates = f"{update:.2f} | {rows / update:,.0f} | {append:.2f} | {rows / append:,.0f}"
            print(f"| {rows:,} | {rates} | {sdk} |", flush=True)
    finally:
        server.communicate()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of which the median is taken")
    parser.add_argument("--sdk-python", metavar="PYTHON", help="interpreter of an environment with the official SDK")
    parser.add_argument("--full", action="store_true", help="run the SDK at the largest size too")
    return parser.parse_args()


def _median(work: Callable[[], Any], repeat: int) -> float:
    work()  # imports what is imported late
    return statistics.median(measured(work)["cpu"] for _ in range(repeat))


def _updating(client: pk.Client, project: str, ids: list[str]) -> Callable[[], Any]:
    frame = pd.DataFrame(
        {"id": ids, "priority": range(len(ids)), "meta": [{"row": i, "kind": "x"} for i in range(len(ids))]}
    )

    def update() -> pd.DataFrame:
        return pk.kili(frame).update_properties_in_assets(
            "priority", json_metadata="meta", project_id=project, client=client, dry_run=True
        )

    return update


def _appending(client: pk.Client, project: str, rows: int) -> Callable[[], Any]:
    frame = pd.DataFrame({"externalId": [f"new-{i}" for i in range(rows)]})
    frame["content"] = "https://example.com/" + frame["externalId"] + ".png"
    frame["jsonMetadata"] = [{"row": i, "kind": "x"} for i in range(rows)]

    def append() -> pd.DataFrame:
        return pk.kili(frame).append_many_to_dataset(project, client=client, dry_run=True)

    return append


def _of_sdk(chosen: argparse.Namespace, endpoint: str, key: str, project: str, rows: int) -> str:
    if not chosen.sdk_python or (rows == max(SIZES) and not chosen.full):
        return "-"
    given = json.dumps([endpoint, key, project, rows])
    done = subprocess.run([chosen.sdk_python, "-c", SDK, given], capture_output=True, text=True, check=True)
    return f"{float(done.stdout.splitlines()[-1]):.2f}"


if __name__ == "__main__":
    main()
