"""Files of media in and out, many small ones over a network that takes its time."""

from __future__ import annotations

from benchmarks.contest import Line, Runs, Terms, alone, in_turns, run
from benchmarks.replay import Replay

_LATENCY = 0.08
_AT_A_TIME = 256


def ask(terms: Terms) -> list[Line]:
    """Download and upload pictures of 50 kB, against the official SDK and against `urllib3` alone."""
    count = terms.of(2_000, 500)
    part = terms.of(200, 50)
    with Replay("files", count) as server, Replay("files", part) as few:
        for each in (server, few):
            each.reset(file_latency=_LATENCY)
        urls = [f"{server.url}/files/{number}" for number in range(count)]
        found = in_turns(
            terms.of(3, 1),
            out=lambda: run("ours", "download", server.given),
            bare_out=lambda: run("plain", "keep", {"urls": urls, "workers": _AT_A_TIME}),
            into=lambda: run("ours", "upload", server.given | {"rows": count}),
            bare_into=lambda: run("plain", "store", {"url": server.url, "count": count, "workers": _AT_A_TIME}),
        )
        sdk = run("sdk", "download", few.given, terms.sdk)["wall"] * count / part
    what = f"{count:,} files of 50 kB at {1000 * _LATENCY:.0f} ms"
    return [
        Line(
            "16",
            f"{what}, downloaded: how much faster",
            found["out"].text("wall", "s"),
            f"SDK: {sdk:.1f} s (measured at {part})",
            sdk / found["out"].median("wall"),
            at_least=10,
        ),
        _against("downloaded", what, found["out"], found["bare_out"]),
        _against("uploaded", what, found["into"], found["bare_into"]),
    ]


def _against(done: str, what: str, ours: Runs, bare: Runs) -> Line:
    return Line(
        "16",
        f"{what}, {done}",
        ours.text("wall", "s"),
        f"bare `urllib3`, {_AT_A_TIME} at a time: {bare.text('wall', 's')}",
        ours.median("wall") / bare.median("wall"),
        at_most=1.3,
    )


if __name__ == "__main__":
    alone(ask)
