"""A million assets in chunks, and streamed to Parquet: whether memory and pace are those of a tenth of them."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay

_ROWS = 10_000
_SLACK = 1.15


def ask(terms: Terms) -> list[Line]:
    """Walk through a project, and through one that is ten times as large (quick: five times)."""
    return [
        *_compared(terms, f"in chunks of {_ROWS:,}", "ours", "chunks"),
        *_compared(terms, "to Parquet by `scan_batches`", "stream", "parquet"),
    ]


def _compared(terms: Terms, how: str, contender: str, task: str) -> list[Line]:
    large, small = terms.of(1_000_000, 250_000), terms.of(100_000, 50_000)
    ours, base = _walks(contender, task, large, 1), _walks(contender, task, small, 3)
    what, itself = f"{large:,} assets {how}", f"itself at {small:,}"
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


def _walks(contender: str, task: str, count: int, repeat: int) -> Runs:
    with Replay("plain", count, compressed=False) as server:
        costs = [run(contender, task, server.given | {"rows": _ROWS}) for _ in range(repeat)]
    if any(cost["result"] != count for cost in costs):
        raise RuntimeError(f"{count:,} assets were to be read: {[cost['result'] for cost in costs]}")
    return Runs(costs)


if __name__ == "__main__":
    alone(ask)
