"""Data sets of any of the formats come in with their names, sizes and splits, and held to the project's questions."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from training import (
    SIZE,
    assets,
    check_close,
    drawn_in,
    edges,
    label,
    numbered,
    objects,
    rectangle,
    ring,
    shape,
    stored,
    whole_answers,
    with_pictures,
)

import pandas_kili as pk
from pandas_kili.errors import KiliValidationError

FORMATS = ["coco", "yolo", "voc"]
NAMES = ["a.png", "b.TIF", "c", "folder/d.jpeg", "e.jpg", "../f", "é.webp", " g .png", "a.jpg"]


def write(frame, name, place, **options):
    getattr(frame.kili, f"to_{name}")(place, **options)


def read(name, place, **options):
    return getattr(pk, f"read_{name}")(place, **options)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("split", [None, {"train": 0.5, "val": 0.5}])
@pytest.mark.parametrize("media", ["none", "copy"])
def test_a_folder_that_was_written_gives_external_ids_sizes_and_splits_back(tmp_path, name, split, media):
    frame = assets({each: objects(shape("CAT", rectangle(0.25, 0.25, 0.5, 0.75))) for each in NAMES})
    frame = with_pictures(frame, tmp_path / "media") if media == "copy" else frame
    write(frame, name, tmp_path / "set", split=split, media=media)
    found = read(name, tmp_path / "set")
    assert list(found.columns) == [
        *("externalId", "content", "resolution.width", "resolution.height", "split", "jsonResponse")
    ]
    assert sorted(found["externalId"]) == sorted(NAMES)
    check_close(drawn_in(found), drawn_in(frame), edges)
    of_coco = frame.kili.to_coco(split={"train": 0.5, "val": 0.5})
    told = {image["external_id"]: part for part, each in of_coco.items() for image in each["images"]}
    assert dict(zip(found["externalId"], found["split"].astype(object), strict=True)) == (
        told if split else dict.fromkeys(NAMES, found["split"].dtype.na_value)
    )
    if media == "copy" or name != "yolo":
        assert set(zip(found["resolution.width"], found["resolution.height"], strict=True)) == {SIZE}
    if media == "copy":
        assert all(Path(path).is_file() for path in found["content"])


INTERFACE = {
    "jobs": {
        "PETS": {
            "mlTask": "OBJECT_DETECTION",
            "tools": ["rectangle"],
            "content": {"input": "radio", "categories": {"CAT": {"name": "Cat"}, "DOG": {"name": "Dog"}}},
        }
    }
}


@pytest.mark.parametrize("name", FORMATS)
def test_answers_are_held_to_the_questions_of_the_project_all_at_once(tmp_path, name):
    drawn = {"a": "CAT", "b": "DGO", "c": "CAT", "d": "COW"}
    frame = assets({each: objects(shape(kind, rectangle(0, 0, 1, 1)), job="PETS") for each, kind in drawn.items()})
    write(frame, name, tmp_path / "set")
    with pytest.raises(KiliValidationError, match=r"2 values do not fit the jobs: 'b'.*did you mean 'DOG'") as caught:
        read(name, tmp_path / "set", jobs=INTERFACE)
    assert caught.value.failure_cases["row"].tolist() == [1, 3]
    assert caught.value.failure_cases["failure_case"].tolist() == ["DGO", "COW"]
    with pytest.raises(KiliValidationError, match="expected a job of the project"):
        read(name, tmp_path / "set", job="PET", jobs=pk.read_jobs(INTERFACE))
    fits = {**INTERFACE["jobs"]["PETS"]["content"]["categories"], "DGO": {"name": "?"}, "COW": {"name": "Cow"}}
    job = {**INTERFACE["jobs"]["PETS"], "content": {"input": "radio", "categories": fits}}
    assert len(read(name, tmp_path / "set", jobs=json.dumps({"jobs": {"PETS": job}}))) == 4


@pytest.mark.parametrize("name", FORMATS)
def test_a_job_that_is_given_is_the_job_of_all_objects(tmp_path, name):
    write(assets({"a": objects(shape("CAT", rectangle(0, 0, 1, 1)), job="PETS")}), name, tmp_path / "set")
    assert list(json.loads(read(name, tmp_path / "set")["jsonResponse"][0])) == ["PETS"]
    assert list(json.loads(read(name, tmp_path / "set", job="ANIMALS")["jsonResponse"][0])) == ["ANIMALS"]


def foreign(name, folder, boxes):
    """Write a folder as others do: without a size, `boxes` in pixels of a picture of 100 x 50."""
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (100, 50)).save(folder / "images/a.png")
    if name == "coco":
        rows = [
            {"id": number, "image_id": "i", "category_id": 9, "bbox": [left, top, right - left, bottom - top]}
            for number, (left, top, right, bottom) in enumerate(boxes, 1)
        ]
        image = {"id": "i", "file_name": "images/a.png"}
        data_set = {"images": [image], "categories": [{"id": 9, "name": "CAT"}], "annotations": rows}
        (folder / "labels.json").write_text(json.dumps(data_set))
    if name == "yolo":
        (folder / "labels").mkdir()
        lines = [
            f"0 {(left + right) / 200} {(top + bottom) / 100} {(right - left) / 100} {(bottom - top) / 50}\n"
            for left, top, right, bottom in boxes
        ]
        (folder / "labels/a.txt").write_text("".join(lines))
        (folder / "data.yaml").write_text("train: images\nnames: [CAT]\n")
    if name == "voc":
        (folder / "images").rename(folder / "JPEGImages")
        edges = ("xmin", "ymin", "xmax", "ymax")
        shapes = [
            "".join(
                f"<{edge}>{value}</{edge}>"
                for edge, value in zip(edges, (left + 1, top + 1, right, bottom), strict=True)
            )
            for left, top, right, bottom in boxes
        ]
        shapes = "".join(f"<object><name>CAT</name><bndbox>{each}</bndbox></object>" for each in shapes)
        (folder / "a.xml").write_text(f"<annotation><filename>a.png</filename>{shapes}</annotation>")


@pytest.mark.parametrize("name", FORMATS)
def test_sizes_are_measured_where_only_the_picture_tells_them(tmp_path, name):
    foreign(name, tmp_path, [(10, 10, 50, 25)])
    found = read(name, tmp_path)
    assert (found["resolution.width"][0], found["resolution.height"][0]) == (100, 50)
    assert found["externalId"].tolist() == ["a.png"]
    ((_, _, _, drawn),) = drawn_in(found)["a.png"]
    assert edges((None, None, None, drawn)) == pytest.approx([0.1, 0.2, 0.5, 0.5])


@pytest.mark.parametrize("name", FORMATS)
def test_objects_beyond_their_picture_are_cut_or_left_out_with_a_warning(tmp_path, name):
    foreign(name, tmp_path, [(50, 10, 120, 25), (150, 10, 190, 25), (0, 0, 100, 50)])
    with pytest.warns(UserWarning, match="picture") as caught:
        found = read(name, tmp_path)
    told = [str(each.message) for each in caught]
    assert any("1 object without an area on the picture" in each and "2" in each for each in told)
    assert any("Cut at the edge of the picture: 1 object." in each for each in told)
    assert {each.filename for each in caught} == {__file__}
    assert [edges(row) for row in drawn_in(found)["a.png"]] == [pytest.approx([0.5, 0.2, 1, 0.5]), [0, 0, 1, 1]]


def test_results_are_read_beside_a_folder_of_splits(tmp_path):
    frame = assets({each: objects(shape("CAT", rectangle(0, 0, 1, 1))) for each in "abcdef"})
    sets = frame.kili.to_coco(tmp_path / "set", split={"train": 0.5, "val": 0.5})
    results = [
        {"image_id": image["id"], "category_id": 1, "bbox": [0, 0, 64, 48], "score": 0.5}
        for each in sets.values()
        for image in each["images"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = pk.read_coco(tmp_path / "results.json", data_set=tmp_path / "set")
    assert sorted(found["externalId"]) == list("abcdef")
    assert all(len(rows) == 1 for rows in drawn_in(found).values())
    assert set(found["split"]) == {"train", "val"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(KiliValidationError, match=r"holds no labels\.json"):
        pk.read_coco(tmp_path / "empty")


def test_pictures_of_coco_that_are_hosted_keep_their_address():
    image = {"id": 1, "file_name": "a.jpg", "coco_url": "https://h.invalid/a.jpg", "width": 10, "height": 10}
    found = pk.read_coco({"images": [image], "categories": [], "annotations": []})
    assert found["content"].tolist() == ["https://h.invalid/a.jpg"]


@pytest.mark.parametrize(
    "described",
    [
        "train: ../train/images\nval: ../valid/images\nnames: [CAT]\n",
        "path: .\ntrain: [train/images]\nval: valid/images\nnames: {0: CAT}\n",
        "path: /of/another/machine\ntrain: train\nval: valid\nnames: [CAT]\n",
    ],
)
def test_yolo_folders_of_others_are_found(tmp_path, described):
    for split in ("train", "valid"):
        for kind in ("images", "labels"):
            (tmp_path / "set" / split / kind).mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "set" / split / "images" / f"{split}.jpg")
        (tmp_path / "set" / split / "labels" / f"{split}.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "set/data.yaml").write_text(described)
    found = pk.read_yolo(tmp_path / "set")
    assert found["externalId"].tolist() == ["train.jpg", "valid.jpg"]
    assert found["split"].tolist() == ["train", "val"]
    (tmp_path / "set/data.yaml").write_text(described + "test: nowhere/images\n")
    with pytest.warns(UserWarning, match="nowhere"):
        assert len(pk.read_yolo(tmp_path / "set")) == 2


def test_pictures_of_equal_names_in_several_folders_keep_their_folder():
    images = [{"id": name, "file_name": name, "width": 10, "height": 10} for name in ("x/a.jpg", "y/a.jpg", "y/b.jpg")]
    found = pk.read_coco({"images": images, "categories": [], "annotations": []})
    assert found["externalId"].tolist() == ["x/a.jpg", "y/a.jpg", "b.jpg"]


def test_pictures_of_equal_names_in_several_folders_of_yolo_can_be_appended(tmp_path):
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "images" / split / "a.jpg")
        (tmp_path / "labels" / split / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [CAT]\n")
    assert pk.read_yolo(tmp_path)["externalId"].tolist() == ["images/train/a.jpg", "images/val/a.jpg"]


def test_documents_of_voc_that_name_one_picture_are_told_apart(tmp_path):
    assets({"a": objects(), "b": objects()}).kili.to_voc(tmp_path / "voc")
    for name in "ab":
        path = tmp_path / f"voc/Annotations/{name}.xml"
        path.write_text(path.read_text().replace(f"<external_id>{name}</external_id>", "").replace("b.jpg", "a.jpg"))
    assert pk.read_voc(tmp_path / "voc")["externalId"].tolist() == ["a/a.jpg", "b/a.jpg"]


def test_objects_that_name_no_job_answer_the_only_one_of_the_project(tmp_path):
    images = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}, {"id": 2, "file_name": "b.jpg"}]
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 10]}]
    source = {"images": images, "categories": [{"id": 1, "name": "CAT"}], "annotations": boxes}
    found = pk.read_coco(source, jobs=INTERFACE)
    assert [list(json.loads(text)) for text in found["jsonResponse"]] == [["PETS"], ["PETS"]]
    other = {"jobs": {**INTERFACE["jobs"], "CARS": INTERFACE["jobs"]["PETS"]}}
    with pytest.raises(
        KiliValidationError, match=r"got 'OBJECTS'.* Give the job of all objects as job=…; there are PETS;"
    ):
        pk.read_coco(source, jobs=other)
    source["categories"][0]["supercategory"] = "animal"
    with pytest.raises(KiliValidationError, match=r"got 'animal'.* as job=…; there are PETS\."):
        pk.read_coco(source, jobs=INTERFACE)


def test_images_and_categories_that_are_not_there_are_named():
    data_set = assets({"a": objects()}).kili.to_coco(json_interface=INTERFACE)
    results = [{"image_id": image, "category_id": kind, "bbox": [0, 0, 9, 9]} for image, kind in ((7, 1), (1, "x"))]
    with pytest.raises(KiliValidationError, match=r"there is no image 7; annotation 1: .*there is no category 'x'\.$"):
        pk.read_coco(results, data_set=data_set)


def drawn_by(job, *tools):
    content = {"input": "radio", "categories": {"CAT": {"name": "Cat"}}}
    return {"jobs": {job: {"mlTask": "OBJECT_DETECTION", "tools": list(tools), "content": content}}}


OUTLINE = [ring((0.25, 0.25), (0.75, 0.25), (0.5, 0.75))]
BOX = rectangle(0.25, 0.25, 0.5, 0.75)


@pytest.mark.parametrize(
    ("rings", "tools", "tool"),
    [
        (OUTLINE, ["polygon"], "polygon"),
        (OUTLINE, ["semantic"], "semantic"),
        (OUTLINE, ["rectangle", "semantic"], "semantic"),
        (OUTLINE, [], "polygon"),
        (BOX, ["rectangle"], "rectangle"),
        (BOX, ["polygon", "rectangle"], "polygon"),
    ],
)
def test_outlines_of_yolo_are_drawn_with_the_tool_of_their_job(tmp_path, rings, tools, tool):
    frame = assets({"a.jpg": objects(shape("CAT", rings, "semantic"), job="PETS")})
    frame.kili.to_yolo(tmp_path / "yolo", task="segment")
    found = pk.read_yolo(tmp_path / "yolo", jobs=drawn_by("PETS", *tools))
    assert drawn_in(found) == {"a.jpg": [("PETS", "CAT", tool, drawn_in(frame)["a.jpg"][0][3])]}


def test_outlines_of_results_are_drawn_with_the_tool_of_their_job():
    data_set = assets({"a.jpg": objects(job="PETS")}).kili.to_coco(json_interface=drawn_by("PETS", "semantic"))
    polygon = [160, 120, 480, 120, 320, 360]
    results = [{"image_id": 1, "category_id": 1, "segmentation": [polygon], "score": 0.5}]
    found = pk.read_coco(results, data_set=data_set, jobs=drawn_by("PETS", "semantic"))
    assert [row[2] for row in drawn_in(found)["a.jpg"]] == ["semantic"]
    with pytest.raises(KiliValidationError, match="rectangle"):
        pk.read_coco(results, data_set=data_set, jobs=drawn_by("PETS", "rectangle"))


@pytest.mark.filterwarnings("ignore:Not in the")  # of the classes, which are no shapes
@settings(max_examples=8, deadline=None)
@given(st.lists(whole_answers(), min_size=1, max_size=2))
def test_whatever_is_drawn_comes_in_as_it_lies_on_the_stored_picture(tmp_path_factory, drawn):
    frame, expected = numbered(drawn), drawn_in(numbered([stored(each) for each in drawn]))
    found = drawn_in(pk.read_coco(json.loads(json.dumps(frame.kili.to_coco()))))
    place = lambda row: (row[:2], np.round(edges(row), 7).tolist())  # noqa: E731 - the parts of a shape come in one after the other
    found, sorted_ = ({name: sorted(rows, key=place) for name, rows in each.items()} for each in (found, expected))
    check_close(found, sorted_, edges)
    assert [[len(row[3]) for row in rows] for rows in found.values()] == [
        [len(row[3]) for row in rows] for rows in sorted_.values()
    ]
    folder = tmp_path_factory.mktemp("yolo") / "set"
    frame.kili.to_yolo(folder)
    check_close(drawn_in(pk.read_yolo(folder)), expected, edges)


HALF = "a\ud83d"


def test_names_that_are_no_unicode_text_are_all_named(tmp_path):
    images = [{"id": name, "file_name": f"{name}.jpg", "width": 9, "height": 9} for name in ("x", HALF)]
    box = {"image_id": "x", "category_id": 1, "bbox": [1, 1, 5, 5]}
    source = {"images": images, "categories": [{"id": 1, "name": HALF}], "annotations": [box]}
    (tmp_path / "coco.json").write_text(json.dumps(source))
    told = r"2 names are no Unicode text: 'a\\ud83d\.jpg'; 'a\\ud83d'\."
    for given_source in (source, tmp_path / "coco.json"):
        with pytest.raises(KiliValidationError, match=told):
            pk.read_coco(given_source)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text('train: labels\nnames: ["a\\ud83d"]\n')
    with pytest.raises(KiliValidationError, match=r"1 name is no Unicode text: 'a\\ud83d'"):
        pk.read_yolo(tmp_path)


def test_scores_that_are_none_are_named():
    data_set = assets({"a": objects()}).kili.to_coco(json_interface=INTERFACE)
    results = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": score} for score in (0.5, 95, -1)]
    with pytest.raises(KiliValidationError, match=r"2 annotations do not fit.*annotation 1: .* a score of 95"):
        pk.read_coco(results, data_set=data_set)


def test_lists_of_classes_are_no_splits_of_voc(tmp_path):
    assets({"a": objects(), "b": objects()}).assign(part=["train", "val"]).kili.to_voc(tmp_path / "set", split="part")
    lists = tmp_path / "set/ImageSets/Main"
    (lists / "cat_val.txt").write_text("a -1\nb  1\n")
    (lists / "trainval.txt").write_text("a\nb\n")
    assert pk.read_voc(tmp_path / "set")["split"].tolist() == ["train", "val"]


def labeled(found):
    """Return what was read as assets with labels."""
    return found.assign(labels=[[label(json.loads(text))] for text in found["jsonResponse"]])


PIXELS = st.tuples(st.integers(0, 600), st.integers(0, 440), st.integers(1, 40), st.integers(1, 40))
PICTURES = st.lists(st.lists(st.tuples(st.sampled_from(["CAT", "DOG"]), PIXELS), max_size=4), min_size=1, max_size=3)
INTERFACE_OF_ALL = {**INTERFACE, "jobs": {"OBJECTS": INTERFACE["jobs"]["PETS"]}}


@settings(max_examples=20, deadline=None)
@given(PICTURES)
def test_what_comes_in_as_coco_goes_out_again(pictures):
    categories = [{"id": number, "name": name} for number, name in enumerate(["CAT", "DOG"], 1)]
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": SIZE[0], "height": SIZE[1]}
        for number in range(1, len(pictures) + 1)
    ]
    annotations = [
        {"image_id": number, "category_id": 1 + (name == "DOG"), "bbox": list(bbox)}
        for number, drawn in enumerate(pictures, 1)
        for name, bbox in drawn
    ]
    found = pk.read_coco({"images": images, "categories": categories, "annotations": annotations})
    again = labeled(found).kili.to_coco(json_interface=INTERFACE_OF_ALL)
    told = [{key: each[key] for key in ("image_id", "category_id", "bbox")} for each in again["annotations"]]
    assert [(each["image_id"], each["category_id"]) for each in told] == [
        (each["image_id"], each["category_id"]) for each in annotations
    ]
    assert all(np.allclose(one["bbox"], two["bbox"], atol=1e-6) for one, two in zip(told, annotations, strict=True))


@settings(max_examples=10, deadline=None)
@given(PICTURES)
def test_what_comes_in_as_yolo_goes_out_again(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("yolo")
    (folder / "in/labels").mkdir(parents=True)
    (folder / "in/data.yaml").write_text("train: images\nnames: [CAT, DOG]\n")
    for number, drawn in enumerate(pictures):
        rows = [(name == "DOG", (x + w / 2) / 640, (y + h / 2) / 480, w / 640, h / 480) for name, (x, y, w, h) in drawn]
        lines = [f"{int(category)} {' '.join(map(str, place))}\n" for category, *place in rows]
        (folder / f"in/labels/{number}.txt").write_text("".join(lines))
    labeled(pk.read_yolo(folder / "in")).kili.to_yolo(folder / "out", json_interface=INTERFACE_OF_ALL)
    for number in range(len(pictures)):
        both = [(folder / f"{place}/labels/{number}.txt").read_text().split() for place in ("in", "out")]
        assert np.allclose(*(np.array(each, float) for each in both), atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(PICTURES)
def test_what_comes_in_as_voc_goes_out_again(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("voc")
    drawn = {
        f"{number}.jpg": objects(
            *(shape(name, rectangle(x / 640, y / 480, (x + w) / 640, (y + h) / 480)) for name, (x, y, w, h) in each)
        )
        for number, each in enumerate(pictures)
    }
    assets(drawn).kili.to_voc(folder / "in")
    labeled(pk.read_voc(folder / "in")).kili.to_voc(folder / "out")
    for number in range(len(pictures)):
        both = [(folder / place / "Annotations" / f"{number}.xml").read_bytes() for place in ("in", "out")]
        assert both[0] == both[1]
