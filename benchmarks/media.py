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
            into=lambda: run("ours", "store", server.given | {"rows": count}),
            bare_into=lambda: run("plain", "store", {"url": server.url, "count": count, "workers": _AT_A_TIME}),
        )
        appended = Runs([run("ours", "upload", server.given | {"rows": count}) for _ in range(terms.of(3, 1))])
        sdk_out = run("sdk", "download", few.given, terms.sdk)["wall"] * count / part
        sdk_into = run("sdk", "upload", few.given | {"rows": part}, terms.sdk)["wall"] * count / part
    what = f"{count:,} files of 50 kB at {1000 * _LATENCY:.0f} ms"
    return [
        _faster(f"{what}, downloaded", found["out"], "first", sdk_out, part),
        _against(f"{what}, downloaded", found["out"], found["bare_out"]),
        _faster(f"{what}, appended", appended, "wall", sdk_into, part),
        _against(f"{what}, uploaded", found["into"], found["bare_into"]),
    ]


def _faster(what: str, ours: Runs, time: str, sdk: float, part: int) -> Line:
    """Compare the first time, over connections that are to be made."""
    return Line(
        "16",
        f"{what}: how much faster",
        ours.text(time, "s"),
        f"SDK: {sdk:.1f} s (measured at {part})",
        sdk / ours.median(time),
        at_least=10,
    )


def _against(what: str, ours: Runs, bare: Runs) -> Line:
    """Compare the second time, as the other has its connections open too."""
    return Line(
        "16",
        f"{what}, connections open",
        f"{ours.text('wall', 's')}; CPU {ours.text('cpu', 's')}",
        f"bare `urllib3`, {_AT_A_TIME} at a time: {bare.text('wall', 's')}; CPU {bare.text('cpu', 's')}",
        ours.median("wall") / bare.median("wall"),
        at_most=1.3,
    )


if __name__ == "__main__":
    alone(ask)
