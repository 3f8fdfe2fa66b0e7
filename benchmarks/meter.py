"""What a piece of work costs the process that does it. Nothing but the standard library: every contender imports it."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Do the work once; return wall and CPU seconds, the peak of memory above the start in MB, and the result."""
    gc.collect()
    start_memory = start_of_peak()
    start_cpu, start = time.process_time(), time.perf_counter()
    result = work()
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return {"wall": wall, "cpu": cpu, "peak": peak() - start_memory, "result": result}


def measured_twice(work: Callable[[], Any]) -> dict[str, Any]:
    """Do the work twice; the first time tells the peak of memory, the second what it costs where memory is at hand.

    The system clears each page of memory before its first use, which on virtual machines may cost as much as the work.
    """
    first = measured(work)
    first.pop("result")
    return {**measured(work), "first": first["wall"], "peak": first["peak"]}


def start_of_peak() -> float:
    """Forget the peak so far, where the system can, and return what is resident now."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmRSS")
    except OSError:
        return peak()


def resident() -> float:
    """Return how many MB of memory are resident now."""
    return _status("VmRSS")


def peak() -> float:
    """Return the most MB of memory that were resident since the start of the peak."""
    try:
        return _status("VmHWM")  # `ru_maxrss` is inherited from the process that started this one
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def serve(tasks: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Do the task that the command line names, with the arguments on standard input, and print what it cost."""
    given = json.load(sys.stdin)
    print(json.dumps(tasks[sys.argv[1]](**given)))
