"""A read of labelled assets over a network that costs nothing: what it costs the client in CPU and memory."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, in_turns, run
from benchmarks.replay import Replay


def ask(terms: Terms) -> list[Line]:
    """Read over loopback, pages compressed as the service does."""
    count = terms.of(20_000, 5_000)
    with Replay("labelled", count) as server:
        run("ours", "read", server.given)  # the server has its pages ready from then on
        found = in_turns(
            terms.of(5, 3),
            ours=lambda: run("ours", "read", server.given),
            bare=lambda: run("plain", "fetch", server.given | {"count": count}),
        )
        sdk = Runs([run("sdk", "read", server.given, terms.sdk) for _ in range(terms.of(3, 1))])
    ours, bare = found["ours"], found["bare"]
    what, seconds = f"`read_kili`, {count:,} assets with labels", ours.text("cpu", "s")
    return [
        Line(
            "3",
            f"{what}: CPU",
            seconds,
            f"bare `requests`, thrown away: {bare.text('cpu', 's')}",
            ours.median("cpu") / bare.median("cpu"),
            at_most=1.6,
        ),
        Line(
            "4",
            f"{what}: how much less CPU",
            seconds,
            f"SDK: {sdk.text('cpu', 's')}",
            sdk.median("cpu") / ours.median("cpu"),
            at_least=10,
        ),
        Line(
            "4",
            f"{what}: how much less peak memory",
            ours.text("peak", "MB"),
            f"SDK: {sdk.text('peak', 'MB')}",
            sdk.median("peak") / ours.median("peak"),
            at_least=3,
        ),
    ]


if __name__ == "__main__":
    alone(ask)
