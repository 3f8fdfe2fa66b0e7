"""Rows become new assets: with which ids, in which order, and once, whoever else appends."""

import json
import threading

import pandas as pd
import pytest
from writing import MUTATIONS, client_of, filled, hurry, outcomes, read, sent, stored

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox
from pandas_kili.writing import delivery


def new_assets(rows, **columns):
    base = {"externalId": [f"a{i}" for i in range(rows)], "content": [f"https://x.org/{i}.png" for i in range(rows)]}
    return pd.DataFrame(base | columns)


def test_new_assets_are_in_the_order_of_the_rows_and_tell_their_ids(sandbox):
    project, _ = filled(sandbox, 0)
    frame = new_assets(350, jsonMetadata=[{"i": i} for i in range(350)]).sample(frac=1, random_state=3)
    out = frame.kili.append_many_to_dataset(project, client=client_of(sandbox))
    rows = sandbox.assets(project)
    assert [row["externalId"] for row in rows] == frame["externalId"].tolist()
    assert out["id"].tolist() == out.kili.report["id"].tolist() == [row["id"] for row in rows]
    assert [json.loads(row["jsonMetadata"]) for row in rows] == frame["jsonMetadata"].tolist()
    assert [row["content"] for row in rows] == frame["content"].tolist()
    assert out.attrs["kili"] == {"project_id": project, "api_endpoint": sandbox.api_endpoint}


def test_new_assets_have_defaults(sandbox):
    project, _ = filled(sandbox, 0)
    frame = pd.DataFrame({"content": ["https://x.org/1.png"] * 2})
    out = frame.kili.append_many_to_dataset(project, client=client_of(sandbox))
    rows = sandbox.assets(project)
    assert out["externalId"].is_unique
    assert out["externalId"].tolist() == [row["externalId"] for row in rows]
    assert [(row["jsonMetadata"], row["isHoneypot"], row["status"], row["jsonContent"]) for row in rows] == [
        ("{}", 0, "TODO", "")
    ] * 2


def test_columns_of_other_names_become_new_assets(sandbox):
    project, _ = filled(sandbox, 0)
    frame = pd.DataFrame(
        {"url": ["https://x.org/1.png"], "name": ["a"], "key": ["my-id"], "meta": [{"k": 1}], "trap": [True]}
    )
    out = frame.kili.append_many_to_dataset(
        project, content="url", external_id="name", id="key", json_metadata="meta", is_honeypot="trap",
        client=client_of(sandbox),
    )  # fmt: skip
    (row,) = sandbox.assets(project)
    assert (row["id"], row["externalId"], row["content"]) == ("my-id", "a", "https://x.org/1.png")
    assert (json.loads(row["jsonMetadata"]), row["isHoneypot"]) == ({"k": 1}, 1)
    assert out.columns.tolist() == [*frame.columns, "id", "externalId"]
    assert out[["id", "externalId", "key", "name"]].to_numpy().tolist() == [["my-id", "a", "my-id", "a"]]


def test_raw_texts_become_assets(sandbox):
    project, _ = filled(sandbox, 0, kind="TEXT")
    frame = pd.DataFrame({"externalId": ["a", "b"], "content": ["First, héllo.", "Second"]})
    frame.kili.append_many_to_dataset(project, client=client_of(sandbox))
    shown = read(sandbox, project, fields=["externalId", "content"])
    client = client_of(sandbox)
    assert [client.get(url).decode() for url in shown["content"]] == ["First, héllo.", "Second"]


def test_a_status_of_new_assets_is_set_where_the_server_lets_it(sandbox):
    project, _ = filled(sandbox, 0)
    frame = new_assets(2, status=["REVIEWED", None])
    if sandbox.generation == "legacy":
        frame.kili.append_many_to_dataset(project, client=client_of(sandbox))
        assert list(stored(sandbox, project, "status").values()) == ["REVIEWED", "TODO"]
    else:
        with pytest.warns(UserWarning, match="computes the status") as told:
            frame.kili.append_many_to_dataset(project, client=client_of(sandbox))
        assert [one.filename for one in told] == [__file__]
        assert list(stored(sandbox, project, "status").values()) == ["TODO"] * 2


def test_given_ids_are_taken_and_what_is_there_is_not_sent_again(sandbox):
    project, _ = filled(sandbox, 0)
    client = client_of(sandbox)
    first = new_assets(2, id=["i0", "i1"]).kili.append_many_to_dataset(project, client=client)
    assert list(stored(sandbox, project, "id")) == ["i0", "i1"]
    sandbox.clear_requests()
    more = pd.concat([first[["id", "externalId", "content"]], new_assets(1, externalId=["z"])], ignore_index=True)
    out = more.kili.append_many_to_dataset(project, client=client)
    assert outcomes(out) == ["unchanged", "unchanged", "applied"]
    assert out.kili.report["message"].tolist() == ["it was there already"] * 2 + [""]
    (variables,) = sent(sandbox)
    assert variables["data"]["externalIDArray"] == ["z"]
    assert len(sandbox.assets(project)) == 3


def test_rows_whose_external_id_is_there_are_skipped_if_asked(sandbox):
    project, ids = filled(sandbox, 2)
    frame = pd.DataFrame({"externalId": ["n1", "new", "new", "n1", "last"], "content": "https://x.org/1.png"})
    out = frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox))
    assert outcomes(out) == ["unchanged", "applied", "unchanged", "unchanged", "applied"]
    assert out["id"].tolist()[0] == ids[1]  # of skipped rows, the asset that is there
    assert out["id"].dropna().is_unique
    assert len(sandbox.assets(project)) == 4
    rest = out[out.kili.report["outcome"] != "applied"]
    again = rest.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox))
    assert set(outcomes(again)) == {"unchanged"}
    assert len(sandbox.assets(project)) == 4


def test_a_script_that_skips_what_exists_can_be_run_twice(sandbox):
    project, _ = filled(sandbox, 0)
    frame = new_assets(120)
    frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox))
    before = sandbox.assets(project)
    again = frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox))
    assert outcomes(again) == ["unchanged"] * 120
    assert sandbox.assets(project) == before


def test_a_row_without_external_id_is_refused_where_existing_ones_are_skipped(sandbox):
    project, _ = filled(sandbox, 0)
    client = client_of(sandbox)
    frame = pd.DataFrame({"name": ["a", None], "content": "https://x.org/1.png"})
    for options in ({"external_id": "name"}, {}):
        with pytest.raises(pk.KiliValidationError, match="expected an external id") as caught:
            frame.kili.append_many_to_dataset(project, if_exists="skip", client=client, **options)
        assert caught.value.failure_cases["row"].tolist() == ([1] if options else [0, 1])
    assert sandbox.assets(project) == []


def test_a_column_of_the_users_own_names_is_not_filled_in(sandbox):
    project, _ = filled(sandbox, 0)
    frame = pd.DataFrame({"name": ["a", None], "content": "https://x.org/1.png"})
    out = frame.kili.append_many_to_dataset(project, external_id="name", client=client_of(sandbox))
    assert outcomes(out) == ["applied"] * 2
    assert out["name"].tolist() == ["a", None] or out["name"].isna().tolist() == [False, True]
    assert out["externalId"].tolist() == [row["externalId"] for row in sandbox.assets(project)]


@pytest.mark.parametrize("rows", [30, 250])
def test_of_two_writers_that_skip_what_exists_each_asset_is_made_by_one(sandbox, rows):
    """The other process writes between the look and the first batch of this one, and goes on while it sends."""
    project, _ = filled(sandbox, 0, kind="TEXT")
    frame = pd.DataFrame({"externalId": [f"a{i}" for i in range(rows)], "content": [f"text {i}" for i in range(rows)]})
    name = MUTATIONS[sandbox.generation]["append"]
    begun, ended = threading.Event(), []

    def other():
        ended.append(frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox)))

    def begin(request):
        if request.operation == name and not begun.is_set():
            begun.set()
            winner.start()
            winner.join()

    winner = threading.Thread(target=other)
    sandbox.before_request(begin)
    sandbox.clear_requests()
    out = frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox))
    assert outcomes(ended[0]) == ["applied"] * rows
    assert outcomes(out) == ["unchanged"] * rows
    assert out["id"].tolist() == ended[0]["id"].tolist()
    assert [row["externalId"] for row in sandbox.assets(project)] == frame["externalId"].tolist()
    appended = [each for each in sandbox.requests if each.operation == name]
    assert len(appended) == 2 * -(-rows // 100)  # nothing is cut to be tried row by row


def test_a_name_that_was_taken_a_moment_ago_is_found_although_replicas_lag(today, monkeypatch):
    monkeypatch.setattr(delivery, "_PATIENCE", (0.0, 0.1, 0.2, 0.4))
    project, _ = filled(today, 0)
    today.inject(Fault("replica_lag", seconds=0.3, times=None))
    frame = new_assets(4)
    begun = threading.Event()

    def interfere(request):
        if request.operation == "appendManyAssets" and not begun.is_set():
            begun.set()
            today.add_assets(project, [{"externalId": "a1", "content": "https://x.org/1.png"}])

    today.before_request(interfere)
    out = frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(today))
    assert outcomes(out) == ["applied", "unchanged", "applied", "applied"]
    assert len(today.assets(project)) == 4


def test_of_two_writers_on_a_server_that_takes_names_twice_it_is_told(monkeypatch):
    hurry(monkeypatch)
    with Sandbox(generation="current", unique_external_ids=False) as sandbox:
        project, _ = filled(sandbox, 0)
        frame = new_assets(3)
        begun = threading.Event()

        def interfere(request):
            if request.operation == "appendManyAssets" and not begun.is_set():
                begun.set()
                sandbox.add_assets(project, [{"externalId": "a1", "content": "https://x.org/1.png"}])

        sandbox.before_request(interfere)
        with pytest.warns(pk.KiliConsistencyWarning, match="1 external id belongs to several assets now.*'a1'") as told:
            out = frame.kili.append_many_to_dataset(project, if_exists="skip", client=client_of(sandbox))
        assert [one.filename for one in told] == [__file__]
        assert outcomes(out) == ["applied"] * 3


def test_a_frame_of_one_project_goes_into_another_under_new_ids(sandbox):
    one, ids = filled(sandbox, 3)
    other, _ = filled(sandbox, 0, title="Other")
    client = client_of(sandbox)
    frame = read(sandbox, one, fields=["id", "externalId", "content"])
    with pytest.raises(pk.KiliValidationError, match=r"drop\(columns='id'\)"):
        frame.kili.append_many_to_dataset(other, client=client)
    out = frame.drop(columns="id").kili.append_many_to_dataset(other, client=client)
    assert set(out["id"]).isdisjoint(ids)
    assert out.attrs["kili"]["project_id"] == other
    assert outcomes(out.kili.append_many_to_dataset(other, client=client)) == ["unchanged"] * 3
    assert len(sandbox.assets(other)) == 3
