"""Properties set to the cells of columns: what is sent, what is left alone, and what comes back."""

import json

import numpy as np
import pandas as pd
import pytest
from writing import client_of, filled, metadata, outcomes, read, sent, stored

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox


def test_null_cells_leave_properties_alone(sandbox):
    project, ids = filled(sandbox, 3)
    client = client_of(sandbox)
    full = pd.DataFrame({"id": ids, "priority": [1, 2, 3], "jsonMetadata": [{"a": i} for i in range(3)]})
    full.kili.update_properties_in_assets("priority", "jsonMetadata", client=client)
    sandbox.clear_requests()
    part = pd.DataFrame({"id": ids, "priority": [None, 9, np.nan], "jsonMetadata": [pd.NA, None, {"b": 1}]})
    out = part.kili.update_properties_in_assets("priority", "jsonMetadata", client=client)
    assert outcomes(out) == ["unchanged", "applied", "applied"]
    assert list(stored(sandbox, project, "priority").values()) == [1, 9, 3]
    assert list(metadata(sandbox, project).values()) == [{"a": 0}, {"a": 1}, {"b": 1}]
    (variables,) = sent(sandbox)
    assert variables["whereArray"] == [{"id": ids[1]}, {"id": ids[2]}]  # nothing to say of the first
    assert variables["dataArray"] == [{"priority": 9}, {"jsonMetadata": '{"b": 1}'}]


def test_all_properties_go_by_keywords(sandbox):
    project, ids = filled(sandbox, 1)
    frame = pd.DataFrame(
        {"id": ids, "a": [4], "b": [{"k": "é"}], "c": [0.5], "d": [1], "e": ["https://x.org/y.png"], "f": [True]}
    )
    out = frame.kili.update_properties_in_assets(
        priority="a",
        json_metadata="b",
        consensus_mark="c",
        honeypot_mark="d",
        content="e",
        is_used_for_consensus="f",
        is_honeypot="f",
        client=client_of(sandbox),
    )
    assert outcomes(out) == ["applied"]
    (row,) = sandbox.assets(project)
    assert [row[name] for name in ("priority", "consensusMark", "honeypotMark", "content")] == [
        4, 0.5, 1.0, "https://x.org/y.png",
    ]  # fmt: skip
    assert [row["isHoneypot"], row["isUsedForConsensus"], json.loads(row["jsonMetadata"])] == [1, 1, {"k": "é"}]


def test_columns_may_have_any_label(today):
    project, ids = filled(today, 2)
    frame = pd.DataFrame({"id": ids, 7: [1, 2], ("a", "b"): [{"x": 1}, {"x": 2}]})
    frame.kili.update_properties_in_assets(priority=7, json_metadata=("a", "b"), client=client_of(today))
    assert list(stored(today, project, "priority").values()) == [1, 2]
    assert list(metadata(today, project).values()) == [{"x": 1}, {"x": 2}]


def test_assignments_are_set_removed_and_left(sandbox):
    project, ids = filled(sandbox, 5)
    client = client_of(sandbox)
    frame = pd.DataFrame({"id": ids, "who": [["ada@x.org"]] * 5})
    frame.kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    sandbox.clear_requests()
    frame["who"] = [["bob@x.org", "ada@x.org"], [], None, (), np.array(["carl@x.org"])]
    frame.kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    assert [sandbox.assignees(one) for one in ids] == [
        ["ada@x.org", "bob@x.org"], [], ["ada@x.org"], [], ["carl@x.org"],
    ]  # fmt: skip
    (variables,) = sent(sandbox)
    resets = {where["id"]: data.get("shouldResetToBeLabeledBy") for where, data in
              zip(variables["whereArray"], variables["dataArray"], strict=True)}  # fmt: skip
    assert resets == {ids[0]: None, ids[1]: True, ids[3]: True, ids[4]: None}
    assert list(stored(sandbox, project, "priority").values()) == [0] * 5


def test_no_other_update_touches_an_assignment(sandbox):
    _, ids = filled(sandbox, 2)
    client = client_of(sandbox)
    frame = pd.DataFrame({"id": ids, "who": [["ada@x.org"]] * 2, "priority": 3, "name": ["x", "y"]})
    frame.kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    sandbox.clear_requests()
    frame.kili.update_properties_in_assets("priority", client=client)
    frame.assign(externalId=["n0", "n1"]).kili.change_asset_external_ids(
        "name", project_id=sandbox.assets(_)[0]["projectId"], client=client
    )
    assert [sandbox.assignees(one) for one in ids] == [["ada@x.org"]] * 2
    for variables in sent(sandbox):
        for data in variables["dataArray"]:
            assert not {"shouldResetToBeLabeledBy", "toBeLabeledBy"} & set(data)


def test_an_assignment_that_was_read_is_written_back(sandbox):
    project, ids = filled(sandbox, 3)
    client = client_of(sandbox)
    frame = pd.DataFrame({"id": ids, "who": [["ada@x.org"], ["bob@x.org", "ada@x.org"], None]})
    frame.kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    shown = read(sandbox, project, fields=["id", "toBeLabeledBy.user.email"])
    moved = shown.assign(toBeLabeledBy=shown["toBeLabeledBy"].iloc[[1, 0, 2]].array)
    moved.kili.update_properties_in_assets("toBeLabeledBy", client=client)
    assert [sandbox.assignees(one) for one in ids] == [["ada@x.org", "bob@x.org"], ["ada@x.org"], []]


def test_a_column_of_assignments_is_brought_up_to_date(sandbox):
    project, ids = filled(sandbox, 3)
    client = client_of(sandbox)
    frame = pd.DataFrame({"id": ids, "who": [["ada@x.org"], ["bob@x.org"], None]})
    frame.kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    shown = read(sandbox, project, fields=["id", "toBeLabeledBy.user.email"])
    shown["who"] = pd.Series([["carl@x.org", "ada@x.org"], [], None], dtype=object)
    out = shown.kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    again = read(sandbox, project, fields=["id", "toBeLabeledBy.user.email"])

    def emails(frame):
        return [sorted(one["user"]["email"] for one in cell) for cell in frame["toBeLabeledBy"]]

    assert emails(out) == emails(again) == [["ada@x.org", "carl@x.org"], [], []]
    assert out["toBeLabeledBy"].dtype == shown["toBeLabeledBy"].dtype


def test_a_status_is_set_where_the_server_lets_it():
    with Sandbox(generation="legacy") as sandbox:
        project, ids = filled(sandbox, 2)
        frame = pd.DataFrame({"id": ids, "status": ["REVIEWED", None]})
        frame.kili.update_properties_in_assets("status", client=client_of(sandbox))
        assert list(stored(sandbox, project, "status").values()) == ["REVIEWED", "TODO"]


def test_a_status_that_the_server_computes_itself_is_told_and_not_sent(today):
    project, ids = filled(today, 2)
    frame = pd.DataFrame({"id": ids, "status": ["REVIEWED", None], "priority": [1, 2]})
    with pytest.warns(UserWarning, match="computes the status") as told:
        out = frame.kili.update_properties_in_assets("status", "priority", client=client_of(today))
    assert [one.filename for one in told] == [__file__]
    assert outcomes(out) == ["applied"] * 2
    assert list(stored(today, project, "status").values()) == ["TODO"] * 2
    assert list(stored(today, project, "priority").values()) == [1, 2]
    today.clear_requests()
    with pytest.warns(UserWarning, match="status") as told:
        out = frame.kili.update_properties_in_assets("status", client=client_of(today))
    assert [one.filename for one in told] == [__file__] * len(told)
    assert {one.category for one in told} == {UserWarning, pk.KiliDeclinedWarning}
    assert outcomes(out) == ["declined"] * 2
    assert sent(today) == []
    assert out["status"].tolist() == ["REVIEWED", None] or out["status"].isna().tolist() == [False, True]


METADATA = [
    ({"a": 1}, {"a": 1}),
    ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
    ({"n": np.int64(3), "f": np.float32(0.5), "b": np.bool_(True), "s": np.str_("x")},
     {"n": 3, "f": 0.5, "b": True, "s": "x"}),
    ({"none": None, "na": pd.NA, "nat": pd.NaT, "npnat": np.datetime64("NaT")},
     {"none": None, "na": None, "nat": None, "npnat": None}),
    ({"when": pd.Timestamp("2024-01-02T03:04:05Z"), "day": np.datetime64("2024-01-02")},
     {"when": "2024-01-02T03:04:05+00:00", "day": "2024-01-02"}),
    ({"list": (1, 2), "array": np.arange(3), "set": {"b", "a"}},
     {"list": [1, 2], "array": [0, 1, 2], "set": ["a", "b"]}),
    ({"text": "ünïcødé \U0001f600", "empty": ""}, {"text": "ünïcødé \U0001f600", "empty": ""}),
    ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "held"), METADATA)
def test_metadata_are_dicts_or_text_with_scalars_of_numpy_and_pandas(today, given, held):
    project, ids = filled(today, 1)
    client = client_of(today)
    frame = pd.DataFrame({"id": ids, "meta": pd.Series([given], dtype=object)})
    frame.kili.update_properties_in_assets(json_metadata="meta", client=client)
    new = pd.DataFrame({"content": ["https://x.org/y.png"], "meta": pd.Series([given], dtype=object)})
    new.kili.append_many_to_dataset(project, json_metadata="meta", client=client)
    assert list(metadata(today, project).values()) == [held, held]


def test_text_of_metadata_is_sent_as_it_is(today):
    project, ids = filled(today, 1)
    text = '{"b":1,  "a":1.50}'
    frame = pd.DataFrame({"id": ids, "jsonMetadata": [text]})
    frame.kili.update_properties_in_assets("jsonMetadata", client=client_of(today))
    assert list(stored(today, project, "jsonMetadata").values()) == [text]


def test_a_list_of_metadata_is_the_servers_to_judge(today):
    project, ids = filled(today, 2)
    frame = pd.DataFrame({"id": ids, "meta": [[1, 2], {"a": 1}]})
    with pytest.raises(pk.KiliMutationError) as caught:
        frame.kili.update_properties_in_assets(json_metadata="meta", client=client_of(today))
    assert caught.value.report["outcome"].tolist() == ["failed", "applied"]
    assert list(metadata(today, project).values()) == [{}, {"a": 1}]
