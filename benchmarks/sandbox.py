"""How fast the sandbox starts, and how many small operations it serves a second.

python -m benchmarks.sandbox
"""

from __future__ import annotations

import statistics
import time

import requests

from pandas_kili.sandbox import Sandbox

_COUNT = {"query": "query($where: AssetWhere!) { data: countAssets(where: $where) }"}
_TIMES, _OPERATIONS = 5, 2_000


def rate(sandbox: Sandbox) -> float:
    """Return how many counts one client gets a second."""
    where = {"project": {"id": sandbox.create_project("Small", "TEXT")}}
    body = {**_COUNT, "variables": {"where": where}}
    with requests.Session() as session:
        session.headers["Authorization"] = f"X-API-Key: {sandbox.api_key}"
        start = time.perf_counter()
        for _ in range(_OPERATIONS):
            session.post(sandbox.api_endpoint, json=body, timeout=10)
        return _OPERATIONS / (time.perf_counter() - start)


def main() -> None:
    """Measure, and print the medians beside the goals."""
    starts, rates = [], []
    for _ in range(_TIMES):
        start = time.perf_counter()
        sandbox = Sandbox(max_calls_per_minute=None).start()
        starts.append(time.perf_counter() - start)
        rates.append(rate(sandbox))
        sandbox.stop()
    print(f"start: {statistics.median(starts):.2f} s (goal: 0.3 s)")
    print(f"small operations: {statistics.median(rates):,.0f} a second, the client's work included (goal: 1,000)")


if __name__ == "__main__":
    main()
