"""Rows are written to the assets that they mean: of their project, on their server, or not at all."""

import pandas as pd
import pytest
from writing import MUTATIONS, client_of, filled, hurry, outcomes, sent, stored

import pandas_kili as pk
from pandas_kili.sandbox import Habits, Sandbox
from pandas_kili.writing.identity import find_external_ids

VERBS = {
    "update": lambda frame, **options: frame.assign(wanted=1).kili.update_properties_in_assets(
        priority="wanted", **options
    ),
    "rename": lambda frame, **options: frame.assign(
        new=[f"new-{i}" for i in range(len(frame))]
    ).kili.change_asset_external_ids("new", **options),
    "delete": lambda frame, **options: frame.kili.delete_many_from_dataset(**options),
    "review": lambda frame, **options: frame.kili.add_to_review(**options),
    "queue": lambda frame, **options: frame.kili.send_back_to_queue(**options),
    "merge": lambda frame, **options: frame.assign(key=1).kili.merge_metadata("key", **options),
    "labels": lambda frame, **options: frame.assign(answer="{}").kili.append_labels("answer", **options),
}


@pytest.fixture(scope="module")
def servers():
    with Sandbox(max_calls_per_minute=None) as one, Sandbox(max_calls_per_minute=None) as other:
        yield one, other


@pytest.fixture
def sandbox(servers, monkeypatch):
    hurry(monkeypatch)
    for server in servers:
        server.clear_requests()
    return servers[0]


def assert_nothing_sent(*servers):
    for server in servers:
        assert not [each for each in server.requests if "mutation" in (each.document or "")]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_assets_of_another_project(sandbox, verb):
    project, ids = filled(sandbox, 2, labeled=[0, 1])
    other, others = filled(sandbox, 1, labeled=[0], title="Other")
    frame = pd.DataFrame({"id": [ids[0], others[0]]}, index=["mine", "theirs"])
    with pytest.raises(pk.KiliValidationError, match=f"not of project '{project}'") as caught:
        VERBS[verb](frame, project_id=project, client=client_of(sandbox))
    assert caught.value.failure_cases["index"].tolist() == ["theirs"]
    assert_nothing_sent(sandbox)
    assert len(sandbox.assets(other)) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_rows_that_were_read_from_another_server(servers, sandbox, verb):
    project, _ = filled(sandbox, 2, labeled=[0, 1])
    client, elsewhere = client_of(sandbox), client_of(servers[1])
    frame = pk.read_kili(project, fields=["id", "externalId"], client=client)
    with pytest.raises(pk.KiliValidationError) as caught:
        VERBS[verb](frame, client=elsewhere)
    assert client.api_endpoint in str(caught.value)
    assert elsewhere.api_endpoint in str(caught.value)
    assert_nothing_sent(*servers)


def test_rows_of_another_server_are_appended_where_the_project_is_named(servers, sandbox):
    project, ids = filled(sandbox, 2)
    there, _ = filled(servers[1], 0)
    elsewhere = client_of(servers[1])
    frame = pk.read_kili(project, fields=["id", "externalId", "content"], client=client_of(sandbox))
    with pytest.raises(pk.KiliValidationError, match="was read from"):
        frame.kili.append_many_to_dataset(client=elsewhere)
    with pytest.raises(pk.KiliValidationError, match=r"drop\(columns='id'\)"):
        frame.kili.append_many_to_dataset(there, client=elsewhere)
    out = frame.drop(columns="id").kili.append_many_to_dataset(there, client=elsewhere)
    assert outcomes(out) == ["applied"] * 2
    assert set(out["id"]).isdisjoint(ids)
    assert out.attrs["kili"] == {"project_id": there, "api_endpoint": elsewhere.api_endpoint}


@pytest.mark.parametrize("table", ["labels", "annotations"])
def test_tables_of_labels_and_annotations_are_refused_and_say_how_their_assets_are_meant(sandbox, table):
    project, ids = filled(sandbox, 3)
    answer = {"JOB": {"categories": [{"name": "A"}]}}
    sandbox.add_labels(pd.DataFrame({"assetId": [ids[0], ids[0]], "jsonResponse": [answer, answer]}))
    frame = pk.read_kili(project, client=client_of(sandbox))
    rows = getattr(frame.kili, table)()
    assert len(rows) == 2
    for verb in ("delete", "queue"):
        with pytest.raises(pk.KiliValidationError, match="assetId"):
            VERBS[verb](rows, project_id=project, client=client_of(sandbox))
    if table == "labels":
        with pytest.raises(pk.KiliValidationError, match="assetId"):
            rows.assign(content="x").kili.append_many_to_dataset(project, client=client_of(sandbox))
    assert_nothing_sent(sandbox)
    meant = rows.drop(columns="id", errors="ignore").rename(columns={"assetId": "id"}).drop_duplicates("id")
    assert outcomes(meant.kili.delete_many_from_dataset(project_id=project, client=client_of(sandbox))) == ["applied"]
    assert list(stored(sandbox, project, "id")) == ids[1:]


def test_an_index_that_holds_the_ids_is_pointed_out(sandbox):
    _, ids = filled(sandbox, 1)
    frame = pd.DataFrame({"id": ids, "priority": 1}).set_index("id")
    with pytest.raises(pk.KiliValidationError, match=r"'id' is its index: \.reset_index\(\)"):
        frame.kili.update_properties_in_assets("priority", client=client_of(sandbox))


def test_an_unknown_asset_is_looked_for_again_only_where_it_was_written_a_moment_ago(sandbox):
    project, _ = filled(sandbox, 2)
    client = client_of(sandbox)
    for column in ("id", "externalId"):
        frame = pd.DataFrame({column: ["unknown"]})
        sandbox.clear_requests()
        with pytest.raises(pk.KiliValidationError, match=r"has no .*asset"):
            frame.kili.add_to_review(project_id=project, client=client)
        once = len(sandbox.requests)
        written = pd.DataFrame(
            {"id": [f"made-{column}"], "externalId": [f"name-{column}"], "content": "https://x.org/1"}
        )
        written.kili.append_many_to_dataset(project, client=client)
        sandbox.delete_assets([f"made-{column}"])
        sandbox.clear_requests()
        with pytest.raises(pk.KiliValidationError, match=r"has no .*asset"):
            written[[column]].kili.add_to_review(project_id=project, client=client)
        assert len(sandbox.requests) > once


def test_a_job_that_finds_nothing_to_do_is_silent_and_sends_nothing(sandbox):
    project, ids = filled(sandbox, 3)
    client = client_of(sandbox)
    frame = pk.read_kili(project, fields=["id", "externalId", "content"], client=client)
    sandbox.delete_assets(ids[:1])
    named = frame[["externalId"]]
    assert outcomes(frame[:1].kili.delete_many_from_dataset(client=client)) == ["unchanged"]
    assert outcomes(named[:1].kili.delete_many_from_dataset(project_id=project, client=client)) == ["unchanged"]
    rest = frame[1:]
    assert outcomes(rest.kili.append_many_to_dataset(if_exists="skip", client=client)) == ["unchanged"] * 2
    empty = rest.assign(priority=None)
    assert outcomes(empty.kili.update_properties_in_assets("priority", client=client)) == ["unchanged"] * 2
    assert sent(sandbox) == []
    assert set(MUTATIONS["current"].values()).isdisjoint(each.operation for each in sandbox.requests)


@pytest.mark.parametrize("habits", [{}, {"longest_page": 7}, {"longest_page": 7, "skip": "ignored"}])
@pytest.mark.parametrize("rows", [1, 5, 150])
def test_all_holders_of_external_ids_are_found_whatever_the_server_gives_of_a_page(habits, rows):
    with Sandbox(max_calls_per_minute=None, unique_external_ids=False, habits=Habits(**habits)) as sandbox:
        project, _ = filled(sandbox, rows)
        twins = range(0 if "skip" in habits else min(rows, 3))  # what hides behind an ignored skip cannot be seen
        sandbox.add_assets(project, [{"externalId": f"n{i}", "content": "https://x.org/1.png"} for i in twins])
        names = [f"n{i}" for i in range(rows)] + ["absent"]
        found = find_external_ids(client_of(sandbox), project, names)
        wanted = {}
        for asset_id, name in stored(sandbox, project, "externalId").items():
            wanted.setdefault(name, set()).add(asset_id)
        assert {name: set(ids) for name, ids in found.items()} == wanted


def test_names_are_looked_up_in_silence_and_in_few_calls_although_others_write(recwarn):
    with Sandbox(max_calls_per_minute=None) as sandbox:
        project, ids = filled(sandbox, 150)

        def interfere(request):
            if request.operation == "assets":
                name = str(len(sandbox.requests))
                sandbox.add_assets(project, [{"externalId": name, "content": "https://x.org/1.png"}])

        sandbox.before_request(interfere)
        sandbox.clear_requests()
        found = find_external_ids(client_of(sandbox), project, [f"n{i}" for i in range(150)])
        assert found == {f"n{i}": [asset_id] for i, asset_id in enumerate(ids)}
        assert len(sandbox.requests) == 2
    assert not recwarn.list
