"""Page bytes in memory to a frame: how fast, and in how much memory."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, in_turns, run


def ask(terms: Terms) -> list[Line]:
    """Parse pages of 100 assets, with one or two labels each."""
    given = {"pages": terms.of(1000, 200)}
    found = in_turns(
        terms.of(3, 3),
        ours=lambda: run("ours", "parse", given),
        orjson=lambda: run("plain", "parse_orjson", given),
        dicts=lambda: run("plain", "parse_dicts", given),
    )
    ours, orjson, dicts = found["ours"], found["orjson"], found["dicts"]
    what, peer = f"page bytes → frame, {100 * given['pages']:,} assets", "`json.loads` and DataFrame"
    return [
        Line(
            "1",
            f"{what}: how much faster",
            _seconds(ours),
            f"{peer}: {_seconds(dicts)}",
            dicts.median("wall") / ours.median("wall"),
            at_least=20,
        ),
        Line(
            "1",
            f"{what}: peak memory",
            ours.text("peak", "MB"),
            f"{peer}: {dicts.text('peak', 'MB')}",
            ours.median("peak") / dicts.median("peak"),
            at_most=0.25,
        ),
        Line(
            "2",
            what,
            _seconds(ours),
            f"`orjson.loads`, thrown away: {_seconds(orjson)}",
            ours.median("wall") / orjson.median("wall"),
            at_most=2.5,
        ),
    ]


def _seconds(cost: Runs) -> str:
    return f"{cost.text('wall', 's')}; the first time {cost.text('first', 's')}; CPU {cost.text('cpu', 's')}"


if __name__ == "__main__":
    alone(ask)
