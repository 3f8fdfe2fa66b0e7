"""A project that others work on while it is copied: random activity between the requests of a sync, by seed."""

import json
import random
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

import pandas_kili as pk
from pandas_kili.sandbox import Habits, Sandbox

FIELDS = (*pk.DEFAULT_FIELDS, "priority", "isUsedForConsensus", "issues.id", "issues.status")
FIELDS += ("currentStep.name", "currentStep.status")
KINDS = {
    "kept": ({}, {}),
    "late": ({"events": "late", "longest_event_delay": 0.02}, {"delay": 0.025}),
    "short": ({"events": "short", "kept_events": 6}, {}),
    "forgotten": ({"events": "short", "kept_events": 2}, {"verify": True}),
    "none": ({"events": "none"}, {}),
    "filtered": ({}, {"status_in": ["TODO", "LABELED"]}),
    "small pages": ({"habits": Habits(longest_page=5)}, {}),
}
"""How a server keeps its events and gives its pages, and how a copy is made of it."""
_WHERE = "mutation($where: AssetWhere!) { data: %s(where: $where) { succeeded { assetId } } }"
_UPDATE = (
    "mutation($w: [AssetWhere!]!, $d: [AssetData!]!) { data: updatePropertiesInAssets(where: $w, data: $d) { id } }"
)
_SKIP = "mutation($w: AssetWhere!) { data: skipAsset(reason: %s, where: $w) { id } }"
_RENAME = "mutation($i: RenameStepInput!) { data: renameStep(input: $i) { id } }"
_STEPS = "query($w: ProjectWhere!) { data: projects(where: $w, first: 1, skip: 0) { steps { id } } }"
_EDIT = "mutation($w: LabelWhere!, $d: LabelData!) { data: updatePropertiesInLabel(where: $w, data: $d) { id } }"
_UNLABEL = "mutation($ids: [ID!]!) { data: deleteLabels(ids: $ids) }"


class Busy:
    """Someone who changes a project now and then."""

    def __init__(self, sandbox, project, seed):
        self.sandbox, self.project, self.chance = sandbox, project, random.Random(seed)
        self._is_acting = threading.Lock()
        self._count = 0

    def __call__(self, _=None):
        """Act between two requests of others; requests of one's own are no occasion to act."""
        if self._is_acting.acquire(blocking=False):
            try:
                if self.chance.random() < 0.5:
                    self.act()
            finally:
                self._is_acting.release()

    def work(self, times):
        with self._is_acting:
            for _ in range(times):
                self.act()

    def act(self):
        assets = self.sandbox.assets(self.project)
        deed = self.chance.choice(
            [self.append, self.label, self.label, self.edit, self.unlabel, self.update, self.move]
        )
        deed = self.chance.choice([deed, deed, deed, deed, self.delete, self.bulk, self.raise_issue, self.rename_step])
        if assets or deed == self.append:
            deed(self.chance.sample(assets, min(len(assets), self.chance.randint(1, 4))))

    def append(self, _):
        self._count += 1
        rows = [
            {"externalId": f"new{self._count}-{row}", "content": "text"} for row in range(self.chance.randint(1, 5))
        ]
        self.sandbox.add_assets(self.project, rows)

    def label(self, assets):
        kind = self.chance.choice(["DEFAULT", "PREDICTION", "REVIEW", "AUTOSAVE"])
        columns = {"assetId": [each["id"] for each in assets], "jsonResponse": self.answer(), "labelType": kind}
        self.sandbox.add_labels(pd.DataFrame(columns))

    def answer(self):
        return json.dumps({"JOB": {"text": str(self.chance.random())}})

    def labels_of(self, assets):
        ids = {each["id"] for each in assets}
        return [label for label in self.sandbox.labels(self.project) if label["assetId"] in ids]

    def edit(self, assets):
        for label in self.labels_of(assets):
            self.ask(_EDIT, w={"id": label["id"]}, d={"jsonResponse": self.answer()})

    def unlabel(self, assets):
        self.ask(_UNLABEL, ids=[label["id"] for label in self.labels_of(assets)[:2]])

    def update(self, assets):
        change = self.chance.choice([{"priority": 3}, {"jsonMetadata": '{"k": 1}'}, {"externalId": self.answer()}])
        self.ask(_UPDATE, w=[{"id": assets[0]["id"]}], d=[change])

    def move(self, assets):
        verb = self.chance.choice(["addAssetsToReview", "sendAssetsBackToQueue", "skipAsset"])
        if verb == "skipAsset":
            self.ask(_SKIP % '"no"', w={"id": assets[0]["id"]})
        else:
            self.ask(_WHERE % verb, where={"idIn": [each["id"] for each in assets]})

    def delete(self, assets):
        self.sandbox.delete_assets([each["id"] for each in assets])

    def bulk(self, _):
        verb = self.chance.choice(["addAssetsToReview", "sendAssetsBackToQueue", "deleteAssets"])
        where = {"project": {"id": self.project}, "skipped": True} if verb == "deleteAssets" else {}
        self.ask(_WHERE % verb, where={"project": {"id": self.project}, **where})

    def raise_issue(self, assets):
        self.sandbox.add_issue(assets[0]["id"])

    def rename_step(self, _):
        (found,) = self.sandbox.client.execute(_STEPS, {"w": {"id": self.project}})["data"]
        if found["steps"]:
            step = self.chance.choice(found["steps"])["id"]
            self.ask(_RENAME, i={"projectId": self.project, "stepId": step, "newName": self.answer()})

    def ask(self, document, **variables):
        self.sandbox.client.execute(document, variables)


def assert_true(copy, project, client, **filters):
    """Hold a copy to what a read of the project gives now."""
    read = pk.read_kili(project, fields=FIELDS, client=client, validate=False, disable_tqdm=True, **filters)
    kept = pk.read_copy(copy)
    pd.testing.assert_frame_equal(kept.sort_values("id", ignore_index=True), read.sort_values("id", ignore_index=True))


def run(sandbox: Sandbox, seed, folder, *, delay=0.0, verify=False, **filters):
    """Sync a project several times while others work on it; each time, a quiet moment later, the copy is true.

    A sync beside others may warn of rows in doubt, which the next one has to settle. Returns how many of them there
    were, and how many warned.
    """
    chance = random.Random(seed)
    workflow = {"workflow_version": "V2", "steps": [{"name": "First"}, {"name": "Second"}]} if seed % 2 else {}
    project, copy = sandbox.create_project("P", "TEXT", **workflow), folder / str(seed)
    busy = Busy(sandbox, project, seed)
    busy.work(chance.randint(0, 8))
    options = {"fields": FIELDS, "client": sandbox.client, "disable_tqdm": True, **filters}
    found = Counter()
    for _ in range(chance.randint(2, 3)):
        sandbox.before_request(busy)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", pk.KiliConsistencyWarning)
            pk.sync(project, copy, **options)
        sandbox.clear_hooks()
        time.sleep(delay)
        pk.sync(project, copy, verify=verify, **options)
        assert_true(copy, project, sandbox.client, **filters)
        found.update({"syncs beside others": 1, "with rows in doubt": bool(told)})
        busy.work(chance.randint(0, 4))
    return found


def main(schedules):
    """Print the figures of so many schedules, which CONTRIBUTING.md states."""
    warnings.simplefilter("error")
    start, found = time.monotonic(), Counter()
    seeds = range(1000, 1000 + -(-schedules // len(KINDS)))
    for kind, (server, options) in KINDS.items():
        for block in range(0, len(seeds), 100):  # a new sandbox now and then keeps it quick
            with Sandbox(max_calls_per_minute=None, **server) as sandbox, tempfile.TemporaryDirectory() as folder:
                for seed in seeds[block : block + 100]:
                    found += run(sandbox, seed, Path(folder), **options)
                    found["schedules"] += 1
        sys.stdout.write(f"{kind}: {dict(found)}, {time.monotonic() - start:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
