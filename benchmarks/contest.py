"""Contenders in processes of their own, taking turns, and what their runs come to."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SDK = "26.2.4"
_ROOT = Path(__file__).parent.parent
Cost = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """How a question is asked: at full size or `quick`, and by which interpreter the official SDK runs."""

    quick: bool = False
    sdk_python: str | None = None

    def of(self, full: int, quick: int) -> int:
        """Return a number for the size of the run."""
        return quick if self.quick else full

    @property
    def sdk(self) -> str:
        """The interpreter of an environment that holds the official SDK, made on first use."""
        return self.sdk_python or _made_environment()


@dataclass(frozen=True)
class Line:
    """One line of the table: what was found against what is wanted."""

    goal: str
    question: str
    ours: str
    peer: str
    ratio: float
    at_least: float | None = None
    at_most: float | None = None
    also: bool = True  # whatever else must hold

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        least, most = self.at_least or 0, self.at_most or float("inf")
        return self.also and least <= self.ratio <= most

    def text(self) -> str:
        """Return the line in Markdown."""
        wanted = f"≥ {_times(self.at_least)}" if self.at_least else f"≤ {_times(self.at_most or 0)}"
        cells = (self.goal, self.question, self.ours, self.peer, _times(self.ratio), wanted)
        return f"| {' | '.join(cells)} | {'yes' if self.met else 'NO'} |"


HEAD = (
    "| # | question | ours: median (spread) | peer | ratio | goal | met |\n"
    "|--:|---|---|---|--:|---|:-:|"
)  # fmt: skip


class Runs:
    """What several runs of one task cost."""

    def __init__(self, costs: Sequence[Cost]) -> None:
        self.costs = costs

    def median(self, name: str) -> float:
        """Return the middle one."""
        return statistics.median(float(cost[name]) for cost in self.costs)

    def text(self, name: str, unit: str, factor: float = 1.0) -> str:
        """Return the median, and from where to where the runs go."""
        values = sorted(factor * float(cost[name]) for cost in self.costs)
        spread = f" ({_short(values[0])}–{_short(values[-1])})" if len(values) > 1 else ""  # noqa: RUF001 - the dash of a range
        return f"{_short(factor * self.median(name))}{spread} {unit}"


def run(contender: str, task: str, given: Mapping[str, Any], python: str = sys.executable) -> Cost:
    """Let a contender do a task, and return what it cost."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [python, "-m", f"benchmarks.contenders.{contender}", task],
            input=json.dumps(dict(given)),
            capture_output=True,
            text=True,
            check=False,
            cwd=_ROOT,
            env={**os.environ, "HOME": home, "PYTHONWARNINGS": "ignore"},
        )
    if done.returncode:
        raise RuntimeError(f"{contender} {task}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def in_turns(repeat: int, **contenders: Callable[[], Cost]) -> dict[str, Runs]:
    """Let contenders do their tasks in turns, so that what else the machine does meets all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for _ in range(repeat):
        for name, contender in contenders.items():
            costs[name].append(contender())
    return {name: Runs(found) for name, found in costs.items()}


def alone(ask: Callable[[Terms], list[Line]]) -> None:
    """Run one script from the command line."""
    parser = argparse.ArgumentParser(description=sys.modules[ask.__module__].__doc__)
    add_options(parser)
    options = parser.parse_args()
    print(HEAD)
    for line in ask(Terms(options.quick, options.sdk_python)):
        print(line.text())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what all scripts take."""
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    parser.add_argument("--sdk-python", help=f"interpreter with kili=={SDK}; by default an environment is made for it")


def _times(ratio: float) -> str:
    return f"{ratio:.3g}×"  # noqa: RUF001 - as printed everywhere


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _made_environment() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "pandas_kili" / f"kili-{SDK}"
    python = folder / "bin" / "python"
    installed = f"import importlib.metadata as m; assert m.version('kili') == '{SDK}'"
    if not python.exists() or subprocess.run([python, "-c", installed], capture_output=True, check=False).returncode:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"kili=={SDK}"], check=True)
    return str(python)
