"""What the tests of writing share: a client for which waiting is short, and projects to write to."""

import json
import threading
import time
from concurrent.futures import CancelledError

import pandas as pd

import pandas_kili as pk
from pandas_kili.connection import rate_limit
from pandas_kili.connection.client import Client
from pandas_kili.writing import delivery

MUTATIONS = {
    "current": {
        "append": "appendManyAssets",
        "update": "updatePropertiesInAssets",
        "rename": "updatePropertiesInAssets",
        "delete": "deleteAssets",
        "review": "addAssetsToReview",
        "queue": "sendAssetsBackToQueue",
    },
    "legacy": {
        "append": "appendManyToDataset",
        "update": "updatePropertiesInAssets",
        "rename": "updatePropertiesInAssets",
        "delete": "deleteManyFromDataset",
        "review": "addAllLabeledAssetsToReview",
        "queue": "sendBackAssetsToQueue",
    },
}


VERBS = {
    "append": lambda df, **kw: df.drop(columns="id").kili.append_many_to_dataset(kw.pop("project_id"), **kw),
    "update": lambda df, **kw: df.kili.update_properties_in_assets(priority="wanted", **kw),
    "rename": lambda df, **kw: df.kili.change_asset_external_ids("name", **kw),
    "delete": lambda df, **kw: df.kili.delete_many_from_dataset(**kw),
    "review": lambda df, **kw: df.kili.add_to_review(**kw),
    "queue": lambda df, **kw: df.kili.send_back_to_queue(**kw),
}


class SwiftClock(rate_limit.Clock):
    """Time that waiting skips."""

    def __init__(self):
        self._skipped, self._lock = 0.0, threading.Lock()

    def now(self):
        return time.monotonic() + self._skipped

    def wait(self, seconds, stop=None):
        if stop is not None and stop.is_set():
            raise CancelledError
        with self._lock:
            self._skipped += seconds
        time.sleep(0.001)


def hurry(monkeypatch):
    """Shorten the pauses between looks at what the server shows."""
    monkeypatch.setattr(delivery, "_PAUSE", 0.001)
    monkeypatch.setattr(delivery, "_PATIENCE", (0.0, 0.002, 0.01))
    monkeypatch.setattr(delivery, "_LIFE", (0.0, 0.002, 0.01, 0.02))


def client_of(sandbox, **options):
    client = Client(
        sandbox.api_key,
        sandbox.api_endpoint,
        **{"timeout": (5, 10), "max_calls_per_minute": 1_000_000, "max_workers": 4, **options},
    )
    client._use_clock(SwiftClock())
    return client


def filled(sandbox, rows=5, *, labeled=(), kind="IMAGE", title="Project"):
    """Make a project of so many assets named n0, n1, ...; return its id and theirs."""
    project = sandbox.create_project(title, kind)
    assets = [{"externalId": f"n{i}", "content": f"https://example.com/{i}.png"} for i in range(rows)]
    ids = sandbox.add_assets(project, assets) if rows else []
    if len(labeled):
        frame = pd.DataFrame({"assetId": [ids[i] for i in labeled], "jsonResponse": "{}"})
        sandbox.add_labels(frame)
    return project, ids


def stored(sandbox, project, column):
    """Return a column of the assets of a project, by id."""
    return {row["id"]: row[column] for row in sandbox.assets(project)}


def metadata(sandbox, project):
    return {row["id"]: json.loads(row["jsonMetadata"]) for row in sandbox.assets(project)}


def sent(sandbox, *names):
    """Return the variables of the mutations that arrived, in order."""
    everything = {name for one in MUTATIONS.values() for name in one.values()}
    return [each.variables for each in sandbox.requests if each.operation in (names or everything)]


def outcomes(frame):
    return frame.kili.report["outcome"].tolist()


def read(sandbox, project, fields=("id", "externalId", "priority", "jsonMetadata", "status"), **filters):
    return pk.read_kili(project, fields=fields, client=client_of(sandbox), **filters)
