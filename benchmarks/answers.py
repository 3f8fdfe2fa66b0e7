"""Answers of labels that lie behind a URL each: how long it takes to fetch them, and what it costs."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, in_turns, run
from benchmarks.replay import Replay

_BUDGET = 500 * 100 / 60  # assets a second that the limit of calls allows: 500 pages of 100 a minute
_LATENCY = 0.08


def ask(terms: Terms) -> list[Line]:
    """Compare with the official SDK, with the limit of calls, with `urllib3` alone, and with a fifth of the assets."""
    return [*_faster(0.02, 60, terms), *_faster(0.08, 100, terms), _pace(terms), _cost(terms), *_memory(terms)]


def _faster(latency: float, goal: int, terms: Terms) -> list[Line]:
    """Read 2,000 labels. The SDK fetches one after the other, so that its time for a part can be scaled."""
    count = 2_000
    part = terms.of(200, 50)
    with Replay("behind", count) as many, Replay("behind", part) as few:
        run("ours", "read", many.given)
        many.reset(file_latency=latency)
        few.reset(file_latency=latency)
        ours = Runs([run("ours", "read", many.given | {"warm": 1}) for _ in range(terms.of(2, 1))])
        sdk = run("sdk", "read", few.given, terms.sdk)["wall"] * count / part
    what = f"{count:,} answers behind URLs at {1000 * latency:.0f} ms: how much faster"
    peer = f"SDK: {sdk:.1f} s (measured at {part})"
    return [Line("6", what, ours.text("wall", "s"), peer, sdk / ours.median("wall"), at_least=goal)]


def _pace(terms: Terms) -> Line:
    """Read assets with two labels each, against the time that the limit of calls takes without its first burst."""
    count = terms.of(20_000, 5_000)
    with Replay("two behind", count) as server:
        server.reset(_LATENCY, file_latency=_LATENCY)
        ours = Runs([run("ours", "read", server.given | {"warm": 1}) for _ in range(terms.of(2, 1))])
    what = f"`read_kili`, {count:,} assets, two labels each behind URLs, {1000 * _LATENCY:.0f} ms a call and a GET"
    peer = f"limit of calls, without its first burst: {count / _BUDGET:.1f} s"
    return Line("12", what, ours.text("wall", "s"), peer, ours.median("wall") / (count / _BUDGET), at_most=1.3)


def _cost(terms: Terms) -> Line:
    """Fetch files alone, as many at a time as we come to."""
    count = terms.of(5_000, 3_000)
    with Replay("behind", 1) as server:
        server.reset(file_latency=_LATENCY)
        urls = [f"{server.url}/answers/{number}" for number in range(count)]
        given = {name: server.given[name] for name in ("endpoint", "key")}
        found = in_turns(
            terms.of(3, 1),
            ours=lambda: run("ours", "fetch_answers", given | {"urls": urls}),
            bare=lambda: run("plain", "fetch_answers", {"urls": urls, "workers": 256}),
        )
    ours, bare = found["ours"], found["bare"]
    return Line(
        "13",
        "one GET of an answer, keep-alive: CPU",
        ours.text("cpu", "µs", 1e6 / count),
        f"bare `urllib3`, 256 at a time: {bare.text('cpu', 'µs', 1e6 / count)}",
        ours.median("cpu") / bare.median("cpu"),
        at_most=1.3,
    )


def _memory(terms: Terms) -> list[Line]:
    """Walk through assets with two labels each, as fast as the server answers, and look at memory on the way."""
    count, part = terms.of(100_000, 10_000), terms.of(20_000, 5_000)
    with Replay("two behind", count) as server:
        return [
            _flat(f"{count:,} assets, two labels each behind URLs, {how}: peak memory", part, server, batches=batches)
            for how, batches in (("in chunks of 2,000", False), ("by `scan_batches`", True))
        ]


def _flat(what: str, part: int, server: Replay, *, batches: bool) -> Line:
    ours = Runs([run("ours", "answers", server.given | {"rows": 2_000, "part": part, "batches": batches})])
    peer = f"itself after {part:,}: {ours.text('part', 'MB')}"
    return Line("14", what, ours.text("peak", "MB"), peer, ours.median("peak") / ours.median("part"), at_most=1.15)


if __name__ == "__main__":
    alone(ask)
