"""A local copy is made, refreshed by what changed, and always as before or as after."""

import contextlib
import errno
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import copying
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

import pandas_kili as pk
from pandas_kili.__main__ import main
from pandas_kili.sandbox import Fault, Sandbox
from pandas_kili.sandbox.execution import Executor

SYNC = sys.modules["pandas_kili.copy.sync"]  # its function has the same name
TABLE = sys.modules["pandas_kili.copy.table"]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def quiet(sandbox):
    yield
    sandbox.clear_hooks()
    sandbox.clear_faults()


def filled(sandbox, rows=250, labeled=20):
    project = sandbox.create_project("P", "TEXT")
    ids = sandbox.add_assets(project, [{"externalId": f"a{row}", "content": "text"} for row in range(rows)])
    labeled = min(labeled, rows)
    if labeled:
        answers = ['{"JOB": {"text": "first"}}'] * labeled
        sandbox.add_labels(pd.DataFrame({"assetId": ids[:labeled], "jsonResponse": answers}))
    return project, ids


def synced(sandbox, project, copy, **options):
    return pk.sync(project, copy, fields=copying.FIELDS, client=sandbox.client, **options)


def test_the_first_call_copies_and_later_ones_read_what_changed(sandbox, tmp_path):
    project, ids = filled(sandbox)
    first = synced(sandbox, project, tmp_path / "copy")
    assert (first.inserted, first.updated, first.deleted) == (250, 0, 0)
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    sandbox.add_labels(pd.DataFrame({"assetId": ids[10:30], "jsonResponse": ['{"JOB": {"text": "x"}}'] * 20}))
    sandbox.delete_assets(ids[:3])
    sandbox.add_assets(project, [{"externalId": "new"}])
    second = synced(sandbox, project, tmp_path / "copy")
    assert (second.inserted, second.updated, second.deleted, second.untold) == (1, 20, 3, 0)
    assert second.events == 24
    assert second.calls < first.calls
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    assert repr(second).startswith(f"<version {second.version}: 1 inserted, 20 updated, 3 deleted")
    earlier = pk.read_copy(tmp_path / "copy", version=first.version)
    assert sorted(earlier["id"]) == sorted(ids)
    versions = pd.Series([report.version for report in (first, second)])  # NumPy's integers
    assert [len(pk.read_copy(tmp_path / "copy", version=version)) for version in versions] == [250, 248]


def test_a_refresh_without_changes_costs_two_calls_and_no_version(sandbox, tmp_path):
    project, _ = filled(sandbox)
    first = synced(sandbox, project, tmp_path / "copy")
    sandbox.clear_requests()
    second = synced(sandbox, project, tmp_path / "copy")
    assert (second.calls, len(sandbox.requests)) == (2, 2)
    assert second.version == first.version


def test_assets_of_one_instant_are_not_read_again(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("pandas_kili.sandbox.event_log.now", lambda: "2024-02-29T12:00:00.000Z")
    project, _ = filled(sandbox, 250, labeled=0)
    synced(sandbox, project, tmp_path / "copy")
    report = synced(sandbox, project, tmp_path / "copy")
    assert (report.events, report.updated) == (0, 0)


def test_read_copy_gives_the_frame_of_read_kili(sandbox, tmp_path):
    project, _ = filled(sandbox, 120)
    pk.sync(project, tmp_path / "copy", client=sandbox.client)
    read, kept = pk.read_kili(project, client=sandbox.client), pk.read_copy(tmp_path / "copy")
    assert kept.dtypes.to_dict() == read.dtypes.to_dict()
    assert kept["createdAt"].is_monotonic_increasing
    some = pk.read_copy(tmp_path / "copy", columns=["status", "labels"])
    assert some.columns.tolist() == ["status", "labels"]
    assert some.attrs["kili"] == {"project_id": project, "api_endpoint": sandbox.api_endpoint, "version": 2}
    with pytest.raises(pk.KiliFieldError, match="'status'"):
        pk.read_copy(tmp_path / "copy", columns=["Status"])


def test_others_read_the_table_as_it_is(sandbox, tmp_path):
    project, ids = filled(sandbox, 30, labeled=2)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids[:1])
    synced(sandbox, project, tmp_path / "copy")
    table = pl.read_delta(str(tmp_path / "copy"))
    assert table.height == 29
    assert table.filter(pl.col("labels").list.len() > 0)["id"].to_list() == ids[1:2]
    letters = DeltaTable(tmp_path / "copy").to_pyarrow_dataset()  # DuckDB finds it by its name
    with duckdb.connect() as connection:
        ((count,),) = connection.sql("SELECT count(*) FROM letters WHERE len(labels) > 0").fetchall()
    assert (count, letters.count_rows()) == (1, 29)


@pytest.mark.parametrize("version", [0, 99, -1, "2"])
def test_a_version_that_is_not_there_is_told_with_those_that_are(sandbox, tmp_path, version):
    project, ids = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids[:3])
    synced(sandbox, project, tmp_path / "copy")
    with pytest.raises(pk.KiliCopyError, match=f"no version {version!r}; it has 2 to 3"):
        pk.read_copy(tmp_path / "copy", version=version)


def test_an_earlier_version_whose_files_were_cleaned_up_says_so(sandbox, tmp_path):
    project, ids = filled(sandbox, 30)
    first = synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids[:3])
    synced(sandbox, project, tmp_path / "copy")
    DeltaTable(tmp_path / "copy").vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(pk.KiliCopyError, match="later ones can be read"):
        pk.read_copy(tmp_path / "copy", version=first.version)
    assert len(pk.read_copy(tmp_path / "copy")) == 27


@pytest.mark.parametrize("fields", [["externalId"], ["labels.id", "project.title"], {"status": pa.string()}])
def test_any_fields_are_copied(sandbox, tmp_path, fields):
    project, ids = filled(sandbox, 30)
    pk.sync(project, tmp_path / "copy", fields=fields, client=sandbox.client)
    sandbox.delete_assets(ids[:5])
    pk.sync(project, tmp_path / "copy", fields=fields, client=sandbox.client)
    kept, read = pk.read_copy(tmp_path / "copy"), pk.read_kili(project, fields=fields, client=sandbox.client)
    assert kept.dtypes.to_dict() == read.dtypes.to_dict()
    name = read.columns[0]
    assert sorted(map(str, kept[name])) == sorted(map(str, read[name]))


def test_assets_that_match_the_filters_no_longer_leave_the_copy(sandbox, tmp_path):
    project, ids = filled(sandbox, 60, labeled=10)
    options = {"status_in": ["LABELED"]}
    assert synced(sandbox, project, tmp_path / "copy", **options).inserted == 10
    frame = pd.DataFrame({"id": ids[:4]})
    frame.kili.send_back_to_queue(project_id=project, client=sandbox.client)
    sandbox.add_labels(pd.DataFrame({"assetId": ids[20:22], "jsonResponse": ["{}"] * 2}))
    report = synced(sandbox, project, tmp_path / "copy", **options)
    assert (report.inserted, report.deleted) == (2, 4)
    copying.assert_true(tmp_path / "copy", project, sandbox.client, **options)


def test_a_bulk_action_leads_to_the_light_look(sandbox, tmp_path):
    project, _ = filled(sandbox, 60, labeled=10)
    synced(sandbox, project, tmp_path / "copy")
    document = "mutation($w: AssetWhere!) { data: addAssetsToReview(where: $w) { succeeded { assetId } } }"
    sandbox.client.execute(document, {"w": {"project": {"id": project}}})
    report = synced(sandbox, project, tmp_path / "copy")
    assert (report.updated, report.untold) == (10, 10)
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_a_renamed_step_is_renamed_in_the_copy(sandbox, tmp_path):
    steps = [{"name": "First"}, {"name": "Second"}]
    project = sandbox.create_project("P", "TEXT", workflow_version="V2", steps=steps)
    sandbox.add_assets(project, [{"externalId": f"a{row}"} for row in range(5)])
    options = {"fields": ["id", "currentStep.name"], "client": sandbox.client}
    pk.sync(project, tmp_path / "copy", **options)
    (found,) = sandbox.client.execute(
        "query($w: ProjectWhere!) { data: projects(where: $w, first: 1, skip: 0) { steps { id name } } }",
        {"w": {"id": project}},
    )["data"]
    rename = "mutation($i: RenameStepInput!) { data: renameStep(input: $i) { id } }"
    given = {"projectId": project, "stepId": found["steps"][0]["id"], "newName": "Renamed"}
    sandbox.client.execute(rename, {"i": given})
    pk.sync(project, tmp_path / "copy", **options)
    assert pk.read_copy(tmp_path / "copy")["currentStep.name"].tolist() == ["Renamed"] * 5


@pytest.mark.parametrize("subject", ["asset.updated", "asset.deleted", "asset.of.a.later.server"])
@pytest.mark.parametrize("payload", [{}, {"assetId": None}, {"assetId": ""}, {"assetId": 5}, {"assetId": ["a"]}])
def test_an_event_that_names_no_asset_leads_to_the_light_look(sandbox, tmp_path, subject, payload):
    project, ids = filled(sandbox, 5)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.set_asset(ids[2], status="REVIEWED")
    sandbox._workspace.events.record(subject, project, None, [payload])  # as no operation of the sandbox does
    assert synced(sandbox, project, tmp_path / "copy").untold == 1
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_an_event_that_names_an_asset_of_another_project_changes_nothing(sandbox, tmp_path):
    project, _ = filled(sandbox, 5)
    _, others = filled(sandbox, 2)
    synced(sandbox, project, tmp_path / "copy")
    events = sandbox._workspace.events  # no operation of the sandbox does this
    events.record("asset.updated", project, None, [{"assetId": others[0]}, {"assetId": "nowhere" * 50}])
    events.record("asset.deleted", project, None, [{"assetId": others[1]}])
    report = synced(sandbox, project, tmp_path / "copy")
    assert (report.events, report.inserted, report.updated, report.deleted) == (3, 0, 0, 0)
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


CHANGE_PROJECT = """mutation($i: ID!, $t: String) {
  data: updatePropertiesInProject(where: {id: $i}, data: {title: $t}) { id } }"""


@pytest.mark.parametrize("events", ["kept", "none"])
def test_a_renamed_project_is_renamed_in_the_copy(tmp_path, events):
    with Sandbox(max_calls_per_minute=None, events=events) as sandbox:
        project, ids = filled(sandbox, 5)
        options = {"fields": ["id", "project.title"], "client": sandbox.client}
        pk.sync(project, tmp_path / "copy", **options)
        sandbox.client.execute(CHANGE_PROJECT, {"i": project, "t": "Renamed"})
        sandbox.delete_assets(ids[:1])
        pk.sync(project, tmp_path / "copy", **options)
        assert pk.read_copy(tmp_path / "copy")["project.title"].tolist() == ["Renamed"] * 4


def test_a_renamed_project_costs_nothing_where_the_copy_does_not_hold_its_title(sandbox, tmp_path):
    project, _ = filled(sandbox, 5)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.client.execute(CHANGE_PROJECT, {"i": project, "t": "Renamed"})
    report = synced(sandbox, project, tmp_path / "copy")
    assert (report.events, report.calls) == (1, 2)


def test_what_no_event_told_is_found_by_verify(sandbox, tmp_path):
    project, ids = filled(sandbox)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.set_asset(ids[7], status="REVIEWED")
    assert synced(sandbox, project, tmp_path / "copy").updated == 0
    report = synced(sandbox, project, tmp_path / "copy", verify=True)
    assert (report.updated, report.untold, report.events) == (1, 1, 0)
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


@pytest.mark.parametrize("server", [{"events": "none"}, {"generation": "legacy"}])
def test_servers_without_a_log_are_refreshed_by_the_light_look(server, tmp_path):
    fields = ["externalId", "status", "labels.jsonResponse"]
    with Sandbox(max_calls_per_minute=None, **server) as older:
        project, ids = filled(older)
        pk.sync(project, tmp_path / "copy", fields=fields, client=older.client)
        older.add_labels(pd.DataFrame({"assetId": ids[100:110], "jsonResponse": ["{}"] * 10}))
        older.delete_assets(ids[:3])
        report = pk.sync(project, tmp_path / "copy", fields=fields, client=older.client)
        assert (report.updated, report.deleted, report.untold) == (10, 3, 13)
        read = pk.read_kili(project, fields=fields, client=older.client)
        kept = pk.read_copy(tmp_path / "copy").sort_values("externalId", ignore_index=True)
        pd.testing.assert_frame_equal(kept, read.sort_values("externalId", ignore_index=True))


def test_a_log_that_forgot_its_beginning_leads_to_the_light_look(tmp_path):
    with Sandbox(max_calls_per_minute=None, events="short", kept_events=5) as short:
        project, ids = filled(short)
        synced(short, project, tmp_path / "copy")
        short.add_labels(pd.DataFrame({"assetId": ids[100:120], "jsonResponse": ["{}"] * 20}))
        report = synced(short, project, tmp_path / "copy")
        assert (report.updated, report.untold) == (20, 15)
        copying.assert_true(tmp_path / "copy", project, short.client)


def test_other_fields_filters_or_projects_are_refused_and_full_makes_the_copy_anew(sandbox, tmp_path):
    project, ids = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    other, _ = filled(sandbox, 3)
    for wrong, said in [
        ({"fields": ["id"]}, "fields: the copy lacks none"),
        ({"fields": copying.FIELDS[::-1]}, "order or types"),
        ({"fields": copying.FIELDS, "status_in": ["TODO"]}, "filters"),
    ]:
        with pytest.raises(pk.KiliCopyError, match=said):
            pk.sync(project, tmp_path / "copy", client=sandbox.client, **wrong)
    with pytest.raises(pk.KiliCopyError, match="project"):
        synced(sandbox, other, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    report = pk.sync(project, tmp_path / "copy", fields=["id"], full=True, client=sandbox.client)
    assert (report.inserted, report.deleted) == (30, 30)
    assert sorted(pk.read_copy(tmp_path / "copy")["id"]) == sorted(ids)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({"status_in": ["TODO", "LABELED"]}, {"status_in": ("LABELED", "TODO")}),
        ({"status_in": ["TODO", "LABELED"]}, {"status_in": {"TODO", "LABELED"}}),
        ({"metadata_where": {"size": (1, 5)}}, {"metadata_where": {"size": [1, 5]}}),
        ({"metadata_where": {"size": (1, 5)}}, {"metadata_where": {"size": (1, 5)}}),
    ],
)
def test_filters_that_say_the_same_are_those_of_the_copy(sandbox, tmp_path, first, again):
    """A set of texts has another order in each process."""
    project, _ = filled(sandbox, 3)
    synced(sandbox, project, tmp_path / "copy", **first)
    assert synced(sandbox, project, tmp_path / "copy", **again).calls == 2


def test_filters_that_differ_are_told_in_short(sandbox, tmp_path):
    project, ids = filled(sandbox, 100)
    synced(sandbox, project, tmp_path / "copy", asset_id_in=ids)
    with pytest.raises(pk.KiliCopyError, match="filters") as told:
        synced(sandbox, project, tmp_path / "copy", asset_id_in=ids[1:])
    assert len(str(told.value)) < 800


def test_a_filter_may_be_an_iterator(sandbox, tmp_path):
    project, ids = filled(sandbox, 30, labeled=10)
    assert synced(sandbox, project, tmp_path / "copy", status_in=iter(["LABELED"])).inserted == 10
    sandbox.add_labels(pd.DataFrame({"assetId": ids[8:12], "jsonResponse": ["{}"] * 4}))
    report = synced(sandbox, project, tmp_path / "copy", status_in=iter(["LABELED"]))
    assert (report.inserted, report.updated, report.deleted) == (2, 2, 0)
    copying.assert_true(tmp_path / "copy", project, sandbox.client, status_in=["LABELED"])


@pytest.mark.parametrize("name", ["[client] cats", "cats | dogs", "50%20off", "a^b", "cat #1", "why?", "new\nline"])
def test_a_folder_that_deltalake_cannot_use_is_refused_before_a_request(sandbox, tmp_path, name):
    sandbox.clear_requests()
    for use in (lambda folder: pk.sync("any", folder, client=sandbox.client), pk.read_copy):
        with pytest.raises(pk.KiliCopyError, match="Name another folder"):
            use(tmp_path / name / "copy")
    assert not sandbox.requests
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("address", ["s3://bucket/[client] cats", "s3://bucket/cat#1", "file:///tmp/why?/copy"])
def test_an_address_that_deltalake_cannot_use_is_refused_before_a_request(sandbox, address):
    """It takes what follows ``#`` and ``?`` for no part of the address, and writes elsewhere."""
    sandbox.clear_requests()
    for use in (lambda folder: pk.sync("any", folder, client=sandbox.client), pk.read_copy):
        with pytest.raises(pk.KiliCopyError, match="Name another folder"):
            use(address)
    assert not sandbox.requests


def test_an_unknown_scheme_is_said_before_a_request(sandbox):
    sandbox.clear_requests()
    with pytest.raises(pk.KiliCopyError, match=r"Unknown scheme: s33.*Check the address"):
        synced(sandbox, "any", "s33://bucket/copy")
    assert not sandbox.requests


@pytest.mark.parametrize("name", ["mein Ordner", "cat's (1)", "100% ü"])
def test_a_folder_may_have_an_odd_name(sandbox, tmp_path, name):
    project, ids = filled(sandbox, 3)
    for change in ([], ids[:1]):
        sandbox.delete_assets(change)
        synced(sandbox, project, tmp_path / name / "copy")
        copying.assert_true(tmp_path / name / "copy", project, sandbox.client)


def test_a_file_is_no_place_for_a_copy(sandbox, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(pk.KiliCopyError, match=r"thesis.tex is a file. Name a folder"):
        synced(sandbox, "any", tmp_path / "thesis.tex")


@pytest.mark.parametrize(("columns", "said"), [("status", "the string 'status'"), ([], "empty")])
def test_columns_of_a_copy_are_a_list_of_names(sandbox, tmp_path, columns, said):
    project, _ = filled(sandbox, 3)
    synced(sandbox, project, tmp_path / "copy")
    with pytest.raises(pk.KiliFieldError, match=said):
        pk.read_copy(tmp_path / "copy", columns=columns)


def test_an_earlier_version_has_its_own_fields_and_project(sandbox, tmp_path):
    project, _ = filled(sandbox, 5)
    other, _ = filled(sandbox, 3)
    copy, made = tmp_path / "copy", []
    for source, fields in [
        (project, ["id", "status"]),
        (other, ["content"]),
        (project, ["id", "priority", "labels.id"]),
    ]:
        version = pk.sync(source, copy, fields=fields, full=True, client=sandbox.client).version
        made.append((version, source, pk.read_kili(source, fields=fields, client=sandbox.client)))
    for version, source, read in made:
        kept = pk.read_copy(copy, version=version)
        assert kept.attrs["kili"] == {"project_id": source, "api_endpoint": sandbox.api_endpoint, "version": version}
        assert kept.dtypes.to_dict() == read.dtypes.to_dict()
        assert len(kept) == len(read)


@pytest.mark.parametrize("full", [False, True])
def test_a_read_that_fails_leaves_the_copy_as_it_was(sandbox, tmp_path, full):
    project, ids = filled(sandbox)
    synced(sandbox, project, tmp_path / "copy")
    before = pk.read_copy(tmp_path / "copy")
    sandbox.delete_assets(ids[:1])
    sandbox.add_labels(pd.DataFrame({"assetId": ids[1:2], "jsonResponse": ["{}"]}))
    sandbox.inject(Fault("graphql_error", operation="assets", nth=1, times=None))
    with pytest.raises(pk.KiliGraphQLError):
        synced(sandbox, project, tmp_path / "copy", full=full)
    pd.testing.assert_frame_equal(pk.read_copy(tmp_path / "copy"), before, check_flags=False)
    sandbox.clear_faults()
    synced(sandbox, project, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_a_first_copy_goes_on_where_it_was(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(SYNC, "_ROWS_A_COMMIT", 100)
    project, ids = filled(sandbox, 0, labeled=0)
    for start in range(0, 2000, 100):
        ids += sandbox.add_assets(project, [{"externalId": f"b{start + row}"} for row in range(100)])
    sandbox.inject(Fault("graphql_error", operation="assets", nth=17, times=None))
    one_by_one = pk.Client(sandbox.api_key, sandbox.api_endpoint, max_workers=1)
    with pytest.raises(pk.KiliGraphQLError) as told, one_by_one:
        pk.sync(project, tmp_path / "copy", fields=copying.FIELDS, client=one_by_one)
    assert "not finished: the next sync goes on" in told.value.__notes__[0]
    with pytest.raises(pk.KiliCopyError, match="not finished"):
        pk.read_copy(tmp_path / "copy")
    there = DeltaTable(tmp_path / "copy").to_pyarrow_table().num_rows
    assert there >= 100
    sandbox.clear_faults()
    sandbox.delete_assets(ids[:2])
    sandbox.add_labels(pd.DataFrame({"assetId": ids[2:4], "jsonResponse": ["{}"] * 2}))
    report = synced(sandbox, project, tmp_path / "copy")
    assert report.inserted == 2000 - there
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_of_two_at_a_time_one_is_refused(sandbox, tmp_path):
    project, ids = filled(sandbox, 60)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:5], "jsonResponse": ["{}"] * 5}))
    once = []

    def other(request):
        if request.operation == "assets" and not once:
            once.append(None)
            once[0] = synced(sandbox, project, tmp_path / "copy")

    sandbox.before_request(other)
    with pytest.raises(pk.KiliCopyError, match="run this one again"):
        synced(sandbox, project, tmp_path / "copy")
    sandbox.clear_hooks()
    assert once[0].updated == 5
    assert len(list((tmp_path / "copy").glob("*.parquet"))) == 2  # one for each version, none of the refused sync
    synced(sandbox, project, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


@pytest.mark.parametrize("options", [{}, {"full": True}, {"verify": True}])
def test_rows_in_doubt_are_warned_of_and_the_next_call_looks_at_all_assets(sandbox, tmp_path, monkeypatch, options):
    """Here the server counts more assets than it shows."""
    project, ids = filled(sandbox, 60)
    if options:
        synced(sandbox, project, tmp_path / "copy")
    whole = Executor.answer

    def answer(self, text, variables):
        status, said = whole(self, text, variables)
        return status, {"data": {"data": said["data"]["data"] + 1}} if "countAssets" in text else said

    monkeypatch.setattr(Executor, "answer", answer)
    with pytest.warns(pk.KiliConsistencyWarning, match="1 of 61 rows are in doubt"):
        synced(sandbox, project, tmp_path / "copy", **options)
    monkeypatch.undo()
    sandbox.set_asset(ids[7], status="REVIEWED")  # no event tells of it
    assert synced(sandbox, project, tmp_path / "copy").untold == 1
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_two_first_copies_at_a_time_copy_no_row_twice(sandbox, tmp_path):
    project, _ = filled(sandbox, 60)
    once = []

    def other(request):
        if request.operation == "assets" and not once:
            once.append(None)
            synced(sandbox, project, tmp_path / "copy")

    sandbox.before_request(other)
    with contextlib.suppress(pk.KiliCopyError):
        synced(sandbox, project, tmp_path / "copy")
    sandbox.clear_hooks()
    synced(sandbox, project, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def foreign(folder):
    write_deltalake(folder, pa.table({"id": ["a"]}))


def later(folder):
    state = CommitProperties(custom_metadata={"pandas_kili": '{"format": 99}'})
    write_deltalake(folder, pa.table({"id": ["a"]}), commit_properties=state)


def nonsense(folder):
    state = CommitProperties(custom_metadata={"pandas_kili": "{"})
    write_deltalake(folder, pa.table({"id": ["a"]}), commit_properties=state)


def files(folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")


@pytest.mark.parametrize(
    ("make", "said"),
    [(foreign, "not written by"), (later, "later version"), (nonsense, "damaged"), (files, "holds other files")],
)
@pytest.mark.parametrize("full", [False, True])
def test_what_is_not_ours_is_left_alone(sandbox, tmp_path, make, said, full):
    project, _ = filled(sandbox, 3)
    make(tmp_path / "copy")
    before = sorted((path, path.stat().st_size) for path in (tmp_path / "copy").rglob("*"))
    with pytest.raises(pk.KiliCopyError, match=said):
        synced(sandbox, project, tmp_path / "copy", full=full)
    with pytest.raises(pk.KiliCopyError):
        pk.read_copy(tmp_path / "copy")
    assert sorted((path, path.stat().st_size) for path in (tmp_path / "copy").rglob("*")) == before


def test_a_damaged_table_is_said_so(sandbox, tmp_path):
    project, _ = filled(sandbox, 3)
    synced(sandbox, project, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("*.parquet"):
        path.write_bytes(b"PAR1")
    with pytest.raises(pk.KiliCopyError, match="cannot be used"):
        pk.read_copy(tmp_path / "copy")
    with pytest.raises(pk.KiliCopyError, match="no copy"):
        pk.read_copy(tmp_path / "nowhere")


def lost(path):
    path.unlink()


def torn(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("damage", [lost, torn])
def test_full_makes_a_copy_anew_with_rows_that_cannot_be_read(sandbox, tmp_path, damage):
    project, _ = filled(sandbox, 3)
    synced(sandbox, project, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("*.parquet"):
        damage(path)
    report = synced(sandbox, project, tmp_path / "copy", full=True)
    assert (report.inserted, report.deleted) == (3, 3)
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_a_damaged_log_is_told_in_a_line(sandbox, tmp_path):
    project, _ = filled(sandbox, 3)
    synced(sandbox, project, tmp_path / "copy")
    (tmp_path / "copy" / "_delta_log" / f"{2:020}.json").write_text("not JSON")
    with pytest.raises(pk.KiliCopyError, match=r"cannot be used: .*delete it and sync again") as told:
        synced(sandbox, project, tmp_path / "copy")
    assert "unknown" not in str(told.value)
    assert "clone" not in str(told.value)


def restored(table):
    table.restore(2)


def appended(table):
    write_deltalake(table, table.to_pyarrow_table().slice(0, 2), mode="append")


def deleted(table):
    table.delete("externalId = 'a7'")


@pytest.mark.parametrize("change", [restored, appended, deleted])
def test_a_copy_that_others_changed_is_true_after_the_next_sync(sandbox, tmp_path, change):
    project, ids = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids[:3])
    sandbox.add_labels(pd.DataFrame({"assetId": ids[3:5], "jsonResponse": ["{}"] * 2}))
    synced(sandbox, project, tmp_path / "copy")
    change(DeltaTable(tmp_path / "copy"))
    assert synced(sandbox, project, tmp_path / "copy").untold
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    assert synced(sandbox, project, tmp_path / "copy").calls == 2


def test_a_copy_whose_columns_others_replaced_is_said_so(sandbox, tmp_path):
    project, ids = filled(sandbox, 3)
    synced(sandbox, project, tmp_path / "copy")
    write_deltalake(tmp_path / "copy", pa.table({"x": [1]}), mode="overwrite", schema_mode="overwrite")
    sandbox.delete_assets(ids[:1])
    with pytest.raises(pk.KiliCopyError, match="cannot be used"):
        synced(sandbox, project, tmp_path / "copy")
    with pytest.raises(pk.KiliCopyError, match="cannot be used"):
        pk.read_copy(tmp_path / "copy")


def test_a_project_that_is_gone_leaves_the_copy(sandbox, tmp_path):
    project, ids = filled(sandbox, 5)
    synced(sandbox, project, tmp_path / "copy")
    pk.delete_project(project, title="P", client=sandbox.client)
    with pytest.raises(pk.KiliNotFoundError) as told:
        synced(sandbox, project, tmp_path / "copy")
    assert "copy is as it was" in told.value.__notes__[0]
    with pytest.raises(pk.KiliNotFoundError) as told:
        synced(sandbox, project, tmp_path / "another")
    assert told.value.__notes__ == [f"Nothing was written to {tmp_path / 'another'}."]
    assert sorted(pk.read_copy(tmp_path / "copy")["id"]) == sorted(ids)


def hide(project, after, monkeypatch):
    """Have the server answer as for a project that the key may not see, once it has answered so many calls."""
    whole, calls = Executor.answer, itertools.count()

    def answer(self, text, variables):
        lost = json.dumps(variables).replace(project, "nowhere")
        return whole(self, text, variables if next(calls) < after else json.loads(lost))

    monkeypatch.setattr(Executor, "answer", answer)


@pytest.mark.filterwarnings("ignore::pandas_kili.KiliConsistencyWarning")
@pytest.mark.parametrize("after", range(8))
@pytest.mark.parametrize("options", [{}, {"verify": True}, {"full": True}])
def test_a_key_that_loses_its_right_in_the_middle_leaves_the_copy(sandbox, tmp_path, monkeypatch, options, after):
    project, ids = filled(sandbox, 120)
    synced(sandbox, project, tmp_path / "copy")
    before = pk.read_copy(tmp_path / "copy")
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:3], "jsonResponse": ["{}"] * 3}))
    sandbox.delete_assets(ids[3:5])
    hide(project, after, monkeypatch)
    is_done = False
    with contextlib.suppress(pk.KiliNotFoundError):
        synced(sandbox, project, tmp_path / "copy", **options)
        is_done = True
    monkeypatch.undo()
    assert not is_done or after > 2
    if is_done:
        copying.assert_true(tmp_path / "copy", project, sandbox.client)
    else:
        pd.testing.assert_frame_equal(pk.read_copy(tmp_path / "copy"), before, check_flags=False)


@pytest.mark.filterwarnings("ignore::pandas_kili.KiliConsistencyWarning")
@pytest.mark.parametrize("after", range(3, 7))
def test_a_first_copy_whose_key_loses_its_right_is_not_taken_for_whole(sandbox, tmp_path, monkeypatch, after):
    project, _ = filled(sandbox, 250)
    hide(project, after, monkeypatch)
    with pytest.raises(pk.KiliNotFoundError):
        synced(sandbox, project, tmp_path / "copy")
    monkeypatch.undo()
    with pytest.raises(pk.KiliCopyError):
        pk.read_copy(tmp_path / "copy")
    synced(sandbox, project, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_a_key_that_is_revoked_in_the_middle_leaves_the_copy(sandbox, tmp_path):
    project, ids = filled(sandbox, 120)
    synced(sandbox, project, tmp_path / "copy")
    before = pk.read_copy(tmp_path / "copy")
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:3], "jsonResponse": ["{}"] * 3}))
    sandbox.inject(Fault("graphql_error", operation="assets", times=None, code="UNAUTHENTICATED", message="Bad key"))
    with pytest.raises(pk.KiliAuthenticationError, match="Bad key"):
        synced(sandbox, project, tmp_path / "copy")
    pd.testing.assert_frame_equal(pk.read_copy(tmp_path / "copy"), before, check_flags=False)


def test_a_refresh_leaves_one_file_of_small_groups(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(TABLE, "_ROWS_AT_ONCE", 20)
    monkeypatch.setattr(TABLE, "_BYTES_A_GROUP", 10_000)
    project, ids = filled(sandbox)
    synced(sandbox, project, tmp_path / "copy")
    for start in (0, 20):
        sandbox.add_labels(pd.DataFrame({"assetId": ids[start : start + 20], "jsonResponse": ["{}"] * 20}))
        synced(sandbox, project, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    (path,) = DeltaTable(tmp_path / "copy").to_pyarrow_dataset().files
    groups = pq.ParquetFile(tmp_path / "copy" / path).metadata
    sizes = [groups.row_group(place).num_rows for place in range(groups.num_row_groups)]
    assert len(sizes) >= 3
    assert max(sizes) <= 120
    assert groups.num_rows == 250


def test_a_refresh_that_only_adds_rows_writes_these_only(sandbox, tmp_path):
    project, _ = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    before = DeltaTable(tmp_path / "copy").file_uris()
    sandbox.add_assets(project, [{"externalId": "new"}])
    assert synced(sandbox, project, tmp_path / "copy").inserted == 1
    after = DeltaTable(tmp_path / "copy").file_uris()
    assert set(before) < set(after)
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def test_all_rows_can_leave_the_copy_and_others_come(sandbox, tmp_path):
    project, ids = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids)
    assert synced(sandbox, project, tmp_path / "copy").deleted == 30
    assert pk.read_copy(tmp_path / "copy").empty
    sandbox.add_assets(project, [{"externalId": "new"}])
    synced(sandbox, project, tmp_path / "copy")
    copying.assert_true(tmp_path / "copy", project, sandbox.client)


def compact(table):
    table.optimize.compact()


def vacuum(table):
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)


def checkpoint(table):
    table.create_checkpoint()


def clean_the_log(table):
    log = Path(table.table_uri.removeprefix("file://")) / "_delta_log"
    for path in log.iterdir():
        os.utime(path, (0, 0))
    table.create_checkpoint()
    table.cleanup_metadata()


@pytest.mark.parametrize("upkeep", [compact, vacuum, checkpoint, clean_the_log])
def test_upkeep_of_the_table_is_no_harm(sandbox, tmp_path, upkeep):
    project, ids = filled(sandbox, 30)
    first = synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids[:3])
    second = synced(sandbox, project, tmp_path / "copy")
    for _ in range(2):
        upkeep(DeltaTable(tmp_path / "copy"))
        checkpoint(DeltaTable(tmp_path / "copy"))
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    assert synced(sandbox, project, tmp_path / "copy").updated == 0
    sandbox.delete_assets(ids[3:5])
    assert synced(sandbox, project, tmp_path / "copy").deleted == 2
    copying.assert_true(tmp_path / "copy", project, sandbox.client)
    assert len(pk.read_copy(tmp_path / "copy", version=second.version)) == 27
    if upkeep is not vacuum:
        assert len(pk.read_copy(tmp_path / "copy", version=first.version)) == 30


def aged(copy, version, days):
    """Have the log say that what a version replaced was replaced so many days ago."""
    path = copy / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        if "remove" in action:
            action["remove"]["deletionTimestamp"] -= int(pd.Timedelta(days=days).total_seconds() * 1000)
    path.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def test_the_weekly_vacuum_keeps_the_versions_of_seven_days(sandbox, tmp_path):
    project, ids = filled(sandbox, 30)
    copy = tmp_path / "copy"
    versions = [synced(sandbox, project, copy).version]
    for asset in ids[:3]:
        sandbox.delete_assets([asset])
        versions.append(synced(sandbox, project, copy).version)
    for version, days in zip(versions[1:], (20, 8, 3), strict=True):
        aged(copy, version, days)
    DeltaTable(copy).vacuum(dry_run=False)  # the line of the guide
    for version in versions[:2]:
        with pytest.raises(pk.KiliCopyError, match="later ones can be read"):
            pk.read_copy(copy, version=version)
    assert [len(pk.read_copy(copy, version=version)) for version in versions[2:]] == [28, 27]
    assert len(list(copy.glob("*.parquet"))) == 2
    sandbox.delete_assets(ids[3:4])
    assert synced(sandbox, project, copy).deleted == 1
    copying.assert_true(copy, project, sandbox.client)


def test_a_log_that_lost_the_state_is_said_so(sandbox, tmp_path):
    project, _ = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    table = DeltaTable(tmp_path / "copy")
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 1 days"})
    for _ in range(2):
        vacuum(DeltaTable(tmp_path / "copy"))
    clean_the_log(DeltaTable(tmp_path / "copy"))
    with pytest.raises(pk.KiliCopyError, match="removed that part of its log: delete the copy"):
        synced(sandbox, project, tmp_path / "copy")


@pytest.mark.parametrize("kind", copying.KINDS)
def test_a_copy_is_true_after_a_quiet_moment(kind, tmp_path):
    server, options = copying.KINDS[kind]
    with Sandbox(max_calls_per_minute=None, **server) as sandbox:
        for seed in range(3):
            copying.run(sandbox, seed, tmp_path, **options)


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", copying.KINDS)
def test_a_copy_is_true_for_a_thousand_schedules(kind, part, tmp_path):
    server, options = copying.KINDS[kind]
    with Sandbox(max_calls_per_minute=None, **server) as sandbox:
        for seed in range(100 + part, 243, 4):  # 143 of each of seven kinds
            copying.run(sandbox, seed, tmp_path, **options)


FULL_DISK = """
    import resource, sys
    import pandas_kili as pk
    project, copy, endpoint, key = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        pk.sync(project, copy, client=pk.Client(key, endpoint))
    except pk.KiliCopyError as error:
        print(error)
"""


ONE_CORE = """
    import os, sys
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import pandas_kili as pk
    project, copy, endpoint, key = sys.argv[1:]
    try:
        pk.sync(project, copy, full=True, client=pk.Client(key, endpoint))
    except pk.KiliGraphQLError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux binds processes to a core")
def test_a_read_that_fails_is_told_on_one_core_too(sandbox, tmp_path):
    """There, deltalake hands on what fails in the reading as another error than on several."""
    project, _ = filled(sandbox)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.inject(Fault("graphql_error", operation="assets", nth=1, times=None))
    command = [sys.executable, "-c", textwrap.dedent(ONE_CORE), project, tmp_path / "copy"]
    command += [sandbox.api_endpoint, sandbox.api_key]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "told to fail" in done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is of POSIX")
def test_a_full_disk_leaves_the_copy_as_it_was(sandbox, tmp_path):
    project, ids = filled(sandbox, 30)
    pk.sync(project, tmp_path / "copy", client=sandbox.client)
    before = pk.read_copy(tmp_path / "copy")
    noise = [json.dumps({"JOB": {"text": secrets.token_hex(2_000)}}) for _ in range(20)]
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:20], "jsonResponse": noise}))
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), project, tmp_path / "copy"]
    command += [sandbox.api_endpoint, sandbox.api_key]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "is untouched" in done.stdout, done.stderr
    left = {path.name for path in (tmp_path / "copy").glob("*.parquet*")}
    assert left == {Path(name).name for name in DeltaTable(tmp_path / "copy").file_uris()}
    pd.testing.assert_frame_equal(pk.read_copy(tmp_path / "copy"), before)
    assert pk.sync(project, tmp_path / "copy", client=sandbox.client).updated == 20


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is of POSIX")
def test_a_first_copy_that_filled_the_disk_goes_on_where_it_was(sandbox, tmp_path):
    project, ids = filled(sandbox, 30)
    noise = [json.dumps({"JOB": {"text": secrets.token_hex(2_000)}}) for _ in range(20)]
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:20], "jsonResponse": noise}))
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), project, tmp_path / "copy"]
    command += [sandbox.api_endpoint, sandbox.api_key]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "cannot be used" in done.stdout, done.stderr
    with pytest.raises(pk.KiliCopyError):
        pk.read_copy(tmp_path / "copy")
    assert pk.sync(project, tmp_path / "copy", client=sandbox.client).inserted == 30


def test_a_disk_without_room_is_said_so_with_what_makes_room(sandbox, tmp_path, monkeypatch):
    project, ids = filled(sandbox, 30)
    synced(sandbox, project, tmp_path / "copy")
    sandbox.delete_assets(ids[:3])

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(pk.KiliCopyError, match=r"untouched. Make room; a vacuum"):
        synced(sandbox, project, tmp_path / "copy")


SYNCS = """
    import importlib, os, sys
    import deltalake
    import pandas_kili as pk
    importlib.import_module("pandas_kili.copy.sync")._ROWS_A_COMMIT = 100
    project, endpoint, key = sys.argv[1:]
    for copy in sys.stdin:
        child = os.fork()
        if not child:
            pk.sync(project, copy.strip(), client=pk.Client(key, endpoint, max_calls_per_minute=100_000))
            os._exit(0)
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitpid(child, 0)[1], flush=True)
"""


@contextlib.contextmanager
def forked_syncs(sandbox, project):
    """Give a function that syncs in a process forked from one that has imported all.

    It kills that process after so many seconds, and returns whether it was still at work, and the seconds.
    """
    command = [sys.executable, "-c", textwrap.dedent(SYNCS), project, sandbox.api_endpoint, sandbox.api_key]

    def sync(copy, kill_after=None):
        started = time.monotonic()
        process.stdin.write(f"{copy}\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        process.stdin.write("wait\n")
        process.stdin.flush()
        return int(process.stdout.readline()) == signal.SIGKILL, time.monotonic() - started

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield sync


@pytest.mark.campaign
def test_a_killed_sync_leaves_the_copy_as_before_or_as_after(sandbox, tmp_path):
    project, ids = filled(sandbox, 1000)

    def change(first, last):
        sandbox.add_labels(pd.DataFrame({"assetId": ids[first:last], "jsonResponse": ["{}"] * (last - first)}))

    killed = 0
    with forked_syncs(sandbox, project) as sync:
        _, to_make = sync(tmp_path / "whole")
        change(0, 90)
        _, to_refresh = sync(tmp_path / "whole")
        for turn in range(30):
            copy, is_new = tmp_path / f"copy{turn // 5}", turn % 5 == 0
            was_at_work, _ = sync(copy, turn / 30 * (to_make if is_new else to_refresh))
            killed += was_at_work
            if copy.exists() and not is_new:
                assert pk.read_copy(copy)["id"].is_unique
            change(0, 50)
            pk.sync(project, copy, client=sandbox.client)
            kept = pk.read_copy(copy).sort_values("id", ignore_index=True)
            read = pk.read_kili(project, client=sandbox.client).sort_values("id", ignore_index=True)
            pd.testing.assert_frame_equal(kept, read)
            change(50, 90)
    assert killed > 5  # most, as each is given less time than a sync took; the others were quicker


def test_the_command_syncs_and_says_what_it_did(sandbox, tmp_path, monkeypatch, capsys):
    project, _ = filled(sandbox, 5)
    monkeypatch.setenv("KILI_API_KEY", sandbox.api_key)
    monkeypatch.setenv("KILI_API_ENDPOINT", sandbox.api_endpoint)
    assert main(["sync", project, str(tmp_path / "copy")]) == 0
    assert "5 inserted" in capsys.readouterr().out.splitlines()[-1]
    assert main(["sync", project, str(tmp_path / "copy"), "--verify"]) == 0
    assert main(["sync", project, str(tmp_path / "copy"), "--field", "id"]) == 1
    assert "pass full=True (or --full)" in capsys.readouterr().err
    assert main(["sync", project, str(tmp_path / "copy"), "--field", "id", "--full"]) == 0
    assert pk.read_copy(tmp_path / "copy").columns.tolist() == ["id"]
    assert main(["sync", "nowhere", str(tmp_path / "other")]) == 1
    assert "no project" in capsys.readouterr().err


COMMAND = [sys.executable, "-m", "pandas_kili", "sync"]


def command_of(sandbox, tmp_path, *arguments, **variables):
    """Run the command as cron does: it knows its environment, and nothing else."""
    known = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONPATH") if name in os.environ}
    known |= {"HOME": str(tmp_path), **sandbox.environ, **variables}
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=known,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_command_runs_as_cron_does_it(sandbox, tmp_path):
    project, _ = filled(sandbox, 5)
    with command_of(sandbox, tmp_path, project, "copy") as run:
        out, err = run.communicate()
    assert (run.returncode, err) == (0, "")
    assert out.startswith("<version 2: 5 inserted")
    assert out.count("\n") == 1
    copying_fields = pk.read_copy(tmp_path / "copy").columns.tolist()
    assert copying_fields == pk.read_kili(project, client=sandbox.client).columns.tolist()


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["nowhere", "copy"], {}, "no project 'nowhere'"),
        (["any", ""], {}, "Name a folder"),
        (["any", "copy"], {"KILI_API_KEY": "a-wrong-secret"}, "refused the API key"),
        (["any", "copy"], {"KILI_API_KEY": " "}, "KILI_API_KEY"),
        (["any", "copy"], {"KILI_API_ENDPOINT": "https://ada:a-wrong-secret@host/graphql"}, "endpoint"),
        (["any", "copy", "--field", "externalid"], {}, "'externalId'"),
        (["any", "s3:/[bucket]"], {}, "Name another folder"),
    ],
)
def test_a_fault_of_the_command_is_a_line_on_stderr(sandbox, tmp_path, monkeypatch, capsys, arguments, variables, said):
    monkeypatch.chdir(tmp_path)
    for name, value in {**sandbox.environ, **variables}.items():
        monkeypatch.setenv(name, value)
    assert main(["sync", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == (2 if "Nothing was written to copy." in err else 1)
    assert "a-wrong-secret" not in err
    assert sandbox.api_key not in err
    assert not (tmp_path / "copy").exists()


def test_the_help_of_the_command_names_the_variables_and_the_exit_status(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["sync", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for each in ("KILI_API_KEY", "KILI_API_ENDPOINT", "exit status", "last line", "--verify", "--full"):
        assert each in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("operation", ["projects", "events", "assets"])
def test_a_command_that_is_interrupted_says_so_in_a_line_though_a_call_hangs(tmp_path, operation):
    first, released = threading.Lock(), threading.Event()
    with Sandbox(max_calls_per_minute=None) as sandbox:
        project, _ = filled(sandbox, 5)
        run = command_of(sandbox, tmp_path, project, "copy")

        def hang(request):
            if operation in request.operations:
                if first.acquire(blocking=False):
                    run.send_signal(signal.SIGINT)
                released.wait(50)

        sandbox.before_request(hang)
        with run:
            out, err = run.communicate(timeout=40)
        released.set()
    assert (run.returncode, out) == (130, "")
    assert err == "Interrupted. Run it again: what is copied already is kept.\n"


@pytest.mark.parametrize("version", ["0.25.5", "1.4.2", "1.4.0rc1"])
def test_a_deltalake_that_keeps_old_rows_is_refused(tmp_path, monkeypatch, version):
    monkeypatch.setattr("deltalake.__version__", version)
    with pytest.raises(ImportError, match=rf"a later deltalake than {version}: pip install -U 'pandas-kili\[copy\]'"):
        pk.read_copy(tmp_path / "copy")
