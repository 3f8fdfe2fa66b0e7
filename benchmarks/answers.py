"""Answers of labels that lie behind a URL each: how long it takes to fetch them."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay


def ask(terms: Terms) -> list[Line]:
    """Read 2,000 labels. The SDK fetches one after the other, so that its time for a part can be scaled."""
    return [line for latency in (0.02, 0.08) for line in _at(latency, terms)]


def _at(latency: float, terms: Terms) -> list[Line]:
    count = 2_000
    part = terms.of(500, 50)
    with Replay("behind", count) as many, Replay("behind", part) as few:
        run("ours", "read", many.given)
        many.reset(file_latency=latency)
        few.reset(file_latency=latency)
        ours = Runs([run("ours", "read", many.given | {"warm": 1}) for _ in range(terms.of(3, 1))])
        sdk = run("sdk", "read", few.given, terms.sdk)["wall"] * count / part
    what = f"{count:,} answers behind URLs at {1000 * latency:.0f} ms: how much faster"
    peer = f"SDK: {sdk:.1f} s (measured at {part})"
    return [Line("6", what, ours.text("wall", "s"), peer, sdk / ours.median("wall"), at_least=30)]


if __name__ == "__main__":
    alone(ask)
