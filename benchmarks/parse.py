"""Page bytes in memory to a frame: how fast, and in how much memory."""

from __future__ import annotations

from benchmarks.contest import Line, Terms, alone, in_turns, run


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
    what, seconds = (
        f"page bytes → frame, {100 * given['pages']:,} assets",
        f"{ours.text('cpu', 's')}; wall {ours.text('wall', 's')}",
    )
    peer = "`json.loads` and DataFrame"
    return [
        Line(
            "1",
            f"{what}: how much less CPU",
            seconds,
            f"{peer}: {dicts.text('cpu', 's')}; wall {dicts.text('wall', 's')}",
            dicts.median("cpu") / ours.median("cpu"),
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
            f"{what}: CPU",
            seconds,
            f"`orjson.loads`, thrown away: {orjson.text('cpu', 's')}; wall {orjson.text('wall', 's')}",
            ours.median("cpu") / orjson.median("cpu"),
            at_most=2.5,
        ),
    ]


if __name__ == "__main__":
    alone(ask)
