"""The table of annotations, and the way back to answers."""

import json
import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.accessor import KiliAccessor
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy import ANNOTATION_SCHEMA, annotations_table, labels_table, to_json_response

CORNERS = [{"x": 0.16, "y": 0.82}, {"x": 0.16, "y": 0.32}, {"x": 0.82, "y": 0.32}, {"x": 0.82, "y": 0.82}]
TRIANGLE = [{"x": 0.1, "y": 0.1}, {"x": 0.5, "y": 0.2}, {"x": 0.3, "y": 0.6}]
HOLE = [{"x": 0.2, "y": 0.2}, {"x": 0.3, "y": 0.25}, {"x": 0.3, "y": 0.3}]
BOX = {
    "boundingPoly": [{"normalizedVertices": CORNERS}],
    "categories": [{"name": "TESLA", "confidence": 100}],
    "children": {},
    "mid": "car",
    "type": "rectangle",
}


def poly(*rings):
    return [{"normalizedVertices": list(ring)} for ring in rings]


def drawn(tool, **shape):
    return {"categories": [{"name": "A"}], "children": {}, "mid": f"a-{tool}", "type": tool, **shape}


def area(page, *lines):
    return {
        "boundingPoly": [{"normalizedVertices": [CORNERS]}],
        "polys": [{"normalizedVertices": list(lines)}],
        "pageNumberArray": [page],
    }


DOCUMENTED = {
    "single class": {"JOB_0": {"categories": [{"name": "SPAM", "confidence": 100}]}},
    "several classes": {"JOB_0": {"categories": [{"name": "BAD", "confidence": 100}, {"name": "ILLEGAL"}]}},
    "nested in the job": {
        "JOB_0": {
            "categories": [{"name": "NEWS", "confidence": 100}],
            "children": {"NESTED": {"categories": [{"name": "SPORTS"}]}},
        }
    },
    "nested in the class": {
        "JOB_0": {
            "categories": [
                {
                    "name": "NEWS",
                    "children": {"NESTED": {"categories": [{"name": "SPORTS", "children": {"DEEP": {"text": "x"}}}]}},
                },
                {"name": "MAIL"},
            ]
        }
    },
    "box": {"JOB_0": {"annotations": [BOX]}},
    "box with a score": {"JOB_0": {"annotations": [{**BOX, "score": 87.5}]}},
    "box drawn from another corner": {
        "JOB_0": {"annotations": [{**BOX, "boundingPoly": poly(CORNERS[2:] + CORNERS[:2])}]}
    },
    "box in pixels too": {
        "JOB_0": {
            "annotations": [{**BOX, "boundingPoly": [{"normalizedVertices": CORNERS, "vertices": [{"x": 3, "y": 4}]}]}]
        }
    },
    "polygon": {"JOB_0": {"annotations": [drawn("polygon", boundingPoly=poly(TRIANGLE))]}},
    "semantic mask with a hole, in two parts": {
        "JOB_0": {
            "annotations": [
                drawn("semantic", boundingPoly=poly(TRIANGLE, HOLE)),
                drawn("semantic", boundingPoly=poly(CORNERS)),
            ]
        }
    },
    "marker": {"JOB_0": {"annotations": [drawn("marker", point={"x": 0.87, "y": 0.2})]}},
    "polyline and vector": {
        "JOB_0": {"annotations": [drawn("polyline", polyline=TRIANGLE), drawn("vector", polyline=TRIANGLE[:2])]}
    },
    "pose": {
        "POSE": {
            "annotations": [
                {
                    "categories": [{"name": "HEAD"}],
                    "children": {},
                    "kind": "POSE_ESTIMATION",
                    "mid": "p",
                    "points": [
                        {"children": {}, "code": "NOSE", "mid": "n", "point": {"x": 0.3, "y": 0.4}, "type": "marker"},
                        {
                            "children": {},
                            "code": "EYE",
                            "name": "Eye",
                            "jobName": "POSE",
                            "mid": "e",
                            "point": {"x": 1, "y": 0},
                            "type": "marker",
                        },
                    ],
                    "type": "pose",
                }
            ]
        }
    },
    "range": {"JOB_0": {"annotations": [drawn("range", range=[0.5, 12])]}},
    "entities with a relation": {
        "NER": {
            "annotations": [
                {
                    "categories": [{"name": "ORG", "confidence": 42}],
                    "beginOffset": 21,
                    "endOffset": 27,
                    "content": "Kili",
                    "mid": "e1",
                },
                {
                    "categories": [{"name": "PERSON"}],
                    "beginId": "b/0",
                    "beginOffset": 0,
                    "endId": "b/1",
                    "endOffset": 3,
                    "content": "Ada",
                    "mid": "e2",
                    "children": {},
                },
            ]
        },
        "REL": {
            "annotations": [
                {
                    "categories": [{"name": "WORKS_AT"}],
                    "startEntities": [{"mid": "e2"}],
                    "endEntities": [{"mid": "e1"}],
                    "mid": "r",
                }
            ]
        },
    },
    "relation of objects": {
        "REL": {
            "annotations": [
                {
                    "categories": [{"name": "ON"}],
                    "startObjects": [{"mid": "a"}],
                    "endObjects": [{"mid": "b"}, {"mid": "c"}],
                    "mid": "r",
                }
            ]
        }
    },
    "transcription": {"JOB_0": {"text": "Ça va?\n"}},
    "transcription on a box": {
        "JOB_0": {
            "annotations": [
                {**BOX, "children": {"TEXT": {"text": "AB-123"}, "KIND": {"categories": [{"name": "FAST"}]}}}
            ]
        }
    },
    "PDF box": {
        "JOB_0": {
            "annotations": [
                {
                    "annotations": [{"boundingPoly": poly(CORNERS), "polys": poly(CORNERS), "pageNumberArray": [3]}],
                    "categories": [{"name": "A"}],
                    "children": {},
                    "content": "",
                    "mid": "x",
                }
            ]
        }
    },
    "PDF span over two pages": {
        "NER": {
            "annotations": [
                {
                    "annotations": [area(1, CORNERS, TRIANGLE), area(2, CORNERS)],
                    "categories": [{"name": "NAME"}],
                    "children": {},
                    "content": "over the page",
                    "mid": "x",
                }
            ]
        }
    },
    "video": {
        **{str(frame): {} for frame in range(11)},
        "11": {
            "BOX": {"annotations": [{**BOX, "isKeyFrame": True}]},
            "KIND": {"categories": [{"name": "DAY"}], "isKeyFrame": True},
        },
        "12": {
            "BOX": {"annotations": [{**BOX, "isKeyFrame": False, "children": {"C": {"text": "t", "isKeyFrame": True}}}]}
        },
        "13": {},
        "assetLevel": {"WHOLE": {"categories": [{"name": "GOOD"}]}},
    },
    "comparison of completions": {
        "COMPARISON_JOB": {"choice": {"code": "Is better", "firstId": "m1", "secondId": "m2"}}
    },
    "ranking of completions": {
        "RANK": {"orders": [{"rank": 1, "elements": ["m2"]}, {"rank": 2, "elements": ["m1", "m3"]}]}
    },
    "turned asset": {"ROTATION_JOB": {"rotation": 90}, "JOB_0": {"annotations": []}},
    "file": {"FILE_JOB": {"fileId": "f", "fileName": "n.pdf", "fileMimeType": "application/pdf"}},
    "nothing": {},
    "nothing in a job": {"JOB_0": {}},
    "a video without anything": {"0": {}, "1": {}, "3": {}},
}


def labels_of(*answers):
    texts = [answer if answer is None or isinstance(answer, str) else json.dumps(answer) for answer in answers]
    frame = pd.DataFrame({"id": [f"l{number}" for number in range(len(texts))]})
    frame["jsonResponse"] = pd.Series(texts, dtype=pd.ArrowDtype(pa.string()))
    return frame


def table(*answers, **keywords):
    return annotations_table(labels_of(*answers), **keywords)


def said(frame):
    return frame[~frame["kind"].isin(["job", "label", "unreadable"])]


def one(answer, **keywords):
    frame = table(answer, **keywords)
    assert len(frame) == 1
    return {
        name: value for name, value in frame.iloc[0].items() if not (pd.api.types.is_scalar(value) and pd.isna(value))
    }


def round_trip(*answers):
    back = to_json_response(table(*answers))
    assert [json.loads(text) for text in back] == [json.loads(json.dumps(answer)) for answer in answers]


class TestLaw:
    @pytest.mark.parametrize("name", DOCUMENTED)
    def test_documented_answers_come_back_as_they_were_without_problems(self, name):
        round_trip(DOCUMENTED[name])
        assert table(DOCUMENTED[name])["problem"].isna().all()

    def test_all_documented_answers_come_back_from_one_table(self):
        round_trip(*DOCUMENTED.values())

    def test_the_law_holds_after_parquet(self, tmp_path):
        annotations = table(*DOCUMENTED.values())
        # pandas 2.2 cannot read its own notes on nested columns.
        bare = pa.Table.from_pandas(annotations, preserve_index=False).replace_schema_metadata()
        pq.write_table(bare, tmp_path / "a.parquet")
        read = pd.read_parquet(tmp_path / "a.parquet", dtype_backend="pyarrow")
        assert to_json_response(read).equals(to_json_response(annotations))


names = st.sampled_from(["A", "B", "Ça", "", "x.y"])
mids = st.sampled_from(["m1", "m2", "m3"])
numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-1, 2))
points = st.fixed_dictionaries({"x": numbers, "y": numbers})
lines = st.lists(points, max_size=4)
flags = st.booleans()
odd = st.recursive(
    st.one_of(st.none(), flags, st.integers(), numbers, st.text(st.characters(codec="utf-8"), max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["name", "x", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def objects(required=None, **optional):
    """Objects with some keys of the format; sometimes with a key or a value that it does not have."""
    known = st.fixed_dictionaries(required or {}, optional=optional)
    keys = st.sampled_from([*(required or {}), *optional, "surprise"])
    return st.one_of(
        known,
        known,
        known,
        st.builds(lambda base, more: {**base, **more}, known, st.dictionaries(keys, odd, max_size=2)),
    )


classes = objects({"name": names}, confidence=st.integers(0, 100))
polygons = st.lists(
    objects({"normalizedVertices": st.one_of(lines, st.lists(lines, min_size=1, max_size=2))}), max_size=2
)
rectangles = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda e: poly([{"x": e[0], "y": e[3]}, {"x": e[0], "y": e[1]}, {"x": e[2], "y": e[1]}, {"x": e[2], "y": e[3]}])
)
pose_points = st.lists(
    objects(
        {"point": points, "type": st.just("marker"), "children": st.just({})},
        code=names,
        name=names,
        mid=mids,
        jobName=names,
    ),
    max_size=3,
)
page_area = st.builds(
    lambda p, n: {"boundingPoly": p, "polys": p, "pageNumberArray": [n]},
    st.one_of(rectangles, polygons),
    st.integers(1, 3),
)
areas = st.lists(
    st.one_of(
        page_area,
        objects(boundingPoly=polygons, polys=polygons, pageNumberArray=st.lists(st.integers(1, 3), max_size=2)),
    ),
    max_size=2,
)
ends = st.lists(objects({"mid": mids}), max_size=2)


def jobs(inner):
    below = {"children": st.one_of(st.just({}), inner)}
    common = {"mid": mids, "categories": st.lists(classes, max_size=2), "isKeyFrame": flags, "score": numbers, **below}
    tool = st.sampled_from(["rectangle", "polygon", "semantic", "marker", "polyline", "vector", "pose", "range"])
    annotations = st.lists(
        st.one_of(
            objects(**common, type=tool, boundingPoly=st.one_of(rectangles, polygons)),
            objects({"boundingPoly": rectangles, "type": st.just("rectangle")}, **common),
            objects(
                **common,
                type=tool,
                point=points,
                polyline=lines,
                points=pose_points,
                range=st.lists(numbers, max_size=3),
            ),
            objects(
                **common,
                beginOffset=st.integers(0, 9),
                endOffset=st.integers(0, 9),
                beginId=names,
                endId=names,
                content=names,
            ),
            objects(**common, content=names, annotations=areas, type=tool),
            objects(**common, boundingPoly=polygons, annotations=areas),
            objects(**common, startEntities=ends, endEntities=ends),
            objects(**common, startObjects=ends, endObjects=ends),
            objects(**common, startObjects=ends, endEntities=ends),
        ),
        max_size=2,
    )
    chosen = st.lists(objects({"name": names}, confidence=numbers, **below), max_size=2)
    job = st.one_of(
        objects(annotations=annotations),
        objects(categories=chosen, isKeyFrame=flags, **below),
        objects(text=names, isKeyFrame=flags),
        objects(choice=objects(code=names, firstId=mids, secondId=mids), isKeyFrame=flags),
        objects(orders=st.lists(objects(rank=st.integers(), elements=st.lists(mids, max_size=2)), max_size=2)),
        objects(annotations=annotations, categories=chosen, text=names, isKeyFrame=flags, **below),
        odd,
    )
    return st.dictionaries(st.sampled_from(["JOB_0", "JOB_1", "TEXT"]), job, max_size=2)


# Deferred: a strategy that is spelled out within another one grows too long to be shown.
leaf_jobs = st.deferred(lambda: jobs(st.just({})))
nested_jobs = st.deferred(lambda: jobs(leaf_jobs))
all_jobs = st.one_of(leaf_jobs, nested_jobs)
frames = st.dictionaries(
    st.one_of(st.integers(0, 12).map(str), st.sampled_from(["assetLevel", "07", "JOB_0"])),
    st.one_of(st.just({}), all_jobs, odd),
)


@st.composite
def of(draw, build):
    """What a strategy gives, without its spelled-out form, which hypothesis warns of when it shows it."""
    return draw(build())


@given(st.lists(of(lambda: st.one_of(all_jobs, frames)), min_size=1, max_size=3))
def test_any_answer_comes_back_as_it_was(answers):
    round_trip(*answers)
    assert table(*answers).columns.tolist() == ANNOTATION_SCHEMA.names


usual = {
    "mid": mids,
    "type": st.sampled_from(["rectangle", "polygon"]),
    "categories": st.lists(
        st.fixed_dictionaries({"name": names}, optional={"confidence": numbers}), min_size=1, max_size=1
    ),
    "boundingPoly": st.lists(st.fixed_dictionaries({"normalizedVertices": lines}), max_size=2),
    "children": st.just({}),
}
unusual = {
    "polyline": lines,
    "point": points,
    "score": numbers,
    "isKeyFrame": flags,
    "beginOffset": st.integers(0, 9),
    "content": names,
    "children": leaf_jobs,
    "surprise": odd,
    "mid": odd,
    "boundingPoly": odd,
    "categories": st.lists(classes, max_size=2),
}
plain_items = st.deferred(
    lambda: st.one_of(
        *[st.fixed_dictionaries({}, optional=usual)] * 4, st.fixed_dictionaries({}, optional=usual | unusual)
    )
)
plain_jobs = st.fixed_dictionaries({"annotations": st.lists(plain_items, max_size=2)})
still_answers = st.dictionaries(st.sampled_from(["BOX", "Ça", "b"]), plain_jobs, max_size=2)

one_job = st.dictionaries(st.sampled_from(["BOX", "Ça"]), plain_jobs, max_size=1)
video_answers = st.dictionaries(st.integers(0, 12).map(str), one_job, max_size=6)
plain_answers = st.one_of(still_answers, video_answers)


@given(st.lists(of(lambda: st.one_of(plain_answers, all_jobs, frames)), min_size=1, max_size=6, unique_by=json.dumps))
def test_answers_read_together_are_read_as_each_of_them_alone(answers):
    together = table(*answers)
    alone = pd.concat([table(answer) for answer in answers], ignore_index=True).drop(columns="labelId")
    assert together.drop(columns="labelId").reset_index(drop=True).equals(alone)


said_jobs = st.one_of(
    st.fixed_dictionaries({"categories": usual["categories"]}),
    st.fixed_dictionaries({"text": names}),
    st.fixed_dictionaries({}, optional={"categories": st.lists(classes, max_size=2), "text": names}).filter(bool),
)
shapes = st.fixed_dictionaries(
    {name: usual[name] for name in ("type", "categories", "boundingPoly")},
    optional={"mid": mids, "children": st.dictionaries(st.sampled_from(["COLOR", "Ça", "0"]), said_jobs, max_size=2)},
)
usual_answers = st.dictionaries(
    st.sampled_from(["BOX", "Ça", "0", "assetLevel"]),
    st.one_of(
        st.fixed_dictionaries({"annotations": st.lists(shapes, max_size=2)}),
        st.fixed_dictionaries({"annotations": st.lists(shapes, max_size=1)}, optional={"text": names}),
        said_jobs,
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("known", [None, ["BOX", "Ça", "0", "assetLevel"]])
@given(st.lists(of(lambda: usual_answers), min_size=1, max_size=6))
def test_usual_answers_are_read_as_those_that_hold_more(known, answers):
    """Usual answers are read in a quicker way, which a job of an unknown form forbids."""
    interface = known and {"jobs": {name: {"mlTask": "OBJECT_DETECTION", "content": {}} for name in known}}
    more = table(*({**answer, "SURPRISE": {"surprise": 1}} for answer in answers), json_interface=interface)
    assert table(*answers, json_interface=interface).equals(more[more["job"] != "SURPRISE"])


def test_a_coordinate_that_no_double_holds_is_kept_as_it_came():
    corners = [{"x": 2**53 + 1, "y": 0}, {"x": 0, "y": 1}, {"x": 1, "y": 1}]
    shape = {"type": "polygon", "categories": [{"name": "CAR"}], "boundingPoly": [{"normalizedVertices": corners}]}
    assert "9007199254740993" in table({"BOX": {"annotations": [shape]}}).loc[0, "extra"]


@pytest.mark.parametrize(
    "odd_one", [None, "{", '{"BOX": {"annotations": [{"mid": null}]}}', '{"BOX": {"new": 1}}', "{}\n{}"]
)
def test_an_unusual_answer_among_many_does_not_change_the_others(odd_one):
    plain = [json.dumps({"BOX": {"annotations": [{**BOX, "mid": str(number)}]}}) for number in range(300)]
    frame = table(*plain[:150], odd_one, *plain[150:])
    assert frame["labelId"].tolist() == [f"l{number}" for number in range(301)]
    assert frame["mid"].dropna().tolist() == [str(number) for number in range(300)]
    assert frame["row"].eq(0).all()


@pytest.mark.parametrize("length", [10, 1000])
def test_equal_answers_of_any_length_give_a_row_each(length):
    answers = [{"NOTE": {"text": letter * length}} for letter in "abab"]
    frame = table(*answers, None, answers[0])
    assert frame["labelId"].tolist() == ["l0", "l1", "l2", "l3", "l4", "l5"]
    assert frame["text"].fillna("none").str[:1].tolist() == ["a", "b", "a", "b", "n", "a"]


class TestColumns:
    def test_the_schema_is_the_same_whatever_the_project(self):
        for frame in (table(*DOCUMENTED.values()), table(), table(None), table({"JOB": {"text": "x"}})):
            assert pa.Table.from_pandas(frame, preserve_index=False).schema.remove_metadata() == ANNOTATION_SCHEMA

    def test_a_box_is_its_edges(self):
        row = one(DOCUMENTED["box"])
        assert [row[name] for name in ("xmin", "ymin", "xmax", "ymax", "rotation")] == [0.16, 0.32, 0.82, 0.82, 0]
        assert (row["kind"], row["mid"], row["tool"], row["category"], row["confidence"], row["hasChildren"]) == (
            "annotation", "car", "rectangle", "TESLA", 100, False,
        )  # fmt: skip
        assert row["mlTask"] == "OBJECT_DETECTION"

    def test_polygons_keep_their_holes(self):
        rings = table(DOCUMENTED["semantic mask with a hole, in two parts"])["rings"].tolist()
        assert [[len(ring) for ring in parts] for parts in rings] == [[3, 3], [4]]
        assert rings[0][1] == HOLE

    def test_points_lines_poses_and_ranges_have_columns(self):
        assert (one(DOCUMENTED["marker"])["x"], one(DOCUMENTED["marker"])["y"]) == (0.87, 0.2)
        assert table(DOCUMENTED["polyline and vector"])["polyline"].tolist() == [TRIANGLE, TRIANGLE[:2]]
        assert [point["code"] for point in one(DOCUMENTED["pose"])["points"]] == ["NOSE", "EYE"]
        assert (one(DOCUMENTED["range"])["rangeStart"], one(DOCUMENTED["range"])["rangeEnd"]) == (0.5, 12)

    def test_spans_and_the_ends_of_relations_have_columns(self):
        frame = table(DOCUMENTED["entities with a relation"])
        assert frame["beginOffset"].dropna().tolist() == [21, 0]
        assert frame["content"].dropna().tolist() == ["Kili", "Ada"]
        assert frame["mlTask"].tolist() == ["NAMED_ENTITIES_RECOGNITION"] * 2 + ["NAMED_ENTITIES_RELATION"]
        assert (frame["startMids"].iloc[2], frame["endMids"].iloc[2]) == (["e2"], ["e1"])

    def test_children_name_what_they_hang_on(self):
        frame = table(DOCUMENTED["transcription on a box"])
        assert frame["parentRow"].tolist()[1:] == [0, 0]
        assert frame["parentMid"].tolist()[1:] == ["car", "car"]
        assert frame["parentJob"].tolist()[1:] == ["JOB_0", "JOB_0"]
        assert frame["parentCategories"].tolist()[1:] == [["TESLA"], ["TESLA"]]
        assert frame["text"].tolist()[1] == "AB-123"

    @pytest.mark.parametrize("where", ["nested in the job", "nested in the class"])
    def test_nested_classes_carry_the_path_above_them(self, where):
        frame = said(table(DOCUMENTED[where]))
        assert frame.loc[frame["category"] == "SPORTS", "parentCategories"].tolist() == [["NEWS"]]
        assert frame.loc[frame["text"] == "x", "parentCategories"].tolist() in ([], [["NEWS", "SPORTS"]])

    def test_a_video_gives_a_row_per_annotation_and_frame(self):
        frame = said(table(DOCUMENTED["video"]))
        boxes = frame[frame["job"] == "BOX"]
        assert boxes["frame"].tolist() == [11, 12]
        assert boxes["isKeyFrame"].tolist() == [True, False]
        assert frame.loc[frame["job"] == "C", "frame"].tolist() == [12]
        assert frame.loc[frame["job"] == "WHOLE", "level"].tolist() == ["assetLevel"]

    def test_pdf_areas_have_their_page(self):
        assert one(DOCUMENTED["PDF box"])["page"] == 3
        span = one(DOCUMENTED["PDF span over two pages"])
        assert (span["page"], len(span["rings"]), span["mlTask"]) == (1, 2, "NAMED_ENTITIES_RECOGNITION")

    def test_comparisons_and_rankings_have_columns(self):
        choice = one(DOCUMENTED["comparison of completions"])
        assert (choice["category"], choice["firstId"], choice["secondId"]) == ("Is better", "m1", "m2")
        assert table(DOCUMENTED["ranking of completions"])["elements"].tolist() == [["m2"], ["m1", "m3"]]

    def test_what_has_no_column_is_kept_as_json(self):
        assert json.loads(one({"J": {"annotations": [{**BOX, "new": {"a": [1]}}]}})["extra"]) == {"new": {"a": [1]}}


class TestAssets:
    def assets(self, **more):
        labels = [
            [
                {
                    "id": "l1",
                    "author": {"id": "u1", "email": "ada@x.org"},
                    "labelType": "DEFAULT",
                    "jsonResponse": json.dumps({"J": {"annotations": [BOX]}}),
                },
                {
                    "id": "l2",
                    "author": {"id": "u2", "email": None},
                    "labelType": "REVIEW",
                    "jsonResponse": json.dumps(DOCUMENTED["several classes"]),
                },
            ],
            [],
            [
                {
                    "id": "l3",
                    "author": {"id": "u1", "email": "ada@x.org"},
                    "labelType": "DEFAULT",
                    "jsonResponse": json.dumps(DOCUMENTED["PDF box"]),
                }
            ],
        ]
        array = pa.array(labels)
        return pd.DataFrame(
            {
                "id": ["a1", "a2", "a3"],
                "externalId": ["e1", "e2", "e3"],
                "labels": pd.Series(array, dtype=pd.ArrowDtype(array.type)),
                **more,
            },
        )

    def test_rows_say_whose_they_are(self):
        frame = annotations_table(self.assets())
        assert frame["assetId"].tolist() == ["a1"] * 3 + ["a3"]
        assert frame["externalId"].tolist() == ["e1"] * 3 + ["e3"]
        assert frame["labelId"].tolist() == ["l1", "l2", "l2", "l3"]
        assert frame["author"].tolist() == ["ada@x.org", "u2", "u2", "ada@x.org"]
        assert frame["labelType"].tolist() == ["DEFAULT", "REVIEW", "REVIEW", "DEFAULT"]
        assert frame.index.tolist() == [0, 0, 0, 2]
        assert frame["row"].tolist() == [0, 0, 1, 0]

    def test_rows_say_when_and_in_which_step_their_label_was_made_and_by_which_model(self):
        made = pd.Timestamp("2024-05-01", tz="UTC")
        labels = labels_of({}).assign(createdAt=[made], stepName=["Review"], modelName=["yolo"])
        assert annotations_table(labels).loc[0, ["createdAt", "stepName", "modelName"]].tolist() == [
            made,
            "Review",
            "yolo",
        ]

    def test_labels_laid_out_before_give_the_same(self):
        assets = self.assets()
        pd.testing.assert_frame_equal(annotations_table(labels_table(assets)), annotations_table(assets))

    def test_pixels_follow_the_resolution_of_asset_or_page(self):
        pages = pa.array([None, None, [{"width": 10, "height": 20, "pageNumber": 3, "rotation": 0}]])
        assets = self.assets(
            **{"resolution.width": [200, 1, None], "resolution.height": [100, 1, None]},
            pageResolutions=pd.Series(pages, dtype=pd.ArrowDtype(pages.type)),
        )
        frame = annotations_table(assets)
        assert frame["pixelXmin"].tolist() == [32, pd.NA, pd.NA, pytest.approx(1.6)]
        assert frame["pixelYmax"].tolist() == [82, pd.NA, pd.NA, pytest.approx(16.4)]

    def test_rectangles_turned_in_pixels_say_by_how_much(self):
        turned = [{"x": 0.5, "y": 0.2}, {"x": 0.6, "y": 0.4}, {"x": 0.5, "y": 0.6}, {"x": 0.4, "y": 0.4}]
        labels = labels_of({"J": {"annotations": [{**BOX, "boundingPoly": poly(turned)}]}})
        assert annotations_table(labels)["rotation"].isna().all()
        sized = labels.assign(**{"resolution.width": 200, "resolution.height": 100})
        assert math.isclose(abs(annotations_table(sized)["rotation"].iloc[0]), 45)

    def test_equal_answers_are_each_given_to_their_label(self):
        frame = table({"J": {"text": "a"}}, DOCUMENTED["several classes"], {"J": {"text": "a"}}, None)
        assert frame["labelId"].tolist() == ["l0", "l1", "l1", "l2", "l3"]
        assert frame["row"].tolist() == [0, 0, 1, 0, 0]
        assert frame["text"].tolist() == ["a", pd.NA, pd.NA, "a", pd.NA]

    def test_without_answers_the_field_is_named(self):
        array = pa.array([[{"id": "l1"}]])
        frame = pd.DataFrame({"id": ["a"], "labels": pd.Series(array, dtype=pd.ArrowDtype(array.type))})
        with pytest.raises(KiliFieldError, match=r"labels\.jsonResponse"):
            annotations_table(frame)

    def test_a_project_without_labels_has_no_annotations(self):
        frame = pd.DataFrame({"id": ["a"], "labels": [[]]})
        assert annotations_table(frame).empty


def sized(answer, width=1000, height=500):
    return annotations_table(labels_of(answer).assign(**{"resolution.width": width, "resolution.height": height}))


def rectangle(xmin, ymin, xmax, ymax, **more):
    corners = [(xmin, ymax), (xmin, ymin), (xmax, ymin), (xmax, ymax)]
    return {**BOX, "boundingPoly": poly([{"x": x, "y": y} for x, y in corners]), **more}


class TestWhatOldAndOtherToolsWrite:
    @pytest.mark.parametrize(
        ("turn", "pixels"),
        # What kili-formats 0.x makes of it: `reverse_rotation_vertices`, then width and height of the stored picture.
        [
            (None, [200, 50, 400, 150]),
            (90, [100, 300, 300, 400]),
            (180, [600, 350, 800, 450]),
            (270, [700, 100, 900, 200]),
        ],
    )
    def test_pixels_are_those_of_the_picture_before_it_was_turned(self, turn, pixels):
        answer = {"J": {"annotations": [rectangle(0.2, 0.1, 0.4, 0.3)]}}
        if turn:
            answer["ROTATION_JOB"] = {"rotation": turn}
        row = sized(answer).iloc[0]
        assert row[["pixelXmin", "pixelYmin", "pixelXmax", "pixelYmax"]].tolist() == pytest.approx(pixels)
        assert row[["xmin", "ymin", "xmax", "ymax"]].tolist() == [0.2, 0.1, 0.4, 0.3]
        assert row["assetRotation"] == turn if turn else pd.isna(row["assetRotation"])
        round_trip(answer)

    def test_rectangles_drawn_on_a_turned_picture_are_turned_in_its_own_pixels(self):
        # Upright in a picture of 500 by 1000, as it is seen after a quarter turn.
        diamond = [{"x": 0.5, "y": 0.4}, {"x": 0.6, "y": 0.45}, {"x": 0.5, "y": 0.5}, {"x": 0.4, "y": 0.45}]
        answer = {"J": {"annotations": [{**BOX, "boundingPoly": poly(diamond)}]}, "ROTATION_JOB": {"rotation": 90}}
        assert abs(sized(answer)["rotation"].iloc[0]) == pytest.approx(45)

    def test_parts_of_semantic_shapes_may_stand_in_lists_of_their_own(self):
        nested = [poly(TRIANGLE, HOLE), poly(CORNERS)]
        answer = {"J": {"annotations": [drawn("semantic", boundingPoly=nested)]}}
        row = one(answer)
        assert [len(ring) for ring in row["rings"]] == [3, 3, 4]
        assert "problem" not in row
        round_trip(answer)

    def test_tools_in_capitals_are_the_same_tools(self):
        answer = {"J": {"annotations": [{**BOX, "type": "RECTANGLE"}]}}
        assert (one(answer)["tool"], one(answer)["rotation"]) == ("rectangle", 0)
        round_trip(answer)

    def test_an_edited_box_of_a_tool_in_capitals_is_written(self):
        annotations = table({"J": {"annotations": [{**BOX, "type": "RECTANGLE"}]}}).assign(xmin=0.0)
        item = json.loads(to_json_response(annotations).iloc[0])["J"]["annotations"][0]
        assert min(vertex["x"] for vertex in item["boundingPoly"][0]["normalizedVertices"]) == 0
        assert item["type"] == "RECTANGLE"

    def test_children_of_the_points_of_poses_have_rows(self):
        points = [
            {"type": "marker", "point": {"x": 0.1, "y": 0.2}, "code": code, "children": children}
            for code, children in [("A", {}), ("B", {"SEEN": {"categories": [{"name": "NO"}]}})]
        ]
        for pose in (points, [{**point, "categories": [{"name": "P"}]} for point in points]):
            answer = {"J": {"annotations": [drawn("pose", points=pose)]}}
            frame = table(answer)
            assert frame["hasChildren"].tolist()[0] is True
            assert frame.iloc[1][["job", "category", "parentRow", "parentPoint", "parentMid"]].tolist() == [
                "SEEN", "NO", 0, 1, "a-pose",
            ]  # fmt: skip
            round_trip(answer)

    def test_areas_of_pdfs_may_name_one_page_and_corners_line_by_line(self):
        lines = [[{"x": x, "y": y} for x, y in [(0.2, 0.1), (0.2, 0.3), (0.7, 0.1), (0.7, 0.3)]]]
        shapes = [{"normalizedVertices": lines}]
        answer = {
            "NER": {
                "annotations": [
                    {
                        "annotations": [{"boundingPoly": shapes, "polys": shapes, "pageNumber": 2}],
                        "content": "x",
                        "categories": [{"name": "A"}],
                    }
                ]
            }
        }
        row = one(answer)
        assert row["page"] == 2
        assert [(vertex["x"], vertex["y"]) for vertex in row["rings"][0]] == [
            (0.2, 0.1), (0.2, 0.3), (0.7, 0.3), (0.7, 0.1),
        ]  # fmt: skip
        assert "problem" not in row
        round_trip(answer)

    def test_spans_of_speech_begin_and_end_at_seconds(self):
        answer = {"S": {"annotations": [{"beginOffset": 13.02, "endOffset": 14.5, "content": "There", "mid": "m"}]}}
        row = one(answer)
        assert (row["rangeStart"], row["rangeEnd"]) == (13.02, 14.5)
        assert "problem" not in row
        round_trip(answer)

    def test_classes_may_be_plain_texts(self):
        answer = {"J": {"categories": ["GOOD", {"name": "FAST"}]}, "B": {"annotations": [{**BOX, "categories": ["A"]}]}}
        frame = table(answer)
        assert frame["category"].tolist() == ["GOOD", "FAST", "A"]
        assert frame["problem"].isna().all()
        round_trip(answer)
        changed = to_json_response(frame.assign(category=["BAD", "FAST", "B"])).iloc[0]
        assert json.loads(changed)["J"]["categories"] == ["BAD", {"name": "FAST"}]
        assert json.loads(changed)["B"]["annotations"][0]["categories"] == ["B"]

    def test_longitudes_and_latitudes_give_no_pixels(self):
        answer = {"J": {"annotations": [rectangle(4.41, 52.2, 4.43, 52.3), rectangle(0.1, 0.1, 0.2, 0.2)]}}
        frame = sized(answer)
        assert frame["pixelXmin"].isna().all()
        assert frame["xmin"].tolist() == [4.41, 0.1]

    def test_a_mid_may_be_a_number(self):
        answer = {"J": {"annotations": [{**BOX, "mid": 1}]}}
        assert one(answer)["mid"] == "1"
        round_trip(answer)


class TestInterface:
    INTERFACE = {"jobs": {"JOB_0": {"mlTask": "PAGE_LEVEL_CLASSIFICATION"}}}  # noqa: RUF012 - no test changes it

    @pytest.mark.parametrize("interface", [INTERFACE, json.dumps(INTERFACE), INTERFACE["jobs"]])
    def test_the_interface_names_tasks(self, interface):
        assert set(table(DOCUMENTED["several classes"], json_interface=interface)["mlTask"]) == {
            "PAGE_LEVEL_CLASSIFICATION"
        }

    def test_jobs_that_it_does_not_know_are_said(self):
        assert "no job 'KIND'" in one({"KIND": {"text": "x"}}, json_interface=self.INTERFACE)["problem"]

    @pytest.mark.parametrize("interface", ["{", "[]", {"jobs": {"J": "x"}}, 3])
    def test_what_is_no_interface_is_refused(self, interface):
        with pytest.raises(KiliValidationError, match="json_interface"):
            table({}, json_interface=interface)


def label_of(author, answer, created="2024-01-01", kind="DEFAULT", model=None):
    made = {"createdAt": pd.Timestamp(created, tz="UTC"), "labelType": kind, "modelName": model}
    return {"id": f"{author}-{created}-{kind}", "author": {"email": author}, "jsonResponse": json.dumps(answer), **made}


def assets_of(*labels):
    array = pa.array(list(labels))
    return pd.DataFrame(
        {"id": [f"a{at}" for at in range(len(labels))], "labels": pd.Series(array, dtype=pd.ArrowDtype(array.type))}
    )


class TestChosen:
    ASSETS = assets_of(
        [
            label_of("ada", {"KIND": {"categories": [{"name": "OLD"}]}}),
            label_of("ada", {"KIND": {"categories": [{"name": "NEW"}]}, "BOX": {"annotations": [BOX]}}, "2024-02-01"),
            label_of("ada", {"KIND": {"categories": [{"name": "GUESS"}]}}, kind="PREDICTION", model="yolo"),
        ],
        [label_of("bob", DOCUMENTED["transcription on a box"])],
    )

    def test_some_jobs_and_what_hangs_on_them(self):
        assert annotations_table(self.ASSETS, job="KIND")["category"].tolist() == ["OLD", "NEW", "GUESS", "FAST"]
        assert annotations_table(self.ASSETS, job=["JOB_0"])["job"].tolist() == ["JOB_0", "TEXT", "KIND"]

    def test_a_job_of_another_name_is_refused_with_the_nearest(self):
        with pytest.raises(KiliValidationError, match=r"no job 'KINDD'\. Did you mean 'KIND'"):
            annotations_table(self.ASSETS, job="KINDD")
        interface = {"KIND": {"mlTask": "CLASSIFICATION"}}
        with pytest.raises(KiliValidationError, match=r"no job 'OTHER'\. There are KIND"):
            annotations_table(self.ASSETS, interface, job="OTHER")

    def test_the_latest_label_of_each_labeler(self):
        assert annotations_table(self.ASSETS, latest=True, job="KIND")["category"].tolist() == ["NEW", "GUESS", "FAST"]
        labels = labels_table(self.ASSETS)
        assert annotations_table(labels, latest=True).equals(annotations_table(self.ASSETS, latest=True))

    def test_labels_of_some_types(self):
        guesses = annotations_table(self.ASSETS, label_types=["PREDICTION"])
        assert guesses[["category", "modelName"]].to_numpy().tolist() == [["GUESS", "yolo"]]
        assert annotations_table(self.ASSETS, label_types=["REVIEW"]).empty
        with pytest.raises(KiliFieldError, match=r"labels\.labelType"):
            annotations_table(labels_of({}), label_types=["DEFAULT"])

    def test_names_as_arrow_dictionaries_are_written_back_too(self):
        plain, small = annotations_table(self.ASSETS), annotations_table(self.ASSETS, categorical=True)
        for name in ("job", "tool", "category"):
            assert pa.types.is_dictionary(small[name].dtype.pyarrow_dtype)
            assert small[name].tolist() == plain[name].tolist()
        assert to_json_response(small).equals(to_json_response(plain))


class TestWide:
    def test_a_row_a_label_and_a_column_a_job(self):
        wide = annotations_table(TestChosen.ASSETS, wide=True)
        assert wide["KIND"].tolist() == ["OLD", "NEW", "GUESS", "FAST"]
        assert wide["BOX"].tolist() == [pd.NA, ["TESLA"], pd.NA, pd.NA]
        assert wide["TEXT"].tolist() == [pd.NA, pd.NA, pd.NA, "AB-123"]
        assert wide["author"].tolist() == ["ada", "ada", "ada", "bob"]
        assert wide.index.tolist() == [0, 0, 0, 1]

    def test_several_classes_are_lists_in_every_row(self):
        wide = table(DOCUMENTED["several classes"], DOCUMENTED["single class"], wide=True)
        assert wide["JOB_0"].tolist() == [["BAD", "ILLEGAL"], ["SPAM"]]
        assert wide["JOB_0"].explode().tolist() == ["BAD", "ILLEGAL", "SPAM"]

    def test_the_interface_gives_columns_that_nobody_answered_and_their_types(self):
        content = {"input": "checkbox", "categories": {"SPAM": {}}}
        jobs = {"JOB_0": {"mlTask": "CLASSIFICATION", "content": content}, "NOTE": {"mlTask": "TRANSCRIPTION"}}
        wide = table(DOCUMENTED["single class"], json_interface=jobs, wide=True)
        assert wide[["JOB_0", "NOTE"]].loc[0].tolist() == [["SPAM"], pd.NA]
        assert table(json_interface=jobs, wide=True).columns.tolist()[-2:] == ["JOB_0", "NOTE"]

    def test_frames_of_a_video_say_their_class_once(self):
        answer = {str(frame): {"KIND": {"categories": [{"name": "DAY"}]}} for frame in range(3)}
        assert table(answer, wide=True)["KIND"].tolist() == ["DAY"]

    def test_a_class_becomes_a_column_by_get_dummies(self):
        dummies = pd.get_dummies(annotations_table(TestChosen.ASSETS, wide=True, latest=True)["KIND"])
        assert dummies.columns.tolist() == ["FAST", "GUESS", "NEW"]

    def test_labels_without_an_answer_have_a_row(self):
        wide = table({}, {"T": {"text": "x"}}, wide=True)
        assert wide["T"].tolist() == [pd.NA, "x"]


def test_the_help_names_every_column_with_its_type():
    lines = KiliAccessor.annotations.__doc__.splitlines()
    named = {}
    for line in lines:
        head = line[:60].split("  ")
        parts = [part.strip() for part in head if part.strip()]
        if len(parts) >= 2:
            named |= dict.fromkeys(parts[0].split(", "), parts[1])
    for field in ANNOTATION_SCHEMA:
        name = "pixelXmin" if field.name.startswith("pixel") else field.name
        assert name in named, name
        short = {"bool": "bool", "timestamp[ms, tz=UTC]": "timestamp[ms, UTC]"}.get(str(field.type), str(field.type))
        assert named[name] == short or named[name].split("<")[0] == short.split("<")[0], name


class TestMalformed:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (None, "none"),
            ("", "Expecting value"),
            ('{"J": ', "Expecting value"),
            ("[1]", "a list where an object"),
            ("null", "null where an object"),
            ('{"J": {"text": "\\ud83d"}}', "surrogate"),
            ('{"J": {"score": NaN}}', "NaN is not JSON"),
            ("[" * 5000, "recursion"),
        ],
    )
    def test_an_unreadable_answer_is_a_row_with_the_reason(self, text, reason):
        row = one(text)
        assert row["kind"] == "unreadable"
        assert reason in row["problem"]

    def test_an_unreadable_answer_is_never_written_back(self):
        with pytest.raises(KiliValidationError, match="row 1: kind: expected an answer that was readable"):
            to_json_response(table({}, "{"))

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ({"J": 5}, "holds a number where an object"),
            ({"J": {"annotations": {"a": 1}}}, "'annotations' of job 'J' holds an object"),
            ({"J": {"annotations": [5]}}, "'annotations' of job 'J' holds a list"),
            ({"J": {"categories": "A"}}, "'categories' of job 'J' holds a text"),
            ({"J": {"categories": [{"id": 1}]}}, "has no name"),
            ({"J": {"annotations": [{**BOX, "boundingPoly": "round"}]}}, "'boundingPoly' of an annotation of job 'J'"),
            ({"J": {"annotations": [{**BOX, "boundingPoly": poly([{"x": 1}])}]}}, "'boundingPoly'"),
            ({"J": {"annotations": [{**BOX, "mid": [7]}]}}, "'mid'"),
            ({"J": {"annotations": [{**BOX, "children": "C"}]}}, "'children' holds a text"),
        ],
    )
    def test_an_unknown_structure_is_kept_and_said(self, answer, reason):
        assert reason in one(answer)["problem"]
        round_trip(answer)


class TestWriting:
    def test_a_table_made_by_a_model_is_written(self):
        boxes = pd.DataFrame(
            {
                "externalId": ["e1", "e1", "e2"],
                "job": "BOX",
                "tool": "rectangle",
                "category": ["A", "B", "A"],
                "confidence": [90.5, 80, float("nan")],
                "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4,
            }
        )  # fmt: skip
        back = to_json_response(boxes)
        assert back.index.tolist() == ["e1", "e2"]
        assert back.index.name == "externalId"
        assert back.name == "jsonResponse"
        assert back.dtype == pd.ArrowDtype(pa.string())
        first = json.loads(back["e1"])["BOX"]["annotations"]
        assert [item["categories"] for item in first] == [
            [{"name": "A", "confidence": 90.5}],
            [{"name": "B", "confidence": 80}],
        ]
        assert json.loads(back["e2"])["BOX"]["annotations"][0] == {
            "type": "rectangle",
            "categories": [{"name": "A"}],
            "boundingPoly": poly(
                [{"x": 0.1, "y": 0.4}, {"x": 0.1, "y": 0.2}, {"x": 0.3, "y": 0.2}, {"x": 0.3, "y": 0.4}]
            ),
        }

    def test_what_a_row_is_follows_from_what_it_says(self):
        rows = pd.DataFrame(
            [
                {"labelId": "l", "job": "CLASS", "category": "A"},
                {"labelId": "l", "job": "TEXT", "text": "t"},
                {"labelId": "l", "job": "CHOICE", "category": "c", "firstId": "1", "secondId": "2"},
                {"labelId": "l", "job": "RANK", "rank": 1, "elements": ["m"]},
                {"labelId": "l", "job": "NER", "category": "ORG", "beginOffset": 1, "endOffset": 2},
            ]
        )
        assert json.loads(to_json_response(rows)["l"]) == {
            "CLASS": {"categories": [{"name": "A"}]},
            "TEXT": {"text": "t"},
            "CHOICE": {"choice": {"code": "c", "firstId": "1", "secondId": "2"}},
            "RANK": {"orders": [{"rank": 1, "elements": ["m"]}]},
            "NER": {"annotations": [{"beginOffset": 1, "endOffset": 2, "categories": [{"name": "ORG"}]}]},
        }

    def test_a_changed_box_is_written_and_the_others_stay(self):
        annotations = table({"J": {"annotations": [BOX, BOX]}})
        annotations["xmin"] = annotations["xmin"].where(annotations["row"] == 1, 0.0)
        first, second = json.loads(to_json_response(annotations).iloc[0])["J"]["annotations"]
        assert min(vertex["x"] for vertex in first["boundingPoly"][0]["normalizedVertices"]) == 0
        assert second == BOX

    def test_a_changed_category_is_written_where_extra_keeps_several(self):
        annotations = table({"J": {"annotations": [{**BOX, "categories": [{"name": "A", "color": 1}, {"name": "B"}]}]}})
        annotations["category"] = "C"
        item = json.loads(to_json_response(annotations).iloc[0])["J"]["annotations"][0]
        assert item["categories"] == [{"name": "C", "color": 1}, {"name": "B"}]

    def test_rows_left_out_are_not_written(self):
        annotations = table(DOCUMENTED["several classes"])
        kept = annotations[annotations["category"] == "BAD"]
        assert json.loads(to_json_response(kept).iloc[0]) == {
            "JOB_0": {"categories": [{"name": "BAD", "confidence": 100}]}
        }

    def test_a_child_without_its_parent_is_refused(self):
        annotations = table(DOCUMENTED["transcription on a box"])
        with pytest.raises(KiliValidationError, match="child of row 0"):
            to_json_response(annotations.iloc[1:])

    def test_a_row_without_job_is_refused(self):
        with pytest.raises(KiliValidationError, match="row 0: job: expected the name of a job"):
            to_json_response(pd.DataFrame({"labelId": ["l"], "category": ["A"]}))

    def test_rows_of_nobody_are_refused(self):
        with pytest.raises(KiliFieldError, match="labelId, assetId or externalId"):
            to_json_response(pd.DataFrame({"job": ["J"], "category": ["A"]}))

    def test_no_rows_give_no_answers(self):
        assert to_json_response(table()).empty
