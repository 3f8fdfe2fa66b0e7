"""Hugging Face data sets hold what people labeled, in the features that examples use."""

import pytest
from datasets import ClassLabel, Image, load_from_disk
from training import assets, label, objects, rectangle, shape, with_pictures

import pandas_kili as pk
from pandas_kili.errors import KiliValidationError
from pandas_kili.sandbox import Sandbox

INTERFACE = {
    "jobs": {
        "OBJECTS": {"mlTask": "OBJECT_DETECTION", "content": {"categories": {"DOG": {}, "CAT": {}}}},
        "KIND": {"mlTask": "CLASSIFICATION", "content": {"categories": {"Z": {}, "A": {}}}},
        "NER": {"mlTask": "NAMED_ENTITIES_RECOGNITION", "content": {"categories": {"PERSON": {}, "CITY": {}}}},
    }
}


def test_objects_have_boxes_in_pixels_and_pictures_as_files(tmp_path):
    answer = objects(shape("CAT", rectangle(0.25, 0.25, 0.5, 0.75)))
    frame = with_pictures(assets({"a.jpg": answer, "b.jpg": objects()}), tmp_path / "media")
    frame.kili.to_hf(json_interface=INTERFACE, job="OBJECTS").save_to_disk(tmp_path / "hf")
    loaded = load_from_disk(tmp_path / "hf")
    first, second = loaded
    assert first["objects"] == {"id": [0], "area": [160 * 240], "bbox": [[160, 120, 160, 240]], "category": [1]}
    assert second["objects"]["bbox"] == []
    assert loaded.features["objects"]["category"].feature.names == ["DOG", "CAT"]
    assert isinstance(loaded.features["image"], Image)
    assert first["image"].size == (640, 480)


def test_classes_are_labels_in_the_order_of_the_project():
    answers = {name: {"KIND": {"categories": [{"name": kind}]}} for name, kind in {"x": "A", "y": "Z"}.items()}
    frame = assets(answers).assign(content=["One text.", "Another."], part=["train", "test"])
    sets = frame.kili.to_hf(task="classes", json_interface=INTERFACE, split="part")
    assert sets["train"].features["label"] == ClassLabel(names=["Z", "A"])
    assert sets["train"].to_list() == [{"text": "One text.", "external_id": "x", "label": 1}]
    assert sets["test"]["label"] == [0]


def test_entities_are_tags_of_tokens(tmp_path):
    text = "🦊 Ada Lovelace met Bob in Rome."
    spans = [("PERSON", "Ada Lovelace"), ("PERSON", "Bob"), ("CITY", "Rome")]
    drawn = [
        {
            "mid": content,
            "categories": [{"name": category}],
            "content": content,
            "beginOffset": len(text[: text.index(content)].encode("utf-16-le")) // 2,
            "endOffset": len(text[: text.index(content) + len(content)].encode("utf-16-le")) // 2,
        }
        for category, content in spans
    ]
    frame = assets({"a": {"NER": {"annotations": drawn}}}).assign(content=[text])
    (tmp_path / "a.txt").write_bytes(text.encode())
    files = frame.assign(content=[str(tmp_path / "a.txt")])
    assert files.kili.to_hf(task="tokens").to_list() == frame.kili.to_hf(task="tokens").to_list()
    (row,) = tagged = frame.kili.to_hf(task="tokens", json_interface=INTERFACE)
    names = tagged.features["ner_tags"].feature.names
    assert names == ["O", "B-PERSON", "I-PERSON", "B-CITY", "I-CITY"]
    told = [(token, names[tag]) for token, tag in zip(row["tokens"], row["ner_tags"], strict=True) if tag]
    assert told == [("Ada", "B-PERSON"), ("Lovelace", "I-PERSON"), ("Bob", "B-PERSON"), ("Rome", "B-CITY")]
    assert row["tokens"][-1] == "."


@pytest.mark.parametrize("task", ["objects", "classes"])
@pytest.mark.filterwarnings("ignore:Not in the Hugging Face export")
def test_pictures_that_are_not_there_are_missed_with_a_warning(tmp_path, task):
    answer = {**objects(), "KIND": {"categories": [{"name": "A"}]}}
    frame = with_pictures(assets({"a": answer, "b": answer}), tmp_path / "media")
    frame.loc[1, "content"] = "https://host.invalid/b.png"
    with pytest.warns(UserWarning, match=r"pictures.* not all are local files: run df = df\.kili\.download_media\(\)"):
        data_set = frame.kili.to_hf(task=task)
    assert "image" not in data_set.features


@pytest.mark.parametrize("task", ["tokens", "classes"])
def test_texts_of_which_the_answer_cannot_be_read_are_left_out(task):
    said = {"KIND": {"categories": [{"name": "A"}]}}
    labels = [[label(said)], [{"labelType": "DEFAULT", "jsonResponse": "{"}]]
    frame = assets({"a": said, "b": said}).assign(content=["One text.", "Another."], labels=labels)
    with pytest.warns(UserWarning, match=r"the answer cannot be read \(1\)\.$"):
        assert frame.kili.to_hf(task=task)["external_id"][:] == ["a"]


def test_tasks_that_are_not_there_are_refused():
    with pytest.raises(KiliValidationError, match="'objects', 'classes' or 'tokens'"):
        assets({"a": objects()}).kili.to_hf(task="boxes")


def test_texts_that_are_hosted_are_named():
    frame = assets({"a": {}, "b": {}}).assign(content=["A text.", "https://h.invalid/b.txt"])
    with pytest.raises(KiliValidationError, match=r"1 asset has no text here: .*download_media.*row 1, 'b'"):
        frame.kili.to_hf(task="tokens")


@pytest.mark.parametrize("task", ["objects", "classes", "tokens"])
@pytest.mark.parametrize("by", ["shares", "column"])
@pytest.mark.filterwarnings("ignore:Not in the data set. pictures")
def test_every_kind_of_data_set_is_split_and_written_to_disk(tmp_path, task, by):
    names = [f"asset {number}" for number in range(40)]
    answer = {**objects(shape("CAT", rectangle(0, 0, 1, 1))), "KIND": {"categories": [{"name": "A"}]}}
    frame = assets(dict.fromkeys(names, answer)).assign(content=names)
    shares = {"train": 0.75, "val": 0.25, "never": 0.0}
    sets = frame.kili.to_coco(split=shares, job="OBJECTS")
    told = {image["external_id"]: part for part, each in sets.items() for image in each["images"]}
    split = shares if by == "shares" else "part"
    job = {"objects": "OBJECTS", "classes": "KIND", "tokens": None}[task]
    frame.assign(part=frame["externalId"].map(told)).kili.to_hf(task=task, split=split, job=job).save_to_disk(tmp_path)
    loaded = load_from_disk(tmp_path)
    assert {name: part for part, each in loaded.items() for name in each["external_id"]} == told
    assert set(loaded) == {"train", "val"}, "an empty split cannot be loaded"


def test_a_project_names_the_classes(tmp_path):
    frame = assets({"x": {"KIND": {"categories": [{"name": "A"}]}}}).assign(content=["One text."])
    kinds = [frame.kili.to_hf(task="classes", json_interface=each) for each in (INTERFACE, pk.read_jobs(INTERFACE))]
    with Sandbox() as sandbox:
        project_id = sandbox.create_project("Kinds", "TEXT", INTERFACE)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in sandbox.environ.items():
                patch.setenv(name, value)
            kinds.append(frame.kili.to_hf(task="classes", json_interface=project_id))
    assert [each.features["label"].names for each in kinds] == [["Z", "A"]] * 3
    with pytest.raises(KiliValidationError, match="jobs"):
        frame.kili.to_hf(task="classes", json_interface={"jobs": []})
