"""The log of events as a frame: columns, filters, chunks, and events that come while it is read."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox
from pandas_kili.sandbox.event_log import EventLog
from pandas_kili.sandbox.execution import Executor


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def filled(sandbox, rows):
    project = sandbox.create_project("P", "TEXT")
    return project, sandbox.add_assets(project, [{"externalId": f"a{row}"} for row in range(rows)])


@pytest.fixture(scope="module")
def project(sandbox):
    project, ids = filled(sandbox, 230)
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:3], "jsonResponse": ["{}"] * 3, "author": "ada@x.org"}))
    return project


def test_events_are_a_frame_oldest_first(sandbox, project):
    events = pk.read_events(project, client=sandbox.client)
    assert len(events) == 233
    assert events["id"].is_unique
    assert events["createdAt"].is_monotonic_increasing
    assert events.dtypes["createdAt"] == pd.ArrowDtype(pa.timestamp("ms", tz="UTC"))
    assert all(events.dtypes[name] == pd.ArrowDtype(pa.string()) for name in events if name != "createdAt")
    assert events["externalId"].tolist()[:2] == ["a0", "a1"]
    last = events.iloc[-1]
    assert (last["event"], last["userId"]) == ("label.workflow.created.default", sandbox.user_id("ada@x.org"))
    assert json.loads(last["payload"]) == {"assetId": last["assetId"], "labelId": last["labelId"]}
    assert events.attrs["kili"] == {
        "project_id": project,
        "api_endpoint": sandbox.api_endpoint,
        "cursor": last["id"],
    }


def test_filters_narrow_the_log(sandbox, project):
    every = pk.read_events(project, client=sandbox.client)

    def read(**filters):
        return pk.read_events(project, client=sandbox.client, **filters)["id"].tolist()

    assert read(event="label.workflow.created.default") == every["id"].tolist()[-3:]
    assert read(user_id=sandbox.user_id()) == every["id"].tolist()[:230]
    middle = every["createdAt"].iloc[110]
    assert read(since=middle) == every.loc[every["createdAt"] >= middle, "id"].tolist()
    assert read(until=middle) == every.loc[every["createdAt"] <= middle, "id"].tolist()
    assert read(since=every["id"].iloc[120]) == every["id"].tolist()[121:]
    assert read(since="2100-01-01") == []


def test_chunks_hold_the_same_events(sandbox, project):
    chunks = list(pk.read_events(project, chunksize=100, fields=["id", "event"], client=sandbox.client))
    assert [len(chunk) for chunk in chunks] == [100, 100, 33]
    assert chunks[0].columns.tolist() == ["id", "event"]
    every = pk.read_events(project, client=sandbox.client)
    assert [each for chunk in chunks for each in chunk["id"]] == every["id"].tolist()
    assert chunks[0].attrs["kili"]["cursor"] == every["id"].iloc[99]
    assert len(next(pk.read_events(project, chunksize=np.int64(70), client=sandbox.client))) == 70
    (empty,) = pk.read_events(project, since="2100-01-01", chunksize=5, client=sandbox.client)
    assert (len(empty), empty.attrs["kili"]["cursor"]) == (0, None)
    assert empty.dtypes.tolist() == every.dtypes.tolist()


def test_one_call_asks_for_the_newest_event_and_the_first_page_and_the_next_for_more(sandbox, project):
    sandbox.clear_requests()
    pk.read_events(project, client=sandbox.client)
    assert [set(request.operations) for request in sandbox.requests] == [{"events"}, {"events"}]


def test_events_that_come_while_the_log_is_read_hide_none(sandbox):
    project, ids = filled(sandbox, 150)
    sandbox.before_request(lambda _: sandbox.add_assets(project, [{}] * 7))
    events = pk.read_events(project, client=sandbox.client)
    sandbox.clear_hooks()
    assert events["assetId"].tolist()[:150] == ids
    assert events["assetId"].is_unique


def test_hundreds_of_events_of_one_instant_are_read(sandbox, monkeypatch):
    project, _ = filled(sandbox, 0)
    monkeypatch.setattr("pandas_kili.sandbox.event_log.now", lambda: "2024-02-29T12:00:00.000Z")
    ids = sandbox.add_assets(project, [{} for _ in range(430)])
    events = pk.read_events(project, client=sandbox.client)
    assert events["assetId"].tolist() == ids


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"fields": ["assetid"]}, pk.KiliFieldError, "'assetId'"),
        ({"event": "asset.create"}, pk.KiliFilterError, "asset.created"),
        ({"since": "2024-99-99"}, pk.KiliFilterError, "since"),
        ({"until": "cabcdefgh"}, pk.KiliFilterError, "until"),
        ({"since": "?"}, pk.KiliFilterError, "since"),
        ({"chunksize": 0}, pk.KiliFilterError, "chunksize"),
        ({"fields": "id"}, pk.KiliFieldError, "the string 'id'"),
        ({"fields": []}, pk.KiliFieldError, "empty"),
        ({"fields": ["idd", "assetid"]}, pk.KiliFieldError, "'idd' and no field 'assetid'.*'id' or 'assetId'"),
        ({"event": ["asset.created", "asset.deleted"]}, pk.KiliFilterError, "event must be the subject"),
        ({"user_id": 5}, pk.KiliFilterError, "user_id must be"),
        ({"user_id": ""}, pk.KiliFilterError, "user_id must be"),
        ({"since": "?", "until": 3.5, "event": 1, "user_id": 2, "chunksize": 1.5}, pk.KiliFilterError, "chunksize"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_request(sandbox, project, wrong, error, said):
    sandbox.clear_requests()
    with pytest.raises(error, match=said):
        pk.read_events(project, client=sandbox.client, **wrong)
    assert sandbox.requests == []


@pytest.mark.parametrize("cap", [1, 7, 50])
def test_a_server_that_caps_its_pages_hides_no_event(monkeypatch, cap):
    whole = EventLog.page
    monkeypatch.setattr(EventLog, "page", lambda *given: whole(*given)[:cap])
    with Sandbox(max_calls_per_minute=None) as capped:
        own, ids = filled(capped, 40)
        assert pk.read_events(own, client=capped.client)["assetId"].tolist() == ids


def test_many_pages_are_asked_by_one_call(sandbox):
    project, ids = filled(sandbox, 2500)
    sandbox.clear_requests()
    events = pk.read_events(project, client=sandbox.client)
    assert events["assetId"].tolist() == ids
    assert len(sandbox.requests) == 1 + math.ceil((2500 - 100) / 99 / 24)


def test_a_server_that_refuses_several_pages_by_one_call_is_asked_one_by_one(sandbox, monkeypatch):
    project, ids = filled(sandbox, 500)
    whole = Executor.answer

    def strict(self, text, variables):
        if text.count("events(") > 1:
            return 400, {"errors": [{"message": "Too many aliases", "extensions": {"code": "BAD_REQUEST"}}]}
        return whole(self, text, variables)

    monkeypatch.setattr(Executor, "answer", strict)
    sandbox.clear_requests()
    assert pk.read_events(project, client=sandbox.client)["assetId"].tolist() == ids
    asked = [len(each.operations) for each in sandbox.requests if each.operation == "events"]
    assert asked == [2, 1, 1, *[1] * 5]


def test_all_wrong_filters_are_told_at_once(sandbox):
    with pytest.raises(pk.KiliFilterError) as told:
        pk.read_events("", since="?", until=3.5, event="x", user_id=2, chunksize=True, client=sandbox.client)
    assert set(told.value.problems) == {"project_id", "since", "until", "event", "user_id", "chunksize"}


def test_a_quiet_night_keeps_the_cursor(sandbox, project):
    cursor = pk.read_events(project, client=sandbox.client).attrs["kili"]["cursor"]
    (quiet,) = pk.read_events(project, since=cursor, chunksize=5, client=sandbox.client)
    assert (len(quiet), quiet.attrs["kili"]["cursor"]) == (0, cursor)


@pytest.mark.parametrize("options", [{}, {"chunksize": 10}])
def test_an_event_that_the_log_forgot_is_said_so(options):
    with Sandbox(max_calls_per_minute=None, events="short", kept_events=20) as short:
        project, _ = filled(short, 20)
        cursor = pk.read_events(project, client=short.client)["id"].iloc[3]
        short.add_assets(project, [{} for _ in range(20)])
        with pytest.raises(pk.KiliNotFoundError, match=f"{cursor}.*may be forgotten.*Give an instant"):
            list(pk.read_events(project, since=cursor, client=short.client, **options))


def test_a_payload_may_hold_anything(sandbox):
    project, _ = filled(sandbox, 0)
    sandbox._workspace.events.record("asset.of.a.later.server", project, None, [{"assetId": 5, "labelId": ["a"]}, {}])
    events = pk.read_events(project, client=sandbox.client)
    assert events["assetId"].tolist() == ["5", pd.NA]
    assert events["labelId"].tolist() == ['["a"]', pd.NA]
    assert events["payload"].tolist() == ['{"assetId": 5, "labelId": ["a"]}', "{}"]


def test_no_project_and_no_log_are_said_so(sandbox):
    with pytest.raises(pk.KiliNotFoundError, match="no project"):
        pk.read_events("nowhere", client=sandbox.client)
    with Sandbox(events="none") as older:
        project, _ = filled(older, 1)
        with pytest.raises(pk.KiliNotFoundError, match=r"no log of events.*pandas_kili\.sync"):
            pk.read_events(project, client=older.client)
