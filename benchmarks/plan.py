"""A frame as the desired state, of which 1 % differs: planning and applying, beside the same by hand.

    python -m benchmarks.plan                  # 100,000 rows, no latency: calls and CPU
    python -m benchmarks.plan --latency 0.15   # the wall at 150 ms a call
    python -m benchmarks.plan --rows 10000     # seconds
    PANDAS_KILI_SDK_ENV=FOLDER python -m benchmarks.plan   # beside the official SDK, in an environment of its own

Seconds of CPU are those of the client's process; the server is a sandbox in a process of its own. By hand means what
people write today: read the whole project with the official SDK, compare in Python, update what differs. `read_kili`
reads the columns that the plan compares, and nothing else. Plans of what equals the project, and the reads that they
are held against, are measured three times in turns; the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pandas as pd

import pandas_kili as pk

FIELDS = ("id", "externalId", "priority", "jsonMetadata")
TIMES = 3
BATCH = 100  # rows in a call that writes
GOAL = 1.5  # times the CPU of the read
SERVER = """
import json, sys
from pandas_kili.sandbox import Fault, Sandbox
rows, latency = int(sys.argv[1]), float(sys.argv[2])
with Sandbox(max_calls_per_minute=None) as sandbox:
    project = sandbox.create_project("Full", "IMAGE")
    sandbox.add_assets(project, [
        {"externalId": f"n{i}", "content": f"https://a.org/{i}", "jsonMetadata": json.dumps({"site": "Lyon", "n": i})}
        for i in range(rows)
    ])
    if latency:
        sandbox.inject(Fault("latency", times=None, seconds=latency))
    print(json.dumps([sandbox.api_endpoint, sandbox.api_key, project]), flush=True)
    calls = [0, 0]
    def count(request):
        calls[(request.document or "").lstrip().startswith("mutation")] += 1
    sandbox.before_request(count)
    for line in sys.stdin:
        sandbox.clear_requests()
        print(*calls, flush=True)
        calls[:] = 0, 0
"""
SDK = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from kili.client import Kili
endpoint, key, project, step = json.loads(sys.argv[1])
kili = Kili(key, endpoint, disable_tqdm=True)
start, wall = time.process_time(), time.monotonic()
fields = ["id", "externalId", "priority", "jsonMetadata"]
there = {asset["externalId"]: asset for asset in kili.assets(project_id=project, fields=fields, disable_tqdm=True)}
changed = {}
for number in range(len(there)):
    asset, wanted = there[f"n{number}"], {"site": "Lyon", "n": number}
    if number % 100 == 0:
        wanted["site"] = f"Brest {step}"
    if asset["jsonMetadata"] != wanted:
        changed[asset["id"]] = wanted
kili.update_properties_in_assets(asset_ids=list(changed), json_metadatas=list(changed.values()))
print(json.dumps([time.process_time() - start, time.monotonic() - wall, len(changed)]))
"""


class Meter:
    """Measures work of this process, and counts the calls that arrive."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._in: IO[str] = server.stdin  # type: ignore[assignment]
        self._out: IO[str] = server.stdout  # type: ignore[assignment]
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self._rows: dict[str, tuple[int, int, float]] = {}  # calls that read, calls that write, wall

    def calls(self) -> tuple[int, int]:
        """Return how many calls that read and that write arrived since this was last asked."""
        self._in.write("calls\n")
        self._in.flush()
        reads, writes = map(int, self._out.readline().split())
        return reads, writes

    def measure(self, what: str, work: Callable[[], Any]) -> Any:
        """Do some work, and note what it took."""
        self.calls()
        cpu, wall = time.process_time(), time.monotonic()
        result = work()
        self.cpu[what].append(time.process_time() - cpu)
        wall = time.monotonic() - wall
        self._rows[what] = (*self.calls(), wall)
        return result

    def median(self, what: str) -> float:
        """Return the seconds of CPU that some work took."""
        return statistics.median(self.cpu[what])

    def calls_of(self, what: str) -> tuple[int, int]:
        """Return how many calls that read and that write some work made."""
        return self._rows[what][:2]

    def note(self, what: str, cpu: float, wall: float) -> None:
        """Note the work of another process."""
        self.cpu[what].append(cpu)
        self._rows[what] = (*self.calls(), wall)

    def table(self) -> str:
        """Return all that was measured, in Markdown."""
        head = "| what | calls that read | that write | CPU s | wall s |\n|---|--:|--:|--:|--:|"
        return "\n".join(
            [
                head,
                *(
                    f"| {what} | {reads:,} | {writes:,} | {self.median(what):.2f} | {wall:.1f} |"
                    for what, (reads, writes, wall) in self._rows.items()
                ),
            ]
        )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    command = [sys.executable, "-c", SERVER, str(options.rows), str(options.latency)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        endpoint, key, project = json.loads(server.stdout.readline())  # type: ignore[union-attr]
        meter = Meter(server)
        goals = _ours(meter, project, pk.Client(key, endpoint, max_calls_per_minute=1_000_000))
        if folder := os.environ.get("PANDAS_KILI_SDK_ENV"):
            meter.calls()
            given = json.dumps([endpoint, key, project, "by hand"])
            python = str(Path(folder, "bin", "python"))
            done = subprocess.run([python, "-c", SDK, given], capture_output=True, text=True, check=True)
            cpu, wall, changed = json.loads(done.stdout.splitlines()[-1])
            meter.note(f"by hand, official SDK: read, compare, {changed:,} updates", cpu, wall)
        print(f"{options.rows:,} rows, {options.latency * 1000:.0f} ms a call\n")
        print(meter.table())
        print("\n| goal | result | met |\n|---|--:|:-:|")
        print("\n".join(f"| {what} | {result} | {'yes' if met else 'NO'} |" for what, result, met in goals))
    finally:
        server.stdin.close()  # type: ignore[union-attr]
        server.wait()


def _ours(meter: Meter, project: str, client: pk.Client) -> list[tuple[str, str, bool]]:
    read = "`read_kili` of the same columns"

    def reading() -> pk.KiliFrame:
        return pk.read_kili(project, fields=FIELDS, client=client, disable_tqdm=True)

    frame = reading()  # once, so that nothing is measured that a process does only once
    frame.head(1).kili.update_properties_in_assets("priority", client=client)
    table = pd.DataFrame({"externalId": frame["externalId"], "site": "Lyon", "n": range(len(frame)), "priority": 0})
    dicts = frame.assign(jsonMetadata=[json.loads(text) for text in frame["jsonMetadata"]])
    keys = {"metadata": ["site", "n"], "client": client}
    same = {
        "plan, equal: metadata as text, by id": lambda: frame.kili.plan(client=client),
        "plan, equal: metadata as dicts, by id": lambda: dicts.kili.plan(client=client),
        "plan, equal: metadata in columns, by name": lambda: table.kili.plan(project, **keys),
    }
    for _ in range(TIMES):
        meter.measure(read, reading)
        for what, plan in same.items():
            if meter.measure(what, plan):
                raise SystemExit(f"{what}: it is not empty")
    table.loc[::100, "site"] = "Brest"
    planning = "plan: 1 % differs"
    plan = meter.measure(planning, lambda: table.kili.plan(project, **keys))
    applying = f"apply: {len(plan):,} changes"
    meter.measure(applying, lambda: plan.apply(disable_tqdm=True))
    goals = []
    for what in same:
        ratio = meter.median(what) / meter.median(read)
        goals.append((f"{what}: CPU ≤ {GOAL} times that of the read", f"{ratio:.2f}", ratio <= GOAL))
    (pages, _), (looked_up, _) = meter.calls_of(read), meter.calls_of(planning)
    looks, writes = meter.calls_of(applying)
    batches = -(-len(plan) // BATCH)
    for what, count, most in (
        ("calls of the plan ≤ those of the read + 1", looked_up, pages + 1),
        ("calls of apply that write ≤ 1 per 100 changed rows", writes, batches),
        ("its looks just before ≤ 1 per 100 changed rows", looks, batches),
    ):
        goals.append((f"1 % differs: {what}", f"{count:,} of {most:,}", count <= most))
    return goals


if __name__ == "__main__":
    main()
