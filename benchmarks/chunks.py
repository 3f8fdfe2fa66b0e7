"""A read in chunks of 10,000: whether it keeps its memory and its pace, however many assets there are."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay

_ROWS = 10_000
_SLACK = 1.15


def ask(terms: Terms) -> list[Line]:
    """Walk through a project, and through one that is ten times as large (quick: five times)."""
    large, small = terms.of(1_000_000, 250_000), terms.of(100_000, 50_000)
    ours, base = _walks(large, 1), _walks(small, 3)
    what, itself = f"{large:,} assets in chunks of {_ROWS:,}", f"itself at {small:,}"
    return [
        Line(
            "7",
            f"{what}: peak memory",
            ours.text("peak", "MB"),
            f"{itself}: {base.text('peak', 'MB')}",
            ours.median("peak") / base.median("peak"),
            at_most=_SLACK,
        ),
        Line(
            "7",
            f"{what}: CPU an asset",
            ours.text("cpu", "µs", 1e6 / large),
            f"{itself}: {base.text('cpu', 'µs', 1e6 / small)}",
            (ours.median("cpu") / large) / (base.median("cpu") / small),
            at_most=_SLACK,
        ),
    ]


def _walks(count: int, repeat: int) -> Runs:
    with Replay("plain", count, compressed=False) as server:
        return Runs([run("ours", "chunks", server.given | {"rows": _ROWS}) for _ in range(repeat)])


if __name__ == "__main__":
    alone(ask)
