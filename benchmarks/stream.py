"""A million assets streamed to a Parquet data set: whether memory and pace are those of a tenth of them."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay

_ROWS = 10_000
_SLACK = 1.15


def ask(terms: Terms) -> list[Line]:
    """Stream a project, and one that is ten times as large (quick: five times)."""
    large, small = terms.of(1_000_000, 250_000), terms.of(100_000, 50_000)
    ours, base = _streams(large, 1), _streams(small, 3)
    what, itself = f"{large:,} assets to Parquet by `scan_batches`", f"itself at {small:,}"
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


def _streams(count: int, repeat: int) -> Runs:
    with Replay("plain", count, compressed=False) as server:
        costs = [run("stream", "parquet", server.given | {"rows": _ROWS}) for _ in range(repeat)]
    if any(cost["result"] != count for cost in costs):
        raise RuntimeError(f"{count:,} assets were to be written: {[cost['result'] for cost in costs]}")
    return Runs(costs)


if __name__ == "__main__":
    alone(ask)
