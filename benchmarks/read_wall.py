"""A read where a call takes 150 ms: how long it takes."""

from __future__ import annotations

import math

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay

_LATENCY, _WORKERS, _STRIDE = 0.15, 8, 99


def ask(terms: Terms) -> list[Line]:
    """Read with eight workers, after the pages were made ready for both."""
    count = terms.of(10_000, 3_000)
    with Replay("labelled", count) as server:
        run("ours", "read", server.given)
        run("sdk", "read", server.given, terms.sdk)
        server.reset(_LATENCY)
        ours = Runs([run("ours", "read", server.given | {"workers": _WORKERS}) for _ in range(terms.of(5, 1))])
        sdk = run("sdk", "read", server.given, terms.sdk)
    ideal = math.ceil(math.ceil(count / 100) / _WORKERS) * _LATENCY
    what, seconds = f"`read_kili`, {count:,} assets at 150 ms a call", ours.text("wall", "s")
    wall = ours.median("wall")
    return [
        Line("5", f"{what}: how much faster", seconds, f"SDK: {sdk['wall']:.1f} s", sdk["wall"] / wall, at_least=14),
        Line(
            "5",
            f"{what}: wall",
            seconds,
            f"ideal, ⌈pages / {_WORKERS} workers⌉ calls: {ideal:.2f} s",
            wall / ideal,
            at_most=1.25,
        ),
    ]


if __name__ == "__main__":
    alone(ask)
