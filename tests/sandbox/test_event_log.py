"""The log of events: each change tells of itself, and the log can be late, short or absent."""

import json
import time

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

EVENTS = (
    "query Events($where: EventsWhere!, $pagination: EventPagination!, $order: Order) {"
    " data: events(where: $where, pagination: $pagination, order: $order)"
    " { createdAt event id organizationId payload projectId userId } }"
)
VERB = "mutation($where: AssetWhere!) { data: %s(where: $where) { succeeded { assetId } } }"


def events(sandbox, project, order="asc", first=100, skip=0, where=None, **pagination):
    variables = {
        "where": {"projectId": project, "event": None, **(where or {})},
        "pagination": {"first": first, "skip": skip, **pagination},
        "order": order,
    }
    return sandbox.client.execute(EVENTS, variables)["data"]


def told(sandbox, project):
    return [(event["event"], event["payload"].get("externalId")) for event in events(sandbox, project)]


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def filled(sandbox, rows=3):
    project = sandbox.create_project("P", "TEXT")
    return project, sandbox.add_assets(project, [{"externalId": f"a{row}"} for row in range(rows)])


def test_each_change_of_an_asset_tells_of_itself(sandbox):
    project, ids = filled(sandbox)
    frame = pk.read_kili(project, fields=["id", "externalId"], client=sandbox.client)
    frame.assign(priority=[1, 2, 3]).kili.update_properties_in_assets("priority", client=sandbox.client)
    sandbox.add_labels(pd.DataFrame({"assetId": ids, "jsonResponse": ["{}"] * 3, "labelType": ["DEFAULT"] * 3}))
    frame.head(1).kili.add_to_review(client=sandbox.client)
    frame.head(1).kili.send_back_to_queue(client=sandbox.client)
    frame.tail(1).kili.delete_many_from_dataset(client=sandbox.client)
    assert told(sandbox, project) == [
        *(("asset.created", f"a{row}") for row in range(3)),
        *(("asset.updated", f"a{row}") for row in range(3)),
        *(("label.workflow.created.default", None) for row in range(3)),
        ("asset.workflow.currentStep.statusChanged", "a0"),
        ("asset.workflow.currentStep.statusChanged", "a0"),
        ("asset.deleted", "a2"),
    ]
    seen = events(sandbox, project)
    assert seen[3]["payload"] == {"assetId": ids[0], "externalId": "a0", "fields": ["priority"]}
    assert {event["userId"] for event in seen} == {sandbox.user_id()}
    assert [event["createdAt"] for event in seen] == sorted(event["createdAt"] for event in seen)


def test_a_bulk_action_names_no_assets(sandbox):
    project, _ = filled(sandbox)
    where = {"project": {"id": project}, "statusIn": ["TODO"]}
    sandbox.client.execute(VERB % "deleteAssets", {"where": where})
    last = events(sandbox, project)[-1]
    assert last["event"] == "project.workflow.bulkAction.delete.started"
    assert last["payload"] == {"where": where}
    assert sandbox.assets(project) == []


def test_edits_and_deletions_of_labels_tell_of_themselves(sandbox):
    project, ids = filled(sandbox, 1)
    (label,) = sandbox.add_labels(pd.DataFrame({"assetId": ids, "jsonResponse": ["{}"]}))
    edit = (
        "mutation($w: LabelWhere!, $d: LabelData!)"
        " { data: updatePropertiesInLabel(where: $w, data: $d) { id version } }"
    )
    sandbox.client.execute(edit, {"w": {"id": label}, "d": {"jsonResponse": json.dumps({"J": {"text": "x"}})}})
    sandbox.client.execute("mutation($ids: [ID!]!) { data: deleteLabels(ids: $ids) }", {"ids": [label]})
    assert [event["event"] for event in events(sandbox, project)[-2:]] == ["label.workflow.edited", "asset.updated"]


def test_a_refused_change_tells_nothing(sandbox):
    project, ids = filled(sandbox)
    update = (
        "mutation($w: [AssetWhere!]!, $d: [AssetData!]!) { data: updatePropertiesInAssets(where: $w, data: $d) { id } }"
    )
    variables = {"w": [{"id": ids[0]}, {"id": "unknown"}], "d": [{"priority": 1}, {"priority": 1}]}
    with pytest.raises(pk.KiliGraphQLError):
        sandbox.client.execute(update, variables)
    assert len(events(sandbox, project)) == 3


def test_the_query_filters_orders_and_pages(sandbox):
    project, _ = filled(sandbox, 5)
    every = events(sandbox, project)
    names = [event["id"] for event in every]
    assert [event["id"] for event in events(sandbox, project, order="desc")] == names[::-1]
    assert [event["id"] for event in events(sandbox, project, first=2, skip=1)] == names[1:3]
    bounds = {"fromEventId": names[1], "untilEventId": names[3]}
    assert [event["id"] for event in events(sandbox, project, **bounds)] == names[1:4]
    assert events(sandbox, project, where={"event": "asset.deleted"}) == []
    assert len(events(sandbox, project, where={"userId": sandbox.user_id()})) == 5
    assert events(sandbox, project, where={"createdAtGte": "2100-01-01"}) == []
    assert len(events(sandbox, project, where={"createdAtLte": every[-1]["createdAt"]})) == 5
    for wrong in ({"first": 101}, {"fromEventId": "unknown"}):
        with pytest.raises(pk.KiliGraphQLError):
            events(sandbox, project, **wrong)


def test_late_events_show_after_a_while_and_some_twice():
    with Sandbox(events="late", longest_event_delay=0.3) as sandbox:
        project, _ = filled(sandbox, 100)
        at_once = len(events(sandbox, project))
        deadline = time.monotonic() + 10
        while len({event["id"] for event in events(sandbox, project)}) < 90 and time.monotonic() < deadline:
            time.sleep(0.02)
        seen = [*events(sandbox, project), *events(sandbox, project, skip=100)]
        assert at_once < 100
        assert len(seen) > len({event["id"] for event in seen})


def test_a_short_log_forgets_its_oldest_events():
    with Sandbox(events="short", kept_events=3) as sandbox:
        project, _ = filled(sandbox, 5)
        assert told(sandbox, project) == [("asset.created", f"a{row}") for row in (2, 3, 4)]


@pytest.mark.parametrize("options", [{"events": "none"}, {"generation": "legacy"}])
def test_older_servers_have_no_log(options):
    with Sandbox(**options) as sandbox:
        project, _ = filled(sandbox)
        with pytest.raises(pk.KiliGraphQLError, match=r"[Ee]vents"):
            events(sandbox, project)


def test_an_unknown_kind_of_log_is_refused():
    with pytest.raises(ValueError, match="late, short, none"):
        Sandbox(events="early")
