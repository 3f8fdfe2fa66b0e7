"""Read and write from several threads while every tenth request fails, and compare with a model at every step.

    python -m benchmarks.soak                # a minute
    python -m benchmarks.soak --seconds 180 --threads 4 --faults 0.1

All threads share a client and a project, in which each has rows of its own and keeps a model of them. It appends
(hosted rows and files), updates, renames, deletes, counts and reads, also labels with answers behind URLs, and gives
again what a report does not call applied, as users are told to. Each read is compared with the model: nothing lost,
nothing twice, nothing old. In the end the faults stop, and what the server holds is compared with all models; threads,
sockets and memory with those of the start. The exit status is 1 where anything differs. The server is a sandbox in a
process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

import pandas_kili as pk

_FAULTS = (
    {"kind": "refuse"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 502, "after_work": True},
    {"kind": "status", "status": 429, "retry_after": 0.1},
    {"kind": "cut"},
    {"kind": "drip", "seconds": 0.1},
    {"kind": "timeout_after", "seconds": 2.5},
    {"kind": "graphql_error"},
    {"kind": "graphql_error", "after_work": True},
    {"kind": "partial_data"},
    # Not in the place of a file that is fetched, where a page cannot be told from a file.
    *(
        {"kind": "html", "operation": operation, "after_work": after}
        for operation in (
            "assets",
            "countAssets",
            "appendManyAssets",
            "updatePropertiesInAssets",
            "deleteAssets",
            "PUT",
        )
        for after in (False, True)
    ),
)
_KINDS = 14  # of faults that one request may meet
_SERVER = """
import json, sys
import pandas as pd
from pandas_kili.sandbox import Fault, Sandbox
given = json.loads(sys.argv[1])
with Sandbox(max_calls_per_minute=None, seed=given["seed"], json_response_urls=True) as sandbox:
    project, labeled = sandbox.create_project("Soak", "TEXT"), sandbox.create_project("Answers", "TEXT")
    names = [str(number) for number in range(given["answers"])]
    sandbox.add_assets(labeled, [{"externalId": name, "content": "x"} for name in names])
    answers = [json.dumps({"JOB": {"text": name}}) for name in names]
    sandbox.add_labels(pd.DataFrame({"externalId": names, "jsonResponse": answers}), project_id=labeled)
    print(json.dumps([sandbox.api_endpoint, sandbox.api_key, project, labeled]), flush=True)
    for line in sys.stdin:
        if line == "fail\\n":
            sandbox.inject(*(Fault(times=None, **fault) for fault in given["faults"]))
        else:
            sandbox.clear_faults()
            print(len(sandbox.requests), flush=True)
"""
_MOST_ROWS = 600  # of one thread; then it deletes
_ANSWERS = 150  # of labels, each behind a URL of its own
_MOST_REPEATS = 20  # of a write whose rows are not all applied
_FIELDS = ("id", "externalId", "priority", "jsonMetadata", "content")
_LEAST_GROWTH = 48 * 2**20  # bytes of memory that allocators keep for later
_LONGEST_STEP = 120.0  # seconds
_TIMEOUT = (2, 2)


class Server:
    """A sandbox in another process."""

    def __init__(self, rate: float, seed: int) -> None:
        faults = [{**fault, "probability": rate / _KINDS} for fault in _FAULTS]
        given = {"faults": faults, "seed": seed, "answers": _ANSWERS}
        command = [sys.executable, "-c", _SERVER, json.dumps(given)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint, self.key, self.project, self.labeled = json.loads(self._out())

    def _out(self) -> str:
        return str(self._process.stdout.readline()) if self._process.stdout else ""

    def say(self, word: str) -> None:
        """Tell it to `fail`, or to be `calm`."""
        if self._process.stdin:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def calm(self) -> int:
        """Let nothing fail any more; return how many requests it remembers."""
        self.say("calm")
        return int(self._out())

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


class WrongError(AssertionError):
    """What must not be."""


class Worker:
    """One thread: its rows as they should be, and what it does with them."""

    def __init__(self, number: int, server: Server, client: pk.Client, folder: Path, seed: int) -> None:
        self.name, self.server, self.client, self.folder = f"w{number}", server, client, folder
        self.chance = random.Random(f"{seed} {number}")
        self.model: dict[str, dict[str, Any]] = {}  # by externalId: priority, jsonMetadata, and the text of a file
        self.made = 0
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        """Do one thing, as the chance has it."""
        verbs = [self.append, self.append, self.append_files, self.update, self.update, self.rename]
        verbs += [self.delete, self.read, self.read, self.read_all, self.read_answers, self.count]
        verb = self.delete if len(self.model) > _MOST_ROWS else self.chance.choice(verbs)
        try:
            verb()
        except (pk.KiliConnectionError, pk.KiliGraphQLError, pk.KiliDownloadError):
            # A page of a proxy, or the same trouble five times in a row: said, and nothing was written.
            self.done[f"{verb.__name__} gave up"] += 1
        else:
            self.done[verb.__name__] += 1

    def append(self) -> None:
        """Append some hosted rows."""
        rows = self._fresh(self.chance.choice([1, 7, 99, 100, 101, 250]))
        frame = rows.assign(content=[f"https://a.org/{name}" for name in rows["externalId"]])
        self._append(frame, dict.fromkeys(frame["externalId"]))

    def append_files(self) -> None:
        """Append rows of text files."""
        rows = self._fresh(self.chance.choice([1, 5, 12]))
        texts = {name: f"text of {name}\n" * self.chance.choice([1, 300]) for name in rows["externalId"]}
        paths = [self.folder / f"{name}.txt" for name in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
        self._append(rows.assign(content=[str(path) for path in paths]), dict(texts))
        for path in paths:
            path.unlink()

    def _append(self, frame: pd.DataFrame, texts: dict[str, str | None]) -> None:
        self._persist(frame, lambda rest, **given: rest.kili.append_many_to_dataset(self.server.project, **given))
        for row in frame.itertuples():
            self.model[row.externalId] = {
                "priority": 0,
                "jsonMetadata": json.loads(row.jsonMetadata),
                "text": texts[row.externalId],
            }

    def update(self) -> None:
        """Change properties of some rows."""
        frame = self._some()
        frame["priority"] = [self.chance.randrange(1000) for _ in range(len(frame))]
        values = [{"owner": self.name, "n": self.chance.randrange(10**6)} for _ in range(len(frame))]
        frame["jsonMetadata"] = [json.dumps(value) for value in values]
        names = ("priority", "jsonMetadata")
        self._persist(
            frame,
            lambda rest, **given: rest.kili.update_properties_in_assets(
                *names, project_id=self.server.project, **given
            ),
        )
        for row in frame.itertuples():
            self.model[row.externalId].update(priority=row.priority, jsonMetadata=json.loads(row.jsonMetadata))

    def rename(self) -> None:
        """Give some rows other names."""
        frame = self._with_ids(self._some(30))
        frame["fresh"] = [self._new_name() for _ in range(len(frame))]
        self._persist(
            frame,
            lambda rest, **given: rest.kili.change_asset_external_ids("fresh", project_id=self.server.project, **given),
        )
        for row in frame.itertuples():
            self.model[row.fresh] = self.model.pop(row.externalId)

    def delete(self) -> None:
        """Delete some rows."""
        frame = self._with_ids(self._some())
        self._persist(
            frame,
            lambda rest, **given: rest.kili.delete_many_from_dataset(project_id=self.server.project, **given),
        )
        for name in frame["externalId"]:
            del self.model[name]

    def read(self) -> None:
        """Read the own rows."""
        self.compare(self._read(metadata_where={"owner": self.name}))

    def read_all(self) -> None:
        """Read what all threads write, in chunks; of the own rows, all must be right."""
        size = self.chance.choice([50, 100, 333])
        chunks = pk.read_kili(
            self.server.project,
            fields=_FIELDS,
            client=self.client,
            disable_tqdm=True,
            chunksize=size,
            validate=False,
        )
        frame = pd.concat(list(chunks), ignore_index=True)
        if not frame["id"].is_unique:
            raise WrongError("an asset was read twice")
        self.compare(frame[frame["jsonMetadata"].str.contains(f'"{self.name}"')])

    def read_answers(self) -> None:
        """Read labels with answers behind URLs: each has its own, and none is missing."""
        frame = pk.read_kili(
            self.server.labeled,
            fields=["externalId", "labels.jsonResponse"],
            client=self.client,
            disable_tqdm=True,
        )
        shown = [
            (row.externalId, [json.loads(one["jsonResponse"]) for one in row.labels]) for row in frame.itertuples()
        ]
        if sorted(shown) != sorted((str(number), [{"JOB": {"text": str(number)}}]) for number in range(_ANSWERS)):
            raise WrongError("an answer is missing, or stands at another label")

    def count(self) -> None:
        """Count the own rows."""
        count = pk.count_assets(self.server.project, client=self.client, metadata_where={"owner": self.name})
        if count != len(self.model):
            raise WrongError(f"{count} rows were counted, {len(self.model)} are there")

    def compare(self, frame: pd.DataFrame) -> None:
        """Hold a frame to the model."""
        shown = {row.externalId: (row.priority, json.loads(row.jsonMetadata)) for row in frame.itertuples()}
        meant = {name: (row["priority"], row["jsonMetadata"]) for name, row in self.model.items()}
        if len(frame) != len(shown) or shown != meant:
            missing, more = sorted(meant.keys() - shown), sorted(shown.keys() - meant)
            old = [name for name in meant.keys() & shown if meant[name] != shown[name]]
            raise WrongError(
                f"{len(frame)} rows read, {len(meant)} meant;"
                f" missing {missing[:5]}, too many {more[:5]}, wrong {old[:5]}"
            )
        self._compare_files(frame)

    def _compare_files(self, frame: pd.DataFrame) -> None:
        files = frame[frame["externalId"].map(lambda name: self.model[name]["text"] is not None).astype(bool)]
        for row in files.head(3).itertuples():
            if self.client.get(row.content).decode() != self.model[row.externalId]["text"]:
                raise WrongError(f"the file of {row.externalId} is another")

    def _persist(self, frame: pd.DataFrame, write: Any) -> None:
        """Write, and give again what was not applied, until all is."""
        rest, problem = frame, "no call came to an end"
        for repeat in range(_MOST_REPEATS):
            self.done["write repeated"] += repeat > 0
            with contextlib.suppress(pk.KiliConnectionError, pk.KiliGraphQLError, pk.KiliDownloadError):
                out = write(rest, client=self.client, disable_tqdm=True, errors="report")
                rest = out[out.kili.report["outcome"] != "applied"]
                problem = str(out.kili.report["message"].unique()[:3])
                if rest.empty:
                    return
        raise WrongError(f"rows are not written after {_MOST_REPEATS} calls: {problem}")

    def _fresh(self, rows: int) -> pd.DataFrame:
        names = [self._new_name() for _ in range(rows)]
        values = [json.dumps({"owner": self.name, "n": number}) for number in range(rows)]
        return pd.DataFrame({"externalId": names, "jsonMetadata": values})

    def _new_name(self) -> str:
        self.made += 1
        return f"{self.name}-{self.made}"

    def _some(self, most: int = 300) -> pd.DataFrame:
        names = self.chance.sample(sorted(self.model), min(len(self.model), self.chance.randint(0, most)))
        return pd.DataFrame({"externalId": pd.Series(names, dtype="string[pyarrow]")})

    def _with_ids(self, frame: pd.DataFrame) -> pd.DataFrame:
        ids = self._read(metadata_where={"owner": self.name}).set_index("externalId")["id"]
        return frame.assign(id=ids.reindex(frame["externalId"]).to_numpy())

    def _read(self, **filters: Any) -> pd.DataFrame:
        project, client = self.server.project, self.client
        return pk.read_kili(project, fields=_FIELDS, client=client, disable_tqdm=True, **filters)


class State:
    """What a process holds: threads, sockets and memory."""

    def __init__(self) -> None:
        gc.collect()
        pa.default_memory_pool().release_unused()
        self.threads = sorted(thread.name for thread in threading.enumerate())
        self.sockets = sum(link.startswith("socket:") for link in _open_files())
        self.arrow = pa.total_allocated_bytes()
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        self.memory = int(pages) * os.sysconf("SC_PAGE_SIZE")

    def __str__(self) -> str:
        return (
            f"{len(self.threads)} threads, {self.sockets} sockets, {self.memory / 2**20:.0f} MiB,"
            f" {self.arrow:,} bytes in Arrow"
        )


def _open_files() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them is gone
            yield str(link.readlink())


class Soak:
    """All threads, for so long."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.seconds = options.seconds
        self.server = Server(options.faults, options.seed)
        self.client = pk.Client(self.server.key, self.server.endpoint, timeout=_TIMEOUT, max_calls_per_minute=10**6)
        self.workers = [
            Worker(number, self.server, self.client, folder, options.seed) for number in range(options.threads)
        ]
        self.problems: list[str] = []

    def run(self) -> int:
        """Warm up, soak, and settle the account."""
        for worker in self.workers:
            worker.append()
            worker.read()
        self.client.close()
        before = State()
        self.server.say("fail")
        self._soak(self.seconds / 2)
        middle = self._state()
        self._soak(self.seconds / 2)
        requests = self.server.calm()
        self._compare_all()
        after = self._state()
        self._account(before, middle, after)
        self.server.stop()
        done = sum((worker.done for worker in self.workers), Counter[str]())
        print(f"{requests:,} requests remembered; {dict(sorted(done.items()))}")
        print(f"start: {before}\nhalf:  {middle}\nend:   {after}")
        for problem in self.problems:
            print(f"WRONG: {problem}")
        print("wrong" if self.problems else "nothing lost, nothing twice, nothing left behind")
        return int(bool(self.problems))

    def _state(self) -> State:
        self.client.close()
        _wait_for_threads()
        return State()

    def _soak(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._work, args=(worker, until), daemon=True) for worker in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()) + _LONGEST_STEP)
        if any(thread.is_alive() for thread in threads):
            self.problems.append("a call does not end")

    def _work(self, worker: Worker, until: float) -> None:
        while time.monotonic() < until and not self.problems:
            try:
                worker.step()
            except Exception:  # noqa: BLE001 - whatever it is, it must not be
                self.problems.append(f"{worker.name}: {traceback.format_exc()}")

    def _compare_all(self) -> None:
        """Hold what is there in the end to all models together."""
        frame = pk.read_kili(self.server.project, fields=_FIELDS, client=self.client, disable_tqdm=True)
        total = sum(len(worker.model) for worker in self.workers)
        if len(frame) != total:
            self.problems.append(f"{len(frame)} rows in the end, {total} meant")
        for worker in self.workers:
            try:
                worker.read()
            except WrongError as wrong:
                self.problems.append(f"in the end, {worker.name}: {wrong}")

    def _account(self, before: State, middle: State, after: State) -> None:
        if after.threads != before.threads:
            self.problems.append(f"threads: {before.threads} at the start, {after.threads} at the end")
        if after.sockets != before.sockets:
            self.problems.append(f"sockets: {before.sockets} at the start, {after.sockets} at the end")
        if after.arrow > before.arrow:
            self.problems.append(f"Arrow holds {after.arrow - before.arrow:,} bytes more than at the start")
        if after.memory - middle.memory > _LEAST_GROWTH:
            self.problems.append("memory grew in the second half")


def _wait_for_threads() -> None:
    """Wait for threads that are no longer needed."""
    until = time.monotonic() + 2 * sum(_TIMEOUT)
    while any(thread.name.startswith("pandas_kili") for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.05)


def main() -> int:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--faults", type=float, default=0.1, help="share of the requests that fail")
    parser.add_argument("--seed", type=int, default=0)
    warnings.simplefilter("error", pk.KiliConsistencyWarning)
    with tempfile.TemporaryDirectory() as folder:
        return Soak(parser.parse_args(), Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
