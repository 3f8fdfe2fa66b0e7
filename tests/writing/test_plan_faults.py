"""A plan is applied once, whatever fails on the way, whoever else writes, and however often it is applied."""

import json
import random
import threading
import warnings

import pandas as pd
import pytest
from writing import client_of, hurry

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox
from pandas_kili.writing import delivery

URL = "https://example.com/{}.png"
ROWS = 30
FAULTS = {
    "reset before": {"kind": "reset_before"},
    "reset after": {"kind": "reset_after"},
    "502 after": {"kind": "status", "status": 502, "after_work": True},
    "no answer in time": {"kind": "timeout_after", "seconds": 0.3},
    "answer cut": {"kind": "cut"},
    "lasting error after": {"kind": "graphql_error", "after_work": True, "code": "BAD_USER_INPUT"},
    "error beside data": {"kind": "partial_data"},
}


@pytest.fixture(scope="module")
def server():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def box(server, monkeypatch):
    hurry(monkeypatch)
    monkeypatch.setattr(delivery, "BATCH_SIZE", 5)
    server.clear_faults()
    server.clear_hooks()
    server.clear_requests()
    return server


class Case:
    """A project, and a plan with every kind of change: rings and chains of names, names of assets that go."""

    def __init__(self, box, path, **options):
        self.box, self.path = box, path
        self.project = box.create_project("Project", "IMAGE")
        rows = [
            {"externalId": f"n{n}", "content": URL.format(n), "jsonMetadata": json.dumps({"n": n})} for n in range(ROWS)
        ]
        self.ids = box.add_assets(self.project, rows)
        self.client = client_of(box, **options)
        names = [f"n{n}" for n in range(ROWS)]
        names[:10] = [*names[1:10], names[0]]  # a ring
        names[10:15] = [*names[11:15], "x"]  # a chain
        names[15] = f"n{ROWS - 1}"  # of an asset that goes
        kept = pd.DataFrame({"id": self.ids[:25], "externalId": names[:25], "priority": range(1, 26), "n": range(25)})
        fresh = pd.DataFrame({"externalId": [f"new{n}" for n in range(12)], "priority": 7, "n": -1})
        self.frame = pd.concat([kept, fresh], ignore_index=True).assign(content=URL.format("new"))
        self.wanted = sorted(zip(self.frame["externalId"], self.frame["priority"], self.frame["n"], strict=True))
        self.before = self.held()
        plan = self.frame.kili.plan(self.project, metadata=["n"], missing="delete", client=self.client)
        assert plan.summary == {"append": 12, "update": 25 + 12, "rename": 16, "delete": 5}
        plan.save(path)
        box.clear_requests()

    def held(self):
        rows = self.box.assets(self.project)
        assert len({row["externalId"] for row in rows}) == len(rows)
        return sorted((row["externalId"], row["priority"], json.loads(row["jsonMetadata"])["n"]) for row in rows)

    def apply(self, **options):
        return pk.read_plan(self.path).apply(delete=True, client=self.client, **options)

    def assert_done(self):
        assert self.held() == self.wanted
        self.box.clear_requests()
        out = self.apply()
        assert set(out.kili.report["outcome"]) == {"unchanged"}
        assert not [request for request in self.box.requests if request.document.lstrip().startswith("mutation")]


@pytest.mark.once
@pytest.mark.parametrize("operation", ["updatePropertiesInAssets", "appendManyAssets", "deleteAssets"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_of_any_batch_is_overcome(box, tmp_path, operation, fault):
    timeout = (5, 0.1) if fault == "no answer in time" else (5, 10)
    case = Case(box, tmp_path / "plan", timeout=timeout)
    for nth in (1, 3):
        box.inject(Fault(operation=operation, nth=nth, **FAULTS[fault]))
    out = case.apply()
    assert set(out.kili.report["outcome"]) <= {"applied", "unchanged"}
    case.assert_done()


def requests_of_a_run(box, path):
    case = Case(box, path)
    case.apply()
    return len(box.requests)


@pytest.mark.once
def test_a_plan_that_stops_anywhere_is_completed_by_applying_it_again(box, tmp_path):
    total = requests_of_a_run(box, tmp_path / "whole")
    for nth in random.Random(7).sample(range(1, total + 1), 10):
        case = Case(box, tmp_path / "plan")
        box.inject(Fault("status", nth=nth, times=None, status=401))
        with pytest.raises(pk.KiliError) as caught:
            case.apply()
        assert set(caught.value.report["outcome"]) <= {"applied", "failed", "not_sent", "unchanged", "declined"}
        box.clear_faults()
        case.apply()
        case.assert_done()


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_what_was_applied_in_part_is_taken_back(box, tmp_path, nth):
    case = Case(box, tmp_path / "plan")
    box.inject(Fault("status", operation="updatePropertiesInAssets", nth=nth, times=None, status=401))
    plan = pk.read_plan(case.path)
    with pytest.raises(pk.KiliError):
        plan.apply(delete=True, client=case.client)
    box.clear_faults()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pk.KiliDeclinedWarning)  # of assets that never came to be
        inverse = plan.inverse()
        inverse.apply(delete=True, client=case.client)
    assert case.held() == case.before
    inverse.save(tmp_path / "inverse")
    case.apply()
    case.assert_done()
    pk.read_plan(tmp_path / "inverse").apply(delete=True, client=case.client)
    assert case.held() == case.before


def test_two_appliers_at_once_end_as_one(box, tmp_path):
    case = Case(box, tmp_path / "plan")
    problems = []

    def work():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pk.KiliDeclinedWarning)
                case.apply()
        except pk.KiliMutationError as error:  # what one of them finds half done by the other
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case.apply()
    case.assert_done()


def test_changes_of_others_between_batches_are_kept_and_told(box, tmp_path):
    case = Case(box, tmp_path / "plan", max_workers=1)
    chance = random.Random(3)
    theirs = {}

    def meddle(request):
        if request.operation != "updatePropertiesInAssets":
            return
        about = {where["id"] for where in request.variables["whereArray"]}
        other = chance.choice([one for one in case.ids[16:25] if one not in about and one not in theirs] or [None])
        there = {row["id"]: row for row in box.assets(case.project)}
        if other and there[other]["priority"] == 0:
            theirs[other] = 100 + len(theirs)
            box.set_asset(other, priority=theirs[other])

    box.before_request(meddle)
    with pytest.warns(pk.KiliDeclinedWarning):
        out = case.apply()
    box.clear_hooks()
    assert theirs
    report = out.kili.report.set_index("id")
    there = {row["id"]: row for row in box.assets(case.project)}
    for asset_id, priority in theirs.items():
        assert there[asset_id]["priority"] == priority
        assert report["outcome"][asset_id] == "declined"
        assert f"is {priority}, was to become" in report["message"][asset_id]
    declined = report.index[report["outcome"] == "declined"]
    assert set(declined) == set(theirs)
