"""Answers that a project allows pass; one change that it does not allow is refused, and named."""

import copy
import json

import pytest
from answering import answer_to, changes, faults_of_each, interface_of, job
from answering import faults as faults_of
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_kili.tidy.answer_checks import answer_misfits
from pandas_kili.tidy.jobs import jobs_of

INTERFACE = {
    "jobs": {
        "KIND": job("CLASSIFICATION", categories={"CAT": ["MOOD"], "DOG": []}, required=1),
        "MOOD": job("CLASSIFICATION", categories={"SAD": [], "GLAD": []}, required=1, field="checkbox"),
        "BOX": job("OBJECT_DETECTION", categories={"CAR": ["PLATE"], "MAN": []}, tools=["rectangle", "polygon"]),
        "PLATE": job("TRANSCRIPTION", field="textField"),
        "SPEED": job("TRANSCRIPTION", field="number"),
        "NER": job("NAMED_ENTITIES_RECOGNITION", categories={"ORG": [], "PER": []}),
        "REL": job("NAMED_ENTITIES_RELATION", categories={"WORKS_AT": []}),
        "POINT": job("OBJECT_DETECTION", categories={"EYE": []}, tools=["marker"]),
    }
}
INTERFACE["jobs"]["REL"]["content"]["categories"]["WORKS_AT"] |= {"startEntities": ["PER"], "endEntities": ["ORG"]}
JOBS = jobs_of(INTERFACE)


def box(category="CAR", x=0.1, **more):
    corners = [(x, 0.4), (x, 0.2), (0.5, 0.2), (0.5, 0.4)]
    shape = [{"normalizedVertices": [{"x": a, "y": b} for a, b in corners]}]
    return {"categories": [{"name": category}], "type": "rectangle", "boundingPoly": shape, "mid": "b", **more}


def span(mid, category, begin=0, end=4):
    return {"categories": [{"name": category}], "beginOffset": begin, "endOffset": end, "content": "Kili", "mid": mid}


def relation(start="p", end="o"):
    ends = {"startEntities": [{"mid": start}], "endEntities": [{"mid": end}]}
    return {"categories": [{"name": "WORKS_AT"}], "mid": "r", **ends}


GOOD = {
    "KIND": {
        "categories": [{"name": "CAT", "confidence": 90, "children": {"MOOD": {"categories": [{"name": "SAD"}]}}}]
    },
    "BOX": {"annotations": [box(children={"PLATE": {"text": "AB-1"}}), box("MAN")]},
    "SPEED": {"text": "12.5"},
    "NER": {"annotations": [span("p", "PER"), span("o", "ORG", 6, 10)]},
    "REL": {"annotations": [relation()]},
    "POINT": {"annotations": [{"categories": [{"name": "EYE"}], "type": "marker", "point": {"x": 0, "y": 1}}]},
}


def faults(answer, jobs=JOBS, **options):
    return faults_of(answer, jobs, **options)


def changed(path, value):
    """Return a good answer of which one value was changed; `value` may be a function of the old one."""
    answer = copy.deepcopy(GOOD)
    holder = answer
    for key in path[:-1]:
        holder = holder[key]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value(holder[path[-1]]) if callable(value) else value
    return answer


def test_what_the_interface_allows_passes():
    assert faults(GOOD) == []


FIRST_BOX = ("BOX", "annotations", 0)


@pytest.mark.parametrize(
    ("path", "value", "where", "said"),
    [
        (("KIND",), "CAT", "KIND", "known structure"),
        (("KIND",), None, "KIND", "project requires one"),
        (("KINDD",), {"categories": [{"name": "CAT"}]}, "KINDD.categories[0]", "did you mean 'KIND'"),
        (("KIND", "categories", 0, "name"), "CATT", "KIND.categories[0].name", "did you mean 'CAT'"),
        (("KIND", "categories", 0, "confidence"), 900, "KIND.categories[0].confidence", "from 0 to 100"),
        (("KIND", "categories", 0, "children"), {}, "KIND.CAT.MOOD", "project requires one"),
        (
            ("KIND", "categories"),
            [{"name": "DOG"}, {"name": "DOG"}],
            "KIND.categories[1].name",
            "one class for job 'KIND'",
        ),
        (
            ("KIND", "categories", 0, "name"),
            "DOG",
            "KIND.categories[0].children.MOOD.categories[0]",
            "below category 'CAT' of job 'KIND'",
        ),
        (("MOOD",), {"categories": [{"name": "SAD"}]}, "MOOD.categories[0]", "below job 'KIND'"),
        (("BOX",), {"categories": [{"name": "CAR"}]}, "BOX.categories[0]", "annotations for job 'BOX'"),
        ((*FIRST_BOX, "type"), "marker", "BOX.annotations[0].type", "a tool of job 'BOX'"),
        ((*FIRST_BOX, "boundingPoly"), None, "BOX.annotations[0].type", "a shape for job 'BOX'"),
        (
            (*FIRST_BOX, "boundingPoly", 0, "normalizedVertices", 0, "x"),
            1.2,
            "BOX.annotations[0].boundingPoly",
            "a share of the picture",
        ),
        (("POINT", "annotations", 0, "point", "y"), -0.2, "POINT.annotations[0].point", "a share of the picture"),
        ((*FIRST_BOX, "boundingPoly"), "round", "BOX.annotations[0]", "known structure"),
        ((*FIRST_BOX, "categories"), None, "BOX.annotations[0].categories[0].name", "a category of job 'BOX'"),
        ((*FIRST_BOX, "children"), {"SPEED": {"text": "1"}}, "BOX.annotations[0].children.SPEED.text", "below no job"),
        (("SPEED", "text"), "fast", "SPEED.text", "a number for job 'SPEED'"),
        (("NER", "annotations", 0, "beginOffset"), 9, "NER.annotations[0].endOffset", "at or after"),
        (("NER", "annotations", 0, "beginOffset"), -1, "NER.annotations[0].beginOffset", "from 0"),
        (("NER", "annotations", 0, "categories", 0, "name"), "PERS", "NER.annotations[0].categories[0].name", "'PER'"),
        (("REL", "annotations", 0, "startEntities", 0, "mid"), "x", "REL.annotations[0].startEntities", "the mid of"),
        (
            ("REL", "annotations", 0, "startEntities", 0, "mid"),
            "o",
            "REL.annotations[0].startEntities",
            "of category 'PER'",
        ),
    ],
)
def test_one_change_that_it_does_not_allow_is_refused_at_its_place(path, value, where, said):
    found = faults(changed(path, value))
    assert any(place == where and said in check for place, check in found), found


def test_what_cannot_be_read_is_refused():
    for text in ("{", "[]", '{"KIND": {"categories": [{"name": "CAT", "confidence": NaN}]}}'):
        ((path, check),) = faults(text)
        assert path == ""
        assert "cannot be read" in check


def test_models_answer_what_they_can():
    assert faults({"BOX": GOOD["BOX"]}, is_whole=False) == []
    assert [path for path, _ in faults({"BOX": GOOD["BOX"]})] == ["KIND"]


def test_without_an_interface_shapes_are_checked_and_names_are_not():
    assert faults({"ANY": {"categories": [{"name": "THING"}]}}, None) == []
    assert faults(changed(("KIND", "categories", 0, "confidence"), 900), None) != []


def test_frames_of_videos_say_which_they_are_and_a_required_job_is_answered_in_any_of_them():
    wrong = changed(("KIND", "categories", 0, "name"), "CATT")
    assert faults({"0": {}, "7": {"KIND": GOOD["KIND"]}}) == []
    assert sorted(path for path, _ in faults({"0": {}, "7": {"KIND": wrong["KIND"]}})) == [
        "7.KIND.categories[0].children.MOOD.categories[0]",
        "7.KIND.categories[0].name",
    ]


def test_jobs_of_kili_itself_are_in_no_interface_and_pass():
    assert faults({**GOOD, "ROTATION_JOB": {"rotation": 90}}) == []


def test_longitude_and_latitude_pass_on_maps():
    answer = {"POINT": {"annotations": [{**GOOD["POINT"]["annotations"][0], "point": {"x": 4.4, "y": 52.2}}]}}
    assert faults(answer, is_whole=False, coordinates="degrees") == []
    assert len(faults(answer, is_whole=False)) == 2


@pytest.mark.parametrize("length", [1, 2000])
def test_equal_answers_of_any_length_are_each_named(length):
    wrong = json.dumps({"KIND": "x" * length})
    found = answer_misfits([wrong, json.dumps(GOOD), wrong, None], JOBS)
    assert sorted({fault.answer for fault in found}) == [0, 2, 3]


# --- any interface, any answer that it allows ---


@pytest.mark.fuzz
@settings(max_examples=examples(40))
@given(st.randoms(use_true_random=False))
def test_any_answer_passes_its_interface_and_no_single_change_to_it_does(rng):
    interface = interface_of(rng)
    answer = answer_to(interface, rng)
    jobs = jobs_of(interface)
    assert faults(answer, jobs) == []
    changed = list(changes(interface, answer))
    answers = [each for *_, each in changed]
    found, found_of_model = (faults_of_each(answers, jobs, is_whole=is_whole) for is_whole in (True, False))
    for (what, job_name, _), places, places_of_model in zip(changed, found, found_of_model, strict=True):
        assert any(job_name in path for path, _ in places), (what, job_name, places)
        assert what == "missing required job" or places_of_model


def test_a_required_child_is_missing_below_each_annotation_that_lacks_it():
    """A bug once: the child of another annotation counted as the answer."""
    plate = {**INTERFACE["jobs"]["PLATE"], "required": 1}
    jobs = jobs_of({"jobs": {**INTERFACE["jobs"], "PLATE": plate}})
    answer = {**GOOD, "BOX": {"annotations": [box(children={"PLATE": {"text": "AB-1"}}), box()]}}
    assert [path for path, _ in faults(answer, jobs)] == ["BOX.CAR.PLATE"]


def test_vertices_of_every_area_of_a_document_are_held_to_the_page():
    """Only the first area has columns; the others are kept as JSON."""
    ring = [{"normalizedVertices": box()["boundingPoly"][0]["normalizedVertices"]}]
    outside = [{"normalizedVertices": [{"x": 0.1, "y": 1.2}, *ring[0]["normalizedVertices"]]}]
    good = {"boundingPoly": ring, "polys": ring, "pageNumberArray": [1]}
    bad = {"boundingPoly": outside, "polys": outside, "pageNumberArray": [2]}
    item = {"categories": [{"name": "ORG"}], "content": "Kili", "mid": "e"}
    assert faults({"NER": {"annotations": [{**item, "annotations": [good, good]}]}}, is_whole=False) == []
    found = faults({"NER": {"annotations": [{**item, "annotations": [good, bad]}]}}, is_whole=False)
    assert found == [
        ("NER.annotations[0]", "expected a share of the picture, from 0 to 1, as y of each vertex of its areas")
    ]
