"""Labels of LLM projects: an empty jsonResponse, and the answer in annotations with values."""

import json

import pandas as pd
import pytest

from pandas_kili.sandbox import Sandbox

LABELS = """query($where: AssetWhere!) { data: assets(where: $where, first: 1, skip: 0) {
    latestLabel { jsonResponse }
    labels { id jsonResponse response numberOfAnnotations annotations {
        __typename id job path labelId
        ... on ClassificationAnnotation { annotationValue { categories } chatItemId }
        ... on ComparisonAnnotation { annotationValue { choice { code firstId secondId } } chatItemId }
        ...spoken
    } } } }
    fragment spoken on TranscriptionAnnotation { annotationValue { text } }
"""
ANSWER = {
    "TOPIC": {"categories": [{"name": "A", "children": {"WHY": {"text": "so"}}}, {"name": "B"}]},
    "BEST": {"choice": {"code": "A_2", "firstId": "1", "secondId": "2"}},
    "NOTE": {"text": "fine"},
}


def labeled(sandbox, input_type, answer=ANSWER):
    project = sandbox.create_project("P", input_type)
    (asset,) = sandbox.add_assets(project, [{"externalId": "a"}])
    sandbox.add_labels(pd.DataFrame({"assetId": [asset], "jsonResponse": [json.dumps(answer)]}))
    return sandbox.client.execute(LABELS, {"where": {"id": asset}})["data"][0]


@pytest.mark.parametrize("input_type", ["LLM_STATIC", "LLM_INSTR_FOLLOWING"])
def test_answers_of_conversations_are_annotations(input_type):
    with Sandbox() as sandbox:
        asset = labeled(sandbox, input_type)
    (label,) = asset["labels"]
    assert (label["jsonResponse"], label["response"], asset["latestLabel"]["jsonResponse"]) == ("{}", {}, "{}")
    topic, why, best, note = label["annotations"]
    assert topic["annotationValue"] == {"categories": ["A", "B"]}
    assert (topic["path"], why["path"], why["job"]) == ([], [[topic["id"], "A"]], "WHY")
    assert best["annotationValue"] == {"choice": {"code": "A_2", "firstId": "1", "secondId": "2"}}
    assert "chatItemId" not in note
    assert [one["__typename"].removesuffix("Annotation") for one in label["annotations"]] == [
        "Classification",
        "Transcription",
        "Comparison",
        "Transcription",
    ]
    assert {one["labelId"] for one in label["annotations"]} == {label["id"]}


def test_answers_of_other_projects_stay_inline():
    with Sandbox() as sandbox:
        (label,) = labeled(sandbox, "TEXT")["labels"]
    assert json.loads(label["jsonResponse"]) == ANSWER
    assert label["annotations"] == []
