"""YOLO: what goes out comes in again, and the libraries that read YOLO agree."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from training import (
    answers,
    assets,
    boxes,
    check_close,
    detections,
    drawn_in,
    edges,
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
from pandas_kili.errors import KiliValidationError
from pandas_kili.sandbox import Sandbox


@settings(max_examples=40, deadline=None)
@given(st.lists(answers(boxes(), turned()), min_size=1, max_size=3))
def test_boxes_that_go_out_come_in_again(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("yolo") / "set"
    numbered(drawn).kili.to_yolo(folder)
    check_close(drawn_in(pk.read_yolo(folder)), drawn_in(numbered(drawn)), edges)


@settings(max_examples=40, deadline=None)
@given(st.lists(answers(polygons()), min_size=1, max_size=3))
def test_outlines_that_go_out_come_in_again(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("yolo") / "set"
    numbered(drawn).kili.to_yolo(folder, task="segment")
    check_close(drawn_in(pk.read_yolo(folder)), drawn_in(numbered(drawn)))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_lines_are_those_of_the_vendor(tmp_path, turn):
    turned = [(0.5, 0.2), (0.8, 0.5), (0.5, 0.8), (0.2, 0.5)]
    drawn = [shape("CAT", rectangle(0.2, 0.1, 0.4, 0.3)), shape("DOG", [ring(*turned)])]
    answer = {**objects(*drawn), "ROTATION_JOB": {"rotation": turn}}
    assets({"a.jpg": answer}).kili.to_yolo(tmp_path / "set")
    vendor = vendor_converters()
    numbers = {
        f"OBJECTS__{name}": vendor.types.JobCategory(name, number, "OBJECTS")
        for number, name in enumerate(("CAT", "DOG"))
    }
    theirs = vendor.convert_from_kili_to_yolo_format("OBJECTS", {"jsonResponse": answer}, numbers)
    ours = [list(map(float, line.split())) for line in (tmp_path / "set/labels/a.txt").read_text().splitlines()]
    assert np.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_supervision_loads_the_folder(tmp_path, task):
    triangle = shape("DOG", [ring((0.5, 0.5), (0.9, 0.5), (0.7, 0.9))], tool="polygon")
    answer = objects(shape("CAT", rectangle(0.1, 0.2, 0.3, 0.4)), triangle)
    frame = with_pictures(assets({"a.jpg": answer, "b.jpg": objects()}), tmp_path / "media")
    folder = tmp_path / "set"
    frame.assign(part=["train", "val"]).kili.to_yolo(folder, task=task, split="part", media="copy")
    counts = {}
    for split in ("train", "val"):
        places = (folder / "images" / split, folder / "labels" / split, folder / "data.yaml")
        loaded = detections().from_yolo(*map(str, places))
        assert loaded.classes == ["CAT", "DOG"]
        counts |= {Path(path).name: len(found) for path, _, found in loaded}
    assert counts == {"a.png": 2, "b.png": 0}
    described = yaml.safe_load((folder / "data.yaml").read_text())
    assert (described["train"], described["val"]) == ("images/train", "images/val")
    read = pk.read_yolo(folder)
    assert read["split"].tolist() == ["train", "val"]
    assert read["externalId"].tolist() == ["a.jpg", "b.jpg"]
    assert all(Path(path).is_file() for path in read["content"])


def test_holes_are_counted_where_there_are_none(tmp_path):
    rings = [ring((0, 0), (1, 0), (1, 1), (0, 1)), ring((0.2, 0.2), (0.4, 0.2), (0.4, 0.4))]
    frame = assets({"a.jpg": objects(shape("SKY", rings, tool="semantic"))})
    with pytest.warns(UserWarning, match=r"the holes of a shape \(1\)"):
        frame.kili.to_yolo(tmp_path / "segment", task="segment")
    assert frame.kili.to_yolo(tmp_path / "detect").empty


def test_pictures_go_into_the_folder_of_their_class(tmp_path):
    kinds = {"a.jpg": ["CAT"], "b.jpg": ["DOG"], "c.jpg": ["CAT"], "d.jpg": ["CAT", "DOG"], "e.jpg": []}
    answers_ = {
        name: {"KIND": {"categories": [{"name": each} for each in chosen]}} if chosen else {}
        for name, chosen in kinds.items()
    }
    frame = with_pictures(assets(answers_), tmp_path / "media").assign(part=["train", *["val"] * 4])
    with pytest.raises(KiliValidationError, match="media='copy'"):
        frame.kili.to_yolo(tmp_path / "set", task="classify")
    with pytest.warns(UserWarning, match="several classes"):
        report = frame.kili.to_yolo(tmp_path / "set", task="classify", split="part", media="copy")
    found = {str(path.relative_to(tmp_path / "set")) for path in (tmp_path / "set").rglob("*.png")}
    assert found == {"train/CAT/a.png", "val/DOG/b.png", "val/CAT/c.png"}
    assert dict(zip(report["externalId"], report["reason"], strict=True)) == {
        "d.jpg": "several classes",
        "e.jpg": "no class",
    }


def test_what_a_model_wrote_has_confidences(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("1 0.5 0.5 0.2 0.2 0.875\n\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [CAT, DOG]\n")
    (text,) = pk.read_yolo(tmp_path, job="PETS")["jsonResponse"]
    (found,) = json.loads(text)["PETS"]["annotations"]
    assert found["categories"] == [{"name": "DOG", "confidence": 87.5}]


def test_what_a_model_wrote_is_about_the_pictures_of_its_data_set(tmp_path):
    frame = assets({name: objects(shape("CAT", rectangle(0, 0, 1, 1)), job="PETS") for name in ("x/a.b", "é.png", "c")})
    frame = with_pictures(frame, tmp_path / "media")
    frame.assign(part=["train", "val", "val"]).kili.to_yolo(tmp_path / "yolo", media="copy", split="part")
    texts = tmp_path / "runs/predict/labels"
    texts.mkdir(parents=True)
    for text in (tmp_path / "yolo/labels/val").iterdir():
        (texts / text.name).write_text("0 0.5 0.5 0.2 0.2 0.875\n0 0 0 1 0 1 0.75 0.5\n")
    (texts / "other.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    found = pk.read_yolo(tmp_path / "runs/predict", data_set=tmp_path / "yolo").set_index("externalId")
    assert found.index.tolist() == ["c", "other.jpg", "é.png"]
    assert found["split"].dropna().to_dict() == {"c": "val", "é.png": "val"}
    assert found["content"]["c"] == str(tmp_path / "yolo/images/val/c.png")
    assert [
        (each["type"], each["categories"]) for each in json.loads(found["jsonResponse"]["c"])["PETS"]["annotations"]
    ] == [
        ("rectangle", [{"name": "CAT", "confidence": 87.5}]),
        ("polygon", [{"name": "CAT", "confidence": 50}]),
    ]
    with pytest.raises(KiliValidationError, match="read with data_set="):
        pk.read_yolo(tmp_path / "runs/predict")
    with pytest.raises(KiliValidationError, match="holds no text files"):
        pk.read_yolo(tmp_path / "media", data_set=tmp_path / "yolo")


def test_texts_of_a_model_that_several_pictures_have_are_named(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "labels" / split / "a.txt").write_text("")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [CAT]\n")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(KiliValidationError, match=r"several pictures of the data set have these names: a\."):
        pk.read_yolo(tmp_path / "runs", data_set=tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 0.5 0.5 0.2", r"a\.txt, line 1"),
        ("7 0.5 0.5 0.2 0.2", "there is no class 7"),
        ("0 x 0 0 0", "could not convert string to float: 'x'"),
        ("0 nan 0 0 0", "finite"),
    ],
)
def test_lines_that_do_not_fit_are_named(tmp_path, line, told):
    assets({"a.jpg": objects(shape("CAT", rectangle(0, 0, 1, 1)))}).kili.to_yolo(tmp_path / "set")
    (tmp_path / "set/labels/a.txt").write_text(line)
    with pytest.raises(KiliValidationError, match=told):
        pk.read_yolo(tmp_path / "set")


@pytest.mark.parametrize("text", [None, "{", "[]", "names: 3", "names: [A]", "!!python/object/apply:os.getcwd []"])
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(KiliValidationError, match=r"data\.yaml does not describe"):
        pk.read_yolo(tmp_path)


def test_what_was_read_can_be_appended_and_labeled(tmp_path):
    answer = objects(shape("CAT", rectangle(0.1, 0.2, 0.3, 0.4)))
    frame = with_pictures(assets({"a.jpg": answer}), tmp_path / "media", (64, 48))
    frame.kili.to_yolo(tmp_path / "set", media="copy")
    content = {"categories": {"CAT": {"name": "Cat"}}, "input": "radio"}
    job = {"mlTask": "OBJECT_DETECTION", "tools": ["rectangle"], "required": 0, "content": content}
    with Sandbox() as sandbox:
        project = sandbox.create_project("New", "IMAGE", {"jobs": {"OBJECTS": job}})
        added = pk.read_yolo(tmp_path / "set").kili.append_many_to_dataset(project, client=sandbox.client)
        added.kili.append_labels("jsonResponse", "PREDICTION", "model-1", client=sandbox.client)
        fields = ["externalId", "labels.jsonResponse", "labels.labelType"]
        (label,) = pk.read_kili(project, fields=fields, client=sandbox.client)["labels"][0]
    assert label["labelType"] == "PREDICTION"
    shown = pd.DataFrame({"externalId": ["a.jpg"], "jsonResponse": [label["jsonResponse"]]})
    check_close(drawn_in(shown), drawn_in(frame), edges)
