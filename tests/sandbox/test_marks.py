"""Marks say how far answers agree."""

import pandas as pd
import pytest

from pandas_kili.sandbox import Sandbox
from pandas_kili.sandbox.marks import likeness


def classes(*names):
    return {"KIND": {"categories": [{"name": name} for name in names]}}


def box(left, top, right, bottom, name="CAT"):
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    vertices = [{"x": x, "y": y} for x, y in corners]
    return {"categories": [{"name": name}], "boundingPoly": [{"normalizedVertices": vertices}]}


def boxes(*items):
    return {"BOXES": {"annotations": list(items)}}


def span(begin, end, name="CITY"):
    return {"categories": [{"name": name}], "beginOffset": begin, "endOffset": end}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, 1.0),
        (classes("CAT"), classes("CAT"), 1.0),
        (classes("CAT"), classes("DOG"), 0.0),
        (classes("CAT", "DOG"), classes("DOG"), 0.5),
        (classes("CAT"), {}, 0.0),
        (classes("CAT") | {"TEXT": {"text": "a"}}, classes("CAT") | {"TEXT": {"text": "b"}}, 0.5),
        (boxes(box(0, 0, 1, 1)), boxes(box(0, 0, 1, 1)), 1.0),
        (boxes(box(0, 0, 0.5, 1)), boxes(box(0.25, 0, 0.75, 1)), 1 / 3),
        (boxes(box(0, 0, 1, 1)), boxes(box(0, 0, 1, 1, "DOG")), 0.0),
        (boxes(box(0, 0, 0.4, 0.4), box(0.5, 0.5, 1, 1)), boxes(box(0, 0, 0.4, 0.4)), 0.5),
        (boxes(span(0, 4), span(6, 9)), boxes(span(0, 4)), 0.5),
        (boxes(), boxes(), 1.0),
    ],
)
def test_likeness_is_that_of_the_documented_formula(one, other, expected):
    assert likeness(one, other) == pytest.approx(expected)
    assert likeness(other, one) == pytest.approx(expected)


def test_assets_and_labels_have_the_marks_of_their_answers():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        project_id = sandbox.create_project("Cats", "TEXT", min_consensus_size=2)
        (asset_id,) = sandbox.add_assets(project_id, [{"externalId": "a", "content": "Meow."}])
        sandbox.set_asset(asset_id, isUsedForConsensus=True)
        rows = [
            ("ada", classes("CAT"), "DEFAULT"),
            ("bob", classes("CAT"), "DEFAULT"),
            ("eve", classes("DOG"), "DEFAULT"),
        ]
        rows.append(("model", classes("DOG"), "PREDICTION"))
        frame = pd.DataFrame(rows, columns=["author", "jsonResponse", "labelType"])
        frame["author"] += "@example.com"
        sandbox.add_labels(frame.assign(externalId="a", modelName="m"), project_id=project_id)
        fields = ["consensusMark", "inferenceMark", "honeypotMark", "labels.author.email", "labels.consensusMark"]
        df = pd.read_kili(project_id, fields=fields, client=sandbox.client)
    assert df["consensusMark"].tolist() == [pytest.approx(1 / 3)]
    assert df["inferenceMark"].tolist() == [pytest.approx(1 / 3)]
    assert df["honeypotMark"].isna().all()
    marks = df.kili.labels().set_index("author.email")["consensusMark"].dropna().to_dict()
    assert marks == {"ada@example.com": 0.5, "bob@example.com": 0.5, "eve@example.com": 0.0}
