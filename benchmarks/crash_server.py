"""Kill the server in the middle of its work, start it again, and see that all that it had acknowledged is there.

    python -m benchmarks.crash_server                            # 10 kills
    python -m benchmarks.crash_server --times 60 --rows 2000     # the campaign

Each time, rows are appended or updated by one call, and the sandbox, a process of its own, is killed (SIGKILL) at a
random request that writes: before its work, after it with the answer still unsent, or some milliseconds later. It
comes back under the same address, over the same folder, while the call goes on. What the call's report says was
applied must be there, once; what it does not say so of is given again, after which all rows must be there as meant.
The exit status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

import pandas_kili as pk
from benchmarks.crash import frame_of
from pandas_kili.sandbox import Sandbox

_KINDS = ("append", "update")
_PER_CALL = 100  # rows
_AFTERWARDS = 0.02  # seconds after a request within which the server may live on
_LONGEST_OUTAGE = 0.3  # seconds
_PATIENCE = 60.0  # seconds for the moment to come, or for the call to end
_PROCESSES = multiprocessing.get_context("forkserver")  # the package is imported once, and no thread is inherited


def serve(given: dict[str, Any], moment: dict[str, Any] | None, pipe: Connection) -> None:
    """Serve until the moment to be killed comes, or until the other end of the pipe is closed."""
    lock, seen = threading.Lock(), []

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def note(request: Any) -> None:
        if moment and (request.document or "").lstrip().startswith("mutation"):
            with lock:
                seen.append(request)
                due = len(seen) == moment["request"]
            if due:
                threading.Timer(moment["delay"], kill).start() if moment["delay"] else kill()

    with Sandbox(max_calls_per_minute=None, **given) as sandbox, contextlib.suppress(EOFError):
        if moment:
            (sandbox.after_request if moment["after_work"] else sandbox.before_request)(note)
        pipe.send(sandbox.api_endpoint)
        pipe.recv()


class Server:
    """A sandbox over a folder, which is killed and comes back."""

    def __init__(self, folder: Path) -> None:
        self.key, self._folder, self._port = "benchmark-key", str(folder), 0

    def project(self, title: str, rows: pd.DataFrame) -> str:
        """Make a project of such rows, while nothing is served."""
        with Sandbox(self._folder, api_key=self.key) as sandbox:
            project = sandbox.create_project(title, "IMAGE")
            sandbox.add_assets(project, rows)
        return project

    def start(self, moment: dict[str, Any] | None) -> str:
        """Start it, to be killed at that moment; return where it is."""
        given = {"path": self._folder, "port": self._port, "api_key": self.key}
        self._pipe, other = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(target=serve, args=(given, moment, other))
        self.process.start()
        other.close()
        endpoint: str = self._pipe.recv()
        self._port = int(endpoint.split(":")[2].split("/", maxsplit=1)[0])
        return endpoint

    def stop(self) -> None:
        """Have it end in peace."""
        self._pipe.close()
        self.process.join()


class Campaign:
    """Kills, and what came of them."""

    def __init__(self, folder: Path, rows: int, seed: str) -> None:
        self.server, self.rows, self.chance = Server(folder), rows, random.Random(seed)
        self.found: Counter[str] = Counter()

    def kill_once(self, kind: str, number: int) -> None:
        """Kill the server during one call, and judge what it holds."""
        frame = frame_of(kind, self.rows, "")
        present = frame[["externalId", "content"]] if kind == "update" else frame.iloc[:0]
        project = self.server.project(f"{kind} {number}", present)
        client = pk.Client(self.server.key, self.server.start(self._moment()), max_calls_per_minute=10**6)
        with ThreadPoolExecutor(1) as executor:
            call = executor.submit(self._write, kind, frame, project, client)
            self.server.process.join(_PATIENCE)
            killed = self.server.process.exitcode == -signal.SIGKILL
            time.sleep(self.chance.uniform(0, _LONGEST_OUTAGE))
            self.server.start(None)
            report = call.result(_PATIENCE).kili.report
        self.found["killed" if killed else "WRONG: not killed"] += 1
        applied = report["outcome"] == "applied"
        self._judge(frame[applied.to_numpy()], project, client, kind, "acknowledged", exactly=False)
        if not applied.all():
            self.found["calls whose rest was given again"] += 1
            self._write(kind, frame[~applied.to_numpy()], project, client)
        self._judge(frame, project, client, kind, "in the end", exactly=True)
        client.close()
        self.server.stop()

    def _moment(self) -> dict[str, Any]:
        return {
            "request": self.chance.randint(1, self.rows // _PER_CALL),
            "after_work": self.chance.random() < 0.5,  # noqa: PLR2004 - a coin
            "delay": self.chance.choice([0.0, self.chance.uniform(0.0, _AFTERWARDS)]),
        }

    def _write(self, kind: str, frame: pd.DataFrame, project: str, client: pk.Client) -> pd.DataFrame:
        given: dict[str, Any] = {"client": client, "disable_tqdm": True, "errors": "report"}
        if kind == "update":
            return frame.kili.update_properties_in_assets("priority", "jsonMetadata", project_id=project, **given)
        return frame.kili.append_many_to_dataset(project, if_exists="skip", **given)

    def _judge(
        self, wanted: pd.DataFrame, project: str, client: pk.Client, kind: str, when: str, *, exactly: bool
    ) -> None:
        """See that rows are there once, as they were to be; `exactly` these."""
        fields = ["externalId", "priority", "jsonMetadata"]
        there = pk.read_kili(project, fields=fields, client=client, disable_tqdm=True).set_index("externalId")
        right = there.index.is_unique and set(wanted["externalId"]) <= set(there.index)
        right &= not exactly or kind == "update" or len(there) == len(wanted)
        if right:
            found = there.loc[wanted["externalId"]]
            right = [json.loads(text) for text in found["jsonMetadata"]] == wanted["jsonMetadata"].tolist()
            right &= kind != "update" or found["priority"].tolist() == wanted["priority"].tolist()
        self.found[f"right {when}" if right else f"WRONG {when}"] += 1


def main() -> int:
    """Kill as often as asked, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    _PROCESSES.set_forkserver_preload(["pandas_kili.sandbox"])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), options.rows, options.seed)
        for number in range(options.times):
            campaign.kill_once(_KINDS[number % len(_KINDS)], number)
    for what, times in sorted(campaign.found.items()):
        print(f"{times:6,} {what}")
    print(f"{time.monotonic() - started:.0f} s")
    return int(any("WRONG" in what for what in campaign.found))


if __name__ == "__main__":
    sys.exit(main())
