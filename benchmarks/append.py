"""Hosted assets appended: what it costs the client in CPU."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay


def ask(terms: Terms) -> list[Line]:
    """Append rows with external ids and metadata; the SDK's cost of fewer rows is scaled up."""
    rows, part = terms.of(100_000, 20_000), terms.of(20_000, 5_000)
    with Replay("plain", 1) as server:
        ours = Runs([run("ours", "append", server.given | {"rows": rows}) for _ in range(terms.of(3, 3))])
        given = server.given | {"rows": part}
        sdk = Runs([run("sdk", "append", given, terms.sdk) for _ in range(terms.of(2, 1))])
    what = f"append of {rows:,} hosted rows: how much less CPU"
    peer = f"SDK at {part:,}, scaled: {sdk.text('cpu', 's', rows / part)}"
    less = sdk.median("cpu") * rows / part / ours.median("cpu")
    return [Line("9", what, ours.text("cpu", "s"), peer, less, at_least=10)]


if __name__ == "__main__":
    alone(ask)
