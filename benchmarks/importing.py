"""How long the import takes."""

from __future__ import annotations

import compileall
from pathlib import Path

from benchmarks.contest import Line, Runs, Terms, alone, in_turns, run

_PACKAGE = Path(__file__).parent.parent / "pandas_kili"


def ask(terms: Terms) -> list[Line]:
    """Import in fresh interpreters, in turns; compiled before, as installers do."""
    compileall.compile_dir(_PACKAGE, quiet=1)
    found = in_turns(
        terms.of(15, 9),
        ours=lambda: run("plain", "imports", {"modules": ["pandas_kili"]}),
        base=lambda: run("plain", "imports", {"modules": ["pandas", "requests"]}),
    )
    return [_compared("cpu", "CPU", found), _compared("wall", "wall", found)]


def _compared(name: str, what: str, found: dict[str, Runs]) -> Line:
    ours, base = found["ours"], found["base"]
    milliseconds, peer = ours.text(name, "ms", 1000), f"pandas and requests: {base.text(name, 'ms', 1000)}"
    slower = ours.median(name) / base.median(name)
    return Line("10", f"`import pandas_kili`: {what}", milliseconds, peer, slower, at_most=1.15)


if __name__ == "__main__":
    alone(ask)
