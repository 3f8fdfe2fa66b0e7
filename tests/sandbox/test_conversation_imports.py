"""Conversations that are imported become assets of a project about conversations, with their labels."""

import json

import pytest
import requests

import pandas_kili as pk
from pandas_kili.errors import KiliGraphQLError
from pandas_kili.sandbox import Sandbox

IMPORT = """mutation($data: ImportConversationsData!, $where: ProjectWhere!) {
  data: importConversations(data: $data, where: $where) {
    numberOfUploadedAssets warnings { type details externalId lineNumber } } }"""
READ = """query($where: AssetWhere!) { data: assets(where: $where, first: 10, skip: 0) {
  externalId jsonMetadata jsonContent labels { author { email } annotations { job
    ... on ClassificationAnnotation { chatItemId } ... on ComparisonAnnotation { chatItemId } } } } }"""
ITEMS = [
    {"externalId": "u1", "role": "USER", "content": "What is the capital of France?"},
    {"externalId": "a1", "role": "ASSISTANT", "content": "Paris.", "modelName": "one"},
    {"externalId": "b1", "role": "ASSISTANT", "content": "Lyon.", "modelName": "two"},
    {"externalId": "u2", "role": "USER", "content": "And of Spain?"},
    {"externalId": "a2", "role": "ASSISTANT", "content": "Madrid.", "modelName": "one"},
    {"externalId": "b2", "role": "ASSISTANT", "content": "Rome.", "modelName": "two"},
]
LABEL = {
    "conversation": {"GLOBAL": {"categories": ["GOOD"]}, "NOTE": {"text": "Fine."}},
    "round": {"BEST": {"0": {"code": "BETTER", "firstId": "a1", "secondId": "b1"}}},
    "completion": {"LENGTH": {"a1": {"categories": ["SHORT"]}, "b2": {"categories": ["WRONG"]}}},
}


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def imported(sandbox, project, *conversations):
    variables = {"where": {"id": project}, "data": {"conversations": list(conversations)}}
    return sandbox.client.execute(IMPORT, variables)["data"]


def test_a_conversation_becomes_an_asset_whose_label_says_what_it_says(sandbox):
    project = sandbox.create_project("Chats", "LLM_STATIC")
    conversation = {"externalId": "c1", "chatItems": ITEMS, "metadata": {"topic": "geography"}, "label": LABEL}
    told = imported(sandbox, project, conversation | {"labeler": "eve@example.com"})
    assert told == {"numberOfUploadedAssets": 1, "warnings": []}
    (row,) = sandbox.client.execute(READ, {"where": {"project": {"id": project}}})["data"]
    assert (row["externalId"], json.loads(row["jsonMetadata"])) == ("c1", {"topic": "geography"})
    key = {"Authorization": f"X-API-Key: {sandbox.api_key}"}
    assert requests.get(row["jsonContent"], headers=key, timeout=10).json() == ITEMS
    (label,) = row["labels"]
    assert label["author"]["email"] == "eve@example.com"
    places = {(each["job"], each.get("chatItemId")) for each in label["annotations"]}
    assert places == {("GLOBAL", None), ("NOTE", None), ("BEST", "u1"), ("LENGTH", "a1"), ("LENGTH", "b2")}


def test_the_answers_of_an_imported_conversation_are_annotations(sandbox):
    project = sandbox.create_project("Chats", "LLM_STATIC")
    imported(sandbox, project, {"externalId": "c1", "chatItems": ITEMS, "label": LABEL})
    values = [f"labels.annotations.{name}" for name in ("id", "job", "path", "annotationValue")]
    fields = ["id", "labels.id", "labels.jsonResponse", *values]
    rows = pk.read_kili(project, fields=fields, client=sandbox.client).kili.annotations()
    assert rows["job"].drop_duplicates().tolist() == ["GLOBAL", "NOTE", "BEST", "LENGTH"]
    assert rows["category"].dropna().tolist() == ["GOOD", "BETTER", "SHORT", "WRONG"]
    assert rows["problem"].isna().all()


@pytest.mark.parametrize(
    ("wrong", "details"),
    [
        ({"chatItems": ITEMS}, "externalId"),
        ({"externalId": "c2"}, "chatItems"),
        ({"externalId": "c2", "chatItems": [{"externalId": "u", "role": "USER"}]}, "content"),
        ({"externalId": "c2", "chatItems": [ITEMS[0] | {"role": "MODEL"}]}, "'MODEL'"),
        ({"externalId": "c2", "chatItems": [ITEMS[0] | {"role": "ASSISTANT"}]}, "modelName"),
    ],
)
def test_a_conversation_that_is_not_whole_is_left_out_with_a_warning(sandbox, wrong, details):
    project = sandbox.create_project("Chats", "LLM_STATIC")
    told = imported(sandbox, project, {"externalId": "c1", "chatItems": ITEMS}, wrong)
    assert told["numberOfUploadedAssets"] == 1
    (warning,) = told["warnings"]
    assert details in warning["details"]
    assert (warning["externalId"], warning["lineNumber"]) == (wrong.get("externalId"), 2)
    assert pk.count_assets(project, client=sandbox.client) == 1


def test_other_projects_refuse_them(sandbox):
    project = sandbox.create_project("Texts", "TEXT")
    with pytest.raises(KiliGraphQLError, match="LLM_STATIC, not TEXT"):
        imported(sandbox, project, {"externalId": "c1", "chatItems": ITEMS})
