"""The scope of a plan: which columns count, and that none is left out in silence."""

import json
import warnings

import pandas as pd
import pytest
from writing import client_of, hurry

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

URL = "https://example.com/{}.png"


@pytest.fixture(scope="module")
def server():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def box(server, monkeypatch):
    hurry(monkeypatch)
    server.user = client_of(server)
    return server


@pytest.fixture
def table():
    names = ["n0", "n1", "n2"]
    return pd.DataFrame({"externalId": names, "content": [URL.format(name) for name in names], "priority": 1})


@pytest.fixture
def project(box, table):
    project = box.create_project("Project", "IMAGE")
    table.kili.plan(project, client=box.user).apply()
    return project


def test_content_of_existing_assets_is_not_compared_and_the_plan_says_so(box, project, table, tmp_path):
    table["content"] = URL.format("other")
    plan = table.kili.plan(project, client=box.user)
    assert not plan
    assert len(plan.notes) == 1
    assert plan.notes[0].startswith("Only new assets get 'content': not compared for the 3 that exist.")
    assert plan.notes[0] in repr(plan)
    plan.save(tmp_path / "plan")
    assert pk.read_plan(tmp_path / "plan").notes == plan.notes
    fresh = table.assign(externalId=["a", "b", "c"]).kili.plan(project, client=box.user)
    assert (fresh.summary["append"], fresh.notes) == (3, [])


def test_metadata_beside_single_keys_are_for_new_assets_only(box, project, table):
    table = table.drop(columns="content").assign(jsonMetadata=[{"a": 1}] * 3, site="Lyon")
    plan = table.kili.plan(project, metadata=["site"], client=box.user)
    assert set(plan.changes["property"]) == {"jsonMetadata.site"}
    assert plan.notes == ["Only new assets get 'jsonMetadata': not compared for the 3 that exist."]


def test_columns_that_are_no_properties_are_named(box, project):
    df = pk.read_kili(project, client=box.user)
    plan = df.assign(priority=5, site="Lyon").kili.plan(client=box.user)
    assert plan.summary["update"] == 3
    assert plan.notes[1] == (
        "Columns that are no properties are left out: 'createdAt'; 'labels'; 'skipped'; 'status'; 'site'."
    )
    assert df.assign(priority=5).kili.plan(properties=["priority"], client=box.user).notes == []
    assert df[["id", "jsonMetadata"]].kili.plan(client=box.user).notes == []


@pytest.mark.parametrize(
    ("label", "meant"),
    [("priorty", "priority"), ("json_metadata", "jsonMetadata"), ("honeypot", "isHoneypot")],
)
def test_a_misspelled_column_triggers_a_warning(box, project, table, label, meant):
    table = table[["externalId"]].assign(**{label: 1})
    with pytest.warns(UserWarning, match=f"'{label}' .did you mean '{meant}'") as caught:
        plan = table.kili.plan(project, client=box.user)
    assert caught[0].filename == __file__
    assert f"did you mean '{meant}'" in plan.notes[0]
    with pytest.warns(UserWarning, match="did you mean"):
        table.kili.upsert(project, client=box.user)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table.kili.plan(project, metadata=[label], client=box.user)


def test_addresses_are_compared_where_they_are_named(box, project, table):
    assert not table.kili.plan(project, properties=["content"], client=box.user)
    table.loc[1, "content"] = URL.format("other")
    plan = table.kili.plan(project, properties=["content"], client=box.user)
    assert plan.changes[["externalId", "before", "after"]].to_numpy().tolist() == [
        ["n1", URL.format("n1"), URL.format("other")]
    ]
    plan.apply()
    assert [row["content"] for row in box.assets(project)] == table["content"].tolist()
    plan.inverse().apply()
    assert box.assets(project)[1]["content"] == URL.format("n1")


def test_a_signed_address_is_the_same_when_it_is_signed_anew(box):
    project = box.create_project("Project", "IMAGE")
    box.add_assets(project, [{"externalId": "n0", "content": "https://a.org/0.png?expires=1&X-Goog-Signature=abc"}])
    table = pd.DataFrame({"externalId": ["n0"], "content": ["https://a.org/0.png?expires=2&X-Goog-Signature=def"]})
    assert not table.kili.plan(project, properties=["content"], client=box.user)
    table["content"] = "https://a.org/1.png"
    plan = table.kili.plan(project, properties=["content"], client=box.user)
    box.set_asset(box.assets(project)[0]["id"], content="https://a.org/0.png?expires=3&X-Goog-Signature=ghi")
    assert plan.apply().kili.report["outcome"].tolist() == ["applied"]


def test_texts_and_files_cannot_be_compared_and_are_refused(box, tmp_path):
    project = box.create_project("Project", "TEXT")
    table = pd.DataFrame({"externalId": ["n0", "n1"], "content": ["Hello.", "Good-bye."]})
    table.kili.plan(project, client=box.user).apply()
    box.clear_requests()
    with pytest.raises(pk.KiliValidationError, match="as a file, which a plan does not read") as caught:
        table.kili.plan(project, properties=["content"], client=box.user)
    assert caught.value.failure_cases["failure_case"].tolist() == ["Hello.", "Good-bye."]
    assert not [request for request in box.requests if request.document.lstrip().startswith("mutation")]
    df = pk.read_kili(project, fields=["id", "content"], client=box.user)
    assert not df.kili.plan(properties=["content"], client=box.user)


def test_rows_that_the_project_does_not_have_need_content(box, project):
    for column, cell in {"id": "unknown", "externalId": "n9"}.items():
        frame = pd.DataFrame({column: [cell], "priority": [3]})
        with pytest.raises(pk.KiliValidationError, match="has no such asset, and the row has no content") as caught:
            frame.kili.plan(project, client=box.user)
        cases = caught.value.failure_cases
        assert cases[["column", "failure_case"]].to_numpy().tolist() == [[column, cell]]
        assert not frame.kili.plan(project, new="skip", client=box.user)


def test_a_wrong_cell_is_one_failure(box, project, table):
    df = pk.read_kili(project, fields=["id", "externalId", "priority"], client=box.user)
    frames = {
        "numbers for names": (table.assign(externalId=[1, 2, 3]), 3),
        "numbers for names, with ids": (df.assign(externalId=[1, 2, 3]), 3),
        "an id twice": (pd.concat([df, df.iloc[:1]]), 1),
        "a name twice": (pd.concat([table, table.iloc[:1]]), 1),
        "by id and by name": (pd.DataFrame({"id": [df["id"][0], None], "externalId": [None, "n0"]}), 1),
    }
    for what, (frame, count) in frames.items():
        with pytest.raises(pk.KiliValidationError) as caught:
            frame.kili.plan(project, client=box.user)
        assert len(caught.value.failure_cases) == count, what


def test_how_kili_imported_a_video_is_kept(box):
    project = box.create_project("Project", "VIDEO")
    table = pd.DataFrame({"externalId": ["v"], "content": ["https://a.org/v.mp4"], "jsonMetadata": [{"site": "Lyon"}]})
    imported = '{"site": "Lyon", "processingParameters": {"framesPlayedPerSecond": 30}}'
    box.add_assets(project, [{"externalId": "v", "content": "https://a.org/v.mp4", "jsonMetadata": imported}])
    assert not table.kili.plan(project, client=box.user)
    table.assign(jsonMetadata=[{"site": "Brest"}]).kili.plan(project, client=box.user).apply()
    assert json.loads(box.assets(project)[0]["jsonMetadata"]) == json.loads(imported.replace("Lyon", "Brest"))
