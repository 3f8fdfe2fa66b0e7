"""df.kili.merge_metadata: named keys change, all others stay, whatever the order of the rows."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from writing import client_of

import pandas_kili as pk
from pandas_kili.json_text import NotJsonError
from pandas_kili.sandbox import Sandbox
from pandas_kili.writing.merge_metadata import merged


@pytest.fixture
def box():
    with Sandbox(max_calls_per_minute=None) as box:
        yield box


@pytest.fixture
def project(box):
    project = box.create_project("a project", "TEXT")
    metadata = [{"number": number, "kept": [1, {"a": "é"}]} for number in range(250)]
    box.add_assets(project, [{"externalId": f"e{one['number']}", "jsonMetadata": json.dumps(one)} for one in metadata])
    return project


def stored(box, project):
    return {asset["externalId"]: json.loads(asset["jsonMetadata"]) for asset in box.assets(project)}


def test_named_keys_change_and_all_others_stay(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id", "externalId", "jsonMetadata"])
    shuffled = df.sample(frac=1, random_state=3).assign(site=lambda x: "site of " + x["externalId"], number=np.int64(7))
    shuffled["maybe"] = [{"deep": [1, None]} if name == "e3" else None for name in shuffled["externalId"]]
    out = shuffled.kili.merge_metadata("site", "number", "maybe", client=client)
    expected = {
        f"e{number}": {"number": 7, "kept": [1, {"a": "é"}], "site": f"site of e{number}"}
        | ({"maybe": {"deep": [1, None]}} if number == 3 else {})
        for number in range(250)
    }
    assert stored(box, project) == expected
    assert [json.loads(text) for text in out["jsonMetadata"]] == [expected[name] for name in out["externalId"]]
    assert out["externalId"].tolist() == shuffled["externalId"].tolist()
    assert set(out.kili.report["outcome"]) == {"applied"}


def test_what_others_wrote_since_the_frame_was_read_stays(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id", "jsonMetadata"], first=1)
    box.set_asset(df["id"][0], jsonMetadata='{"others": 1}')
    df.assign(site="Lyon").kili.merge_metadata("site", client=client)
    assert stored(box, project)["e0"] == {"others": 1, "site": "Lyon"}


def test_columns_of_metadata_go_back_as_they_came(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id", "jsonMetadata"])
    before = stored(box, project)
    df.join(df.kili.metadata()[["number"]]).kili.merge_metadata("number", client=client)
    assert stored(box, project) == before


def test_keys_that_columns_hold_as_json_text_go_back_as_what_they_are(box, project):
    client = client_of(box)
    fields = ["id", "jsonMetadata"]
    ids = pk.read_kili(project, client=client, fields=["id"], first=3)["id"]
    for name, mixed in zip(ids, [1, "1", [1]], strict=True):
        box.set_asset(name, jsonMetadata=json.dumps({"list": [1], "object": {"a": None}, "mixed": mixed, "text": "[1"}))
    before = stored(box, project)
    df = pk.read_kili(project, client=client, fields=fields, first=3)
    with pytest.warns(UserWarning, match="'mixed'"):
        columns = df.kili.metadata()
    keys = ["list", "object", "text"]
    df.join(columns[keys]).kili.merge_metadata(*keys, client=client)
    assert stored(box, project) == before
    df.join(columns[["mixed"]])[1:].kili.merge_metadata("mixed", client=client)
    assert stored(box, project) == before
    df.assign(list=["[2]", "no json", '{"b": 1}']).kili.merge_metadata("list", client=client)
    assert [stored(box, project)[f"e{row}"]["list"] for row in range(3)] == [[2], "no json", {"b": 1}]


def test_json_text_is_text_where_the_key_holds_none(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"], first=1)
    df.assign(new="[1]", number="7").kili.merge_metadata("new", "number", client=client)
    assert stored(box, project)["e0"] == {"number": "7", "kept": [1, {"a": "é"}], "new": "[1]"}


def test_rows_without_a_value_are_left_alone_and_nothing_is_sent_for_them(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"])
    box.clear_requests()
    out = df.assign(site=None).kili.merge_metadata("site", client=client)
    assert set(out.kili.report["outcome"]) == {"unchanged"}
    assert not [request for request in box.requests if request.operation == "updatePropertiesInAssets"]


def test_a_dry_run_writes_nothing(box, project):
    client = client_of(box)
    before = stored(box, project)
    df = pk.read_kili(project, client=client, fields=["id"])
    out = df.assign(site="x").kili.merge_metadata("site", client=client, dry_run=True)
    assert set(out.kili.report["outcome"]) == {"not_sent"}
    assert stored(box, project) == before


@pytest.mark.parametrize("bad", [float("inf"), object(), {1: float("nan")}])
def test_what_json_cannot_hold_is_an_error_that_names_its_row(box, project, bad):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"], first=2)
    df["site"] = pd.Series(["fine", bad], dtype=object)
    before = stored(box, project)
    with pytest.raises(pk.KiliValidationError, match=r"column 'site'.* row 1") as caught:
        df.kili.merge_metadata("site", client=client)
    assert caught.value.failure_cases["row"].tolist() == [1]
    assert stored(box, project) == before


def test_columns_are_named_and_named_by_text(box, project):
    frame = pd.DataFrame({"id": ["a"], 5: ["x"]})
    with pytest.raises(pk.KiliValidationError, match="at least one column"):
        frame.kili.merge_metadata(client=client_of(box))
    with pytest.raises(pk.KiliValidationError, match="one by one"):
        frame.kili.merge_metadata(["id"], client=client_of(box))
    with pytest.raises(pk.KiliValidationError, match="is text"):
        frame.kili.merge_metadata(5, client=client_of(box))


def test_metadata_without_keys_are_told_before_anything_is_sent(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"], first=2)
    box.set_asset(df["id"][1], jsonMetadata="[1, 2]")
    with pytest.raises(pk.KiliValidationError, match="no object that has keys"):
        df.assign(site="x").kili.merge_metadata("site", client=client)
    assert "site" not in stored(box, project)["e0"]


@pytest.mark.parametrize("shown", [10**30, 0, True, ["{}"], {"a": 1}, "[1]", "{"])
def test_metadata_that_a_server_should_not_show_are_never_overwritten(shown):
    with pytest.raises(NotJsonError, match="no object that has keys"):
        merged(shown, {"a": 1})


def test_a_key_is_removed_by_the_value_that_says_so(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"], first=2)
    df = df.assign(site="x", day="y").kili.merge_metadata("site", "day", client=client)
    df["site"] = pd.Series([pickle.loads(pickle.dumps(pk.REMOVE)), None], dtype=object)
    out = df.kili.merge_metadata("site", client=client)
    assert out.kili.report["outcome"].tolist() == ["applied", "unchanged"]
    there = stored(box, project)
    assert ("site" in there["e0"], there["e0"]["day"], there["e1"]["site"]) == (False, "y", "x")
    with pytest.raises(pk.KiliValidationError, match="holds a Removal"):
        df.assign(meta=[{"site": pk.REMOVE}, None]).kili.update_properties_in_assets(
            json_metadata="meta", client=client
        )


def test_stored_nan_is_told_by_asset_and_key_and_may_be_replaced(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"], first=2)
    box.set_asset(df["id"][1], jsonMetadata='{"good": 1, "mark": NaN}')
    with pytest.raises(pk.KiliValidationError, match=rf"{df['id'][1]}.*key 'mark' holds NaN") as caught:
        df.assign(site="x").kili.merge_metadata("site", client=client)
    assert caught.value.failure_cases["row"].tolist() == [1]
    assert "site" not in stored(box, project)["e0"]
    df.assign(mark=0.5).kili.merge_metadata("mark", client=client)
    assert stored(box, project)["e1"] == {"good": 1, "mark": 0.5}


def test_a_whole_number_stays_one_where_the_key_holds_one(box, project):
    client = client_of(box)
    df = pk.read_kili(project, client=client, fields=["id"], first=2)
    box.set_asset(df["id"][0], jsonMetadata='{"n": 1}')
    box.set_asset(df["id"][1], jsonMetadata='{"n": 1.5}')
    df.assign(n=[3.0, 4.0]).kili.merge_metadata("n", client=client)
    texts = {row["externalId"]: row["jsonMetadata"] for row in box.assets(project)}
    assert texts["e0"] == '{"n": 3}'
    assert texts["e1"] == '{"n": 4.0}'


def test_each_batch_is_read_just_before_it_is_written(box):
    project = box.create_project("Many", "IMAGE")
    ids = box.add_assets(project, [{"content": f"https://x.org/{n}.png"} for n in range(250)])
    df = pd.DataFrame({"id": ids, "site": "x"})
    client = client_of(box, max_workers=1)
    box.clear_requests()
    df.kili.merge_metadata("site", client=client)
    last = [request.operation for request in box.requests][-6:]
    assert last == ["assets", "updatePropertiesInAssets"] * 3
