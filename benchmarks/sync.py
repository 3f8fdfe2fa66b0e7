"""What a refresh of a copy costs beside a full read: calls, bytes, wall at 150 ms a call, CPU and memory of the client.

    python -m benchmarks.sync                     # 200,000 assets, half of them labeled, 1 % changed
    python -m benchmarks.sync --quick             # 20,000

Of what changed, 70 % got a label and 20 % another priority, 5 % were deleted and 5 % are new. The server is a sandbox
in a process of its own, so its work is part of the wall, and not of the CPU. Each task has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.contest import HEAD, Line, Terms, add_options, run

_SERVER = """
import json, sys
import pandas as pd
from pandas_kili.sandbox import Fault, Sandbox

answer = json.dumps({"JOB": {"annotations": [{"beginOffset": at, "content": "word"} for at in range(40)]}})
update = "updatePropertiesInAssets(where: $w, data: $d) { id }"
update = "mutation($w: [AssetWhere!]!, $d: [AssetData!]!) { data: %s }" % update

def filled(count):
    project, ids = sandbox.create_project("Large", "TEXT"), []
    for start in range(0, count, 10_000):
        rows = [{"externalId": f"asset-{start + row}", "content": "text " * 20} for row in range(min(10_000, count))]
        ids += sandbox.add_assets(project, rows)
    sandbox.add_labels(pd.DataFrame({"assetId": ids[::2], "jsonResponse": answer}))
    return project, ids

def change(project, ids, count):
    labeled, changed, deleted = (ids[int(share * count) : int(upto * count)] for share, upto in PARTS)
    sandbox.add_labels(pd.DataFrame({"assetId": labeled, "jsonResponse": answer}))
    for start in range(0, len(changed), 100):
        some = changed[start : start + 100]
        sandbox.client.execute(update, {"w": [{"id": each} for each in some], "d": [{"priority": 1}] * len(some)})
    sandbox.delete_assets(deleted)
    sandbox.add_assets(project, [{"externalId": f"new-{row}"} for row in range(count - int(0.95 * count))])

PARTS = [(0, 0.7), (0.7, 0.9), (0.9, 0.95)]
with Sandbox(max_calls_per_minute=None) as sandbox:
    projects = [filled(int(count)) for count in sys.argv[2:]]
    print(json.dumps([sandbox.api_endpoint, sandbox.api_key, [project for project, _ in projects]]), flush=True)
    latency = Fault("latency", seconds=float(sys.argv[1]), times=None)
    sandbox.inject(latency)
    for line in sys.stdin:
        sandbox.clear_faults()
        for project, ids in projects:
            change(project, ids, int(line))
        sandbox.inject(latency)
        print("done", flush=True)
"""
_SDK = """
import json, sys, time
from kili.client import Kili
endpoint, key, project, first = sys.argv[1:]
kili = Kili(key, endpoint, disable_tqdm=True)
kili.assets(project, first=1)
start, cpu = time.perf_counter(), time.process_time()
kili.assets(project, first=int(first))
print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]))
"""
_A_MINUTE = 500  # calls, Kili's limit


def main() -> None:
    """Measure each once, print what it cost, and then the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--latency", type=float, default=0.15, help="seconds that each call takes more")
    parser.add_argument("--no-sdk", action="store_true", help="leave the official SDK out")
    options = parser.parse_args()
    terms = Terms(options.quick, options.sdk_python)
    assets = terms.of(200_000, 20_000)
    command = [sys.executable, "-c", _SERVER, str(options.latency), str(assets), str(assets // 4)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        lines, orders = iter(server.stdout or ()), server.stdin
        endpoint, key, (large, small) = json.loads(next(lines))
        print("| task | calls | MB | wall | CPU | peak memory | |\n|---|--:|--:|--:|--:|--:|---|", flush=True)

        def measure(name: str, task: str, project: str = large, **more: Any) -> dict[str, Any]:
            given = {"endpoint": endpoint, "key": key, "project": project, "copy": f"{folder}/{project}", **more}
            cost = run("copy", task, given)
            figures = f"{cost['calls']:,} | {cost['MB']:,.2f} | {cost['wall']:.2f} s | {cost['cpu']:.2f} s"
            print(f"| {name} | {figures} | {cost['peak']:.0f} MB | {cost['result']} |", flush=True)
            return cost

        full = measure(f"full read of {assets:,} to Parquet", "parquet")
        first = measure("first copy", "sync")
        nothing = measure("refresh, nothing changed", "sync")
        measure(f"first copy of {assets // 4:,}", "sync", small)
        print(assets // 100, file=orders, flush=True)
        next(lines)
        refresh = measure("refresh, 1 % changed", "sync")
        beside = measure(f"refresh of {assets // 4:,}, as many changed", "sync", small)
        look = measure("verify", "sync", verify=True)
        if not options.no_sdk:
            _ask_sdk(terms, assets, endpoint, key, large)
        server.kill()
    print("\n" + HEAD)
    for line in _goals(full, first, nothing, refresh, beside, look):
        print(line.text())


def _ask_sdk(terms: Terms, assets: int, endpoint: str, key: str, project: str) -> None:
    some = terms.of(10_000, 1_000)
    asked = [terms.sdk, "-c", _SDK, endpoint, key, project, str(some)]
    wall, cpu = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    scale = assets / some
    print(f"| official SDK, full read, {some:,} measured | | | {scale * wall:,.0f} s | {scale * cpu:,.0f} s | | |")


def _goals(*costs: dict[str, Any]) -> list[Line]:
    full, first, nothing, refresh, beside, look = costs

    def at_the_limit(cost: dict[str, Any]) -> float:
        return float(max(cost["wall"], (cost["calls"] - 1) // _A_MINUTE * 60))

    def line(question: str, ours: str, peer: str, ratio: float, **goal: float) -> Line:
        return Line("17", question, ours, peer, ratio, **goal)

    calls, limit = "calls", f"{_A_MINUTE} calls a minute"
    walls = [f"{cost['wall']:.2f} s" for cost in (refresh, full, first)]
    limited = [at_the_limit(cost) for cost in (refresh, full)]
    peaks = [f"{cost['peak']:.0f} MB" for cost in (refresh, beside)]
    sizes = [f"{cost['MB']:.1f} MB" for cost in (look, full)]
    return [
        line(
            "refresh: how many times fewer calls",
            f"{refresh[calls]}",
            f"full read: {full[calls]:,}",
            full[calls] / refresh[calls],
            at_least=50,
        ),
        line(
            f"refresh: how many times less wall, at {limit} (the full read by arithmetic)",
            f"{limited[0]:.2f} s",
            f"full read: {limited[1]:.0f} s",
            limited[1] / limited[0],
            at_least=30,
        ),
        line(
            "refresh: how many times less wall, without that limit",
            walls[0],
            f"full read: {walls[1]}",
            full["wall"] / refresh["wall"],
            at_least=30,
        ),
        line(
            "refresh: peak memory",
            peaks[0],
            f"of a project of a quarter: {peaks[1]}",
            refresh["peak"] / beside["peak"],
            at_most=1.15,
        ),
        line("refresh where nothing changed: calls", f"{nothing[calls]}", "one", nothing[calls], at_most=3),
        line("verify: bytes", sizes[0], f"full read: {sizes[1]}", look["MB"] / full["MB"], at_most=1 / 3),
        line("first copy: wall", walls[2], f"to Parquet: {walls[1]}", first["wall"] / full["wall"], at_most=1.3),
    ]


if __name__ == "__main__":
    main()
