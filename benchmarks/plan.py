"""A frame as the desired state, of which 1 % differs: planning and applying, beside the same by hand.

    python -m benchmarks.plan                                # 100,000 rows, no latency
    python -m benchmarks.plan --latency 0.15                 # the wall at 150 ms a call
    python -m benchmarks.plan --sdk-python ENV/bin/python    # beside the official SDK: read all, compare, write
    python -m benchmarks.plan --rows 10000

Seconds of CPU are those of the client's process; the server is a sandbox in a process of its own. By hand means what
people write today: read the whole project with the official SDK, compare in Python, update what differs. `read` is
`pandas_kili.read_kili` of the columns that the plan compares.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import pandas as pd

import pandas_kili as pk

FIELDS = ("id", "externalId", "priority", "jsonMetadata")
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
    calls = [0]
    sandbox.before_request(lambda request: calls.__setitem__(0, calls[0] + 1))
    for line in sys.stdin:
        sandbox.clear_requests()
        print(calls[0], flush=True)
        calls[0] = 0
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

    def calls(self) -> int:
        """Return how many calls arrived since this was last asked."""
        self._in.write("calls\n")
        self._in.flush()
        return int(self._out.readline())

    def line(self, what: str, work: Callable[[], Any]) -> Any:
        """Do some work, and print what it took."""
        self.calls()
        cpu, wall = time.process_time(), time.monotonic()
        result = work()
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        print(f"| {what} | {self.calls():,} | {cpu:.2f} | {wall:.1f} |", flush=True)
        return result


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--sdk-python", help="interpreter that has the official SDK")
    options = parser.parse_args()
    command = [sys.executable, "-c", SERVER, str(options.rows), str(options.latency)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        endpoint, key, project = json.loads(server.stdout.readline())  # type: ignore[union-attr]
        client = pk.Client(key, endpoint, max_calls_per_minute=1_000_000)
        meter = Meter(server)
        print(f"{options.rows:,} rows, {options.latency * 1000:.0f} ms")
        print("\n| what | calls | CPU s | wall s |\n|---|--:|--:|--:|")
        _ours(meter, project, client)
        if options.sdk_python:
            meter.calls()
            given = json.dumps([endpoint, key, project, "by hand"])
            done = subprocess.run([options.sdk_python, "-c", SDK, given], capture_output=True, text=True, check=True)
            cpu, wall, changed = json.loads(done.stdout.splitlines()[-1])
            print(f"| by hand, official SDK: {changed:,} changed | {meter.calls():,} | {cpu:.2f} | {wall:.1f} |")
    finally:
        server.stdin.close()  # type: ignore[union-attr]
        server.wait()


def _ours(meter: Meter, project: str, client: pk.Client) -> None:
    def read() -> pk.KiliFrame:
        return pk.read_kili(project, fields=FIELDS, client=client, disable_tqdm=True)

    read()  # once, so that nothing is measured that a process does only once
    frame = meter.line("read_kili of the same columns", read)
    table = pd.DataFrame({"externalId": frame["externalId"], "site": "Lyon", "n": range(len(frame)), "priority": 0})
    meter.line("plan: the frame, by id, equals the project", lambda: frame.kili.plan(client=client))
    keys = {"metadata": ["site", "n"], "client": client}
    meter.line("plan: a table, by name, equals the project", lambda: table.kili.plan(project, **keys))
    table.loc[::100, "site"] = "Brest"
    plan = meter.line("plan: 1 % of the table differs", lambda: table.kili.plan(project, **keys))
    meter.line(f"apply: {len(plan):,} changes", lambda: plan.apply(disable_tqdm=True))
    meter.line("plan: the same again", lambda: table.kili.plan(project, **keys))
    meter.line("plan with missing='delete', the same again", lambda: table.kili.plan(project, missing="delete", **keys))


if __name__ == "__main__":
    main()
