"""A project that lives, and a local copy that follows it.

1. A sandbox serves a project of texts; three simulated labelers work on it in threads, and someone adds and deletes.
   An hour of their day lasts a second.
2. `pk.sync` refreshes a Delta table beside it: each time it reads the log of events, then only what changed.
3. `pk.read_copy` gives the copy back as a frame; a chart of the labels of each labeler by hour is drawn from it.
4. At the end the copy is compared with a read of the project.

Neither account nor network is needed: ``pip install 'pandas-kili[copy,plot,sandbox]'``, ``python examples/mirror.py``
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

LABELERS = ("ada@example.com", "ben@example.com", "cid@example.com")
MORNING, HOUR = pd.Timestamp("2026-11-23T08:00Z"), pd.Timedelta("1h")


def main() -> None:
    """Run the example from end to end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", metavar="DIR")
    parser.add_argument("--assets", type=int, default=1000, metavar="N")
    parser.add_argument("--hours", type=float, default=10, metavar="H", help="hours of work, each a second")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    copy = chosen.out / "mirror"
    with Sandbox(max_calls_per_minute=None) as sandbox:
        project_id = sandbox.create_project("Letters", "TEXT")
        sandbox.add_assets(
            project_id, [{"externalId": f"letter-{n}", "content": "Dear …"} for n in range(chosen.assets)]
        )
        print("first copy:", pk.sync(project_id, copy, full=copy.exists(), client=sandbox.client, disable_tqdm=True))

        closing = threading.Event()
        people = [threading.Thread(target=label, args=(sandbox, project_id, who, closing)) for who in LABELERS]
        people.append(threading.Thread(target=tidy_up, args=(sandbox, project_id, closing)))
        for person in people:
            person.start()
        end = time.monotonic() + chosen.hours
        while time.monotonic() < end:
            time.sleep(chosen.hours / 5)
            print("refresh:", pk.sync(project_id, copy, client=sandbox.client, disable_tqdm=True))
        closing.set()
        for person in people:
            person.join()

        print("refresh:", pk.sync(project_id, copy, client=sandbox.client, disable_tqdm=True))
        mirror = pk.read_copy(copy)
        project = pk.read_kili(project_id, client=sandbox.client, disable_tqdm=True)
        same = mirror.sort_values("id", ignore_index=True).equals(project.sort_values("id", ignore_index=True))
        print("the copy is", "equal to the project" if same else "NOT EQUAL to the project")
    path = draw(mirror, chosen.out / "mirror.png")
    print(f"The chart: {path}")


def label(sandbox: Sandbox, project_id: str, who: str, closing: threading.Event) -> None:
    """Label an asset now and then, as `who`."""
    chance, started = random.Random(who), time.monotonic()
    while not closing.wait(chance.uniform(0, 0.1)):
        asset = chance.choice(sandbox.assets(project_id))
        answer = json.dumps({"MOOD": {"categories": [{"name": chance.choice(["GLAD", "SAD"])}]}})
        now = MORNING + HOUR * (time.monotonic() - started)
        row = {"externalId": asset["externalId"], "jsonResponse": answer, "author": who, "createdAt": now}
        try:
            sandbox.add_labels(pd.DataFrame([row]), project_id=project_id)
        except ValueError:
            continue  # the asset was deleted a moment ago


def tidy_up(sandbox: Sandbox, project_id: str, closing: threading.Event) -> None:
    """Add a letter and delete another now and then."""
    chance, added = random.Random(1), 0
    while not closing.wait(0.5):
        added += 1
        sandbox.add_assets(project_id, [{"externalId": f"late-letter-{added}", "content": "PS …"}])
        sandbox.delete_assets([chance.choice(sandbox.assets(project_id))["id"]])


def draw(mirror: pd.DataFrame, path: Path) -> Path:
    """Draw how many labels each labeler made, hour by hour."""
    labels = mirror.kili.labels()
    by_hour = pd.crosstab(labels["createdAt"].dt.strftime("%H:00"), labels["author.email"])
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = by_hour.plot.bar(ax=figure.subplots(), stacked=True, rot=0, width=0.8, xlabel="hour of the day")
    axes.set(ylabel="labels", title="Labels in the copy by hour")
    axes.legend(title="labeler", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path)
    return path


if __name__ == "__main__":
    main()
