"""The questions of a project as a frame."""

import json

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.errors import KiliFieldError, KiliNotFoundError, KiliValidationError
from pandas_kili.sandbox import Sandbox
from pandas_kili.tidy.jobs import jobs_of

INTERFACE = {
    "jobs": {
        "KIND": {
            "mlTask": "CLASSIFICATION",
            "instruction": "What is it?",
            "required": 1,
            "isChild": False,
            "content": {
                "input": "checkbox",
                "categories": {
                    "CAT": {"name": "Cat", "children": ["MOOD", "NOTE"], "color": "#ff0000"},
                    "DOG": {"name": "Dog", "children": ["NOTE"]},
                },
            },
        },
        "MOOD": {"mlTask": "CLASSIFICATION", "isChild": True, "content": {"input": "radio", "categories": {"SAD": {}}}},
        "NOTE": {"mlTask": "TRANSCRIPTION", "required": True, "isChild": True, "content": {"input": "textField"}},
        "POSE": {
            "mlTask": "OBJECT_DETECTION",
            "tools": ["pose"],
            "content": {"categories": {"MAN": {"name": "Man", "points": [{"code": "NOSE", "name": "Nose"}]}}},
        },
        "REL": {
            "mlTask": "OBJECT_RELATION",
            "content": {"categories": {"ON": {"startObjects": ["MAN"], "endObjects": ["ANY"]}}},
        },
    }
}


def test_a_row_per_job_and_category():
    frame = pk.read_jobs(INTERFACE)
    assert frame[["job", "category", "categoryName", "order"]].to_numpy(object, na_value=None).tolist() == [
        ["KIND", "CAT", "Cat", 0],
        ["KIND", "DOG", "Dog", 1],
        ["MOOD", "SAD", "SAD", 0],
        ["NOTE", None, None, None],
        ["POSE", "MAN", "Man", 0],
        ["REL", "ON", "ON", 0],
    ]
    first = frame.iloc[0]
    assert (first["jobTitle"], first["required"], first["multiple"], first["color"]) == (
        "What is it?", True, True, "#ff0000",
    )  # fmt: skip
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes)


def test_nested_jobs_name_what_they_hang_on():
    frame = pk.read_jobs(INTERFACE).set_index("job")
    assert frame.loc["NOTE", ["parentJob", "parentCategories"]].tolist() == ["KIND", ["CAT", "DOG"]]
    assert frame.loc["MOOD", ["parentJob", "parentCategories"]].tolist() == ["KIND", ["CAT"]]
    assert pd.isna(frame.loc["POSE", "parentJob"])


def test_points_and_ends_of_relations_have_columns():
    frame = pk.read_jobs(INTERFACE).set_index("job")
    assert frame.loc["POSE", "points"] == [{"code": "NOSE", "name": "Nose"}]
    assert frame.loc["REL", ["startCategories", "endCategories"]].tolist() == [["MAN"], []]


@pytest.mark.parametrize("source", [INTERFACE, json.dumps(INTERFACE), INTERFACE["jobs"]])
def test_an_interface_may_be_given_in_any_form(source):
    assert pk.read_jobs(source).equals(pk.read_jobs(INTERFACE))


def test_the_frame_says_all_that_checks_need():
    def bare(jobs):
        return {
            name: (job.task, job.tools, job.input, job.required, job.parents, list(job.categories))
            for name, job in jobs.items()
        }

    assert bare(jobs_of(pk.read_jobs(INTERFACE))) == bare(jobs_of(INTERFACE))
    with pytest.raises(KiliFieldError, match="read_jobs"):
        jobs_of(pd.DataFrame({"job": ["J"]}))


def test_the_interface_of_a_project_is_read_from_the_server():
    with Sandbox() as sandbox:
        project = sandbox.create_project("p", "IMAGE", INTERFACE)
        assert pk.read_jobs(project, client=sandbox.client).equals(pk.read_jobs(INTERFACE))
        with pytest.raises(KiliNotFoundError):
            pk.read_jobs("nowhere", client=sandbox.client)


@pytest.mark.parametrize(
    ("interface", "place"),
    [
        ({}, "holds no jobs"),
        ({"jobs": {}}, "holds no jobs"),
        ({"jobs": []}, "jobs: expected an object"),
        ({"jobs": {"J": 1}}, "jobs.J: expected an object"),
        ({"jobs": {"J": {}}}, "jobs.J.mlTask: expected a text"),
        ({"jobs": {"J": {"mlTask": "X", "tools": "rectangle"}}}, "jobs.J.tools: expected a list"),
        ({"jobs": {"J": {"mlTask": "X", "content": {"categories": ["A"]}}}}, "jobs.J.content.categories: expected"),
        (
            {"jobs": {"J": {"mlTask": "X", "content": {"categories": {"A": {"children": ["K"]}}}}}},
            "names 'K', and there is no such job",
        ),
        ("{", "is JSON text"),
        (3, "expected an object"),
    ],
)
def test_what_is_no_interface_is_refused_at_its_place(interface, place):
    with pytest.raises(KiliValidationError, match="json_interface") as caught:
        pk.read_jobs(interface)
    assert place in str(caught.value)


def test_half_a_surrogate_pair_in_an_interface_is_named_with_its_place():
    def interface(job="J", category="A", title="x"):
        content = {"input": "radio", "categories": {category: {"name": title}}}
        return {"jobs": {job: {"mlTask": "CLASSIFICATION", "content": content}}}

    half = "a\ud83d"
    told = {
        "job": "the key 'a\\ud83d'",
        "category": "the key 'a\\ud83d'",
        "title": "key 'jobs.J.content.categories.A.name'",
    }
    for part, place in told.items():
        for source in (interface(**{part: half}), json.dumps(interface(**{part: half}))):
            with pytest.raises(KiliValidationError, match="half a surrogate pair") as caught:
                pk.read_jobs(source)
            assert place in str(caught.value)
