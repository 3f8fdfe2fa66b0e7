"""Pascal VOC: what goes out comes in again to a pixel, and the libraries that read VOC agree."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training import (
    SIZE,
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
    shape,
    vendor_converters,
    with_pictures,
)

import pandas_kili as pk
from pandas_kili.errors import KiliValidationError


@settings(max_examples=40, deadline=None)
@given(st.lists(answers(boxes(), polygons()), min_size=1, max_size=3))
def test_boxes_come_in_again_to_a_pixel(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("voc") / "set"
    numbered(drawn).kili.to_voc(folder)
    check_close(drawn_in(pk.read_voc(folder)), drawn_in(numbered(drawn)), edges, atol=1.01 / min(SIZE))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_are_those_of_the_vendor_within_a_pixel(tmp_path, turn):
    answer = {**objects(shape("CAT", rectangle(0.2, 0.1, 0.4, 0.3))), "ROTATION_JOB": {"rotation": turn}}
    assets({"a.jpg": answer}).kili.to_voc(tmp_path / "set")
    theirs = ET.fromstring(vendor_converters().convert_from_kili_to_voc_format(answer, *SIZE, {}, ["OBJECTS"]))
    ours = ET.parse(tmp_path / "set/Annotations/a.xml")
    for edge in ("xmin", "ymin", "xmax", "ymax"):
        one, other = (int(tree.findtext(f"object/bndbox/{edge}")) for tree in (ours, theirs))
        assert abs(one - other) <= 1


def test_supervision_loads_the_folder(tmp_path):
    answer = objects(shape("CAT", rectangle(0.25, 0.25, 0.5, 0.75)))
    frame = with_pictures(assets({"a.jpg": answer, "b.jpg": objects()}), tmp_path / "media")
    frame.assign(part=["train", "val"]).kili.to_voc(tmp_path / "set", media="copy", split="part")
    loaded = detections().from_pascal_voc(str(tmp_path / "set/JPEGImages"), str(tmp_path / "set/Annotations"))
    found = {Path(path).name: detections for path, _, detections in loaded}
    assert np.allclose(found["a.png"].xyxy, [[160, 120, 320, 360]])
    assert len(found["b.png"]) == 0
    assert (tmp_path / "set/ImageSets/Main/train.txt").read_text() == "a\n"


def test_names_may_hold_anything(tmp_path):
    frame = assets({"<b>&\0\x1b": objects(shape("<CAT> & co", rectangle(0, 0, 1, 1)))})
    frame.kili.to_voc(tmp_path / "set")
    (text,) = pk.read_voc(tmp_path / "set")["jsonResponse"]
    assert json.loads(text)["OBJECTS"]["annotations"][0]["categories"][0]["name"] == "<CAT> & co"


@pytest.mark.parametrize("text", ["<annotation", "<annotation/>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'])
def test_files_that_do_not_fit_are_named(tmp_path, text):
    with pytest.raises(KiliValidationError, match="no XML files"):
        pk.read_voc(tmp_path)
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(KiliValidationError, match=r"1 file does not fit: a\.xml"):
        pk.read_voc(tmp_path)
