"""Read projects while others write to them, and count the reads that missed a row or gave one twice.

    python -m benchmarks.exactness            # 300 schedules: two to four minutes
    python -m benchmarks.exactness --quick    # 60
    python -m benchmarks.exactness --only ours
    python -m benchmarks.exactness --habits   # servers and users of other habits, 30 schedules each: three minutes

A schedule is a project of up to 600 assets, of which a part matches a filter by status, and what others do before each
request for a page: have assets leave the filter, or enter it, delete some, add some. It is made of its number alone, so
every reader meets the same one, each in a project of its own; who asks more often has more moved under them. Every
sixth schedule is quiet, which tells what a reader's caution costs. The schedules are of the kind that
tests/reading/test_walk.py plays by the thousand against a model of the server; here they go over HTTP, to a sandbox.

A row is missed where it matched from before the first request on, and is not among those read. The exit status is 1
where this happened to us without a `KiliConsistencyWarning`, or a row came twice.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from benchmarks.contenders.exactness import READERS
from benchmarks.contest import SDK, Terms, add_options, run
from pandas_kili.catalog.assets import PAGE_SIZE
from pandas_kili.sandbox import Habits, Sandbox

_READERS = {
    "read_kili": "`read_kili`",
    "chunks": "`read_kili`, in chunks",
    "batches": "`scan_batches`",
    "dask": "`dask.read_kili`",
    "sdk": f"`kili.assets`, {SDK}",
    "sdk_ids": f"`kili.assets`, {SDK}, `id` among the fields",
}
_EMPTYING = {
    "emptied": "`read_kili`, in chunks",
    "sdk_emptied": f"`kili.assets`, {SDK}, `as_generator`",
}
_MOST_ROWS = 600
_ACTIVITY = (0.5, 3, 20)  # what others do, on average, before a request for a page
_QUIET = 6  # in every so many schedules, no other user changes anything
_TIDES = ((0.9, (6, 2, 1, 1)), (0.5, (2, 6, 1, 1)))  # share that matches; how often assets leave, enter, go, come
_TIES = (1, 3, 100)  # assets created in one instant
_FIRST_DAY = pd.Timestamp("2024-01-01")
_MATCHING, _OTHER = "TODO", "LABELED"


@dataclass(frozen=True)
class Way:
    """How a server serves its pages, or how its answer is used, and who reads there.

    Attributes
    ----------
    name : str
        What the table calls it.
    habits : Habits
        Those of the sandbox.
    readers : tuple of str
        Keys of `_READERS`.
    step : str
        By how much the clock is put back in the middle of a project.
    is_quiet : bool
        Whether nobody else writes.
    """

    name: str
    habits: Habits = field(default_factory=Habits)
    readers: tuple[str, ...] = ("read_kili", "dask", "sdk_ids")
    step: str = "0s"
    is_quiet: bool = False


PLAIN = Way("pages of 100, in the order of creation")
_OURS = ("read_kili", "dask")  # the SDK did not end within minutes where `skip` is ignored
_WAYS = (
    Way("the work on each 150 rows deletes them", readers=("emptied", "sdk_emptied"), is_quiet=True),
    Way("pages of 50 at most", Habits(longest_page=50)),
    Way("assets of one instant in another order each time", Habits(stable_ties=False)),
    Way("ids are chosen first, rows loaded later", Habits(ids_first=True)),
    Way("a clock put back by 12,000 s", Habits(by_creation=False), step="12000s"),
    Way("skips 200 rows at most", Habits(skip="clamped", longest_skip=200)),
    Way("ignores skip", Habits(skip="ignored"), _OURS),
    Way("ignores filters by creation", Habits(created_at_filters=False)),
    Way("ignores skip and filters by creation", Habits(skip="ignored", created_at_filters=False), _OURS),
)


class Schedule:
    """A project of its own, what others do to it, and which of its assets matched all along."""

    def __init__(self, sandbox: Sandbox, number: int, way: Way = PLAIN) -> None:
        self._sandbox, self._chance = sandbox, random.Random(number)
        self._lock = threading.Lock()
        self.activity = self._chance.choice(_ACTIVITY) if number % _QUIET and not way.is_quiet else 0.0
        self.project = sandbox.create_project(f"Schedule {number}", "TEXT")
        self._ids: dict[str, str] = {}  # by external id
        self._share, self._weights = self._chance.choice(_TIDES)  # rows shift to the left, or to the right
        ties = self._chance.choice(_TIES)
        statuses = [self._status() for _ in range(self._chance.randrange(1, _MOST_ROWS))]
        half = len(statuses) // 2
        instants = [_FIRST_DAY + pd.Timedelta(row // ties, "ms") for row in range(len(statuses))]
        self._add(statuses, [*instants[:half], *(instant - pd.Timedelta(way.step) for instant in instants[half:])])
        self.throughout = {f"a{row}" for row, status in enumerate(statuses) if status == _MATCHING}
        self.pages = max(1, math.ceil(len(self.throughout) / PAGE_SIZE))
        self.calls = 0

    def _status(self) -> str:
        return _MATCHING if self._chance.random() < self._share else _OTHER

    def _add(self, statuses: Sequence[str], instants: Sequence[pd.Timestamp] = ()) -> None:
        names = [f"a{len(self._ids) + row}" for row in range(len(statuses))]
        rows = pd.DataFrame({"externalId": names, "status": statuses})
        if instants:
            rows["createdAt"] = [f"{instant.isoformat(timespec='milliseconds')}Z" for instant in instants]
        self._ids |= zip(names, self._sandbox.add_assets(self.project, rows), strict=True)

    def note(self, operation: str) -> None:
        """Take note of a request, and before one for a page, let others write."""
        with self._lock:
            self.calls += 1
        if operation == "assets":
            self.move()

    def move(self) -> None:
        """Let others write."""
        with self._lock:
            for _ in range(int(self._chance.expovariate(1 / self.activity)) if self.activity else 0):
                self._change()

    def _change(self) -> None:
        name = self._chance.choice(list(self._ids))
        kind = self._chance.choices(("leave", "enter", "delete", "add"), self._weights)[0]
        if kind == "add":
            self._add([_MATCHING])
        elif kind == "enter":
            self._sandbox.set_asset(self._ids[name], status=_MATCHING)
        else:
            self.throughout.discard(name)
            if kind == "leave":
                self._sandbox.set_asset(self._ids[name], status=_OTHER)
            elif len(self._ids) > 1:
                self._sandbox.delete_assets([self._ids[name]])


class Tally:
    """What the schedules came to, for one reader."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    def add(self, schedule: Schedule, names: list[str] | str, in_doubt: int) -> None:
        """Hold what was read to what must have been; a text is that of an error."""
        if isinstance(names, str):
            self.found.update(schedules=1, refused=1)
            return
        missed, twice = len(schedule.throughout - set(names)), len(names) - len(set(names))
        self.found.update(
            schedules=1,
            missing=missed > 0,
            missed=missed,
            repeating=twice > 0,
            twice=twice,
            doubted=in_doubt > 0,
            silent=missed > 0 and not in_doubt,
        )
        when = "moving" if schedule.activity else "quiet"
        self._calls.update({when: schedule.calls, f"{when} pages": schedule.pages})

    def text(self, reader: str) -> str:
        """Return the line of the table."""
        found = self.found
        cells = (
            _READERS[reader],
            f"{found['schedules']:,}",
            f"{found['missing']:,} ({found['missed']:,})",
            f"{found['repeating']:,} ({found['twice']:,})",
            f"{found['doubted']:,}",
            self._extra("quiet"),
            self._extra("moving"),
        )
        return f"| {' | '.join(cells)} |"

    def text_of(self, way: Way, reader: str) -> str:
        """Return the line of the table of habits."""
        found = self.found
        calls, pages = (sum(self._calls[f"{when}{what}"] for when in ("quiet", "moving")) for what in ("", " pages"))
        cells = (
            way.name,
            (_READERS | _EMPTYING)[reader],
            f"{found['schedules']:,}",
            f"{found['missing']:,} ({found['missed']:,})",
            f"{found['repeating']:,} ({found['twice']:,})",
            f"{found['doubted']:,}",
            f"{found['refused']:,}",
            f"{calls / pages:.1f}" if pages else "",
        )
        return f"| {' | '.join(cells)} |"

    def _extra(self, when: str) -> str:
        pages = self._calls[f"{when} pages"]
        return f"{(self._calls[when] - pages) / pages:.2f}" if pages else ""


HEAD = (
    "| reader | schedules | reads that missed a row (rows) | reads with a row twice (rows) | reads with rows in doubt"
    " | extra calls a page: quiet | moving |\n|---|--:|--:|--:|--:|--:|--:|"
)

HEAD_OF_HABITS = (
    "| server, or user | reader | schedules | reads that missed a row (rows) | reads with a row twice (rows)"
    " | reads with rows in doubt | reads that ended with an error | calls a page |\n|---|---|--:|--:|--:|--:|--:|--:|"
)


def play(sandbox: Sandbox, reader: str, schedules: int, terms: Terms, way: Way = PLAIN) -> Tally:
    """Have a reader read all projects, each while its schedule goes on."""
    played = {
        schedule.project: schedule for schedule in (Schedule(sandbox, number, way) for number in range(schedules))
    }
    now = next(iter(played.values()))

    def note(request: Any) -> None:
        nonlocal now
        if request.operation in {"assets", "countAssets"} and "project" in request.variables["where"]:
            now = played[request.variables["where"]["project"]["id"]]
            now.note(request.operation)

    def move() -> None:
        now.move()

    sandbox.clear_hooks()
    sandbox.before_request(note)
    sandbox.between_looks(move)
    given = {"endpoint": sandbox.api_endpoint, "key": sandbox.api_key, "projects": list(played), "status": _MATCHING}
    if reader.startswith("sdk"):
        empty = 150 if reader == "sdk_emptied" else 0
        given |= {"ids": reader != "sdk", "empty": empty}
        read = run("sdk", "exactness", given, terms.sdk)["result"]
    else:
        read = READERS[reader](**given)["result"]  # here, as nothing is measured: a process of its own takes a second
    sandbox.clear_hooks()
    tally = Tally()
    for project, (names, in_doubt) in read.items():
        tally.add(played[project], names, in_doubt)
    return tally


def main() -> int:
    """Play all schedules for all readers, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--schedules", type=int)
    parser.add_argument("--only", choices=("ours", "sdk"))
    parser.add_argument("--habits", action="store_true", help="servers and users of other habits")
    options = parser.parse_args()
    terms = Terms(options.quick, options.sdk_python)
    started = time.monotonic()
    if options.habits:
        wrong = _habits(options.schedules or terms.of(30, 6), terms, options.only)
    else:
        wrong = _schedules(options.schedules or terms.of(300, 60), terms, options.only)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return int(bool(wrong))


def _schedules(schedules: int, terms: Terms, only: str | None) -> int:
    """Print what a server of the best habits comes to, and return how many of our reads were wrong."""
    wrong = 0
    print(HEAD, flush=True)
    with Sandbox(max_calls_per_minute=None) as sandbox:
        for reader in _READERS:
            if only is None or reader.startswith("sdk") == (only == "sdk"):
                tally = play(sandbox, reader, schedules, terms)
                print(tally.text(reader), flush=True)
                wrong += 0 if reader.startswith("sdk") else tally.found["silent"] + tally.found["repeating"]
    return wrong


def _habits(schedules: int, terms: Terms, only: str | None) -> int:
    """Print what servers and users of other habits come to, and return how many of our reads were wrong."""
    wrong = 0
    print(HEAD_OF_HABITS, flush=True)
    for way in _WAYS:
        with Sandbox(max_calls_per_minute=None, habits=way.habits) as sandbox:
            for reader in way.readers:
                if only is None or reader.startswith("sdk") == (only == "sdk"):
                    tally = play(sandbox, reader, schedules, terms, way)
                    print(tally.text_of(way, reader), flush=True)
                    wrong += 0 if reader.startswith("sdk") else tally.found["silent"] + tally.found["repeating"]
    return wrong


if __name__ == "__main__":
    sys.exit(main())
