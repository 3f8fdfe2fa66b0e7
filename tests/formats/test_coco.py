"""COCO: what goes out comes in again, and the libraries that read COCO agree."""

import contextlib
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from training import (
    SIZE,
    answers,
    assets,
    boxes,
    check_close,
    detections,
    drawn_in,
    holed,
    label,
    numbered,
    objects,
    polygons,
    rectangle,
    ring,
    shape,
    turned,
    vendor_converters,
    with_pictures,
)

import pandas_kili as pk
from pandas_kili.errors import KiliFieldError, KiliValidationError

OUTLINE = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
HOLE = [(0.25, 0.25), (0.5, 0.25), (0.5, 0.75), (0.25, 0.75)]


def interface(*categories, jobs=("OBJECTS",)):
    content = {"categories": {name: {"name": name} for name in categories}}
    return {"jobs": {job: {"mlTask": "OBJECT_DETECTION", "content": content} for job in jobs}}


@settings(max_examples=40, deadline=None)
@given(st.lists(answers(boxes(), polygons(), turned(), holed()), min_size=1, max_size=4))
def test_what_goes_out_comes_in_again(drawn):
    frame = numbered(drawn)
    read = pk.read_coco(json.loads(json.dumps(frame.kili.to_coco())))
    check_close(drawn_in(read), drawn_in(frame))
    tools = [[row[2] for row in rows] for rows in drawn_in(read).values()]
    assert tools == [[row[2] for row in rows] for rows in drawn_in(frame).values()]
    assert read["resolution.width"].tolist() == [SIZE[0]] * len(frame)


def by_image(data_set, prefix=""):
    names = {each["id"]: each["name"].removeprefix(prefix) for each in data_set["categories"]}
    found = {each["file_name"]: [] for each in data_set["images"]}
    files = {each["id"]: each["file_name"] for each in data_set["images"]}
    for each in data_set["annotations"]:
        found[files[each["image_id"]]].append((names[each["category_id"]], each["bbox"]))
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(answers(boxes(), polygons()), min_size=1, max_size=3))
def test_boxes_are_those_of_the_vendor_within_a_pixel(drawn):
    frame = numbered([{"OBJECTS": answer["OBJECTS"]} for answer in drawn])
    jobs = interface("CAT", "DOG", "Être vivant", "a/b")
    theirs_in = [
        {
            "externalId": name,
            "content": "",
            "resolution": {"width": SIZE[0], "height": SIZE[1]},
            "latestLabel": {"jsonResponse": {"OBJECTS": answer["OBJECTS"]}},
        }
        for name, answer in zip(frame["externalId"], drawn, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it drops: boxes that round to nothing
        theirs = vendor_converters().convert_from_kili_to_coco_format(
            jobs["jobs"], theirs_in, "title", "IMAGE", None, merged=True
        )
    ours = by_image(frame.kili.to_coco(json_interface=jobs))
    for name, found in by_image(theirs, "OBJECTS/").items():
        left = list(ours[name])
        for category, box in found:
            left.remove(next(one for one in left if one[0] == category and np.allclose(one[1], box, atol=1)))
        assert all(min(box[2:]) < 1 for _, box in left)


def sample(tmp_path):
    frame = assets(
        {
            "a.jpg": objects(
                shape("CAT", rectangle(0.1, 0.2, 0.3, 0.4)),
                shape("DOG", [ring((0.5, 0.5), (0.9, 0.5), (0.7, 0.9))], tool="polygon"),
                shape("SKY", [ring(*OUTLINE), ring(*HOLE)], tool="semantic"),
            ),
            "b.jpg": objects(),
            "c.jpg": objects(shape("CAT", rectangle(0.6, 0.6, 1, 1))),
        }
    )
    return with_pictures(frame, tmp_path / "media")


def test_pycocotools_loads_it_and_finds_it_equal_to_itself(tmp_path):
    data_set = sample(tmp_path).kili.to_coco(tmp_path / "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(tmp_path / "coco" / "labels.json")
        for kind, kept in (("bbox", "bbox"), ("segm", "segmentation")):
            results = [
                {"image_id": each["image_id"], "category_id": each["category_id"], kept: each[kept], "score": 0.9}
                for each in data_set["annotations"]
                if kind == "bbox" or isinstance(each["segmentation"], dict) or truth.annToRLE(each)
            ]
            if kind == "segm":
                for each, result in zip(data_set["annotations"], results, strict=True):
                    result["segmentation"] = truth.annToRLE(each)
            evaluation = COCOeval(truth, truth.loadRes(results), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            assert evaluation.stats[0] == pytest.approx(1.0)
    assert len(truth.getImgIds()) == 3


@pytest.mark.parametrize("media", ["copy", "link"])
def test_supervision_loads_the_folder(tmp_path, media):
    sample(tmp_path).kili.to_coco(tmp_path / "coco", media=media)
    loaded = detections().from_coco(str(tmp_path / "coco"), str(tmp_path / "coco" / "labels.json"))
    assert loaded.classes == ["CAT", "DOG", "SKY"]
    counts = {path.rpartition("/")[2]: len(found) for path, _, found in loaded}
    assert counts == {"a.png": 3, "b.png": 0, "c.png": 1}


def test_holes_are_no_part_of_the_area():
    frame = assets({"a.jpg": objects(shape("SKY", [ring(*OUTLINE), ring(*HOLE)], tool="semantic"))})
    data_set = frame.kili.to_coco()
    (annotation,) = data_set["annotations"]
    area = (0.8 * 0.8 - 0.25 * 0.5) * math.prod(SIZE)
    assert annotation["area"] == pytest.approx(area)
    pixels = masks.decode(annotation["segmentation"])
    assert pixels.sum() == pytest.approx(area, rel=0.01)
    assert not pixels[SIZE[1] // 2, int(0.4 * SIZE[0])], "the hole"
    check_close(drawn_in(pk.read_coco(data_set)), drawn_in(frame))


@pytest.mark.parametrize("packed", [True, False])
def test_masks_of_others_become_outlines_with_holes(packed):
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8, order="F")
    pixels[48:432, 64:576] = 1
    pixels[120:360, 160:320] = 0
    counts = masks.encode(pixels)["counts"].decode()
    if not packed:
        flat = pixels.ravel(order="F")
        ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
        counts = np.diff([0, *ends]).tolist()
    data_set = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1]}],
        "categories": [{"id": 1, "name": "SKY"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [*SIZE[::-1]], "counts": counts}}
        ],
    }
    ((_, _, tool, rings),) = drawn_in(pk.read_coco(data_set))["a.jpg"]
    assert tool == "semantic"
    for found, expected in zip(rings, (OUTLINE, HOLE), strict=True):
        around = [np.array(found).min(axis=0), np.array(found).max(axis=0)]
        assert np.allclose(around, [np.min(expected, axis=0), np.max(expected, axis=0)], atol=1 / min(SIZE))


FAR_APART = [ring((0, 0), (0.25, 0), (0.25, 0.25)), ring((0.5, 0.5), (1, 0.5), (1, 1))]


def two_parts():
    return [shape("SKY", [each], tool="semantic", mid="one") for each in FAR_APART]


def test_the_box_is_around_all_rings_and_parts():
    """The vendor's own converter boxes the first ring alone."""
    (annotation,) = assets({"a.jpg": objects(*two_parts())}).kili.to_coco()["annotations"]
    assert annotation["bbox"] == [0, 0, *SIZE]
    assert len(annotation["segmentation"]) == 2
    assert {type(value) for value in annotation["bbox"]} == {float}
    (annotation,) = assets({"a.jpg": objects(shape("SKY", FAR_APART, tool="polygon"))}).kili.to_coco()["annotations"]
    assert annotation["bbox"] == [0, 0, *SIZE]


@pytest.mark.parametrize(("name", "boxes"), [("Être vivant", 1), ("\U0001f431", 2500), ("nothing", 0)])
def test_the_file_says_what_was_returned(tmp_path, name, boxes):
    drawn = [*two_parts(), *[shape("CAT", rectangle(0.1, 0.2, 0.4, 0.6))] * boxes] if boxes else []
    frame = assets({name: objects(*drawn)})
    for target, file in (("set.json", "set.json"), ("set", "set/labels.json")):
        returned = frame.kili.to_coco(tmp_path / target)
        assert json.loads((tmp_path / file).read_bytes()) == returned


def test_a_turned_rectangle_has_its_hull_and_keeps_its_corners():
    corners = [(0.5, 0.2), (0.8, 0.5), (0.5, 0.8), (0.2, 0.5)]
    frame = assets({"a.jpg": objects(shape("CAT", [ring(*corners)]))})
    (annotation,) = frame.kili.to_coco()["annotations"]
    assert annotation["bbox"] == pytest.approx([0.2 * 640, 0.2 * 480, 0.6 * 640, 0.6 * 480])
    check_close(drawn_in(pk.read_coco(frame.kili.to_coco())), drawn_in(frame))


@pytest.mark.parametrize(
    ("turn", "box"),
    [(0, [200, 50, 200, 100]), (90, [100, 300, 200, 100]), (180, [600, 350, 200, 100]), (270, [700, 100, 200, 100])],
)
def test_pixels_are_those_of_the_picture_as_it_is_stored(turn, box):
    """Expected values: the vendor's converter, of the box (.2, .1) to (.4, .3) on 1000 x 500 pixels."""
    answer = {**objects(shape("CAT", rectangle(0.2, 0.1, 0.4, 0.3))), "ROTATION_JOB": {"rotation": turn}}
    frame = assets({"a.jpg": answer}).assign(**{"resolution.width": 1000, "resolution.height": 500})
    (annotation,) = frame.kili.to_coco()["annotations"]
    assert annotation["bbox"] == pytest.approx(box)


def test_results_of_a_model_become_answers_with_confidences():
    data_set = numbered([objects(), objects()]).kili.to_coco(json_interface=interface("CAT"))
    results = [{"image_id": 2, "category_id": 1, "bbox": [64, 48, 64, 48], "score": 0.75}]
    read = pk.read_coco(results, data_set=data_set)
    (found,) = json.loads(read["jsonResponse"][1])["OBJECTS"]["annotations"]
    assert found["categories"] == [{"name": "CAT", "confidence": 75}]
    assert found["type"] == "rectangle"
    assert json.loads(read["jsonResponse"][0]) == objects()
    with pytest.raises(KiliValidationError, match="data_set="):
        pk.read_coco(results)


def test_categories_are_in_the_order_of_the_project_and_told_apart_by_their_jobs():
    frame = assets({"a.jpg": objects(shape("A", rectangle(0, 0, 1, 1)), job="J")})
    data_set = frame.kili.to_coco(json_interface=interface("Z", "A", jobs=("K", "J")))
    assert [each["name"] for each in data_set["categories"]] == ["K/Z", "K/A", "J/Z", "J/A"]
    assert [each["name"] for each in frame.kili.to_coco()["categories"]] == ["A"]
    check_close({"a.jpg": drawn_in(pk.read_coco(data_set))["a.jpg"]}, drawn_in(frame))


def test_poses_are_keypoints():
    places = {"TIP": {"x": 0.5, "y": 0.5}, "BASE": {"x": 0.25, "y": 0.75}}
    points = [{"code": code, "point": place} for code, place in places.items()]
    pose = {"mid": "p", "type": "pose", "categories": [{"name": "HAND"}], "points": points}
    data_set = assets({"a.jpg": objects(pose)}).kili.to_coco()
    assert data_set["categories"][0]["keypoints"] == ["BASE", "TIP"]
    assert data_set["annotations"][0]["keypoints"] == [160, 360, 2, 320, 240, 2]
    (read,) = json.loads(pk.read_coco(data_set)["jsonResponse"][0])["OBJECTS"]["annotations"]
    assert {each["code"]: each["point"] for each in read["points"]} == places


def test_points_of_poses_are_in_the_order_of_the_project_for_each_category():
    def pose(category, *codes):
        points = [{"code": code, "point": {"x": 0.5, "y": number / 8}} for number, code in enumerate(codes, 1)]
        return {"mid": category, "type": "pose", "categories": [{"name": category}], "points": points}

    points = {"HAND": ["TIP", "BASE", "MIDDLE"], "FACE": ["NOSE"]}
    categories = {name: {"points": [{"code": code} for code in codes]} for name, codes in points.items()}
    job = {"mlTask": "OBJECT_DETECTION", "tools": ["pose"], "content": {"categories": categories}}
    frame = assets({"a.jpg": objects(pose("HAND", "MIDDLE", "TIP", "EXTRA"), pose("FACE", "NOSE"))})
    data_set = frame.kili.to_coco(json_interface={"jobs": {"OBJECTS": job}})
    assert [each["keypoints"] for each in data_set["categories"]] == [["TIP", "BASE", "MIDDLE", "EXTRA"], ["NOSE"]]
    hand, face = data_set["annotations"]
    assert hand["keypoints"] == [320, 120, 2, 0, 0, 0, 320, 60, 2, 320, 180, 2]
    assert (hand["num_keypoints"], face["keypoints"]) == (3, [320, 60, 2])
    read = json.loads(pk.read_coco(data_set)["jsonResponse"][0])["OBJECTS"]["annotations"]
    assert [sorted(point["code"] for point in each["points"]) for each in read] == [
        ["EXTRA", "MIDDLE", "TIP"],
        ["NOSE"],
    ]


def test_the_box_of_a_pose_has_an_area(tmp_path):
    def pose(*points):
        return {
            "type": "pose",
            "categories": [{"name": "HAND"}],
            "points": [{"code": str(number), "point": {"x": x, "y": y}} for number, (x, y) in enumerate(points)],
        }

    frame = assets({"a.jpg": objects(pose((0.5, 0.25), (0.5, 0.75)), pose((0, 1)), pose((1, 0.5), (0.25, 0.5)))})
    data_set = frame.kili.to_coco(tmp_path / "coco")
    assert [each["bbox"] for each in data_set["annotations"]] == [
        [319.5, 120, 1, 240],
        [0, 479, 1, 1],
        [160, 239.5, 480, 1],
    ]
    assert [each["area"] for each in data_set["annotations"]] == [240, 1, 480]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(tmp_path / "coco/labels.json")
        scored = [{**each, "score": 1.0} for each in data_set["annotations"]]
        judge = COCOeval(truth, truth.loadRes(scored), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    assert judge.stats[0] == 1


@pytest.mark.parametrize("text", ["{", '{"OBJECTS": {"annotations": [{"categories": [{"name": "\\ud83d"}]}]}}'])
def test_a_picture_of_which_the_answer_cannot_be_read_is_left_out(text):
    broken, whole = {"labelType": "DEFAULT", "jsonResponse": text}, label(objects(shape("CAT", rectangle(0, 0, 1, 1))))
    frame = assets({"a.jpg": None, "b.jpg": None}).assign(labels=[[broken], [whole]])
    with pytest.warns(UserWarning, match=r"the answer cannot be read \(1\)"):
        data_set = frame.kili.to_coco()
    assert [each["external_id"] for each in data_set["images"]] == ["b.jpg"]
    assert len(data_set["annotations"]) == 1
    with pytest.warns(UserWarning, match="cannot be read"):
        both = frame.assign(labels=[[broken, whole], [whole]]).kili.to_coco(labels="all")
    assert [each["image_id"] for each in both["annotations"]] == [1, 2]


def test_what_is_left_out_is_counted():
    line = {"mid": "l", "type": "polyline", "categories": [{"name": "ROAD"}], "polyline": [{"x": 0, "y": 0}]}
    flat, wide = shape("FLAT", rectangle(0.5, 0, 0.5, 1)), shape("WIDE", rectangle(-0.5, 0, 0.5, 1))
    frame = assets(
        {
            "a.jpg": {**objects(line, flat), "KIND": {"categories": [{"name": "X"}]}},
            "b.jpg": None,
            "c.jpg": objects(wide),
            "d.jpg": objects(),
            "e.jpg": objects(shape("CITY", rectangle(2.2, 48.8, 2.4, 48.9))),
        }
    ).assign(skipped=[False, False, False, True, None])
    with pytest.warns(UserWarning, match=r"Not in the COCO export: .*skipped \(1\)"):
        data_set = frame.kili.to_coco()
    told = {(each["externalId"], each["job"], each["reason"]): each["count"] for each in data_set["info"]["left_out"]}
    assert told == {
        ("a.jpg", "OBJECTS", "a shape of the tool polyline"): 1,
        ("a.jpg", "OBJECTS", "a shape without an area on the picture"): 1,
        ("a.jpg", "KIND", "no shape"): 1,
        ("b.jpg", None, "the asset has no label of these types"): 1,
        ("c.jpg", "OBJECTS", "what lies beyond the edge of the picture"): 1,
        ("d.jpg", None, "the asset was skipped"): 1,
        ("e.jpg", "OBJECTS", "a shape in longitudes and latitudes"): 1,
    }
    assert [each["external_id"] for each in data_set["images"]] == ["a.jpg", "c.jpg", "e.jpg"]
    assert data_set["annotations"][0]["bbox"] == [0, 0, 320, 480], "cut at the edge"


def test_the_latest_label_of_people_counts():
    times = [pd.Timestamp(f"2026-03-0{day}T00:00:00Z") for day in (2, 1, 3)]
    kinds = [("NEW", "DEFAULT"), ("OLD", "DEFAULT"), ("GUESS", "PREDICTION")]
    labels = [
        {**label(objects(shape(name, rectangle(0, 0, 1, 1))), createdAt=time), "labelType": kind}
        for (name, kind), time in zip(kinds, times, strict=True)
    ]
    frame = assets({"a.jpg": objects()}).assign(labels=[labels])

    def names(**options):
        return {each["name"] for each in frame.kili.to_coco(**options)["categories"]}

    assert names() == {"NEW"}
    assert names(labels="all") == {"NEW", "OLD"}
    assert names(label_types=["PREDICTION"]) == {"GUESS"}
    untyped = frame.assign(labels=[[{"jsonResponse": "{}"}]])
    with pytest.raises(KiliFieldError, match="labelType"):
        untyped.kili.to_coco()


def test_frames_of_videos_are_pictures():
    answer = {str(number): objects(shape("CAT", rectangle(0, 0, 0.5, 0.5))) for number in (0, 11)}
    data_set = assets({"v": answer}).kili.to_coco()
    named = [(each["file_name"], each["frame"]) for each in data_set["images"]]
    assert named == [("data/v_01.jpg", 0), ("data/v_12.jpg", 11)]
    assert [each["image_id"] for each in data_set["annotations"]] == [1, 2]


def test_pictures_without_a_size_are_named_with_their_rows(tmp_path):
    frame = numbered([objects(), objects()]).drop(columns=["resolution.width"])
    with pytest.raises(KiliValidationError, match="2 assets have no known size") as caught:
        frame.kili.to_coco()
    assert caught.value.failure_cases["row"].tolist() == [0, 1]
    measured = with_pictures(frame, tmp_path / "media", (32, 16)).kili.to_coco()
    assert [(each["width"], each["height"]) for each in measured["images"]] == [(32, 16)] * 2


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"images": []}, "not a COCO data set"),
        ({"images": [], "categories": [], "annotations": [{"id": 5, "image_id": 1, "category_id": 1}]}, "annotation 5"),
        ([], "data_set="),
    ],
)
def test_what_is_not_coco_is_refused(source, told):
    with pytest.raises(KiliValidationError, match=told):
        pk.read_coco(source)


def test_a_file_is_not_replaced_unless_it_is_asked_for(tmp_path):
    frame = assets({"a.jpg": objects()})
    file = tmp_path / "out" / "a.json"
    frame.kili.to_coco(file)
    with pytest.raises(KiliValidationError, match="overwrite=True"):
        frame.kili.to_coco(file)
    frame.kili.to_coco(file, overwrite=True)
    assert list(file.parent.iterdir()) == [file]
    assert pk.read_coco(file)["externalId"].tolist() == ["a.jpg"]


def test_parts_of_one_shape_are_outlines_and_no_holes():
    """Importers of maps write the parts of a shape as lists of rings within one annotation."""
    other = [(0.95, 0.95), (1, 0.95), (1, 1), (0.95, 1)]
    parts = [[ring(*OUTLINE), ring(*HOLE)], [ring(*other)]]
    drawn = {"mid": "s", "type": "semantic", "categories": [{"name": "SKY"}], "boundingPoly": parts}
    (annotation,) = assets({"a.jpg": objects(drawn)}).kili.to_coco()["annotations"]
    area = (0.8 * 0.8 - 0.25 * 0.5 + 0.05 * 0.05) * math.prod(SIZE)
    assert annotation["area"] == pytest.approx(area)
    assert masks.area(annotation["segmentation"]) == pytest.approx(area, rel=0.01)
    assert len(annotation["rings"]) == 2
