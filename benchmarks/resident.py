"""What stays resident after reads, once their frames are gone: a service that reads every hour keeps it."""

from __future__ import annotations

from benchmarks.contest import Line, Terms, alone, run
from benchmarks.replay import Replay

_MOST = 40  # MB


def ask(terms: Terms) -> list[Line]:
    """Read assets with labels six times in one process."""
    count = terms.of(20_000, 5_000)
    with Replay("labelled", count) as server:
        found = run("ours", "repeated", server.given | {"times": 6})
    what = f"resident after the sixth `read_kili` of {count:,} assets, frames deleted"
    ours = f"{found['last']:.0f} MB ({', '.join(f'{size:.0f}' for size in found['all'])})"
    peer = f"after the first, and {_MOST} MB: {found['first'] + _MOST:.0f} MB"
    return [Line("15", what, ours, peer, found["last"] / (found["first"] + _MOST), at_most=1.0)]


if __name__ == "__main__":
    alone(ask)
