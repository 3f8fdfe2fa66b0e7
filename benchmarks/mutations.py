"""Changes of many rows at 150 ms a call: how long they take, and whether they keep within the budget of calls."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, run
from benchmarks.replay import Replay

_LATENCY, _BUDGET = 0.15, 500


def ask(terms: Terms) -> list[Line]:
    """Update, rename and send to review. Both have the budget of the service and keep to it by themselves."""
    rows = terms.of(10_000, 2_000)
    with Replay("plain", rows) as server:
        return [_verb(server, verb, rows, terms) for verb in ("update", "rename", "review")]


def _verb(server: Replay, verb: str, rows: int, terms: Terms) -> Line:
    given = server.given | {"verb": verb, "rows": rows}
    costs, most = [], 0
    for _ in range(terms.of(3, 1)):
        server.reset(_LATENCY, budget=_BUDGET)
        costs.append(run("ours", "mutate", given))
        most = max(most, int(server.seen()["most"]))
    ours = Runs(costs)
    server.reset(_LATENCY, budget=_BUDGET)
    sdk = run("sdk", "mutate", given, terms.sdk)
    what = f"{verb} of {rows:,} rows at 150 ms a call: how much faster (calls a minute at most: {most})"
    seconds, peer = ours.text("wall", "s"), f"SDK: {sdk['wall']:.1f} s"
    return Line("8", what, seconds, peer, sdk["wall"] / ours.median("wall"), at_least=6, also=most <= _BUDGET)


if __name__ == "__main__":
    alone(ask)
