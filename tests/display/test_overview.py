"""``df.kili`` says what it is, in text and in a notebook."""

import html
import re

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox


@pytest.fixture
def box():
    with Sandbox(max_calls_per_minute=None) as box:
        yield box


def facts(accessor):
    lines = repr(accessor).splitlines()[1:]
    return dict(re.match(r"  (last outcome|\w+) +(.*)", line).groups() for line in lines)


def card(accessor):
    found = re.findall(r"<dt>(.*?)</dt><dd(?: class=bad)?>(.*?)</dd>", accessor._repr_html_())
    return {html.unescape(fact): html.unescape(words) for fact, words in found}


def test_it_names_project_endpoint_rows_labels_and_the_last_outcome(box):
    project_id = box.create_project("Notes", "TEXT")
    texts = pd.DataFrame({"externalId": ["a", "b", "c"], "content": ["One.", "Two.", "Three."]})
    box.add_assets(project_id, texts)
    labels = texts.head(2).assign(jsonResponse="{}", author="ada@example.com")
    box.add_labels(pd.concat([labels, labels.head(1)]), project_id=project_id)
    df = pk.read_kili(project_id, client=box.client)
    known = {"project": project_id, "endpoint": box.api_endpoint, "rows": "3", "labels": "3"}
    assert facts(df.kili) == card(df.kili) == known
    out = df.assign(priority=[1, None, 2]).kili.update_properties_in_assets("priority", client=box.client)
    assert facts(out.kili) == card(out.kili) == known | {"last outcome": "2 applied, 1 unchanged"}
    assert "last outcome" not in facts(out.head(2).kili), "a report belongs to the very frame"
    assert "class=bad" not in out.kili._repr_html_()
    with pytest.warns(pk.KiliDeclinedWarning):
        declined = df.kili.add_to_review(client=box.client)
    assert facts(declined.kili)["last outcome"] == "2 applied, 1 declined"
    assert "<dd class=bad>2 applied, 1 declined</dd>" in declined.kili._repr_html_()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame({"labels": [1, "two", None]}),
        pd.DataFrame({"labels": [[{"labelType": "DEFAULT"}], None]}),
        pd.DataFrame([[1, 2]], columns=["labels", "labels"]),
    ],
)
def test_frames_of_any_kind_have_one(frame):
    assert facts(frame.kili)["rows"] == str(len(frame))
    assert facts(frame.kili)["project"] == "unknown: give project_id= where a method needs it"


def test_hostile_names_stay_names():
    frame = pd.DataFrame({"id": ["a"]})
    frame.attrs["kili"] = {"project_id": "<script>\u202e", "api_endpoint": "\n</style>"}
    assert "<script>" not in frame.kili._repr_html_()
    assert frame.kili._repr_html_().count("</style>") == 1
    assert len(repr(frame.kili).splitlines()) == 4
