"""A long read: whether it uses the calls that it is allowed, all of them, and no more."""

from __future__ import annotations

from benchmarks.contest import Line, Terms, alone, run
from benchmarks.replay import Replay

_BUDGET, _STRIDE = 500, 99
_BURST = 20  # seconds that a whole budget may take at once


def ask(terms: Terms) -> list[Line]:
    """Read pages as long as the limit lasts; `quick` on a clock that runs four times faster, at both ends."""
    pages, speed = terms.of(2000, 520), terms.of(1, 4)
    with Replay("plain", _STRIDE * pages, compressed=False) as server:
        server.reset(0.02, budget=_BUDGET, window=60 / speed)
        run("ours", "sustained", server.given | {"speed": speed})
        seen = server.seen()
    times = [speed * (each - seen["times"][0]) for each in seen["times"]]
    minutes = (len(times) - 1) // _BUDGET
    reached = times[minutes * _BUDGET]  # the first call of the last minute: a budget at once, and one each minute
    burst = times[_BUDGET - 1]
    scaled = "" if speed == 1 else f" ({speed}-fold time)"
    what = f"{pages:,} pages at {_BUDGET} calls a minute: share of the limit{scaled}"
    ours = (
        f"{minutes * _BUDGET} calls in {reached:.1f} s; burst of {_BUDGET} in {burst:.1f} s; refused: {seen['refused']}"
    )
    also = not seen["refused"] and burst < _BURST
    return [Line("11", what, ours, f"ideal: {60 * minutes} s", 60 * minutes / reached, at_least=0.97, also=also)]


if __name__ == "__main__":
    alone(ask)
