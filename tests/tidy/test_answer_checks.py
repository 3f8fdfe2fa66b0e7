"""Answers that a project allows pass; one change that it does not allow is refused, and named."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.tidy.answer_checks import answer_misfits
from pandas_kili.tidy.jobs import jobs_of


def job(task, *, categories=None, required=0, tools=None, field="radio"):
    content = {"input": field}
    if categories is not None:
        content["categories"] = {
            name: {"name": name.title(), "children": children} for name, children in categories.items()
        }
    return {"mlTask": task, "required": required, "content": content, **({"tools": tools} if tools else {})}


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
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return [(fault.path, fault.check) for fault in answer_misfits([text], jobs, **options)]


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


def test_equal_answers_are_each_named():
    found = answer_misfits(['{"KIND":1}', json.dumps(GOOD), '{"KIND":1}', None], JOBS)
    assert sorted({fault.answer for fault in found}) == [0, 2, 3]


# --- any interface, any answer that it allows ---

NAMES = st.text("ABCDE_", min_size=1, max_size=6)
TASKS = st.sampled_from(["CLASSIFICATION", "OBJECT_DETECTION", "TRANSCRIPTION", "NAMED_ENTITIES_RECOGNITION"])
SHARES = st.floats(0, 1, allow_subnormal=False)


@st.composite
def interfaces(draw):
    """Jobs, of which some hang on a category of an earlier one."""
    jobs, parents = {}, []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        task = draw(TASKS)
        categories = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)) if task != "TRANSCRIPTION" else None
        jobs[name] = job(
            task,
            categories={category: [] for category in categories or ()} if categories else None,
            required=draw(st.integers(0, 1)),
            tools=["rectangle"] if task == "OBJECT_DETECTION" else None,
            field=draw(st.sampled_from(["radio", "checkbox"])) if categories else "textField",
        )
        if parents and draw(st.booleans()):
            parent, category = draw(st.sampled_from(parents))
            jobs[parent]["content"]["categories"][category]["children"].append(name)
        parents += [(name, category) for category in categories or ()]
    return {"jobs": jobs}


@st.composite
def answers(draw, interface):
    """An answer that an interface allows."""
    jobs = interface["jobs"]
    below = {
        child
        for each in jobs.values()
        for category in each["content"].get("categories", {}).values()
        for child in category["children"]
    }

    def children_of(name, category):
        names = jobs[name]["content"]["categories"][category]["children"]
        return {child: body for child in names if (body := answer_to(child)) is not None}

    def answer_to(name):
        each = jobs[name]
        if not each["required"] and draw(st.booleans()):
            return None
        if each["mlTask"] == "TRANSCRIPTION":
            return {"text": draw(st.text(st.characters(codec="utf-8"), max_size=4))}
        most = 2 if each["mlTask"] != "CLASSIFICATION" or each["content"]["input"] == "checkbox" else 1
        chosen = draw(
            st.lists(st.sampled_from([*each["content"]["categories"]]), min_size=1, max_size=most, unique=True)
        )
        if each["mlTask"] == "CLASSIFICATION":
            return {"categories": [{"name": one, "children": children_of(name, one)} for one in chosen]}
        items = [{"categories": [{"name": one}], "children": children_of(name, one)} for one in chosen]
        for item in items:
            if each["mlTask"] == "OBJECT_DETECTION":
                (left, right), (top, bottom) = sorted(draw(st.tuples(SHARES, SHARES))), sorted([draw(SHARES), 1.0])
                corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
                item["boundingPoly"] = [{"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}]
                item["type"] = "rectangle"
            else:
                begin = draw(st.integers(0, 9))
                item |= {"beginOffset": begin, "endOffset": begin + draw(st.integers(0, 9)), "content": "x"}
        return {"annotations": items}

    return {name: body for name in jobs if name not in below and (body := answer_to(name)) is not None}


def places(value, path=()):
    """Yield all places of an answer."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


@given(st.data())
def test_any_answer_passes_its_interface_and_a_wrong_letter_does_not(data):
    interface = data.draw(interfaces())
    answer = data.draw(answers(interface))
    jobs = jobs_of(interface)
    assert faults(answer, jobs) == []
    names = [path for path in places(answer) if path[-1] == "name"]
    tops = [(name,) for name in answer]
    if not tops:
        return
    path = data.draw(st.sampled_from([*names, *tops]))
    holder = answer
    for key in path[:-1]:
        holder = holder[key]
    if path[-1] == "name":
        holder["name"] += "x"
    else:
        holder[path[-1] + "x"] = holder.pop(path[-1])
    assert faults(answer, jobs) != []
