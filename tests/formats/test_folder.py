"""Exports are whole or not there, and replace nothing but exports; their files stay inside and apart."""

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training import assets, numbered, objects, rectangle, shape, with_pictures

from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.formats import folder as export_folder

WRITERS = ["to_coco", "to_yolo", "to_voc"]
HOSTILE = ["../../evil", "..", "/etc/passwd", "a.jpg", "A.JPG", "a.png", "nul", "x\0y", "C:\\x", "é", "e\u0301", " "]


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def place(tmp_path):
    """Return a path in a folder that is otherwise empty."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "set"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("media", ["copy", "link"])
def test_names_stay_in_the_folder_and_differ(tmp_path, place, writer, media):
    answer = objects(shape("A", rectangle(0, 0, 1, 1)))
    frame = with_pictures(assets(dict.fromkeys(HOSTILE, answer)), tmp_path / "media")
    getattr(frame.kili, writer)(place, media=media)
    assert list(place.parent.iterdir()) == [place]
    stems = {kind: [] for kind in (".png", ".txt", ".xml")}
    for name in files_in(place):
        if Path(name).suffix in stems and "ImageSets" not in name:
            stems[Path(name).suffix].append(Path(name).stem.casefold())
    expected = {"to_coco": [".png"], "to_yolo": [".png", ".txt"], "to_voc": [".png", ".xml"]}[writer]
    for kind in expected:
        assert len(set(stems[kind])) == len(HOSTILE)
    assert set(stems[expected[0]]) == set(stems[expected[-1]])


@pytest.mark.parametrize("writer", WRITERS)
def test_only_exports_are_replaced(place, writer):
    write = getattr(assets({"a.jpg": objects()}).kili, writer)
    write(place)
    before = files_in(place)
    with pytest.raises(KiliValidationError, match="overwrite=True"):
        write(place)
    write(place, overwrite=True)
    assert files_in(place) == before
    assert list(place.parent.iterdir()) == [place]
    mine = place.with_name("mine")
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(KiliValidationError, match="not an export"):
        write(mine, overwrite=True)
    assert files_in(mine) == ["thesis.txt"]
    link = place.with_name("link")
    link.symlink_to(place)
    with pytest.raises(KiliValidationError, match="not an export"):
        write(link, overwrite=True)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path, place, writer, monkeypatch):
    frame = with_pictures(numbered([objects(), objects()]), tmp_path / "media")
    getattr(frame.kili, writer)(place)
    before = files_in(place)

    def full(source, target):
        assert [part for part in target.parts if part.startswith(f".{place.name}.") and part.endswith(".part")]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_folder.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        getattr(frame.kili, writer)(place, media="copy", overwrite=True)
    assert files_in(place) == before
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("writer", WRITERS)
def test_media_that_are_not_there_are_named(place, writer):
    frame = assets({"a": objects(), "b": objects()}).assign(content=["https://host.invalid/a.jpg", "/nowhere/b.jpg"])
    with pytest.raises(KiliValidationError, match=r"download_media.*row 0, 'a'; row 1, 'b'"):
        getattr(frame.kili, writer)(place, media="copy")
    with pytest.raises(KiliValidationError, match=r"1 asset has no local picture: 'content' names a file that is not"):
        getattr(frame[1:].kili, writer)(place, media="copy")
    assert list(place.parent.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True), st.data())
def test_a_split_does_not_change_when_assets_come(names, data):
    few = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))

    def places(chosen):
        frame = assets(dict.fromkeys(chosen, objects()))
        sets = frame.kili.to_coco(split={"train": 0.7, "val": 0.2, "test": 0.1})
        return {image["external_id"]: name for name, each in sets.items() for image in each["images"]}

    whole = places(names)
    assert places(few) == {name: whole[name] for name in few}


def test_splits_have_about_their_shares_and_may_be_a_column():
    names = [f"picture {number}" for number in range(1000)]
    sets = assets(dict.fromkeys(names, objects())).kili.to_coco(split={"train": 0.8, "val": 0.2})
    assert 760 < len(sets["train"]["images"]) < 840  # decided by their names, and the same on every machine
    frame = assets({"a": objects(), "b": objects()}).assign(part=["val", "train"])
    by_column = frame.kili.to_coco(split="part")
    assert {name: len(each["images"]) for name, each in by_column.items()} == {"val": 1, "train": 1}
    unsplit = frame.assign(part=["val", None])
    with pytest.raises(KiliValidationError, match=r"1 asset has no split in 'part': row 1, 'b'"):
        unsplit.kili.to_coco(split="part")
    with pytest.warns(UserWarning, match="no label"):
        unsplit.assign(labels=[frame["labels"][0], []]).kili.to_coco(split="part")
    for split in ({"train": 0.8}, {"train": 1.5, "val": -0.5}, {"../x": 1.0}, {"": 1.0}):
        with pytest.raises(KiliValidationError, match="split"):
            frame.kili.to_coco(split=split)
    with pytest.raises(KiliFieldError, match="parts"):
        frame.kili.to_coco(split="parts")


@pytest.mark.parametrize("options", [{"labels": "some"}, {"media": "move"}, {"job": "OBJECT"}, {"json_interface": "{"}])
def test_options_that_are_not_possible_are_refused(options):
    with pytest.raises(KiliValidationError, match=next(iter(options))):
        assets({"a": objects(shape("A", rectangle(0, 0, 1, 1)))}).kili.to_coco(**options)


@pytest.mark.parametrize("export", ["to_coco", "to_hf", "to_geojson"])
def test_options_that_are_misspelled_are_refused(export):
    with pytest.raises(TypeError, match=r"'spilt'\. Did you mean 'split'"):
        getattr(assets({"a": objects()}).kili, export)(spilt={"train": 1.0})


def test_what_an_export_needs_is_named(place):
    frame = assets({"a": objects()})
    with pytest.raises(KiliValidationError, match="folder"):
        frame.kili.to_coco(place.with_suffix(".json"), split={"train": 1.0})
    with pytest.raises(KiliFieldError, match="externalId"):
        pd.DataFrame({"labels": frame["labels"]}).kili.to_yolo(place)
    with pytest.raises(KiliFieldError, match="jsonResponse"):
        frame.assign(labels=[[{"labelType": "DEFAULT"}]]).kili.to_yolo(place)
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "extra", "work"),
    [
        ("yaml", "formats", lambda frame, place: frame.kili.to_yolo(place)),
        ("pycocotools", "formats", lambda frame, place: frame.kili.to_coco(place)),
        ("datasets", "hf", lambda frame, place: frame.kili.to_hf()),
    ],
)
def test_an_extra_that_is_not_installed_is_named(place, monkeypatch, module, extra, work):
    rings = [*rectangle(0, 0, 1, 1), *rectangle(0.2, 0.2, 0.4, 0.4)]
    frame = assets({"a.jpg": objects(shape("SKY", rings, tool="semantic"))})
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else real(name))
    with pytest.raises(ImportError, match=rf"pandas-kili\[{extra}\]"):
        work(frame, place)
    assert list(place.parent.iterdir()) == []


def test_the_folder_says_what_was_left_out(place):
    frame = assets({"a.jpg": objects(), "b": None})
    with pytest.warns(UserWarning, match="no label"):
        report = frame.kili.to_yolo(place)
    assert json.loads((place / "pandas_kili.json").read_text())["left_out"] == report.to_dict("records")
    assert report["externalId"].tolist() == ["b"]
