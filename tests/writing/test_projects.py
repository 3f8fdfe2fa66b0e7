"""Projects are created and deleted, here and on the wire."""

import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

INTERFACE = {"jobs": {"KIND": {"mlTask": "CLASSIFICATION", "content": {"categories": {"CAT": {}}}}}}
PROJECTS = (
    "query projects($where: ProjectWhere!) { data: projects(where: $where, first: 1, skip: 0) { title inputType } }"
)


@pytest.fixture(params=["legacy", "current"])
def sandbox(request):
    with Sandbox(generation=request.param, max_calls_per_minute=None) as sandbox:
        yield sandbox


def test_a_project_is_created_filled_and_deleted(sandbox):
    project_id = pk.create_project("Cats", "TEXT", INTERFACE, client=sandbox.client)
    shown = sandbox.client.execute(PROJECTS, {"where": {"id": project_id}})
    assert shown["data"] == [{"title": "Cats", "inputType": "TEXT"}]
    sandbox.add_assets(project_id, [{"externalId": "a", "content": "Meow."}])
    assert pk.count_assets(project_id, client=sandbox.client) == 1
    pk.delete_project(project_id, title="Cats", client=sandbox.client)
    with pytest.raises(pk.KiliNotFoundError):
        pk.count_assets(project_id, client=sandbox.client)


def test_another_title_deletes_nothing(sandbox):
    project_id = pk.create_project("Cats", "TEXT", client=sandbox.client)
    with pytest.raises(pk.KiliValidationError, match="is titled 'Cats', not 'Dogs'"):
        pk.delete_project(project_id, title="Dogs", client=sandbox.client)
    assert pk.count_assets(project_id, client=sandbox.client) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "TEXT"), "title is text"),
        (("Cats", "IMAG"), "did you mean 'IMAGE'"),
        (("Cats", None), "there are AUDIO"),
        (("Cats", "TEXT", "{"), "got '{'"),
        (("Cats", "TEXT", {"job": {}}), "json_interface is an object"),
        (("Cats", "TEXT", {"jobs": []}), "its jobs are"),
        (("Cats", "TEXT", {"jobs": {"A": float("nan")}}), "json_interface is an object"),
        (("Cats", "TEXT", {"jobs": {"a\ud83d": {}}}), "json_interface: the key .* holds half a surrogate pair"),
    ],
)
def test_what_is_no_project_is_refused_before_anything_is_sent(sandbox, arguments, said):
    sandbox.clear_requests()
    with pytest.raises(pk.KiliValidationError, match=said):
        pk.create_project(*arguments, client=sandbox.client)
    assert sandbox.requests == []


def test_a_server_refuses_jobs_without_a_task(sandbox):
    with pytest.raises(pk.KiliGraphQLError, match="mlTask"):
        pk.create_project("Cats", "TEXT", {"jobs": {"A": {}}}, client=sandbox.client)
