"""A look is believed only if it is newer than what was sent, and remaining doubt is reported."""

import threading
import time
import warnings

import pandas as pd
import pytest
from writing import client_of, filled, hurry, outcomes, sent, stored

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Habits, Sandbox
from pandas_kili.writing import delivery

PATIENCE = (0.0, 0.05, 0.1, 0.2, 0.4)  # in all longer than the lag below
LAG = 0.5


@pytest.fixture(params=["current", "legacy"])
def sandbox(request, monkeypatch):
    hurry(monkeypatch)
    with Sandbox(max_calls_per_minute=None, generation=request.param) as sandbox:
        sandbox.generation = request.param
        yield sandbox


@pytest.fixture
def current(monkeypatch):
    hurry(monkeypatch)
    with Sandbox(max_calls_per_minute=None, generation="current") as sandbox:
        yield sandbox


@pytest.fixture
def lagging(current, monkeypatch):
    """Serve assets as they were some time ago; counts and mutations are of now."""
    monkeypatch.setattr(delivery, "_PATIENCE", PATIENCE)
    current.inject(Fault("replica_lag", operation="assets", seconds=LAG, times=None))
    return current


def test_an_asset_that_a_replica_does_not_show_yet_is_not_taken_for_deleted(lagging):
    project, ids = filled(lagging, 3)
    lagging.inject(Fault("reset_before", operation="deleteAssets"))
    out = pd.DataFrame({"id": ids}).kili.delete_many_from_dataset(client=client_of(lagging))
    assert outcomes(out) == ["applied"] * 3
    assert lagging.assets(project) == []


def test_a_priority_of_before_is_not_taken_for_the_one_that_was_set(lagging):
    project, ids = filled(lagging, 3)
    client = client_of(lagging)
    frame = pd.DataFrame({"id": ids, "priority": 5})
    frame.kili.update_properties_in_assets("priority", client=client)
    time.sleep(LAG)  # until replicas show the first value
    frame.assign(priority=7).kili.update_properties_in_assets("priority", client=client)
    lagging.inject(Fault("reset_before", operation="updatePropertiesInAssets"))
    out = frame.kili.update_properties_in_assets("priority", client=client)
    assert outcomes(out) == ["applied"] * 3
    assert set(stored(lagging, project, "priority").values()) == {5}


def test_a_server_that_caps_pages_does_not_make_assets_look_deleted(monkeypatch):
    hurry(monkeypatch)
    with Sandbox(max_calls_per_minute=None, generation="current", habits=Habits(longest_page=3)) as sandbox:
        project, ids = filled(sandbox, 10)
        client = client_of(sandbox)
        sandbox.inject(Fault("reset_before", operation="deleteAssets", times=4))
        out = pd.DataFrame({"id": ids}).kili.delete_many_from_dataset(client=client)
        assert outcomes(out) == ["applied"] * 10
        assert sandbox.assets(project) == []
        assert len(sent(sandbox, "deleteAssets")) == 5


def test_what_an_answer_does_not_mention_is_looked_at(current, monkeypatch):
    project, ids = filled(current, 3)

    class Forgetful(pk.Client):
        """Has the servers' answers mention the first asset only."""

        def execute(self, document, variables=None, **options):
            data = super().execute(document, variables, **options)
            if "updatePropertiesInAssets" in document:
                data["data"] = data["data"][:1]
            return data

    client = Forgetful(current.api_key, current.api_endpoint)
    out = pd.DataFrame({"id": ids, "priority": 3}).kili.update_properties_in_assets("priority", client=client)
    assert outcomes(out) == ["applied"] * 3
    assert set(stored(current, project, "priority").values()) == {3}


@pytest.mark.parametrize(("verb", "operation", "moved"), [
    ("add_to_review", {"current": "addAssetsToReview", "legacy": "addAllLabeledAssetsToReview"}, "REVIEWED"),
    ("send_back_to_queue", {"current": "sendAssetsBackToQueue", "legacy": "sendBackAssetsToQueue"}, "TO_REVIEW"),
])  # fmt: skip
def test_a_move_of_a_colleague_is_not_undone(sandbox, verb, operation, moved):
    project, ids = filled(sandbox, 2, labeled=[0, 1])
    name = operation[sandbox.generation]
    done = threading.Event()

    def finish(request):
        if request.operation == name and not done.is_set():
            done.set()
            sandbox.set_asset(ids[1], status=moved)

    sandbox.after_request(finish)
    sandbox.inject(Fault("reset_after", operation=name))
    frame = pd.DataFrame({"id": ids})
    out = getattr(frame.kili, verb)(client=client_of(sandbox), errors="report")
    assert outcomes(out) == ["applied", "failed"]
    assert "outcome unknown" in out.kili.report["message"].iloc[1]
    assert moved in out.kili.report["message"].iloc[1]
    assert stored(sandbox, project, "status")[ids[1]] == moved


def test_why_a_server_declines_is_told(current):
    _, ids = filled(current, 2, labeled=[0, 1])
    current.set_asset(ids[0], status="REVIEWED")
    seen = []

    class Declining(pk.Client):
        """Has the server decline the first asset."""

        def execute(self, document, variables=None, **options):
            data = super().execute(document, variables, **options)
            if "addAssetsToReview" in document:
                seen.append(data)
                current.set_asset(ids[0], status="REVIEWED")
                data["data"] = {"succeeded": [], "failed": [], "declined": [{"assetId": one} for one in ids]}
            return data

    client = Declining(current.api_key, current.api_endpoint)
    with pytest.warns(pk.KiliDeclinedWarning, match="its status is REVIEWED"):
        out = pd.DataFrame({"id": ids}).kili.add_to_review(client=client)
    assert outcomes(out) == ["declined", "applied"]


def test_a_warning_that_is_raised_as_an_error_carries_the_report_and_the_frame(sandbox):
    project, ids = filled(sandbox, 2, labeled=[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(pk.KiliDeclinedWarning) as caught:
            pd.DataFrame({"id": ids}).kili.add_to_review(client=client_of(sandbox))
    assert caught.value.report["outcome"].tolist() == ["applied", "declined"]
    assert caught.value.frame.kili.report is caught.value.report
    assert stored(sandbox, project, "status")[ids[0]] == "TO_REVIEW"
