"""Kill processes in the middle of their writing, run them again, and compare what the server holds.

    python -m benchmarks.crash                            # 20 kills, less than half a minute
    python -m benchmarks.crash --times 400 --rows 10000 --kinds append update   # the campaign
    python -m benchmarks.crash --times 200 --rows 480 --kinds plan --every      # the campaign of plans: 1,008 changes

Each time, a process appends hosted rows, updates rows, appends local files, or applies a saved plan, and is killed
(SIGKILL) at a random moment of its work: at one of its requests, mostly one that writes, before or after the server
worked on it, or some milliseconds later. Then the same call runs again, in another process that knows nothing of the
first. What the server holds at the end is compared with what the rows say: every one, once, in order, whole. The exit
status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

_PROCESSES = multiprocessing.get_context("forkserver")  # the package is imported once, and no thread is inherited
_KINDS = ("append", "update", "files", "plan")
_AFTERWARDS = 0.02  # seconds after a request within which the process may live on
_SHARE_OF_WRITES = 0.8  # of the kills; the others fall on any request
_QUIET = 0.5  # seconds for the server to end what it has begun
_LONGEST_RUN = 120.0  # seconds; a second run that takes longer hangs


def frame_of(kind: str, rows: int, folder: str) -> pd.DataFrame:
    """Return the same rows every time."""
    frame = pd.DataFrame({"externalId": [f"{kind}-{i}" for i in range(rows)]})
    frame["content"] = [f"{folder}/{i % 50}.txt" if kind == "files" else f"https://a.org/{i}" for i in range(rows)]
    frame["jsonMetadata"] = [{"row": i} for i in range(rows)]
    frame["priority"] = range(1, rows + 1)
    return frame


def work(kind: str, rows: int, folder: str, project: str, endpoint: str, key: str) -> None:
    """Be the script: it writes its rows, and keeps no books."""
    warnings.simplefilter("ignore", pk.KiliDeclinedWarning)  # rows that are there already
    given: dict[str, Any] = {"client": pk.Client(key, endpoint, max_calls_per_minute=10**6), "disable_tqdm": True}
    if kind == "plan":
        pk.read_plan(f"{folder}/{project}.parquet").apply(delete=True, **given)
        return
    frame = frame_of(kind, rows, folder)
    if kind == "update":
        frame.kili.update_properties_in_assets("priority", "jsonMetadata", project_id=project, **given)
    else:
        frame.kili.append_many_to_dataset(project, if_exists="skip", **given)


def wanted_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a plan makes of a frame: a tenth is new, as many go, names move on in rings of ten."""
    cut = len(frame) // 10
    kept = frame.iloc[cut:].reset_index(drop=True)
    rings = [name for start in range(0, len(kept), 10) for name in _moved_on(kept["externalId"][start : start + 10])]
    fresh = frame.iloc[:cut].assign(id=None, externalId=[f"new-{i}" for i in range(cut)])
    return pd.concat([kept.assign(externalId=rings), fresh], ignore_index=True)


def _moved_on(names: pd.Series) -> list[str]:
    return [*names.iloc[1:], names.iloc[0]]


@dataclass(frozen=True)
class Moment:
    """When to kill: at which request, or which that writes, counted from 1; on which side of it, and how much later."""

    request: int
    writes: bool
    after_work: bool
    delay: float


class Watch:
    """Sees the requests come and go, and acts at one of them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[bool, bool]] = Counter()
        self._moment: Moment | None = None
        self._act: Callable[[], None] = lambda: None
        sandbox.before_request(lambda request: self._note(request, after_work=False))
        sandbox.after_request(lambda request: self._note(request, after_work=True))

    def _note(self, request: Any, *, after_work: bool) -> None:
        writes = request.method == "PUT" or (request.document or "").lstrip().startswith("mutation")
        with self._lock:
            self._counts[False, after_work] += 1
            self._counts[True, after_work] += writes
            moment, count = self._moment, self._counts
            due = moment and after_work == moment.after_work and count[moment.writes, after_work] >= moment.request
            self._moment = None if due else moment
        if moment and due:
            threading.Timer(moment.delay, self._act).start() if moment.delay else self._act()

    def expect(self, moment: Moment | None, act: Callable[[], None]) -> None:
        """Count anew, and act at that moment."""
        with self._lock:
            self._counts.clear()
            self._moment, self._act = moment, act

    def requests(self, *, writes: bool) -> int:
        """Return how many arrived since."""
        return self._counts[writes, False]

    def settled(self) -> None:
        """Wait for the work on requests of clients that are gone; those that came in part are never worked on."""
        patience = time.monotonic() + _QUIET
        while self._counts[False, False] > self._counts[False, True] and time.monotonic() < patience:
            time.sleep(0.002)


class Campaign:
    """One sandbox, and what happened there."""

    def __init__(self, sandbox: Sandbox, rows: int, folder: str, seed: str, kinds: Sequence[str] = _KINDS) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.rows = {kind: rows // 5 if kind == "files" else rows for kind in kinds}
        self.chance = random.Random(seed)
        self.watch = Watch(sandbox)
        self.found: Counter[str] = Counter()
        self.requests = {kind: self._undisturbed(kind) for kind in self.rows}

    def _undisturbed(self, kind: str) -> tuple[int, int]:
        """Count the requests of a run without a kill, those that write and all, and see that it is right."""
        project = self._project(kind)
        self.watch.expect(None, lambda: None)
        self._run_again(kind, project)
        requests = self.watch.requests(writes=True), self.watch.requests(writes=False)
        self._judge(kind, project, "a run without a kill")
        return requests

    def random_moment(self, kind: str) -> Moment:
        """Return a moment of the work."""
        writes = self.chance.random() < _SHARE_OF_WRITES
        return Moment(
            self.chance.randint(1, self.requests[kind][0 if writes else 1]),
            writes,
            self.chance.random() < 0.5,  # noqa: PLR2004 - a coin
            self.chance.choice([0.0, self.chance.uniform(0.0, _AFTERWARDS)]),
        )

    def every_boundary(self, kind: str) -> list[Moment]:
        """Return the moments just before and just after the server works on each request."""
        numbers = range(1, self.requests[kind][1] + 1)
        return [Moment(number, False, after, 0.0) for number in numbers for after in (False, True)]

    def kill(self, kind: str, moment: Moment) -> None:
        """Kill a process at a moment, run again, and judge."""
        project = self._project(kind)
        process = self._process(kind, project)
        self.watch.expect(moment, process.kill)
        process.start()
        process.join(_LONGEST_RUN)
        self.watch.settled()
        self.watch.expect(None, lambda: None)
        self.found["killed" if process.exitcode == -9 else "ended first"] += 1  # noqa: PLR2004 - SIGKILL
        held = len(self._written(kind, project))
        self.found["with part of the rows written" if 0 < held < self.rows[kind] else "with all or none"] += 1
        self._run_again(kind, project)
        self._judge(kind, project, f"{kind}, killed at {moment}")

    def _project(self, kind: str) -> str:
        project = self.sandbox.create_project(kind, "TEXT" if kind == "files" else "IMAGE")
        if kind == "update":
            frame = frame_of(kind, self.rows[kind], self.folder)
            self.sandbox.add_assets(project, frame[["externalId", "content"]])
        if kind == "plan":
            frame = frame_of(kind, self.rows[kind], self.folder)[["externalId", "content"]]
            wanted = wanted_of(frame.assign(id=self.sandbox.add_assets(project, frame), priority=7))
            plan = wanted.kili.plan(project, missing="delete", client=self.sandbox.client)
            plan.save(f"{self.folder}/{project}.parquet")
        return project

    def _process(self, kind: str, project: str) -> BaseProcess:
        return _PROCESSES.Process(
            target=work,
            args=(kind, self.rows[kind], self.folder, project, self.sandbox.api_endpoint, self.sandbox.api_key),
        )

    def _run_again(self, kind: str, project: str) -> None:
        process = self._process(kind, project)
        process.start()
        process.join(_LONGEST_RUN)
        if process.exitcode != 0:
            process.kill()
            self.found["WRONG: the second run failed"] += 1

    def _written(self, kind: str, project: str) -> list[dict[str, Any]]:
        rows = self.sandbox.assets(project)
        return [row for row in rows if row["priority"]] if kind in {"update", "plan"} else rows

    def _judge(self, kind: str, project: str, what: str) -> None:
        """Compare all that is stored with all that was meant."""
        wanted = frame_of(kind, self.rows[kind], self.folder)
        rows = self.sandbox.assets(project)
        if kind == "plan":
            wanted = wanted_of(wanted)
            held = sorted((row["externalId"], row["content"]) for row in rows if row["priority"] == 7)  # noqa: PLR2004 - as it was set
            self._tell(held == sorted(zip(wanted["externalId"], wanted["content"], strict=True)), what, rows)
            return
        right = [row["externalId"] for row in rows] == wanted["externalId"].tolist()
        right &= [json.loads(row["jsonMetadata"]) for row in rows] == wanted["jsonMetadata"].tolist()
        if kind == "update":
            right &= [row["priority"] for row in rows] == wanted["priority"].tolist()
        if kind == "append":
            right &= [row["content"] for row in rows] == wanted["content"].tolist()
        if kind == "files":
            right &= self._files_are_whole(project, wanted)
        self._tell(right, what, rows)

    def _tell(self, right: bool, what: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.found["right in the end" if right else "WRONG in the end"] += 1
        if not right:
            print(f"wrong: {what}", file=sys.stderr)
        self.sandbox.delete_assets(row["id"] for row in rows)

    def _files_are_whole(self, project: str, wanted: pd.DataFrame) -> bool:
        frame = pk.read_kili(project, fields=["content"], client=self.sandbox.client, disable_tqdm=True)
        served = frame["content"].head(20).tolist()
        texts = [self.sandbox.client.get(url).decode() for url in served]
        return texts == [Path(path).read_text(encoding="utf-8") for path in wanted["content"].head(20)]


def main() -> int:
    """Kill as often as asked, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=_KINDS, help="what is killed, in turns")
    parser.add_argument("--every", action="store_true", help="kill before and after each request too, one a run")
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    _PROCESSES.set_forkserver_preload(["pandas_kili"])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Sandbox(max_calls_per_minute=None) as sandbox:
        for number in range(50):
            Path(folder, f"{number}.txt").write_text(f"text {number}\n" * 200, encoding="utf-8")
        campaign = Campaign(sandbox, options.rows, folder, options.seed, options.kinds)
        for kind in campaign.rows if options.every else ():
            for moment in campaign.every_boundary(kind):
                campaign.kill(kind, moment)
        for number in range(options.times):
            kind = list(campaign.rows)[number % len(campaign.rows)]
            campaign.kill(kind, campaign.random_moment(kind))
    for what, times in sorted(campaign.found.items()):
        print(f"{times:6,} {what}")
    print(f"rows: {campaign.rows}; requests of a whole run, those that write and all: {campaign.requests}")
    print(f"{time.monotonic() - started:.0f} s")
    return int(any("WRONG" in what for what in campaign.found))


if __name__ == "__main__":
    sys.exit(main())
