"""Answers about conversations, which Kili serves as annotations with values."""

import json

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

GOOD = {"GOOD": {"name": "Good", "children": ["WHY"]}, "BAD": {"name": "Bad"}}
QUESTIONS = {
    "jobs": {
        "Q": {"mlTask": "CLASSIFICATION", "content": {"input": "checkbox", "categories": GOOD}},
        "WHY": {"mlTask": "TRANSCRIPTION", "content": {}},
        "CMP": {"mlTask": "COMPARISON", "content": {"categories": {"A": {"name": "A"}}}},
    }
}
ANSWER = {
    "Q": {"categories": [{"name": "GOOD", "children": {"WHY": {"text": "nice"}}}, {"name": "BAD"}]},
    "CMP": {"choice": {"code": "A", "firstId": "1", "secondId": "2"}},
}
FIELDS = ["id", "labels.id", "labels.jsonResponse"]
VALUES = [f"labels.annotations.{name}" for name in ("id", "job", "path", "annotationValue")]


@pytest.mark.parametrize("kind", ["LLM_STATIC", "LLM_INSTR_FOLLOWING"])
def test_they_are_read_and_come_back_as_they_were_answered(kind):
    with Sandbox() as sandbox:
        project = sandbox.create_project("c", kind, QUESTIONS)
        sandbox.add_assets(project, [{"externalId": "e"}])
        assets = pk.read_kili(project, client=sandbox.client).assign(answer=[ANSWER])
        assets.kili.append_labels("answer", client=sandbox.client)
        df = pk.read_kili(project, fields=FIELDS + VALUES, client=sandbox.client)
        rows = df.kili.annotations()
        assert rows["category"].dropna().tolist() == ["GOOD", "BAD", "A"]
        assert rows.loc[rows["text"] == "nice", "parentCategories"].tolist() == [["GOOD"]]
        assert json.loads(pk.to_json_response(rows).iloc[0]) == ANSWER


def test_an_answer_of_its_own_goes_before_and_what_cannot_be_read_is_left_alone():
    values = [{"id": "a", "job": "Q", "path": "[]", "annotationValue": "{"}]
    labels = [
        {"id": "l1", "jsonResponse": '{"T": {"text": "x"}}', "annotations": values},
        {"id": "l2", "jsonResponse": "{}", "annotations": values},
        {"id": "l3", "jsonResponse": "{}", "annotations": []},
    ]
    rows = pd.DataFrame({"labels": [labels]}).kili.annotations()
    assert rows["kind"].tolist() == ["text", "label", "label"]
