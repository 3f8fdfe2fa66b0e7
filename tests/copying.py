"""A project that others work on while it is copied: random activity between the requests of a sync, by seed."""

import json
import random
import threading
import warnings

import pandas as pd

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

FIELDS = (*pk.DEFAULT_FIELDS, "priority", "isUsedForConsensus", "issues.id", "issues.status")
_WHERE = "mutation($where: AssetWhere!) { data: %s(where: $where) { succeeded { assetId } } }"
_UPDATE = (
    "mutation($w: [AssetWhere!]!, $d: [AssetData!]!) { data: updatePropertiesInAssets(where: $w, data: $d) { id } }"
)
_SKIP = "mutation($w: AssetWhere!) { data: skipAsset(reason: %s, where: $w) { id } }"
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
        deed = self.chance.choice([deed, deed, deed, deed, self.delete, self.bulk, self.raise_issue])
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

    def ask(self, document, **variables):
        self.sandbox.client.execute(document, variables)


def assert_true(copy, project, client, **filters):
    """Hold a copy to what a read of the project gives now."""
    read = pk.read_kili(project, fields=FIELDS, client=client, **filters)
    kept = pk.read_copy(copy)
    pd.testing.assert_frame_equal(kept.sort_values("id", ignore_index=True), read.sort_values("id", ignore_index=True))


def run(sandbox: Sandbox, seed, folder, *, delay=0.0, verify=False, **filters):
    """Sync a project several times while others work on it; each time, a quiet moment later, the copy is true."""
    import time  # noqa: PLC0415 - of no use without delays

    chance = random.Random(seed)
    project, copy = sandbox.create_project("P", "TEXT"), folder / str(seed)
    busy = Busy(sandbox, project, seed)
    busy.work(chance.randint(0, 8))
    options = {"fields": FIELDS, "client": sandbox.client, "disable_tqdm": True, **filters}
    for _ in range(chance.randint(2, 3)):
        sandbox.before_request(busy)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pk.KiliConsistencyWarning)  # others are at work just now
            pk.sync(project, copy, **options)
        sandbox.clear_hooks()
        time.sleep(delay)
        pk.sync(project, copy, verify=verify, **options)
        assert_true(copy, project, sandbox.client, **filters)
        busy.work(chance.randint(0, 4))
